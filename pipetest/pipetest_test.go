package pipetest

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/flowrun/flowrun/agents"
	"github.com/flowrun/flowrun/leaktest"
)

func TestMain(m *testing.M) { leaktest.Main(m) }

// load reads the tests p.test.yaml of a pipeline.
func load(t *testing.T, pipeline, tests string) *File {
	t.Helper()
	dir := t.TempDir()
	for name, src := range map[string]string{"p.yaml": pipeline, "p.test.yaml": tests} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(src), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	f, problems := Load(filepath.Join(dir, "p.test.yaml"))
	if f == nil {
		t.Fatal(problems)
	}
	return f
}

// Cases that run at once are told of in their order, and see nothing of each other.
func TestRunInOrder(t *testing.T) {
	var cases strings.Builder
	const many = 200
	for i := range many {
		fmt.Fprintf(&cases, "  - {name: n%d, input: %d, mocks: {a: {reply: r%d, latency: %dms, jitter: 2ms}}, expect: output == \"r%d\"}\n", i, i, i, (many-i)%5, i)
	}
	f := load(t, "agents: {a: {model: openai/gpt-x}}\nagent: a\nprompt: ${{ input }}\n", "cases:\n"+cases.String())
	for _, parallel := range []int{1, 16} {
		report, err := Run(t.Context(), []*File{f}, Plan{Parallel: parallel, Repeat: 2})
		if err != nil || report.Failed() > 0 || len(report.Outcomes) != many {
			t.Fatalf("%v, %+v", err, report)
		}
		for i, o := range report.Outcomes {
			if want := fmt.Sprintf("n%d", i); o.Case.Name != want || o.Passed != 2 {
				t.Fatalf("case %d is %s with %d passed", i, o.Case.Name, o.Passed)
			}
		}
	}
}

// What flickers passes as often as it must.
func TestNeeded(t *testing.T) {
	for _, tt := range []struct {
		share      float64
		runs, want int
	}{{1, 10, 10}, {0.8, 10, 8}, {0.3, 10, 3}, {0.31, 10, 4}, {0, 5, 0}, {0.5, 3, 2}, {0.1, 3, 1}} {
		if got := needed(tt.share, tt.runs); got != tt.want {
			t.Errorf("%v of %d are %d, not %d", tt.share, tt.runs, got, tt.want)
		}
	}
}

// patient is a model that tells of each question and never answers.
type patient chan struct{}

func (p patient) Answer(ctx context.Context, _ agents.Question, _ func(string)) (agents.Answer, error) {
	p <- struct{}{}
	<-ctx.Done()
	return agents.Answer{}, context.Cause(ctx)
}

// A run of tests that is stopped ends all that it began, and begins no more.
func TestRunIsStopped(t *testing.T) {
	f := load(t, "agents: {a: {model: ollama/x}}\nagent: a\n", "cases: [{name: a}, {name: b}, {name: c}]\n")
	asked := make(patient, len(f.Cases))
	set := agents.NewSet(agents.WithProvider("ollama", func(string) (agents.Model, error) { return asked, nil }))
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-asked
		<-asked
		cancel()
	}()
	if report, err := Run(ctx, []*File{f}, Plan{Parallel: 2, Live: true, Agents: set}); err != context.Canceled || report != nil {
		t.Errorf("%v, %+v", err, report)
	}
	if len(asked) > 0 {
		t.Error("a case began that should not")
	}
}

// A pipeline that is gone or broken meanwhile is told of.
func TestPipelineChanges(t *testing.T) {
	f := load(t, "set: 1\n", "cases: [{name: a}]\n")
	if err := os.WriteFile(f.pipeline.File, []byte("sett: 1"), 0o600); err != nil {
		t.Fatal(err)
	}
	report, err := Run(t.Context(), []*File{f}, Plan{})
	if err != nil || report.Failed() != 1 || !strings.HasPrefix(report.Outcomes[0].Failures[0].Message, "the pipeline has changed: ") {
		t.Errorf("%v, %+v", err, report)
	}
}

// Files that are named twice, in hidden folders or in node_modules are not run twice, or at all.
func TestFind(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, name := range []string{"b.test.yaml", "a.test.yaml", "a.yaml", "sub/c.test.yaml", ".hidden/d.test.yaml", "node_modules/e.test.yaml", "sub/notes.yaml"} {
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, tt := range []struct{ names, want []string }{
		{nil, []string{"a.test.yaml", "b.test.yaml", "sub/c.test.yaml"}},
		{[]string{"a.yaml", "./a.test.yaml"}, []string{"a.test.yaml"}},
		{[]string{"sub", "b.test.yaml"}, []string{"b.test.yaml", "sub/c.test.yaml"}},
		{[]string{".hidden"}, []string{".hidden/d.test.yaml"}},
	} {
		got, err := Find(tt.names...)
		for i := range got {
			got[i] = filepath.ToSlash(got[i])
		}
		if err != nil || !slices.Equal(got, tt.want) {
			t.Errorf("%v stand for %v, not %v (%v)", tt.names, got, tt.want, err)
		}
	}
}

// What is left and what is new make up the two texts.
func TestDiff(t *testing.T) {
	lines := rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "", "  c"}), 1, 12)
	rapid.Check(t, func(t *rapid.T) {
		from, to := lines.Draw(t, "from"), lines.Draw(t, "to")
		head := rapid.IntRange(0, min(len(from), len(to))).Draw(t, "head")
		copy(to, from[:head])
		a := between(from, to)
		var left, right []string
		for _, l := range a {
			if l[0] != '+' {
				left = append(left, l[2:])
			}
			if l[0] != '-' {
				right = append(right, l[2:])
			}
		}
		if !slices.Equal(left, from) || !slices.Equal(right, to) {
			t.Fatalf("%q and %q differ by %q", from, to, a)
		}
	})
	if got, want := strings.Join(diff("1\n2\n3\n4\n5\n6\n7\n8\n9", "1\n2\n3\n4\n5\n6\n7\n8\nX"), "|"), "…|  6|  7|  8|- 9|+ X"; got != want {
		t.Errorf("got %s, not %s", got, want)
	}
}
