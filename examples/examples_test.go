package examples_test

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"gopkg.in/yaml.v3"

	"github.com/flowrun/flowrun/agents"
	"github.com/flowrun/flowrun/cli"
	"github.com/flowrun/flowrun/examples"
	"github.com/flowrun/flowrun/leaktest"
)

// TestMain keeps the runs of tests away from those of who runs them.
func TestMain(m *testing.M) {
	state, err := os.MkdirTemp("", "flowrun-state-")
	if err != nil {
		panic(err)
	}
	os.Setenv("FLOWRUN_STATE", state)
	code := leaktest.Of(m).Run()
	os.RemoveAll(state)
	os.Exit(code)
}

// flowrun calls the program and gives what it printed and its exit code.
func flowrun(args ...string) (stdout, stderr string, code int) {
	var out, err bytes.Buffer
	code = cli.Main(append([]string{"flowrun"}, args...), cli.Streams{In: strings.NewReader(""), Out: &out, Err: &err})
	return out.String(), err.String(), code
}

// atRoot goes to the root of the repository, where the comments of the examples say they are run, and takes away the
// keys of all providers.
func atRoot(t *testing.T) {
	t.Helper()
	t.Chdir("..")
	t.Setenv("FLOWRUN_CACHE", t.TempDir())
	t.Setenv("FLOWRUN_STATE", t.TempDir())
	for _, p := range agents.Providers() {
		for _, name := range p.KeyEnv {
			t.Setenv(name, "")
		}
	}
}

var runLine = regexp.MustCompile(`(?m)\A# yaml-language-server: \$schema=\.\./schema\.json\n# .+\n# Run it: flowrun (run examples/\S+\.yaml.*)\n`)

// TestExamples runs each example as its comment says and holds what it prints against testdata. UPDATE=1 writes that
// anew. Those that ask servers, pages or repositories are answered from what was recorded once.
func TestExamples(t *testing.T) {
	atRoot(t)
	for _, name := range examples.Names() {
		t.Run(name, func(t *testing.T) {
			file := "examples/" + name + ".yaml"
			if stdout, stderr, code := flowrun("validate", file); code != 0 || stdout+stderr != "" {
				t.Fatalf("validate gives %d:\n%s%s", code, stdout, stderr)
			}
			args := commentOf(t, name)
			skipUnix(t, name)
			if recording := "examples/testdata/" + name + ".recording.yaml"; exists(recording) {
				args = append(args, "--replay", recording)
			}
			stdout, stderr, code := flowrun(append(args, "--quiet")...)
			if answer := answerLine.FindStringSubmatch(stderr); code == 6 && answer != nil { // nobody is there, so somebody answers later
				stdout, stderr, code = flowrun(append(words(answer[1]), "--quiet")...)
			}
			if code != 0 || stderr != "" {
				t.Fatalf("it gives %d:\n%s", code, stderr)
			}
			golden(t, name, stdout)
		})
	}
}

// commentOf are the arguments with which an example's comment runs it.
func commentOf(t *testing.T, name string) []string {
	t.Helper()
	file := "examples/" + name + ".yaml"
	line := runLine.FindSubmatch(source(t, name))
	if line == nil {
		t.Fatalf("%s must begin with the schema line, a line that says what it shows, and one with: # Run it: flowrun run %s", file, file)
	}
	args := words(string(line[1]))
	if args[1] != file {
		t.Fatalf("the comment runs %s", args[1])
	}
	return args
}

func source(t *testing.T, name string) []byte {
	t.Helper()
	src, err := examples.Source(name)
	if err != nil {
		t.Fatal(err)
	}
	return src
}

// skipUnix skips an example that runs commands where there are none.
func skipUnix(t *testing.T, name string) {
	t.Helper()
	if runtime.GOOS == "windows" && strings.Contains(string(source(t, name)), "exec:") {
		t.Skip("it runs commands of Unix")
	}
}

func exists(file string) bool {
	_, err := os.Stat(file)
	return err == nil
}

var answerLine = regexp.MustCompile(`(?m)^answer: flowrun (approve .*)$`)

// words splits a command line; a word with spaces stands in double quotes.
func words(line string) []string {
	var out []string
	for _, w := range regexp.MustCompile(`"[^"]*"|\S+`).FindAllString(line, -1) {
		out = append(out, strings.Trim(w, `"`))
	}
	return out
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("examples", "testdata", name+".golden")
	if os.Getenv("UPDATE") != "" {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatalf("%v; write it with UPDATE=1 go test ./examples", err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("it prints something else than %s (-want +got):\n%s", file, diff)
	}
}

// TestGoldens finds what was left behind by an example that is gone.
func TestGoldens(t *testing.T) {
	files, err := filepath.Glob("testdata/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if name, _, _ := strings.Cut(filepath.Base(f), "."); !slices.Contains(examples.Names(), name) {
			t.Errorf("%s belongs to no example", f)
		}
	}
}

// TestTests runs the tests of the examples; each has some.
func TestTests(t *testing.T) {
	atRoot(t)
	for _, name := range examples.Names() {
		file := "examples/" + name + ".test.yaml"
		stdout, stderr, code := flowrun("test", file)
		if code != 0 || stderr != "" || !strings.Contains(stdout, "ok   "+file) {
			t.Errorf("%s gives %d:\n%s%s", file, code, stdout, stderr)
		}
		src, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(string(src), "# yaml-language-server: $schema=../test.schema.json\n") {
			t.Errorf("%s does not begin with the line that names its schema", file)
		}
	}
}

// TestSchema holds the examples and their tests against the schemas that editors use.
func TestSchema(t *testing.T) {
	pipelines, tests := compiled(t, "schema.json"), compiled(t, "test.schema.json")
	for _, name := range examples.Names() {
		src, err := examples.Source(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := pipelines.Validate(value(t, src)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if src, err = os.ReadFile(name + ".test.yaml"); err != nil {
			t.Fatal(err)
		}
		if err := tests.Validate(value(t, src)); err != nil {
			t.Errorf("the tests of %s: %v", name, err)
		}
	}
	for _, wrong := range []string{"{}", "cases: [{nam: x}]", "cases: [{expect: [{judg: x}]}]", "mocks: {a: {replay: x}}\ncases: [{}]", "cases: [{}]\nmore: 1"} {
		if tests.Validate(value(t, []byte(wrong))) == nil {
			t.Errorf("the schema takes %q for a test file", wrong)
		}
	}
}

// compiled is a schema at the root of the repository.
func compiled(t *testing.T, name string) *jsonschema.Schema {
	t.Helper()
	compiler := jsonschema.NewCompiler()
	f, err := os.Open(filepath.Join("..", name))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	doc, err := jsonschema.UnmarshalJSON(f)
	if err != nil {
		t.Fatal(err)
	}
	if err := compiler.AddResource(name, doc); err != nil {
		t.Fatal(err)
	}
	schema, err := compiler.Compile(name)
	if err != nil {
		t.Fatal(err)
	}
	return schema
}

// value is a YAML document as a JSON value.
func value(t *testing.T, src []byte) any {
	t.Helper()
	var v any
	if err := yaml.Unmarshal(src, &v); err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	v, err = jsonschema.UnmarshalJSON(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// TestInit starts a pipeline from each example: it is the example with another schema beside it.
func TestInit(t *testing.T) {
	for _, name := range examples.Names() {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "mine.yaml")
			if _, stderr, code := flowrun("init", file, "--example", name); code != 0 {
				t.Fatalf("init gives %d: %s", code, stderr)
			}
			if stdout, stderr, code := flowrun("validate", file); code != 0 || stdout+stderr != "" {
				t.Errorf("validate gives %d: %s", code, stderr)
			}
			got, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			first, rest, _ := strings.Cut(string(got), "\n")
			_, schema, _ := strings.Cut(first, "$schema=")
			if _, err := os.Stat(filepath.Join(filepath.Dir(file), filepath.FromSlash(schema))); err != nil {
				t.Errorf("the schema that the first line names is not there: %v", err)
			}
			src, err := examples.Source(name)
			if err != nil {
				t.Fatal(err)
			}
			if _, want, _ := strings.Cut(string(src), "\nname:"); !strings.HasSuffix(rest, want) {
				t.Errorf("init changed the pipeline:\n%s", cmp.Diff(want, rest))
			}
		})
	}
}

// TestFailedStep lets the monitor refuse the second step for good.
func TestFailedStep(t *testing.T) {
	src, err := examples.Source("plan-execute-monitor")
	if err != nil {
		t.Fatal(err)
	}
	stubborn := strings.Replace(string(src), `prompt contains "too short" ? "A text of 200 words."`, `prompt contains "too short" ? "A text."`, 1)
	if stubborn == string(src) {
		t.Fatal("the example has another executor")
	}
	file := filepath.Join(t.TempDir(), "plan.yaml")
	if err := os.WriteFile(file, []byte(stubborn), 0o644); err != nil {
		t.Fatal(err)
	}
	stdout, stderr, code := flowrun("run", file, "--output", "json")
	var result struct {
		Status string
		Error  struct{ Kind, Message string }
		Usage  struct{ Calls int }
	}
	if err := json.Unmarshal([]byte(stdout), &result); err != nil {
		t.Fatalf("%v\n%s", err, stderr)
	}
	if code != 1 || result.Status != "failed" || result.Error.Kind != "fail" || result.Error.Message != "step 2 (Write the text) failed: It is too short." {
		t.Errorf("exit code %d, %+v", code, result)
	}
	const calls = 1 + 2 + 3*2 // plan, the first step, three attempts at the second; the third never starts
	if result.Usage.Calls != calls {
		t.Errorf("the models were asked %d times, not %d", result.Usage.Calls, calls)
	}
}

// TestTriage sends one message to each of the cases.
func TestTriage(t *testing.T) {
	for message, want := range map[string]string{
		"My invoice is wrong":        "Sorry for the trouble. We look into your account and answer within a day.\n",
		"It shows an error on start": "Please send us the log. You wrote: It shows an error on start\n",
		"Good morning":               "For a person to answer: Good morning\n",
	} {
		if got, stderr, _ := flowrun("run", "triage.yaml", "--quiet", "--input", message); got != want {
			t.Errorf("%s: got %q, not %q\n%s", message, got, want, stderr)
		}
	}
}

// TestCodeReview reviews what changed in a repository.
func TestCodeReview(t *testing.T) {
	if _, err := exec.LookPath("git"); err != nil {
		t.Skip(err)
	}
	src, err := examples.Source("code-review")
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("FLOWRUN_STATE", t.TempDir())
	t.Chdir(t.TempDir())
	git := func(args ...string) {
		t.Helper()
		named := []string{"-c", "user.name=A", "-c", "user.email=a@example.com", "-c", "commit.gpgsign=false"}
		if out, err := exec.Command("git", append(named, args...)...).CombinedOutput(); err != nil {
			t.Fatalf("git %v: %v\n%s", args, err, out)
		}
	}
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	git("init", "-q")
	write("sum.go", "package sum\n")
	write("review.yaml", string(src))
	git("add", ".")
	git("commit", "-qm", "first")
	write("sum.go", "package sum\n\n// TODO: numbers below zero\n")
	git("commit", "-qam", "second")
	stdout, stderr, code := flowrun("run", "review.yaml", "--allow-exec=git", "--events", "events.jsonl", "--quiet")
	want := `"letter": "Thank you! Please look at: left to do: // TODO: numbers below zero; no test shows that it works"`
	if code != 0 || !strings.Contains(stdout, want) {
		t.Errorf("it gives %d:\n%s%s", code, stdout, stderr)
	}
	events, err := os.ReadFile("events.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	if want := `"tool":"file","call_id":"call_1_1","output":"package sum\n\n// TODO: numbers below zero"`; !strings.Contains(string(events), want) {
		t.Errorf("the file was not looked into:\n%s", events)
	}
	for since, want := range map[string]string{"HEAD": "nothing changed since HEAD", "--output=out.txt": "argument 5 would be taken for an option"} {
		if _, stderr, code := flowrun("run", "review.yaml", "--allow-exec=git", "--param", "since="+since, "--quiet"); code != 1 || !strings.Contains(stderr, want) {
			t.Errorf("since %s gives %d: %s", since, code, stderr)
		}
	}
	if exists("out.txt") {
		t.Error("a param was taken for an option")
	}
}
