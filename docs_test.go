package main

import (
	"bytes"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/flowrun/flowrun/agents"
	"github.com/flowrun/flowrun/cli"
	"github.com/flowrun/flowrun/engine"
	"github.com/flowrun/flowrun/examples"
	"github.com/flowrun/flowrun/nodes"
	"github.com/flowrun/flowrun/pipetest"
	"github.com/flowrun/flowrun/spec"
)

// The pages are tests. Each ```yaml block is loaded as a pipeline, and each ```console block is run in the folder into
// which the page's blocks before it were written. What a block is says the comment on the line before its fence:
//
//	<!-- file: NAME -->  the block is written under that name; without it, a yaml block is pipeline.yaml
//	<!-- header -->      a part of a header: a node is added before it is loaded
//	<!-- wrong -->       it must not load
//
// Blocks of other languages are for people. In a console block a line that begins with "$ " is a command, what follows
// is what it prints. Commands are flowrun (or go run .), cat FILE and echo $?; "NAME=value " before one sets a variable, "echo TEXT | "
// gives it input. A line that is ... stands for any lines. Durations, dates, keys and run ids may differ.
// UPDATE=1 go test . writes into the pages what the commands print.

// pages are the files that people read.
func pages(t *testing.T) []string {
	t.Helper()
	found := []string{"README.md", "CONTRIBUTING.md", "CHANGELOG.md"}
	err := filepath.WalkDir("docs", func(path string, d fs.DirEntry, err error) error {
		if err == nil && strings.HasSuffix(path, ".md") {
			found = append(found, filepath.ToSlash(path))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func read(t *testing.T, file string) string {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// block is a fenced block of a page.
type block struct {
	lang, mark, text string
	line             int // of its fence
	start, end       int // of its text within the page
}

var fence = regexp.MustCompile("(?ms)^(?:<!-- ([^\n]*) -->\n)?```(\\w+)\n(.*?)^```$")

func blocks(page string) []block {
	var all []block
	for _, m := range fence.FindAllStringSubmatchIndex(page, -1) {
		b := block{lang: page[m[4]:m[5]], text: page[m[6]:m[7]], start: m[6], end: m[7], line: 1 + strings.Count(page[:m[4]], "\n")}
		if m[2] >= 0 {
			b.mark = page[m[2]:m[3]]
		}
		all = append(all, b)
	}
	return all
}

func (b block) is(mark string) bool {
	return slices.Contains(strings.Split(b.mark, ", "), mark)
}

// file is the name under which the block is written; empty where it is not.
func (b block) file() string {
	for _, m := range strings.Split(b.mark, ", ") {
		if name, ok := strings.CutPrefix(m, "file: "); ok {
			return name
		}
	}
	if b.lang == "yaml" {
		return "pipeline.yaml"
	}
	return ""
}

// TestPages loads and runs what the pages show.
func TestPages(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("the pages show commands of Unix")
	}
	root, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	loaded, ran := 0, 0
	for _, file := range pages(t) {
		t.Run(file, func(t *testing.T) {
			page := read(t, file)
			t.Chdir(t.TempDir())
			furnish(t, root)
			updated, from := "", 0
			for _, b := range blocks(page) {
				at := fmt.Sprintf("%s:%d", file, b.line)
				if name := b.file(); name != "" {
					write(t, name, b.text)
				}
				switch b.lang {
				case "yaml":
					loaded++
					if strings.HasSuffix(b.file(), pipetest.Ending) {
						loadTests(t, at, b)
					} else {
						load(t, at, b)
					}
				case "console":
					got, commands := session(t, at, b.text)
					ran += commands
					updated += page[from:b.start] + got
					from = b.end
				}
			}
			if updated += page[from:]; updated == page {
				return
			}
			if os.Getenv("UPDATE") == "" {
				t.Errorf("%s shows something else than flowrun prints (-page +flowrun); UPDATE=1 go test . mends it:\n%s", file, cmp.Diff(page, updated))
				return
			}
			write(t, filepath.Join(root, file), updated)
		})
	}
	if loaded == 0 || ran == 0 {
		t.Errorf("%d pipelines were loaded and %d commands ran", loaded, ran)
	}
	t.Logf("%d pipelines were loaded and %d commands ran", loaded, ran)
}

// furnish puts into the working directory what the pages take for granted: the examples, and what the example of flow
// includes.
func furnish(t *testing.T, root string) {
	t.Helper()
	if err := os.CopyFS("examples", os.DirFS(filepath.Join(root, "examples"))); err != nil {
		t.Fatal(err)
	}
	write(t, "shout.yaml", "params: {times: {type: integer, default: 1}}\nset: repeat(upper(input ?? \"hello\"), params.times)\n")
	t.Setenv("FLOWRUN_CACHE", "answers")
	t.Setenv("FLOWRUN_STATE", "state")
	for _, p := range agents.Providers() {
		for _, name := range slices.Concat(p.KeyEnv, p.BaseEnv) {
			t.Setenv(name, "")
		}
	}
}

func write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// load loads a block as the program would.
func load(t *testing.T, at string, b block) {
	t.Helper()
	src := b.text
	if b.is("header") {
		src += "set: prev\n"
	}
	_, problems := nodes.Language().Parse(b.file(), ".", []byte(src))
	if b.is("header") { // nothing uses what it declares
		problems = slices.DeleteFunc(problems, func(d spec.Diagnostic) bool { return d.Warning })
	}
	switch {
	case b.is("wrong"):
		if problems.Err() == nil {
			t.Errorf("%s: it is marked as wrong, and nothing is wrong with it", at)
		}
	case len(problems) > 0:
		t.Errorf("%s: %v", at, problems)
	}
}

// loadTests loads a block of tests, whose pipeline stands before it.
func loadTests(t *testing.T, at string, b block) {
	t.Helper()
	_, problems := pipetest.Load(b.file())
	if wrong := problems.Err() != nil; wrong != b.is("wrong") {
		t.Errorf("%s: it is wrong: %t\n%v", at, wrong, problems)
	}
}

// session runs the commands of a console block and gives the block with what they print.
func session(t *testing.T, at, text string) (got string, commands int) {
	t.Helper()
	code := 0
	for _, part := range strings.SplitAfter("\n"+text, "\n$ ")[1:] {
		if rest, more := strings.CutSuffix(part, "$ "); more {
			part = rest
		}
		command, want, _ := strings.Cut(part, "\n")
		for strings.HasSuffix(command, `\`) {
			var more string
			more, want, _ = strings.Cut(want, "\n")
			command += "\n" + more
		}
		printed := execute(t, at, command, &code)
		commands++
		if same(want, printed) {
			printed = want
		}
		got += "$ " + command + "\n" + printed
	}
	return got, commands
}

var vague = []struct {
	pattern *regexp.Regexp
	as      string
}{
	{regexp.MustCompile(`\d+\.\d+s\b`), "0.0s"},
	{regexp.MustCompile(`\b\d+ms\b`), "0ms"},
	{regexp.MustCompile(`\d+\.\d/s\b`), "0.0/s"},
	{regexp.MustCompile(`[0-9a-f]{10}-\d{8}-\d{6}`), "BATCH"},
	{regexp.MustCompile(`\d{8}-\d{6}-[0-9a-f]{8}`), "RUN"},
	{regexp.MustCompile(`\d{4}-\d\d-\d\dT[0-9:.]+Z`), "TIME"},
	{regexp.MustCompile(`\d{4}-\d\d-\d\d \d\d:\d\d(:\d\d)?\b`), "TIME"},
	{regexp.MustCompile(`  [0-9a-f]{8}  `), "  KEY  "},
	{regexp.MustCompile(`\b[0-9a-f]{64}\b`), "SIGNATURE"},
	{regexp.MustCompile(`"duration_ms": ?\d+`), `"duration_ms": 0`},
	{regexp.MustCompile(`time="\d+\.\d+"`), `time="0"`},
	{regexp.MustCompile(`(?m) +$`), ""},
}

// same tells whether a page shows what was printed.
func same(want, printed string) bool {
	for _, v := range vague {
		want, printed = v.pattern.ReplaceAllString(want, v.as), v.pattern.ReplaceAllString(printed, v.as)
	}
	pieces := strings.Split("\n"+want, "\n...\n")
	printed = "\n" + printed
	for i, p := range pieces {
		if i > 0 {
			p = "\n" + p
		}
		at := strings.Index(printed, p)
		if i == len(pieces)-1 {
			at = strings.LastIndex(printed, p)
		}
		if at < 0 || i == 0 && at > 0 || i == len(pieces)-1 && at+len(p) != len(printed) {
			return false
		}
		printed = printed[at+max(len(p)-1, 0):]
	}
	return true
}

// execute runs one command and gives what it prints.
func execute(t *testing.T, at, command string, code *int) string {
	t.Helper()
	if command == "echo $?" {
		return fmt.Sprintln(*code)
	}
	stdin := ""
	words := split(strings.ReplaceAll(command, "\\\n", " "))
	if i := slices.Index(words, "|"); i > 0 && words[0] == "echo" {
		stdin = strings.Join(words[1:i], " ") + "\n"
		words = words[i+1:]
	}
	for len(words) > 0 && regexp.MustCompile(`^[A-Z_]+=`).MatchString(words[0]) {
		name, value, _ := strings.Cut(words[0], "=")
		before, was := os.LookupEnv(name)
		os.Setenv(name, value)
		defer func() {
			if os.Unsetenv(name); was {
				os.Setenv(name, before)
			}
		}()
		words = words[1:]
	}
	if len(words) > 3 && slices.Equal(words[:3], []string{"go", "run", "."}) {
		words = append([]string{"flowrun"}, words[3:]...)
	}
	switch {
	case len(words) == 2 && words[0] == "cat":
		return read(t, words[1])
	case len(words) > 0 && words[0] == "flowrun":
		var out bytes.Buffer // both, as on a terminal
		*code = cli.Main(words, cli.Streams{In: strings.NewReader(stdin), Out: &out, Err: &out})
		return out.String()
	}
	t.Errorf("%s: a console block cannot run %q", at, command)
	return ""
}

var word = regexp.MustCompile(`(?:"[^"]*"|'[^']*'|[^\s"']+)+`)

// split splits a command line as a shell would; quotes may stand anywhere in a word.
func split(command string) []string {
	words := word.FindAllString(command, -1)
	for i, w := range words {
		words[i] = regexp.MustCompile(`"([^"]*)"|'([^']*)'`).ReplaceAllString(w, "$1$2")
	}
	return words
}

var link = regexp.MustCompile(`\[[^\]]*\]\(([^)\s]+)\)`)

// TestLinks finds links to files and headings that are not there.
func TestLinks(t *testing.T) {
	for _, file := range pages(t) {
		for _, m := range link.FindAllStringSubmatch(fence.ReplaceAllString(read(t, file), ""), -1) {
			u, err := url.Parse(m[1])
			if err != nil {
				t.Errorf("%s: %v", file, err)
			}
			if err != nil || u.Scheme != "" {
				continue
			}
			target := file
			if u.Path != "" {
				target = filepath.Join(filepath.Dir(file), filepath.FromSlash(u.Path))
			}
			if _, err := os.Stat(target); err != nil {
				t.Errorf("%s: the link %s leads nowhere: %v", file, m[1], err)
				continue
			}
			if u.Fragment != "" && !slices.Contains(headings(read(t, target)), u.Fragment) {
				t.Errorf("%s: %s has no heading for %s", file, target, m[1])
			}
		}
	}
}

// headings are the fragments by which the headings of a page are reached.
func headings(page string) []string {
	var all []string
	for _, m := range regexp.MustCompile(`(?m)^#+ (.+)$`).FindAllStringSubmatch(fence.ReplaceAllString(page, ""), -1) {
		s := regexp.MustCompile(`[^\w\- ]`).ReplaceAllString(strings.ToLower(m[1]), "")
		all = append(all, strings.ReplaceAll(s, " ", "-"))
	}
	return all
}

// TestExamplesListed finds examples that the README does not name.
func TestExamplesListed(t *testing.T) {
	readme := read(t, "README.md")
	for _, name := range examples.Names() {
		if !strings.Contains(readme, "| ["+name+"](examples/"+name+".yaml) | ") {
			t.Errorf("README.md does not list the example %s", name)
		}
	}
}

// TestTables holds tables of the pages against what they list.
func TestTables(t *testing.T) {
	var providers, kinds, limits, events strings.Builder
	for _, p := range agents.Providers() {
		address := code(p.BaseURL)
		if p.BaseURL == "" {
			address = "from the environment alone"
		}
		key := codes(p.KeyEnv)
		if p.Local {
			key = strings.TrimPrefix(key+", not needed", ", ")
		}
		fmt.Fprintf(&providers, "| `%s` | %s | %s | %s |\n", p.Name, key, codes(p.BaseEnv), address)
	}
	for _, k := range engine.ErrorKinds() {
		fmt.Fprintf(&kinds, "| `%s` |\n", k)
	}
	for _, f := range engine.Limits() {
		value := f.Default
		if value == nil {
			value = "none"
		}
		fmt.Fprintf(&limits, "| `%s` | %v |\n", f.Name, value)
	}
	for _, m := range regexp.MustCompile(`EventType = "(\w+)"`).FindAllStringSubmatch(read(t, "engine/event.go"), -1) {
		fmt.Fprintf(&events, "| `%s` |\n", m[1])
	}
	for _, tt := range []struct {
		file, heading string
		columns       int
		want          string
	}{
		{"docs/agents.md", "Providers", 4, providers.String()},
		{"docs/errors.md", "Kinds", 1, kinds.String()},
		{"docs/errors.md", "Events", 1, events.String()},
		{"docs/limits.md", "The limits", 2, limits.String()},
	} {
		if got := table(read(t, tt.file), tt.heading, tt.columns); got != tt.want {
			t.Errorf("%s, the table below %q (-page +program):\n%s", tt.file, tt.heading, cmp.Diff(got, tt.want))
		}
	}
}

func code(s string) string { return "`" + s + "`" }

func codes(names []string) string {
	var all []string
	for _, n := range names {
		all = append(all, code(n))
	}
	return strings.Join(all, " or ")
}

// table is the first columns of the rows of the first table below a heading.
func table(page, heading string, columns int) string {
	_, below, _ := strings.Cut(page, "\n## "+heading+"\n")
	_, rows, _ := strings.Cut(below, "|---|")
	_, rows, _ = strings.Cut(rows, "\n")
	rows, _, _ = strings.Cut(rows, "\n\n")
	var out strings.Builder
	for _, row := range strings.Split(strings.TrimSpace(rows), "\n") {
		cells := strings.SplitN(row, " | ", columns+1)
		fmt.Fprintf(&out, "%s |\n", strings.TrimSuffix(strings.Join(cells[:min(columns, len(cells))], " | "), " |"))
	}
	return out.String()
}

// TestNewKind runs the kind that CONTRIBUTING.md shows.
func TestNewKind(t *testing.T) {
	_, rest, _ := strings.Cut(read(t, "docs_test.go"), "\nfunc check() engine.Kind {\n")
	source, _, _ := strings.Cut(rest, "\n}\n")
	if !strings.Contains(read(t, "CONTRIBUTING.md"), "\nfunc check() engine.Kind {\n"+source+"\n}\n```\n") {
		t.Errorf("CONTRIBUTING.md shows another kind than this:\n%s", source)
	}

	lang := nodes.Language(nodes.WithKind(check()))
	for src, want := range map[string]string{
		check().Example: "",
		"chain:\n  - set: '{score: \"high\"}'\n  - check: {score: integer}\n": "p.yaml:3:5: /chain[1]: it.score must be integer, not string",
	} {
		graph, problems := lang.Parse("p.yaml", ".", []byte(src))
		if problems != nil {
			t.Fatal(problems)
		}
		result, err := engine.Run(t.Context(), graph, nil)
		if got := fmt.Sprint(err); err != nil && got != want || err == nil && want != "" {
			t.Errorf("it fails with %s, not %s", got, want)
		}
		if err == nil && !cmp.Equal(result.Output, any(map[string]any{"score": int64(9)})) {
			t.Errorf("its output is %v", result.Output)
		}
	}
	_, problems := lang.Parse("p.yaml", ".", []byte("chain:\n  - check: {score: integer}\n  - set: prev.scroe\n"))
	if want := `p.yaml:3:10: unknown field "scroe", did you mean "score"?`; problems.Error() != want {
		t.Errorf("it reports %v, not %s", problems, want)
	}
	if text, ok := lang.Spec.Explain("check"); !ok || !strings.Contains(text, "fits a schema") {
		t.Errorf("it is not explained: %s", text)
	}
}

func check() engine.Kind {
	return engine.Kind{
		Shape: spec.Shape{
			Name:    "check",
			Summary: "passes on what it received where that fits a schema",
			Leaf:    true,
			Fields: []spec.Field{
				{Name: "check", Form: spec.SchemaForm{}, Summary: "the schema"},
			},
			Output: func(n *spec.Node) spec.Type { return n.Schema("check").Type() },
			Example: `chain:
  - set: "{score: 9}"
  - check: {score: integer}
`,
		},
		Fails: engine.Schema,
		Build: func(n *spec.Node) engine.Body {
			schema := n.Schema("check")
			return engine.Body{Decide: func(v *engine.Visit) (any, error) {
				return v.Prev(), schema.Check("it", v.Prev())
			}}
		},
	}
}
