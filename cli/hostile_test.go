//go:build unix

package cli_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

const (
	maxPeak  = 300              // megabytes that flowrun may take for any bad file
	deadline = 90 * time.Second // for one call; each takes less than two seconds where nothing else runs
)

// badFiles are files that would crash, hang or bloat what reads them without care. Each ends with a message at its place.
var badFiles = map[string]struct {
	src  source // of p.yaml
	code int    // of the exit; 0 stands for 2, what validate says of a file with errors
	run  bool   // it is found when it runs
	want string // matches standard error
}{
	"an alias bomb":                {src: source{"x-0: &a0 [x, x]\n", many{12, "x-%[2]d: &a%[2]d [*a%[1]d, *a%[1]d, *a%[1]d, *a%[1]d, *a%[1]d, *a%[1]d]\n"}, "set: nil\n"}, want: `^p.yaml:\d+:\d+: aliases add more than 100000 values to the file$`},
	"an alias of itself":           {src: source{"chain: &a\n  - *a\n"}, want: `^p.yaml:2:5: the anchor "a" holds itself$`},
	"a merge-key bomb":             {src: source{"x-0: &m0 {a: 1}\n", many{14, "x-%[2]d: &m%[2]d {<<: [*m%[1]d, *m%[1]d, *m%[1]d, *m%[1]d]}\n"}, "set: nil\n"}, want: `^p.yaml:\d+:\d+: aliases add more than 100000 values to the file$`},
	"a merge key of itself":        {src: source{"x-a: &a {<<: *a}\nset: nil\n"}, want: `^p.yaml:1:14: the anchor "a" holds itself$`},
	"100,000 anchors":              {src: source{"x-a:\n", many{100_000, "  - &a%d 1\n"}, "x-b:\n", many{100_000, "  - *a%d\n"}, "set: nil\n"}, want: `^p.yaml:\d+:\d+: aliases add more than`},
	"100,000 named nodes":          {src: source{"chain:\n", many{100_000, "  - {name: n%d, set: prev}\n"}, "  - set: steps.n9999x.output\n"}, want: `^p.yaml:100002:10: steps.n9999x: no node is named "n9999x"`},
	"20,000 parameters, each read": {src: source{"params: {", many{20_000, "f%d: string, "}, "}\nchain:\n", many{20_000, "  - set: params.f%d\n"}, "  - set: params.g\n"}, want: `^p.yaml:20003:10: unknown field "g"`},
	"a schema of 20,000 fields":    {src: source{"input: {", many{20_000, "f%d: string, "}, "}\nset: input\n"}, want: `^p.yaml:1:8: this is no JSON Schema: it has 20002 parts; at most 2000 are allowed$`},
	"20,000 outputs, each read": {src: source{"chain:\n  - name: p\n    parallel:\n", many{20_000, "      - {name: b%d, set: '1'}\n"}, "    merge: outputs\n", many{20_000, "  - set: steps.p.output.b%d\n"}, "  - set: steps.p.output.c\n"},
		want: `^p.yaml:40005:10: unknown field "c"`},
	"[ a million times":       {src: source{"set: ", many{1_000_000, "["}}, want: `^p.yaml:1:\d+: .*(depth|deep)`},
	"{ a million times":       {src: source{"set: ", many{1_000_000, "{"}}, want: `^p.yaml:1:\d+: .*(depth|deep)`},
	"- a million times":       {src: source{"set:\n", many{1_000_000, "- "}}, want: `^p.yaml:\d+:\d+: .*(depth|deep)`},
	"10,000 levels":           {src: source{"set: ", many{9_999, "{a: "}, "1", many{9_999, "}"}}, want: `^p.yaml:1:406: the file nests deeper than 100 levels$`},
	"a scalar of 50 MB":       {src: source{"description: ", many{50_000_000, "x"}, "\nset: prev\n"}, want: `^p.yaml: it is larger than 10 MiB$`},
	"a scalar of 9 MB":        {src: source{"set: ", many{9_000_000, "x"}}, want: `^p.yaml:1:6: the expression is 9000000 bytes long; at most 8192 are allowed$`},
	"a key of 9 MB":           {src: source{"? ", many{9_000_000, "x"}, "\n: 1\nset: prev\n"}, want: `^p.yaml:1:3: unknown key "x{200}…"`},
	"200,000 keys":            {src: source{many{200_000, "k%d: 1\n"}}, want: `^and more problems$`},
	"200,000 keys of its own": {src: source{"set:\n", many{200_000, "  k%d: 1\n"}, "  k7: 2\n"}, want: `^p.yaml:200002:3: duplicate key "k7", first on line 9$`},
	"a key 100,000 times":     {src: source{"set: nil\n", many{100_000, "a: 1\n"}}, want: `^p.yaml:3:1: duplicate key "a", first on line 2$`},
	"empty lists in a row":    {src: source{"set: [", many{3_000_000, "[],"}, "]"}, want: `^p.yaml: it holds about \d+ values; at most \d+ are allowed`},
	"20,000 nodes in a graph": {src: source{"start: b0\ngraph:\n", many{20_000, "  b%d: {set: prev, next: b%d}\n"}}, want: `^p.yaml:3:3: graph has 20000 nodes; at most 2000 are allowed$`},
	"1,000 large patterns": {src: source{"params: {", many{1_000, "f%[1]d: {type: string, pattern: 'a{1000}b{1000}%[1]d', default: %[2]d}, "}, "}\nset: prev\n"},
		want: `^p.yaml:1:\d+: this is no JSON Schema: .*the patterns of all expressions and schemas together are too large`},

	"NUL":                      {src: source{"set: 'a\x00b'"}, want: `^p.yaml:1:8: the file holds a NUL byte: it is no text$`},
	"bad UTF-8":                {src: source{"set: '\xff\xfe'"}, want: `^p.yaml:1:7: the file is not UTF-8 text$`},
	"UTF-16":                   {src: source{"\xff\xfes\x00e\x00t\x00:\x00 \x001\x00"}, want: `^p.yaml:1:1: the file is UTF-16, not UTF-8$`},
	"UTF-16, big-endian":       {src: source{"\xfe\xff\x00s\x00e\x00t"}, want: `^p.yaml:1:1: the file is UTF-16, not UTF-8$`},
	"UTF-16 without BOM":       {src: source{"s\x00e\x00t\x00:\x00 \x001\x00"}, want: `^p.yaml:1:1: the file is UTF-16, not UTF-8$`},
	"an escape":                {src: source{"set: '\x1b[2J'"}, want: `^p.yaml:1:7: control characters are not allowed: U\+001B$`},
	"a mark of direction":      {src: source{"set: 1 # \u202e"}, want: `^p.yaml:1:10: marks that turn the direction of text are not allowed: U\+202E$`},
	"tabs":                     {src: source{"chain:\n\t- set: prev\n"}, want: `hint: YAML wants spaces, not tabs$`},
	"two documents":            {src: source{"set: prev\n---\nset: prev\n"}, want: `^p.yaml:2:1: a file holds one YAML document; a second one begins here$`},
	"a million documents":      {src: source{"set: prev\n", many{1_000_000, "---\n"}}, want: `^p.yaml:2:1: a file holds one YAML document`},
	"!exec":                    {src: source{"set: !exec ls\n"}, want: `^p.yaml:1:6: explicit YAML tags such as "!exec" are not allowed$`},
	"!!python/object":          {src: source{"set: !!python/object:os.system ls\n"}, want: `^p.yaml:1:6: explicit YAML tags such as "!!python/object:os.system" are not allowed$`},
	"<< twice":                 {src: source{"x-a: &a {when: 'true'}\nset: prev\n<<: *a\n<<: *a\n"}, want: `^p.yaml:4:1: duplicate key "<<"$`},
	"Norway":                   {src: source{"for_each: [1]\nin_order: no\ndo: {set: item}\n"}, want: `^p.yaml:2:11: in_order must be true or false, not the text "no"$`},
	"Norway as a key":          {src: source{"set: prev\nno: 1\n"}, want: `^p.yaml:2:1: unknown key "no" for set$`},
	"a number as a key":        {src: source{"set: prev\n1: x\n"}, want: `^p.yaml:2:1: unknown key "1" for set$`},
	"an octal number":          {src: source{"set: prev\nlimits: {max_steps: 012}\n"}, want: `^p.yaml:2:21: the number "012" is not plain decimal$`},
	"a name that is a path":    {src: source{"chain:\n  - {name: ../../etc/passwd, set: prev}\n"}, want: `^p.yaml:2:12: name must have letters, digits and _ only.*"../../etc/passwd"$`},
	"a name that is an option": {src: source{"chain:\n  - {name: --help, set: prev}\n"}, want: `^p.yaml:2:12: name must have letters, digits and _ only.*"--help"$`},
	"a name of 10,000":         {src: source{"chain:\n  - {name: ", many{10_000, "x"}, ", set: prev}\n"}, want: `^p.yaml:2:12: name must have at most 200 characters, not 10000$`},

	"an include of itself":             {src: source{"flow: ./p.yaml"}, want: `^p.yaml:1:7: "./p.yaml" includes itself: p.yaml -> p.yaml$`},
	"includes that loop":               {src: source{"flow: loop.yaml"}, want: `^loop.yaml:1:7: "p.yaml" includes itself: p.yaml -> loop.yaml -> p.yaml$`},
	"an include outside":               {src: source{"flow: ../x.yaml"}, want: `^p.yaml:1:7: including "../x.yaml": the file is outside of the first file's folder$`},
	"an absolute include":              {src: source{"flow: /etc/passwd"}, want: `^p.yaml:1:7: including "/etc/passwd": the file is outside of the first file's folder$`},
	"an include of a link":             {src: source{"flow: link.yaml"}, want: `^p.yaml:1:7: including "link.yaml": the file is outside of the first file's folder$`},
	"an include of /dev/zero":          {src: source{"flow: /dev/zero"}, want: `^p.yaml:1:7: including "/dev/zero": the file is outside`},
	"an include of a folder":           {src: source{"flow: folder.yaml"}, want: `^p.yaml:1:7: including "folder.yaml": it is a folder, not a regular file$`},
	"an include of a FIFO":             {src: source{"flow: fifo.yaml"}, want: `^p.yaml:1:7: including "fifo.yaml": it is not a regular file$`},
	"an include of a link to a device": {src: source{"flow: zero.yaml"}, want: `^p.yaml:1:7: including "zero.yaml": the file is outside`},
	"100,000 includes that fail":       {src: source{"chain:\n", many{100_000, "  - flow: none.yaml\n"}}, want: `^p.yaml:2:11: including "none.yaml": no such file or directory`},

	"a million brackets":     {src: source{"set: '", many{1_000_000, "("}, "'"}, want: `^p.yaml:1:6: the expression is 1000000 bytes long; at most 8192 are allowed$`},
	"a million !":            {src: source{"set: '", many{1_000_000, "!"}, "true'"}, want: `^p.yaml:1:6: the expression is 1000004 bytes long; at most 8192 are allowed$`},
	"brackets that fit":      {src: source{"set: '", many{4000, "("}, "'"}, want: `^p.yaml:1:6: the expression nests deeper than 64 levels$`},
	"expressions by the ton": {src: source{"chain:\n", many{1_700, "  - set: " + strings.Repeat("1+", 2900) + "%d\n"}}, want: `^p.yaml:\d+:10: with it, the expressions of the pipeline have more than 500000 parts`},
	"regexes by the hundred": {src: source{"set: '", many{100, `"x" matches "a+b" or `}, "true'"}, want: `^p.yaml:1:6: at most 16 patterns may stand in one expression$`},
	"braces in a template":   {src: source{"agent: {model: mock}\nprompt: '", many{100_000, "${{"}, "'"}, want: `^p.yaml:2:9: \${{ is never closed by }}$`},
	"braces in braces":       {src: source{"agent: {model: mock}\nprompt: '${{ ", many{100_000, "{"}, many{100_000, "}"}, " }}'"}, want: `^p.yaml:2:14: the expression is 200000 bytes long`},

	"doubling lets":        {run: true, code: 3, src: source{"set: 'let a0 = \"xxxxxxxxxx\"; ", many{39, "let a%[2]d = a%[1]d + a%[1]d; "}, "len(a39)'"}, want: `p.yaml:1:6: .*more than 64 MiB of memory`},
	"a range of a billion": {run: true, code: 3, src: source{"set: 1..1000000000"}, want: `p.yaml:1:6: .*more than 64 MiB of memory`},
	"three loops":          {run: true, code: 3, src: source{"set: count(1..10000, count(1..10000, count(1..10000, true) > 0) > 0)"}, want: `p.yaml:1:6: .*more than 10000000 steps`},
	"1/0":                  {run: true, code: 1, src: source{"set: 1/0"}, want: `p.yaml:1:6: .*not a number that JSON has`},
	"integer overflow":     {run: true, code: 1, src: source{"set: 9223372036854775807 + 1"}, want: `p.yaml:1:6: .*no integer of 64 bits`},
}

// source is a text that is made when it is written: its parts are texts and [many].
type source []any

// many is a text so many times over; it may name the number of each, from 0, and the next.
type many struct {
	times int
	text  string
}

func (s source) write(w io.Writer) {
	for _, part := range s {
		m, repeated := part.(many)
		switch {
		case !repeated:
			fmt.Fprint(w, part)
			continue
		case !strings.Contains(m.text, "%"):
			_, _ = io.WriteString(w, strings.Repeat(m.text, m.times))
			continue
		}
		for i := range m.times {
			if strings.Contains(m.text, "%[2]d") || strings.Count(m.text, "%") == 2 {
				fmt.Fprintf(w, m.text, i, i+1)
			} else {
				fmt.Fprintf(w, m.text, i)
			}
		}
	}
}

func TestBadFiles(t *testing.T) {
	t.Parallel()
	for name, tt := range badFiles {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := hostileFolder(t, tt.src...)
			if info, err := os.Stat(filepath.Join(dir, "p.yaml")); raced && err == nil && info.Size() > 1<<20 {
				t.Skip("one goroutine reads a file: a large one takes minutes with the race detector, and shows it nothing")
			}
			command, code := "validate", 2
			if tt.run {
				command, code = "run", tt.code
			}
			stderr, _ := survive(t, dir, nil, code, command, "p.yaml")
			if !regexp.MustCompile(`(?m)` + tt.want).MatchString(stderr) {
				t.Errorf("standard error has no %s:\n%.1000s", tt.want, stderr)
			}
		})
	}
}

// Of a file that the user names, links are followed: the user may read what they lead to. What is no regular file is
// refused before it is opened, for that may wait for ever.
func TestBadKindsOfFiles(t *testing.T) {
	t.Parallel()
	dir := hostileFolder(t, "set: '\"fine\"'")
	for file, want := range map[string]string{
		"folder.yaml": `^folder.yaml: it is a folder, not a regular file$`,
		"fifo.yaml":   `^fifo.yaml: it is not a regular file$`,
		"/dev/zero":   `^/dev/zero: it is not a regular file$`,
		"zero.yaml":   `^zero.yaml: it is not a regular file$`,
		"round.yaml":  `^round.yaml: too many levels of symbolic links$`,
		"none.yaml":   `^none.yaml: no such file or directory$`,
		"link.yaml":   `^link.yaml:1:1: a pipeline is a mapping`,
	} {
		t.Run(strings.ReplaceAll(file, "/", " "), func(t *testing.T) {
			t.Parallel()
			stderr, _ := survive(t, dir, nil, 2, "validate", file)
			if !regexp.MustCompile(`(?m)` + want).MatchString(stderr) {
				t.Errorf("standard error has no %s:\n%.1000s", want, stderr)
			}
		})
	}
	survive(t, dir, nil, 0, "validate", "inside.yaml")
	if err := os.WriteFile(filepath.Join(dir, "includes.yaml"), []byte("flow: inside.yaml"), 0o600); err != nil {
		t.Fatal(err)
	}
	survive(t, dir, nil, 0, "validate", "includes.yaml")
}

// A user or session that no text can keep would be another one when the run goes on.
func TestBadIdentities(t *testing.T) {
	t.Parallel()
	dir := hostileFolder(t, "set: '\"fine\"'")
	for _, flag := range []string{"--user-id", "--session-id"} {
		stderr, _ := survive(t, dir, nil, 2, "run", "p.yaml", "--no-journal", flag, "\xff")
		if want := flag + ` is text in UTF-8, not "\xff"`; !strings.Contains(stderr, want) {
			t.Errorf("standard error has no %s:\n%s", want, stderr)
		}
	}
}

// hostileFolder has what is no plain file beside p.yaml: links that lead out, inside and round, devices, a FIFO.
func hostileFolder(t *testing.T, src ...any) string {
	t.Helper()
	dir := t.TempDir()
	in := func(name string) string { return filepath.Join(dir, name) }
	f, err := os.Create(in("p.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	w := bufio.NewWriter(f)
	source(src).write(w)
	for _, err := range []error{
		w.Flush(),
		f.Close(),
		os.WriteFile(in("loop.yaml"), []byte("flow: p.yaml"), 0o600),
		os.Mkdir(in("folder.yaml"), 0o700),
		syscall.Mkfifo(in("fifo.yaml"), 0o600),
		os.Symlink("/etc/passwd", in("link.yaml")),
		os.Symlink("/dev/zero", in("zero.yaml")),
		os.Symlink("p.yaml", in("inside.yaml")),
		os.Symlink("round.yaml", in("round.yaml")),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

var (
	controls = regexp.MustCompile(`[\x00-\x08\x0b-\x1f\x7f-\x{9f}\x{202a}-\x{202e}\x{2066}-\x{2069}]`)
	crashed  = regexp.MustCompile(`(?m)^(panic|fatal error|goroutine \d+|runtime:|runtime error)|\.go:\d+`)
)

// survive calls flowrun, which must end by itself with an exit code, in little memory, and say nothing that commands a
// terminal or tells of a crash.
func survive(t *testing.T, dir string, environment []string, code int, args ...string) (stderr, stdout string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	defer cancel()
	c := exec.CommandContext(ctx, "flowrun", args...)
	var out, errs bytes.Buffer
	c.Dir, c.Stdout, c.Stderr = dir, &out, &errs
	c.Env = append(os.Environ(), environment...)
	began := time.Now()
	if err := c.Run(); c.ProcessState == nil {
		t.Fatal(err)
	}
	stderr, stdout = errs.String(), out.String()
	used := c.ProcessState.SysUsage().(*syscall.Rusage)
	peak := used.Maxrss >> 10 // KiB, but bytes on macOS
	if runtime.GOOS == "darwin" {
		peak >>= 10
	}
	t.Logf("%v, of the processor %v, %d MB", time.Since(began).Round(time.Millisecond), (c.ProcessState.UserTime() + c.ProcessState.SystemTime()).Round(time.Millisecond), peak)
	switch {
	case ctx.Err() != nil:
		t.Fatalf("it did not end within %v", deadline)
	case c.ProcessState.ExitCode() != code:
		t.Errorf("exit code %d, want %d:\n%.1000s", c.ProcessState.ExitCode(), code, stderr)
	case crashed.MatchString(stderr):
		t.Errorf("it tells of a crash:\n%.1000s", stderr)
	case len(stderr) > 100_000:
		t.Errorf("it wrote %d bytes:\n%.1000s", len(stderr), stderr)
	}
	if at := controls.FindString(stderr); at != "" {
		t.Errorf("it wrote %q raw:\n%.1000q", at, stderr)
	}
	if peak > maxPeak && !raced {
		t.Errorf("it took %d MB, at most %d are allowed", peak, maxPeak)
	}
	return stderr, stdout
}

// What a model says is data: nothing in it commands the terminal, is worked out or fills the memory.
func TestBadReplies(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		piece string // of the answer, as JSON has it
		times int
		code  int
		out   string // matches the result
	}{
		"100 MB":         {strings.Repeat("x", 1<<20), 100, 1, `"kind": "model"`},
		"escapes":        {`\u001b[2J\u001b]0;owned\u0007\u009b31m\u202e\r`, 10, 0, `"status": "completed"`},
		"invalid UTF-8":  {"a\xff\xfe\xc3(b", 10, 0, `"output": "a`},
		"half a letter":  {`\ud83d`, 1, 0, `"status": "completed"`},
		"an expression":  {"${{ 1 + 1 }} ${{ secrets.KEY }} ${{ ", 1, 0, `"output": "\$\{\{ 1 \+ 1 \}\} \$\{\{ secrets.KEY \}\} \$\{\{ "`},
		"NUL":            {`\u0000`, 10, 0, `"status": "completed"`},
		"raw controls":   {"\x1b[2J", 1, 1, `"kind": "model"`},
		"a broken frame": {`"`, 1, 1, `"kind": "model"`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body)
				w.Header().Set("Content-Type", "text/event-stream")
				for range tt.times {
					fmt.Fprintf(w, `data: {"choices": [{"index": 0, "delta": {"content": "%s"}}]}`+"\n\n", tt.piece)
				}
				send(w, `{"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}`)
				send(w, "[DONE]")
			}))
			t.Cleanup(server.Close)
			dir := hostileFolder(t, "chain:\n  - {name: asks, agent: {model: openai/m}, prompt: hi, retry: false}\n  - set: prev\n")
			_, stdout := survive(t, dir, []string{"OPENAI_BASE_URL=" + server.URL + "/v1", "OPENAI_API_KEY=sk-test"}, tt.code, "run", "-o", "json", "p.yaml")
			if !regexp.MustCompile(tt.out).MatchString(stdout) {
				t.Errorf("the result has no %s:\n%.1000q", tt.out, stdout)
			}
			if strings.ContainsAny(stdout, "\x1b\x00") {
				t.Errorf("controls are raw in JSON:\n%.1000q", stdout)
			}
		})
	}
}
