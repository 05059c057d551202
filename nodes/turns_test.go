package nodes_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/flowrun/flowrun/engine"
	"github.com/flowrun/flowrun/nodes"
)

// journal keeps the entries of a run as they would be written to a file.
type journal struct {
	*engine.Position
	mu        sync.Mutex
	lines     [][]byte
	forgetful *engine.Position // the same, without the items that ended in this run
	lost      error            // what it has forgotten of what they used
}

func (j *journal) Record(e engine.Entry) func() error {
	line, err := json.Marshal(e)
	if err != nil {
		panic(err)
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.lines = append(j.lines, line)
	kept := j.Position.Record(e)
	if j.forgetful == nil || e.Reopened { // only before anything runs
		j.forgetful = positionOf(j.lines)
	} else {
		j.forgetful.Record(e)
	}
	if e.Item {
		j.forgetful.Forget(e.Turn)
	}
	if j.lost == nil && len(j.lines)%8 == 0 { // to look at all takes long
		if want, got := j.Find("/"), j.forgetful.Find("/"); want.Last != got.Last || cmp.Diff(want.Spent, got.Spent) != "" {
			j.lost = fmt.Errorf("the items' use was forgotten with them:\n%s", cmp.Diff(want, got))
		}
	}
	return kept
}

// reopen is the journal as it was after its first n lines.
func reopen(t *testing.T, lines [][]byte) *journal {
	t.Helper()
	return &journal{Position: positionOf(lines), forgetful: positionOf(lines)}
}

func positionOf(lines [][]byte) *engine.Position {
	p := &engine.Position{}
	for _, line := range lines {
		var e engine.Entry
		if err := json.Unmarshal(line, &e); err != nil {
			panic(err)
		}
		p.Record(e)
	}
	return p
}

// outcome is what must be the same however often a run was cut.
type outcome struct {
	Status          engine.Status
	Output          string
	Error           string
	Steps, Failures int
	Usage           engine.Usage
	Nodes           string
}

func outcomeOf(r *engine.Result) outcome {
	o := outcome{Status: r.Status, Steps: r.Steps, Failures: r.Failures, Usage: r.Usage.Total()}
	o.Output = compact(r.Output)
	if r.Error != nil {
		o.Error = string(r.Error.Kind) + " " + r.Error.Error()
	}
	b, err := json.Marshal(r.Nodes)
	if err != nil {
		panic(err)
	}
	o.Nodes = string(b)
	return o
}

func compact(v any) string {
	b, err := json.Marshal(engine.Value{V: v})
	if err != nil {
		panic(err)
	}
	return string(b)
}

func graphOf(t *testing.T, src string, opts ...nodes.Option) *engine.Graph {
	t.Helper()
	dir := t.TempDir()
	for name, other := range map[string]string{
		"other":  "set: prev\nfinally: {chain: [{set: status}, {set: status}, {set: status}]}\n",
		"asks":   "name: a\ninput: string\napprove: Use ${{ input }}?\n",
		"late":   "wait: 1h\nfinally: {set: status}\n",
		"fails":  "fail: broken\n",
		"spends": "limits: {budget: {tokens: 100}}\nagent: {model: mock, output_schema: {n: integer}, output_retries: 0, mock: {reply: no, tokens: {in: 40, out: 0}}}\n",
		"takes":  "env: [BROKEN]\nparallel: [{name: a, set: 1}, {name: b, wait: 20m}, {name: c, wait: 40m, when: env.BROKEN == \"yes\"}]\n",
		"hasty":  "env: [BROKEN]\nlimits: {timeout: 30m}\nparallel: [{name: a, set: 1}, {name: b, wait: 20m}, {name: c, wait: 40m, when: env.BROKEN == \"yes\"}]\n",
		"stops":  "env: [BROKEN]\nchain: [{name: a, set: prev}, {name: f, fail: broken, when: env.BROKEN == \"yes\"}]\nfinally: {name: z, route: status, cases: {failed: {name: y, set: 1}}, default: {name: x, set: 2}}\n",
		"broken": "fail: broken\nfinally: {chain: [{set: status}, {wait: 20s}, {set: status}]}\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name+".yaml"), []byte(other), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	g, diagnostics := nodes.Language(opts...).Parse("p.yaml", dir, []byte(src))
	if g == nil {
		t.Fatalf("%v\n%s", diagnostics, src)
	}
	return g
}

// TestCut cuts runs after every entry of their journal and lets them go on: they come to the same.
func TestCut(t *testing.T) {
	for name, src := range map[string]string{
		"chain": `
chain:
  - {name: a, set: prev + "a"}
  - chain: [{set: prev + "b"}, {name: c, set: prev + steps.a.output}]
  - set: prev + steps.c.output
`,
		"parallel": `
chain:
  - name: p
    parallel:
      - {name: a, set: prev + "a"}
      - chain: [{name: b, set: prev + "b"}, {set: prev + "c"}]
      - {when: false, name: s, set: prev}
    merge: json(results) + steps.b.output
  - set: prev + steps.a.output + string(steps.s?.status)
`,
		"continue": `
parallel:
  - {name: a, set: prev + "a"}
  - {name: b, fail: "no"}
  - {name: c, fail: "no", on_error: continue}
on_error: continue
merge: json(results) + json(errors)
`,
		"catch": `
chain:
  - name: outer
    chain: [{set: prev + "a"}, {name: f, fail: "no ${{ prev }}"}]
    catch: {chain: [{set: prev + error.message}, {name: d, set: prev + error.kind}]}
  - set: prev + steps.outer.error.node
`,
		"for_each": `
chain:
  - for_each: [1, 2, 3, 4, 5]
    max_concurrency: 2
    do: {chain: [{name: x, set: item * 2}, {set: steps.x.output + index}]}
  - set: json(prev)
`,
		"in order": `
for_each: [1, 2, 3]
in_order: true
do: {chain: [{set: item + len(done)}, {set: "{n: prev, before: done}"}]}
`,
		"route": `
chain:
  - name: r
    route: {set: '"b"'}
    cases: {a: {set: prev}, b: {name: b, chain: [{set: prev + "1"}, {set: prev + "2"}]}}
  - set: prev + steps.b?.output
`,
		"loop": `
chain:
  - loop:
      - {name: a, set: prev + string(iteration)}
      - {parallel: [{set: prev}, {name: b, set: steps.a.output + "!"}]}
      - set: steps.b.output
    until: iteration == 4
  - set: prev + string(steps.a.visits)
`,
		"nested loops": `
chain:
  - set: '""'
  - loop:
      - loop:
          - set: 'prev + (steps.inner?.output == nil ? "n" : "o")'
          - chain: [{name: inner, set: prev}]
        max_iterations: 2
    max_iterations: 3
`,
		"a loop that is forgotten when it comes again": `
loop:
  - name: l
    loop: [{name: a, set: prev + "a"}]
    while: iteration == 1 and steps.l == nil
  - chain: [{set: prev + "b"}, {set: 'prev + string(steps.a?.output)'}]
max_iterations: 2
`,
		"graph": `
graph:
  a: {set: prev + "a", next: [b, c]}
  b: {chain: [{name: bb, set: prev + "b"}, {set: prev + "B"}], next: d}
  c: {set: prev + "c", next: d}
  d: {set: 'join(prev, "|") + steps.bb?.output', next: [{when: len(prev) < 60, to: a}, {to: e}]}
  e: {set: prev + string(steps.a.visits)}
start: a
`,
		"graph whose ways know names of each other": `
graph:
  a: {route: '"x"', cases: {x: {set: prev + "a"}, y: {name: y, set: prev}}, next: [b, c]}
  b: {set: prev + "b", next: c}
  c: {set: 'join(prev, "|") + string(steps.b?.output) + string(steps.y?.output)'}
start: a
`,
		"race": `
chain:
  - wait_for: 2
    max_concurrency: 1
    parallel:
      - {fail: first}
      - {name: x, set: '"x"'}
      - {name: y, set: '"y"'}
      - {name: z, set: '"z"'}
  - set: json(prev) + string(steps.z?.output) + string(steps.y?.output)
`,
		"retry": `
agent: {model: mock, mock: {reply: [a, b, c], fail: 2, error: server}}
retry: {max_attempts: 3, delay: 1ms}
`,
		"repair": `
agent: {model: mock, output_schema: {n: integer}, mock: {reply: ['x', '{"n": ${{ call }}}']}}
`,
		"finally": `
chain: [{name: a, set: prev}, {name: f, fail: broken}]
finally: {name: z, chain: [{set: status}, {set: prev + error.message}]}
`,
		"output": `
chain: [{name: a, set: prev + "1"}, {set: prev}]
output: steps.a.output + prev
finally: {set: prev}
`,
		"finally of another file": `
limits: {max_steps: 3}
chain: [{set: prev}, {flow: other.yaml}, {set: prev}]
`,
		"failure": `
max_concurrency: 1
parallel:
  - {name: a, set: prev}
  - {name: b, fail: broken}
  - {name: c, set: prev}
`,
		"expression": `
chain: [{name: a, set: prev}, {set: prev + 1}]
`,
		"max_iterations": `
loop: [{name: a, set: prev}]
until: "false"
max_iterations: 3
`,
		"skipped root": `
when: false
set: prev
`,
		"sleep": `
chain: [{wait: 1ms}, {set: prev}]
timeout: 10s
limits: {timeout: 20s}
`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := graphOf(t, src)
			run := func(j *journal) outcome {
				result, _ := engine.Run(t.Context(), g, "in", engine.WithRunID("r"), engine.WithTurns(j))
				if result == nil {
					t.Fatal("the run did not begin")
				}
				return outcomeOf(result)
			}
			whole := &journal{Position: &engine.Position{}}
			want := run(whole)
			if plain, _ := engine.Run(t.Context(), g, "in", engine.WithRunID("r")); outcomeOf(plain) != want {
				t.Errorf("without turns: %s", cmp.Diff(want, outcomeOf(plain)))
			}
			for n := range len(whole.lines) + 1 {
				j := reopen(t, whole.lines[:n])
				if got := run(j); got != want {
					t.Errorf("cut after %d of %d entries (-uncut +cut):\n%s\n%s", n, len(whole.lines), cmp.Diff(want, got), list(whole.lines[:n]))
				}
				// and cut once more where it went on
				for m := range j.lines {
					again := reopen(t, append(whole.lines[:n:n], j.lines[:m]...))
					if got := run(again); got != want {
						t.Errorf("cut after %d and %d more entries (-uncut +cut):\n%s", n, m, cmp.Diff(want, got))
					}
				}
			}
		})
	}
}

// TestCutInTime cuts runs that wait, and lets them go on at once, or when all their times are over: they come to
// the same, with no attempt too many, and at once no later.
func TestCutInTime(t *testing.T) {
	type attempts struct {
		outcome
		retried string
		took    time.Duration // from the first beginning
	}
	for name, src := range map[string]string{
		"caught":         "wait: 200ms\ntimeout: 100ms\nretry: {max_attempts: 2, delay: 50ms, kinds: [timeout]}\ncatch: {set: error.kind}",
		"three attempts": "chain: [{wait: 20ms}, {name: w, wait: 200ms, timeout: 100ms, retry: {max_attempts: 3, delay: 50ms}}]",
		"no retry":       "chain: [{wait: 200ms, timeout: 100ms, on_error: continue}, {set: '\"then\"'}]",
		"in time":        "chain: [{wait: 50ms, timeout: 100ms, retry: {max_attempts: 2}}, {set: prev}]",
		"without limit":  "chain: [{wait: 50ms, retry: {max_attempts: 2}}, {wait: 50ms}]",
		"a limit around": "chain: [{wait: 50ms, timeout: 100ms}, {wait: 200ms, timeout: 100ms, on_error: continue}]\ntimeout: 2h\nlimits: {timeout: 2h}",
		"an agent":       "agent: {model: mock, mock: {fail: 2, latency: 20ms}}\nretry: {max_attempts: 3, delay: 50ms}\ntimeout: 100ms",
		"a late agent":   "agent: {model: mock, mock: {latency: 200ms}}\nretry: {max_attempts: 3, delay: 50ms}\ntimeout: 100ms\ncatch: {wait: 50ms}",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := graphOf(t, src)
			run := func(lines [][]byte, later time.Duration) (a attempts, journaled [][]byte) {
				synctest.Test(t, func(t *testing.T) {
					began := time.Now() // every time the same
					time.Sleep(later)
					j := reopen(t, lines)
					result, _ := engine.Run(t.Context(), g, "in", engine.WithRunID("r"), engine.WithTurns(j), engine.WithListener(func(e engine.Event) {
						if e.Type == engine.StepRetried {
							a.retried += fmt.Sprintf("%d ", e.Attempt)
						}
					}))
					a.outcome, a.took = outcomeOf(result), time.Since(began)
					journaled = append(lines[:len(lines):len(lines)], j.lines...)
				})
				return a, journaled
			}
			want, whole := run(nil, 0)
			check := func(lines [][]byte, later time.Duration) [][]byte {
				got, more := run(lines, later)
				if got.outcome != want.outcome || !strings.HasSuffix(want.retried, got.retried) || later == 0 && got.took > want.took {
					t.Errorf("cut, and on %s later: %+v, want %+v, after\n%s", later, got, want, list(lines))
				}
				return more
			}
			for n := range len(whole) + 1 {
				check(whole[:n], time.Hour)
				more := check(whole[:n], 0)
				for m := n; m < len(more); m++ { // and cut once more where it went on
					check(more[:m], time.Hour)
					check(more[:m], 0)
				}
			}
		})
	}
}

func list(lines [][]byte) string {
	var b strings.Builder
	for i, l := range lines {
		fmt.Fprintf(&b, "%d %s\n", i, l)
	}
	return b.String()
}

// What runs finally in an included file has a turn of its own, also where it is called as the file is, or where another
// finally or a catch around the file is called as it is.
func TestTurnsOfFinally(t *testing.T) {
	dir := t.TempDir()
	for file, src := range map[string]string{"a.yaml": "set: prev\nfinally: {name: a, set: 1}\n", "b.yaml": "set: prev\nfinally: {set: 1}\n"} {
		if err := os.WriteFile(filepath.Join(dir, file), []byte(src), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for src, want := range map[string]string{
		"flow: a.yaml\nfinally: {set: 1}": "/a /a/a / /finally",
		"flow: b.yaml\nfinally: {set: 1}": "/b /b/finally / /finally",
	} {
		g, diagnostics := nodes.Language().Parse("p.yaml", dir, []byte(src))
		if g == nil {
			t.Fatal(diagnostics)
		}
		var turns []string
		tell := func(e engine.Event) {
			if e.Type == engine.StepCompleted {
				turns = append(turns, e.Turn)
			}
		}
		if _, err := engine.Run(t.Context(), g, nil, engine.WithTurns(&engine.Position{}), engine.WithListener(tell)); err != nil {
			t.Error(err)
		}
		if got := strings.Join(turns, " "); got != want {
			t.Errorf("%s\n got %s\nwant %s", src, got, want)
		}
	}
}

// What ran finally because the run was stopped, or was stopped itself, does not count when the run goes on: it runs
// again, and sees how its file ends then.
func TestFinallyRunsAgainWhereTheRunGoesOn(t *testing.T) {
	t.Parallel()
	for _, src := range []string{
		"chain: [{name: a, set: '1'}, {wait: 1h}]\nfinally: {name: z, chain: [{set: status}, {set: prev}]}",
		"limits: {max_steps: 3}\nchain: [{flow: ./late.yaml}, {set: prev}]",
		"chain: [{flow: ./broken.yaml, catch: {set: error.message}}, {set: prev}]",
		"chain: [{flow: ./broken.yaml, on_error: continue}, {set: prev}]",
	} {
		g := graphOf(t, src)
		synctest.Test(t, func(t *testing.T) {
			uncut, _ := engine.Run(t.Context(), g, nil)
			var position engine.Position
			for range 3 {
				ctx, cancel := context.WithTimeoutCause(t.Context(), 5*time.Second, context.Canceled)
				stopped, _ := engine.Run(ctx, g, nil, engine.WithTurns(&position))
				cancel()
				if stopped.Status != engine.Stopped {
					t.Errorf("%s, want it cancelled", stopped.Status)
				}
			}
			resumed, _ := engine.Run(t.Context(), g, nil, engine.WithTurns(&position))
			if outcomeOf(resumed) != outcomeOf(uncut) {
				t.Errorf("-uncut +stopped and gone on:\n%s", cmp.Diff(outcomeOf(uncut), outcomeOf(resumed)))
			}
		})
	}
}

// What a run used stays counted wherever it is cut, also where it goes on behind the end of a race: that of branches,
// and of what is below them, which do not begin again.
func TestUsedStaysCounted(t *testing.T) {
	t.Parallel()
	for name, src := range map[string]string{
		"race":          "parallel: [{chain: [{set: prev}, {wait: 1h}]}, {wait: 1s}]\nwait_for: first",
		"below another": "parallel: [{parallel: [{chain: [{set: prev}, {set: prev}, {wait: 1h}]}, {wait: 2s}]}, {wait: 1s}]\nwait_for: first",
		"failure":       "parallel: [{chain: [{set: prev}, {wait: 1h}]}, {chain: [{wait: 1s}, {fail: \"no\"}]}]\ncatch: {set: prev}",
		"timeout":       "timeout: 1s\nchain: [{parallel: [{chain: [{set: prev}, {wait: 1h}]}]}, {set: prev}]\ncatch: {set: prev}",
		"file":          "parallel: [{flow: ./takes.yaml}, {wait: 1s}]\nwait_for: first",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := graphOf(t, src)
			run := func(j *journal) *engine.Result {
				var result *engine.Result
				synctest.Test(t, func(t *testing.T) {
					time.Sleep(time.Minute) // later than when it was cut
					result, _ = engine.Run(t.Context(), g, "in", engine.WithRunID("r"), engine.WithTurns(j), everything)
				})
				if kept := j.Find("/").Spent; kept.Steps != result.Steps {
					t.Errorf("%d steps are kept, the run took %d:\n%s", kept.Steps, result.Steps, list(j.lines))
				}
				return result
			}
			whole := &journal{Position: &engine.Position{}}
			want := run(whole).Steps
			for n := range whole.lines {
				if got := run(reopen(t, whole.lines[:n])).Steps; got > want {
					t.Errorf("cut after %d of %d entries it takes %d steps, want at most %d", n, len(whole.lines), got, want)
				}
			}
		})
	}
}

// Where a container was is data: whatever stands there, the run ends with an error, and nothing panics.
func TestForgedPosition(t *testing.T) {
	const (
		chain = "chain: [{set: 1}, {set: 2}]"
		loop  = "loop: [{set: 1}]\nmax_iterations: 3"
		graph = "graph: {a: {set: 1, next: b}, b: {set: 2}}\nstart: a"
	)
	tests := map[string]struct {
		src, state string
		ends       string // the output; empty where it fails
	}{
		"a chain, as it was":                       {chain, `{"next": 1, "prev": 7}`, "2"},
		"a chain, with a text":                     {chain, `"x"`, ""},
		"a chain, without a place":                 {chain, `{}`, ""},
		"a chain, with another kind of place":      {chain, `{"next": "1"}`, ""},
		"a chain, before its first node":           {chain, `{"next": -1}`, ""},
		"a chain, behind its last node":            {chain, `{"next": 9007199254740993, "prev": 7}`, "7"},
		"a loop, with a list":                      {loop, `[1]`, ""},
		"a loop, with a fraction of an iteration":  {loop, `{"iteration": 1.5}`, ""},
		"a loop, before its first iteration":       {loop, `{"iteration": 0}`, ""},
		"a graph, with a number":                   {graph, `1`, ""},
		"a graph, with nothing":                    {graph, `{"due": null}`, ""},
		"a graph, with a node that is not there":   {graph, `{"due": {"7": {"values": []}}}`, ""},
		"a graph, with a negative node":            {graph, `{"running": {"-1": {"values": []}}, "visits": {"-1": 1}}`, ""},
		"a graph, with nothing of a node":          {graph, `{"running": {"0": null}, "visits": {"0": 1}}`, ""},
		"a graph, with a node never visited":       {graph, `{"running": {"0": {"values": []}}}`, ""},
		"a graph, with an end that is not there":   {graph, `{"ends": {"7": 1, "8": 2}}`, ""},
		"a graph, with a way over what is not one": {graph, `{"due": {"1": {"values": [], "lane": {"visits": {"7": 1}}}}}`, ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var e engine.Entry
			if err := json.Unmarshal([]byte(`{"turn": "/", "cursor": {"state": `+tt.state+`}}`), &e); err != nil {
				t.Fatal(err)
			}
			result, err := engine.Run(t.Context(), graphOf(t, tt.src), nil, engine.WithTurns(engine.NewPosition([]engine.Entry{e})))
			if tt.ends != "" {
				if err != nil || compact(result.Output) != tt.ends {
					t.Errorf("it came to %v, %v, not %s", result.Output, err, tt.ends)
				}
				return
			}
			if result.Error == nil || result.Error.Kind != engine.Internal {
				t.Errorf("it came to %v, %v", result.Output, err)
			}
		})
	}
}
