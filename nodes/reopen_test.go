package nodes_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/flowrun/flowrun/engine"
)

// switched looks up the one variable of a test.
func switched(name, value string) engine.Option {
	return engine.WithEnviron(func(n string) (string, bool) { return value, n == name })
}

// TestReopened lets runs fail, and go on when what failed is mended: only that runs again, and what follows.
func TestReopened(t *testing.T) {
	const broken = `{name: f, fail: broken, when: env.BROKEN == "yes"}`
	for name, test := range map[string]struct{ src, again string }{
		"chain":      {"chain: [{name: a, set: prev}, " + broken + ", {name: b, set: prev}]", "f b"},
		"at its end": {"loop: [{name: a, set: prev}, {name: f, when: iteration == 3, chain: [{name: ff, fail: broken, when: env.BROKEN == \"yes\"}]}]\nmax_iterations: 3", "f ff"},
		"parallel":   {"max_concurrency: 1\nparallel: [{name: a, set: prev}, " + broken + ", {name: b, set: prev}]", "f b"},
		"absorbed failures stay": {
			"chain: [{name: a, fail: no, on_error: continue}, {name: p, parallel: [{name: b, fail: no}], on_error: continue}, " + broken + "]", "f"},
		"too many failures":                {"parallel: [{name: a, set: prev}, " + broken + ", {name: g, fail: broken, when: env.BROKEN == \"yes\"}]\non_error: continue\nmax_failures: 1\nmax_concurrency: 1", "f g"},
		"too many failures of expressions": {"parallel: [{name: a, set: prev}, {name: f, set: 'env.BROKEN == \"yes\" ? int(\"x\") : 1'}]\non_error: continue\nmax_failures: 0\nmax_concurrency: 1", "f"},
		"too few successes of expressions": {"parallel: [{name: a, set: prev}, {name: f, set: 'env.BROKEN == \"yes\" ? int(\"x\") : 1'}]\nwait_for: 2\nmax_concurrency: 1", "f"},
		"merge":                            {"parallel: [{name: a, fail: no}, {name: b, set: prev}]\non_error: continue\nmerge: 'env.BROKEN == \"yes\" ? int(\"x\") : len(results)'", ""},
		"for_each":                         {"for_each: [1, 2, 3]\nmax_concurrency: 1\ndo: {chain: [{name: a, set: item}, {name: f, when: item == 2, chain: [{name: g, fail: broken, when: env.BROKEN == \"yes\"}]}]}", "f g a f"},
		"catch":                            {"name: c\nchain: [{name: a, fail: no}]\ncatch: {chain: [{name: b, set: prev}, " + broken + "]}", "f"},
		"finally":                          {"name: c\nset: prev\nfinally: " + broken, "f"},
		"what ran finally":                 {"chain: [{name: a, set: prev}, " + broken + "]\nfinally: {name: z, route: status, cases: {failed: {name: y, set: 1}}, default: {name: x, set: 2}}", "f z x"},
		"a file":                           {"flow: ./stops.yaml", "f z x"},
		"route":                            {"route: '\"x\"'\ncases: {x: {chain: [{name: a, set: prev}, " + broken + "]}}", "f"},
		"graph":                            {"graph: {a: {set: prev, next: f}, f: {fail: broken, when: env.BROKEN == \"yes\", next: b}, b: {set: prev}}\nstart: a", "f b"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := graphOf(t, "env: [BROKEN]\n"+test.src)
			j := &journal{Position: &engine.Position{}}
			failed, _ := engine.Run(t.Context(), g, "in", engine.WithTurns(j), switched("BROKEN", "yes"), everything)
			if failed.Status != engine.Failed {
				t.Fatalf("it ends %s", failed.Status)
			}
			j.Record(engine.Entry{Turn: "/", Reopened: true})
			var again []string
			hear := func(e engine.Event) {
				if e.Type == engine.StepStarted && e.Node != e.Path || e.Type == engine.StepSkipped {
					again = append(again, e.Node)
				}
			}
			resumed, _ := engine.Run(t.Context(), g, "in", engine.WithTurns(reopen(t, j.lines)), switched("BROKEN", "no"), everything, engine.WithListener(hear))
			whole, _ := engine.Run(t.Context(), g, "in", switched("BROKEN", "no"), everything)
			if diff := cmp.Diff(outcomeOf(whole), outcomeOf(resumed)); diff != "" {
				t.Errorf("-unbroken +failed and gone on:\n%s", diff)
			}
			if got := strings.Join(again, " "); !strings.HasSuffix(got, test.again) || len(again) > len(strings.Fields(test.again))+2 {
				t.Errorf("%q ran again, want %q", got, test.again)
			}
		})
	}
}

// What failed turns used stays used, and one that had no time left has it again.
func TestReopenedKeepsWhatWasUsed(t *testing.T) {
	t.Parallel()
	g := graphOf(t, `
limits: {budget: {tokens: 100}}
chain:
  - {name: a, agent: {model: mock, output_schema: {n: integer}, output_retries: 0, mock: {reply: no, tokens: {in: 40, out: 0}}}}
`)
	j := &journal{Position: &engine.Position{}}
	for n, want := range []engine.ErrorKind{engine.Schema, engine.Schema, engine.Budget} {
		result, _ := engine.Run(t.Context(), g, "in", engine.WithTurns(j))
		if result.Error.Kind != want && result.Error.Kind != engine.Model {
			t.Errorf("run %d: %v, want %s", n, result.Error, want)
		}
		j.Record(engine.Entry{Turn: "/", Reopened: true})
	}
	position, got := &engine.Position{}, []string{}
	within := graphOf(t, "parallel: [{flow: ./spends.yaml}]")
	for range 3 { // the budget of a file is used up by all its attempts
		result, _ := engine.Run(t.Context(), within, "in", engine.WithTurns(position))
		got = append(got, fmt.Sprint(result.Error.Kind, " ", result.Usage.Total().InputTokens))
		position.Record(engine.Entry{Turn: "/", Reopened: true})
	}
	if want := "[schema 40 schema 80 budget 80]"; fmt.Sprint(got) != want {
		t.Errorf("%v, want %s", got, want)
	}
	late := graphOf(t, "chain: [{wait: 1s}, {wait: 1s}]\ntimeout: 1500ms")
	synctest.Test(t, func(t *testing.T) {
		position := &engine.Position{}
		var ends []string
		for range 2 {
			result, _ := engine.Run(t.Context(), late, "in", engine.WithTurns(position))
			ends = append(ends, string(result.Status))
			position.Record(engine.Entry{Turn: "/", Reopened: true})
			time.Sleep(time.Hour)
		}
		if got := fmt.Sprint(ends); got != "[failed completed]" {
			t.Error(got)
		}
	})
}

// The events of a run that goes on are numbered from where they were.
func TestEventsGoOn(t *testing.T) {
	t.Parallel()
	g, began := graphOf(t, "set: run.started_at"), time.Date(2024, 1, 2, 3, 4, 5, 0, time.UTC)
	var seqs []int
	result, err := engine.Run(t.Context(), g, nil, engine.WithSeq(41), engine.WithStartedAt(began), engine.WithListener(func(e engine.Event) { seqs = append(seqs, e.Seq) }))
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(seqs); got != "[42 43 44 45]" || !result.StartedAt.Equal(began) || result.Output != "2024-01-02T03:04:05Z" {
		t.Errorf("%s, began %s, %v", got, result.StartedAt, result.Output)
	}
}

// TestReuse changes a file after a run: what changed runs again, and what reads another output than before.
func TestReuse(t *testing.T) {
	const before = `
agents: {w: {model: mock, system: short, mock: {reply: "${{ prompt }}!"}}}
params: {p: {type: string, default: x}}
chain:
  - {name: a, agent: w, prompt: one}
  - {name: b, agent: {model: mock, mock: {reply: two}}}
  - parallel:
      - {name: c, agent: {model: mock}, prompt: "${{ steps.b.output }}"}
      - {name: d, agent: {model: mock}, prompt: "${{ params.p }} ${{ json(prev) }}"}
      - {name: e, agent: {model: mock}, prompt: "${{ run.id }}"}
`
	for name, test := range map[string]struct{ from, to, again string }{
		"nothing":          {"one", "one", ""},
		"a description":    {"prompt: one", "prompt: one, description: new", ""},
		"its prompt":       {"one", "three", "a b"},
		"the same output":  {"reply: two", "reply: \"${{ 'two' }}\"", "b"},
		"another output":   {"reply: two", "reply: four", "b c d e"},
		"the agent's":      {"system: short", "system: long", "a"},
		"a parameter":      {"default: x", "default: y", "d"},
		"one that is last": {"{name: c, agent: {model: mock}", "{name: c, agent: {model: mock, seed: 1}", "c"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			j := &journal{Position: &engine.Position{}}
			if _, err := engine.Run(t.Context(), graphOf(t, before), "in", engine.WithRunID("r"), engine.WithTurns(j)); err != nil {
				t.Fatal(err)
			}
			after := strings.Replace(before, test.from, test.to, 1)
			known := leaves(entriesOf(t, j.lines))
			var again []string
			hear := func(e engine.Event) {
				if e.Type == engine.RunStarted {
					again = append(again, e.Node)
				}
			}
			result, err := engine.Run(t.Context(), graphOf(t, after), "in", engine.WithRunID("other"), engine.WithListener(hear), engine.WithTurns(&engine.Position{}),
				engine.WithMaxConcurrency(1), engine.WithReuse(func(turn, basis string) (*engine.Finished, bool) {
					done := known[turn]
					return done, done != nil && done.Basis == basis
				}))
			if err != nil {
				t.Fatal(err)
			}
			if got := strings.Join(again, " "); got != test.again || result.Steps != 5 || result.Usage.Total().Calls != len(again) {
				t.Errorf("%q ran again in %d steps with %d calls, want %q", got, result.Steps, result.Usage.Total().Calls, test.again)
			}
		})
	}
}

// together keeps what two turns came to at once, as one transaction does.
type together struct {
	*journal
	turns map[string]bool
	both  chan struct{}
}

func (k *together) Record(e engine.Entry) func() error {
	kept := k.journal.Record(e)
	if !k.turns[e.Turn] {
		return kept
	}
	delete(k.turns, e.Turn)
	if len(k.turns) == 0 {
		close(k.both)
	}
	return func() error { <-k.both; return nil }
}

// TestReopenedTogether lets two branches fail before either could stop the other: a run that goes on begins both again.
func TestReopenedTogether(t *testing.T) {
	const broken = `{name: %s, fail: %s, when: env.BROKEN == "yes"}`
	a, b := fmt.Sprintf(broken, "a", "one"), fmt.Sprintf(broken, "b", "two")
	c, d := fmt.Sprintf(broken, "c", "one"), fmt.Sprintf(broken, "d", "two")
	for name, test := range map[string]struct{ src, first, second string }{
		"branches":            {"parallel: [" + a + ", " + b + "]", "/a", "/b"},
		"in chains":           {"parallel: [{chain: [{set: prev}, " + a + "]}, {chain: [{set: prev}, " + b + "]}]", "/parallel[0]", "/parallel[1]"},
		"items":               {"for_each: [1, 2]\ndo: " + a, "[0]/a", "[1]/a"},
		"of a graph":          {"graph: {s: {set: prev, next: [a, b]}, a: {chain: [" + c + "]}, b: {chain: [" + d + "]}}\nstart: s", "/a", "/b"},
		"one of them deeper":  {"parallel: [{parallel: [" + a + "]}, " + b + "]", "/parallel[0]", "/b"},
		"what is taken stays": {"parallel: [" + a + ", " + b + ", {name: c, parallel: [{name: d, fail: no}], on_error: continue}]", "/a", "/b"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := graphOf(t, "env: [BROKEN]\n"+test.src)
			j := &journal{Position: &engine.Position{}}
			k := &together{journal: j, turns: map[string]bool{test.first: true, test.second: true}, both: make(chan struct{})}
			failed, _ := engine.Run(t.Context(), g, "in", engine.WithTurns(k), switched("BROKEN", "yes"), everything)
			if failed.Status != engine.Failed {
				t.Fatalf("it ends %s", failed.Status)
			}
			j.Record(engine.Entry{Turn: "/", Reopened: true})
			resumed, err := engine.Run(t.Context(), g, "in", engine.WithTurns(reopen(t, j.lines)), switched("BROKEN", "no"), everything)
			whole, _ := engine.Run(t.Context(), g, "in", switched("BROKEN", "no"), everything)
			if diff := cmp.Diff(outcomeOf(whole), outcomeOf(resumed)); diff != "" {
				t.Errorf("%v: -unbroken +failed and gone on:\n%s", err, diff)
			}
		})
	}
}

// TestTimeAnew gives runs that go on more time, or a limit of time that they had not: what is finished stays.
func TestTimeAnew(t *testing.T) {
	for name, test := range map[string]struct {
		src  string
		more []engine.Option
	}{
		"a fan-out":        {"timeout: 30m\nparallel: [{name: a, set: 1}, {name: b, wait: 20m}, {name: c, wait: 40m, when: env.BROKEN == \"yes\"}]", nil},
		"absorbed":         {"timeout: 30m\nparallel: [{name: a, fail: no}, {name: b, wait: 20m}, {name: c, wait: 40m, when: env.BROKEN == \"yes\"}]\non_error: continue", nil},
		"a file":           {"timeout: 30m\nparallel: [{flow: ./takes.yaml}]", nil},
		"its own limit":    {"parallel: [{flow: ./hasty.yaml}]", nil},
		"a limit is given": {"parallel: [{name: a, set: 1}, {name: b, wait: 20m}, {chain: [{wait: 21m}, {fail: broken, when: env.BROKEN == \"yes\"}]}]", []engine.Option{engine.WithTimeout(time.Hour)}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				g, j := graphOf(t, "env: [BROKEN]\n"+test.src), &journal{Position: &engine.Position{}}
				failed, _ := engine.Run(t.Context(), g, "in", engine.WithTurns(j), switched("BROKEN", "yes"), everything)
				if failed.Status != engine.Failed {
					t.Fatalf("it ends %s", failed.Status)
				}
				j.Record(engine.Entry{Turn: "/", Reopened: true})
				hear := func(e engine.Event) {
					if e.Type == engine.StepStarted && (e.Node == "a" || e.Node == "b") {
						t.Errorf("%s runs again", e.Node)
					}
				}
				resumed, err := engine.Run(t.Context(), g, "in", append(test.more, engine.WithTurns(reopen(t, j.lines)), switched("BROKEN", "no"), everything, engine.WithListener(hear))...)
				if err != nil {
					t.Errorf("%s, %v", resumed.Status, err)
				}
			})
		})
	}
}
