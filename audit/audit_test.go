package audit

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/flowrun/flowrun/engine"
	"github.com/flowrun/flowrun/leaktest"
)

// TestMain lets tests call this test as a process that adds to a trail.
func TestMain(m *testing.M) {
	if path := os.Getenv("FLOWRUN_AUDIT_TEST"); path != "" {
		if err := busy(path, 400); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	leaktest.Main(m)
}

var testKey = Key("0123456789abcdef0123456789abcdef")

func event(run string, seq int, t engine.EventType) engine.Event {
	return engine.Event{Seq: seq, Time: time.Unix(1e9, 0).UTC(), RunID: run, SessionID: run, Type: t, Workflow: "w"}
}

// tell adds the events of a whole run to a trail.
func tell(path, run string, steps int) error {
	l, err := Open(path, testKey)
	if err != nil {
		return err
	}
	var wrong error
	hear := func(e engine.Event) { l.Hear(e, func(err error) { wrong = err }) }
	hear(event(run, 1, engine.WorkflowStarted))
	for i := range steps {
		e := event(run, i+2, engine.StepCompleted)
		e.Output, e.More = fmt.Sprintf("say %d: \u001b[31m \"}\n", i), i%3 == 0
		hear(e)
		hear(event(run, i+2, engine.ModelDelta))
	}
	hear(event(run, steps+2, engine.WorkflowCompleted))
	return errors.Join(wrong, l.Close())
}

// busy adds many short runs to a trail.
func busy(path string, runs int) error {
	for i := range runs {
		if err := tell(path, fmt.Sprintf("%d-%d", os.Getpid(), i), i%7); err != nil {
			return err
		}
	}
	return nil
}

// trail makes a trail of two runs: nine lines.
func trail(t testing.TB) (path string, lines []string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "trail.jsonl")
	for i, run := range []string{"a", "b"} {
		if err := tell(path, run, 2+i); err != nil {
			t.Fatal(err)
		}
	}
	return path, split(t, path)
}

func split(t testing.TB, path string) []string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return slices.Collect(strings.Lines(string(b)))
}

func write(t testing.TB, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func checked(t testing.TB, path, since string) *Report {
	t.Helper()
	r, err := Verify(path, testKey, since)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestTrail(t *testing.T) {
	t.Parallel()
	path, lines := trail(t)
	r := checked(t, path, "")
	if !r.OK || r.Lines != 9 || r.Runs != 2 || len(r.Open) != 0 || len(r.Torn) != 0 || r.File != path {
		t.Errorf("the trail is %+v", r)
	}
	if !strings.Contains(lines[8], r.Last) || len(lines) != 9 {
		t.Errorf("the last signature is %q", r.Last)
	}
	for i, line := range lines {
		s, ok := parse([]byte(strings.TrimSuffix(line, "\n")))
		if !ok || i > 0 && !strings.Contains(lines[i-1], s.previous) || i == 0 && s.previous != first {
			t.Errorf("line %d is %s", i+1, line)
		}
		if strings.Contains(line, "model_delta") || strings.Contains(line, "\u001b") {
			t.Errorf("line %d has what it must not: %s", i+1, line)
		}
	}
	if info, err := os.Stat(path); err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
		t.Errorf("the file is %v, %v", info.Mode(), err)
	}
	if r, err := Verify(path, Key("another key of some length"), ""); err != nil || r.OK || r.Problem.Line != 1 || !strings.Contains(r.Problem.Message, "or the key is another") {
		t.Errorf("with another key: %+v, %v", r, err)
	}
	if err := tell(path, "c", 1); err != nil {
		t.Fatal(err)
	}
	if r := checked(t, path, r.Last); !r.OK || r.Lines != 12 {
		t.Errorf("after more was added: %+v", r.Problem)
	}
}

// TestTampering finds the first line that is not as it was written.
func TestTampering(t *testing.T) {
	t.Parallel()
	_, lines := trail(t)
	other := filepath.Join(t.TempDir(), "t.jsonl") // signed with the same key
	if err := tell(other, "c", 5); err != nil {
		t.Fatal(err)
	}
	foreign := split(t, other)
	join := func(parts ...[]string) string { return strings.Join(slices.Concat(parts...), "") }
	one := func(s string) []string { return []string{s} }
	tests := map[string]struct {
		text string
		want string // line and what
		says string
	}{
		"a character changed":                {join(lines[:3], one(strings.Replace(lines[3], `"run_id":"a"`, `"run_id":"b"`, 1)), lines[4:]), "4 changed", "signature does not fit"},
		"a space added":                      {join(lines[:3], one(strings.Replace(lines[3], ",", ", ", 1)), lines[4:]), "4 changed", "signature does not fit"},
		"a signature changed":                {join(lines[:3], one(lines[3][:len(lines[3])-4]+"0\"}\n"), lines[4:]), "4 changed", ""},
		"a member behind the signature":      {join(one(lines[0][:len(lines[0])-2]+`,"x":1}`+"\n"), lines[1:]), "1 changed", "has no signature"},
		"carriage returns":                   {strings.ReplaceAll(join(lines), "\n", "\r\n"), "1 changed", "has no signature"},
		"a line removed":                     {join(lines[:3], lines[4:]), "4 removed", "between line 3 and this one"},
		"the first line removed":             {join(lines[1:]), "1 removed", "not the first"},
		"a whole run removed":                {join(lines[4:]), "1 removed", ""},
		"two lines swapped":                  {join(lines[:2], one(lines[3]), one(lines[2]), lines[4:]), "3 reordered", "behind line 4"},
		"the runs swapped":                   {join(lines[4:], lines[:4]), "1 reordered", "behind line 9"},
		"a line twice":                       {join(lines[:4], one(lines[3]), lines[4:]), "5 inserted", "line 4 once more"},
		"an old line later":                  {join(lines[:6], one(lines[1]), lines[6:]), "7 inserted", "line 2 once more"},
		"a line of another trail":            {join(lines[:4], one(foreign[6]), lines[4:]), "5 inserted", "line 6 follows"},
		"an empty line":                      {join(lines[:4], one("\n"), lines[4:]), "5 changed", "has no signature"},
		"a line made up":                     {join(lines[:4], one(`{"event":"approval_given"}`+"\n"), lines[4:]), "5 changed", "has no signature"},
		"cut in the last line":               {strings.TrimSuffix(join(lines), "}\n"), "9 torn", "cut in it"},
		"cut before its newline":             {strings.TrimSuffix(join(lines), "\n"), "9 torn", ""},
		"something behind the end":           {join(lines) + "x", "10 torn", ""},
		"nothing but text":                   {"hello\n", "1 changed", ""},
		"a mark that nobody signed":          {join(lines[:4]) + "torn\n" + `{"event":"audit_torn","bytes":4}` + "\n", "5 changed", ""},
		"two lines at the end cut, one kept": {join(lines[:6], lines[8:]), "7 removed", ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "t.jsonl")
			write(t, path, tt.text)
			r := checked(t, path, "")
			if r.OK || r.Problem == nil {
				t.Fatal("it was not found")
			}
			if got := fmt.Sprint(r.Problem.Line, " ", r.Problem.What); got != tt.want || !strings.Contains(r.Problem.Message, tt.says) {
				t.Errorf("got %s: %s; want %s: …%s", got, r.Problem.Message, tt.want, tt.says)
			}
			if r.Lines != r.Problem.Line-1 {
				t.Errorf("%d lines are good before line %d", r.Lines, r.Problem.Line)
			}
		})
	}
}

// TestSignature checks a trail as other programs do, by what the documentation says of its lines.
func TestSignature(t *testing.T) {
	t.Parallel()
	_, lines := trail(t)
	previous := strings.Repeat("0", 64)
	for i, line := range lines {
		var members struct{ Previous, Signature string }
		if err := json.Unmarshal([]byte(line), &members); err != nil {
			t.Fatal(err)
		}
		mac := hmac.New(sha256.New, testKey)
		mac.Write([]byte(line[:strings.LastIndex(line, `,"signature":`)]))
		if got := hex.EncodeToString(mac.Sum(nil)); members.Signature != got || members.Previous != previous {
			t.Errorf("line %d is signed %s after %s, want %s after %s", i+1, members.Signature, members.Previous, got, previous)
		}
		previous = members.Signature
	}
}

// TestCut finds lines cut off at the end by a signature that was kept elsewhere, and by nothing else.
func TestCut(t *testing.T) {
	t.Parallel()
	path, lines := trail(t)
	last := checked(t, path, "").Last
	write(t, path, strings.Join(lines[:6], ""))
	if r := checked(t, path, ""); !r.OK || !slices.Equal(r.Open, []string{"b"}) {
		t.Errorf("without a signature: %+v", r)
	}
	if r := checked(t, path, last); r.OK || r.Problem.What != "cut" || r.Problem.Line != 7 {
		t.Errorf("with the last signature: %+v", r.Problem)
	}
	write(t, path, "")
	if r := checked(t, path, last); r.OK || r.Problem.Line != 1 {
		t.Errorf("an empty file: %+v", r.Problem)
	}
	if r := checked(t, path, ""); !r.OK || r.Lines != 0 || r.Last != "" {
		t.Errorf("an empty file without a signature: %+v", r)
	}
	if _, err := Verify(path, testKey, "abc"); err == nil || !strings.Contains(err.Error(), "64 digits") {
		t.Errorf("half a signature: %v", err)
	}
}

// TestTorn goes on behind a line that a crash tore, wherever it did, and marks it: what is torn cannot be changed after.
func TestTorn(t *testing.T) {
	t.Parallel()
	path, lines := trail(t)
	whole := strings.Join(lines, "")
	before := len(whole) - len(lines[8])
	for cut := before + 1; cut < len(whole); cut += 1 + (cut*7)%11 {
		write(t, path, whole[:cut])
		if err := tell(path, "c", 1); err != nil {
			t.Fatal(err)
		}
		r := checked(t, path, "")
		if !r.OK || !slices.Equal(r.Torn, []int{9}) || r.Lines != 8+1+3 || !slices.Equal(r.Open, []string{"b"}) {
			t.Fatalf("cut at %d: %+v %+v", cut, r, r.Problem)
		}
		now := split(t, path)
		if !strings.HasPrefix(whole[before:], strings.TrimSuffix(now[8], "\n")) || !strings.Contains(now[9], `"event":"audit_torn"`) {
			t.Fatalf("cut at %d: %q, then %q", cut, now[8], now[9])
		}
		for what, text := range map[string]string{
			"changed": strings.Join(now[:8], "") + "x" + strings.Join(now[8:], ""),
			"removed": strings.Join(slices.Concat(now[:8], now[9:]), ""),
			"mark":    strings.Join(slices.Concat(now[:9], now[10:]), ""),
		} {
			write(t, path, text)
			if r := checked(t, path, ""); r.OK {
				t.Fatalf("cut at %d, then %s: nothing was found", cut, what)
			}
		}
	}
}

// TestInterference ends a log whose file is not what it was.
func TestInterference(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		do   func(path string) error
		want string
	}{
		"cut":      {func(path string) error { return os.Truncate(path, 10) }, "it was cut while the run went on"},
		"removed":  {os.Remove, "removed or renamed"},
		"renamed":  {func(path string) error { return os.Rename(path, path+"x") }, "removed or renamed"},
		"replaced": {func(path string) error { return errors.Join(os.Rename(path, path+"x"), os.WriteFile(path, nil, 0o600)) }, "another file took its place"},
		"written to": {func(path string) error {
			f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
			if err != nil {
				return err
			}
			defer f.Close()
			_, err = f.WriteString("hello\n")
			return err
		}, "somebody else wrote to it"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if runtime.GOOS == "windows" && name != "cut" {
				t.Skip("an open file stays where it is")
			}
			path := filepath.Join(t.TempDir(), "t.jsonl")
			l, err := Open(path, testKey)
			if err != nil {
				t.Fatal(err)
			}
			var told []error
			failed := func(err error) { told = append(told, err) }
			l.Hear(event("a", 1, engine.WorkflowStarted), failed)
			if err := tt.do(path); err != nil {
				t.Fatal(err)
			}
			l.Hear(event("a", 2, engine.StepStarted), failed)
			l.Hear(event("a", 3, engine.StepCompleted), failed)
			if err := l.Close(); err == nil || !strings.Contains(err.Error(), tt.want) || len(told) != 1 || told[0] != err {
				t.Errorf("got %v, told %v; want %s", err, told, tt.want)
			}
		})
	}
}

func TestOpen(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path, lines := trail(t)
	tests := map[string]struct {
		make func(name string) error
		want string
	}{
		"a folder":             {func(name string) error { return os.Mkdir(name, 0o700) }, "it is not a regular file"},
		"a FIFO":               {fifo, "it is not a regular file"},
		"a link":               {func(name string) error { return os.Symlink(path, name) }, "it is a symbolic link"},
		"a link to nowhere":    {func(name string) error { return os.Symlink("nowhere", name) }, "it is a symbolic link"},
		"another file":         {func(name string) error { return os.WriteFile(name, []byte("a: 1\n"), 0o600) }, "it is no audit trail"},
		"a trail, with a line": {func(name string) error { return os.WriteFile(name, []byte(lines[0]+"{}\n"), 0o600) }, "it is no audit trail"},
		"a changed last line": {func(name string) error {
			return os.WriteFile(name, []byte(strings.Replace(lines[0], "a", "b", 1)), 0o600)
		}, "signed with another key, or changed"},
	}
	if os.Geteuid() != 0 {
		tests["a file to read"] = struct {
			make func(name string) error
			want string
		}{func(name string) error { return os.WriteFile(name, nil, 0o400) }, "permission denied"}
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			file := filepath.Join(dir, name)
			if err := tt.make(file); errors.Is(err, errNone) {
				t.Skip(err)
			} else if err != nil {
				t.Fatal(err)
			}
			if _, err := Open(file, testKey); err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), dir) {
				t.Errorf("got %v, want %s", err, tt.want)
			}
		})
	}
	if _, err := Open(filepath.Join(dir, "no", "such"), testKey); err == nil {
		t.Error("a folder that is not there was opened")
	}
	if _, err := Open(path, Key("another key of some length")); err == nil || !strings.Contains(err.Error(), "another key") {
		t.Errorf("another key: %v", err)
	}
	for _, name := range []string{"a folder", "a FIFO"} {
		if _, err := Verify(filepath.Join(dir, name), testKey, ""); err == nil {
			t.Errorf("%s could be checked", name)
		}
	}
}

func TestReadKey(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	tests := map[string]struct {
		text string
		mode os.FileMode
		want string
	}{
		"a key":            {"0123456789abcdef\n", 0o600, ""},
		"a key to read":    {"0123456789abcdef\r\n", 0o400, ""},
		"too short":        {"0123456789abcde\n", 0o600, "at least 16 bytes, and this one 15"},
		"empty":            {"", 0o600, "at least 16 bytes"},
		"too long":         {strings.Repeat("0123456789", 1e4), 0o600, "at most 64 KiB"},
		"nothing but zero": {strings.Repeat("\x00", 32), 0o600, "one byte again and again"},
		"for the group":    {"0123456789abcdef\n", 0o640, "its mode is 0640, and must be 0600"},
		"for all":          {"0123456789abcdef\n", 0o604, "its mode is 0604"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if runtime.GOOS == "windows" && strings.HasPrefix(name, "for ") {
				t.Skip("modes do not tell")
			}
			file := filepath.Join(dir, name)
			if err := errors.Join(os.WriteFile(file, []byte(tt.text), tt.mode), os.Chmod(file, tt.mode)); err != nil {
				t.Fatal(err)
			}
			key, err := ReadKey(file)
			if tt.want == "" && (err != nil || string(key) != "0123456789abcdef") || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("got %q, %v; want %q", key, err, tt.want)
			}
		})
	}
	if _, err := ReadKey(dir); err == nil {
		t.Error("a folder is a key")
	}
}

// TestLongLines keeps outputs that are larger than what is read at once.
func TestLongLines(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "t.jsonl")
	for i := range 3 {
		l, err := Open(path, testKey)
		if err != nil {
			t.Fatal(err)
		}
		e := event("a", i+1, engine.StepCompleted)
		e.Output = strings.Repeat("long ", 1<<19)
		l.Hear(e, func(err error) { t.Error(err) })
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if r := checked(t, path, ""); !r.OK || r.Lines != 3 {
		t.Errorf("%+v, %+v", r, r.Problem)
	}
}

// TestLogs lets many logs of one process share a trail, while it is checked.
func TestLogs(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "t.jsonl")
	if err := tell(path, "first", 1); err != nil {
		t.Fatal(err)
	}
	errs := make([]error, 6)
	var wg sync.WaitGroup
	for i := range errs {
		wg.Go(func() {
			for n := range 20 {
				if errs[i] = tell(path, fmt.Sprint(i, "-", n), 3); errs[i] != nil {
					return
				}
				if r, err := Verify(path, testKey, ""); err != nil || !r.OK {
					errs[i] = fmt.Errorf("while others write: %v, %+v", err, r)
					return
				}
			}
		})
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	if r := checked(t, path, ""); !r.OK || r.Lines != 3+6*20*5 || r.Runs != 1+6*20 || len(r.Open) != 0 {
		t.Errorf("%+v, %+v", r, r.Problem)
	}
}

// TestProcesses lets processes share a trail, and kills some of them at any moment. What is left is as it was written.
func TestProcesses(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "t.jsonl")
	start := func() *exec.Cmd {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), "FLOWRUN_AUDIT_TEST="+path)
		cmd.Stderr = &bytes.Buffer{}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		return cmd
	}
	steady := []*exec.Cmd{start(), start()}
	size := int64(0)
	for range 5 { // a process that has added something
		doomed := start()
		for until := time.Now().Add(10 * time.Second); time.Now().Before(until); {
			if info, err := os.Stat(path); err == nil && info.Size() > size {
				size = info.Size()
				break
			}
		}
		_ = doomed.Process.Kill()
		_ = doomed.Wait()
	}
	for _, cmd := range steady {
		if err := cmd.Wait(); err != nil {
			t.Errorf("%v: %s", err, cmd.Stderr)
		}
	}
	if err := tell(path, "last", 1); err != nil {
		t.Fatal(err)
	}
	r := checked(t, path, "")
	if !r.OK || r.Runs < 801 || len(r.Open) > 5 {
		t.Errorf("%d runs, open %v, torn %v: %+v", r.Runs, r.Open, r.Torn, r.Problem)
	}
}

// FuzzVerify finds every change of a trail that is more than lines cut off at its end.
func FuzzVerify(f *testing.F) {
	_, lines := trail(f)
	whole := strings.Join(lines, "")
	for i := range lines {
		f.Add(strings.Join(slices.Delete(slices.Clone(lines), i, i+1), ""))
	}
	f.Add(whole)
	f.Add(whole[:len(whole)-10] + "\n" + lines[0])
	f.Add("\n\n\n")
	f.Fuzz(func(t *testing.T, text string) {
		r, err := verify(strings.NewReader(text), int64(len(text)), testKey, "")
		if err != nil {
			t.Fatal(err)
		}
		cut := strings.HasPrefix(whole, text) && (text == "" || text[len(text)-1] == '\n')
		if r.OK != cut {
			t.Errorf("ok is %v: %+v", r.OK, r.Problem)
		}
		if r.Problem != nil && (r.Problem.Line < 1 || r.Problem.Line > 1+strings.Count(text, "\n") || r.Problem.What == unclear) {
			t.Errorf("the problem is %+v", r.Problem)
		}
	})
}
