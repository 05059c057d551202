package nodes_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/flowrun/flowrun/engine"
	"github.com/flowrun/flowrun/nodes"
)

// refine is a loop of edges: b is judged and goes back by way of c or d until it is done.
const refine = `
graph:
  a: {set: '"draft"', next: b}
  b: {set: prev + "b", next: judge}
  judge: {set: 'steps.b.visits == 1 ? "c" : steps.b.visits == 2 ? "d" : "done"', next: [{when: prev == "c", to: c}, {when: prev == "d", to: d}, {to: e}]}
  c: {set: steps.b.output + "c", next: b}
  d: {set: steps.b.output + "d", next: b}
  e: {set: steps.b.output}
start: a
`

// fork is a graph with two ends.
const fork = `
graph:
  a: {set: prev, next: [{when: prev > 5, to: big}, {to: small}]}
  big: {set: '"big"'}
  small: {set: '"small"'}
start: a`

func TestParityGraph(t *testing.T) {
	tests := map[string]story{
		"follows the edge that holds": {
			src:     fork,
			input:   6,
			want:    `"big"`,
			visited: "a big",
		},
		"follows the last edge where none holds": {
			src:     fork,
			input:   5,
			want:    `"small"`,
			visited: "a small",
		},
		"asks a node where to go": {
			src: `
graph:
  a: {set: prev + 1, next: sort}
  sort: {call: double, next: [{when: prev == 4, to: four}, {to: other}]}
  four: {set: '"four"'}
  other: {set: '"other"'}
start: a`,
			input:   1,
			want:    `"four"`,
			visited: "a sort four",
		},
		"goes back and forth until it is done": {
			src:     refine,
			want:    `"draftbcbdb"`,
			visited: "a b judge c b judge d b judge e",
		},
		"gives every branch what its source gave": {
			src: `
graph:
  a: {set: prev + 1, next: [b, c]}
  b: {set: '["b", prev]', next: d}
  c: {set: '["c", prev]', next: d}
  d: {set: prev}
start: a`,
			input: 1,
			want:  `[["b",2],["c",2]]`,
		},
		"joins in the order of the edges, once": {
			src: `
graph:
  a: {set: prev, next: [b, c]}
  b: {chain: [{wait: 1s}, {set: '"b"'}], next: d}
  c: {set: '"c"', next: d}
  d: {set: prev}
start: a`,
			want:    `["b","c"]`,
			visited: "a c /b/chain[0] /b/chain[1] d",
		},
		"joins after both branches": {
			src: `
name: p
limits: {max_concurrency: 1}
graph:
  a: {set: 1, next: [b, c]}
  b: {set: 2, next: d}
  c: {set: 3, next: d}
  d: {set: prev}
start: a`,
			told: `
workflow_started p null
step_started p
step_started a
step_completed a 1
step_started b
step_completed b 2
step_started c
step_completed c 3
step_started d
step_completed d [2,3]
step_completed p [2,3]
workflow_completed p [2,3]`,
		},
		"gives a meeting of alternatives the bare value": {
			src: `
graph:
  a: {set: prev, next: [{when: prev, to: b}, {to: c}]}
  b: {set: '"b"', next: d}
  c: {set: '"c"', next: d}
  d: {set: prev}
start: a`,
			input:   false,
			want:    `"c"`,
			visited: "a c d",
		},
		"runs and tells of one alternative only": {
			src: `
name: p
graph:
  a: {set: prev, next: [{when: prev, to: b}, {to: c}]}
  b: {call: boom}
  c: {set: '"c"'}
start: a`,
			input: false,
			told: `
workflow_started p false
step_started p
step_started a
step_completed a false
step_started c
step_completed c "c"
step_completed p "c"
workflow_completed p "c"`,
		},
	}
	for name, tt := range tests {
		t.Run(name, tt.check)
	}
}

func TestParityLimits(t *testing.T) {
	toAndFro := "graph:\n  a: {set: prev + 1, next: b}\n  b: {set: prev + 1, next: a}\nstart: a\n"
	tests := map[string]story{
		"stop nodes that send each other on for ever": {
			src:     toAndFro + "limits: {max_visits_per_node: 5}",
			input:   0,
			want:    "limit p.yaml:2:6: a: reached max_visits_per_node=5; the loop's exit condition never held (raise limits.max_visits_per_node or fix it)",
			visited: "a b a b a b a b a b",
		},
		"stop a circle after so many steps": {
			src:     "limits: {max_steps: 4}\ngraph:\n  a: {set: prev, next: b}\n  b: {set: prev, next: c}\n  c: {set: prev, next: a}\nstart: a\n",
			want:    "limit p.yaml:4:6: b: reached max_steps=4 (raise limits.max_steps, or find what runs more often than it should)",
			visited: "a b c a",
		},
		"stop a refinement that is never done": {
			src: "limits: {max_visits_per_node: 3}\n" + strings.Replace(refine, `"done"'`, `"d"'`, 1),
			want: "limit p.yaml:5:6: b: reached max_visits_per_node=3; the loop's exit condition never held " +
				"(raise limits.max_visits_per_node or fix it)",
			visited: "a b judge c b judge d b judge d",
		},
		"are 25 visits where none are written": {
			src:   "loop: [{name: again, set: prev + 1}]\nuntil: prev > 25",
			input: 0,
			want:  "limit p.yaml:1:8: again: reached max_visits_per_node=25; the loop's exit condition never held (raise limits.max_visits_per_node or fix it)",
		},
		"are 100 steps where none are written": {
			src:   "chain: [" + strings.Repeat("{set: prev + 1}, ", 100) + "{name: last, set: 1}]",
			input: 0,
			want:  "limit p.yaml:1:1709: last: reached max_steps=100 (raise limits.max_steps, or find what runs more often than it should)",
		},
		"allow as many steps as they say": {
			src:   "limits: {max_steps: 3}\nchain: [{set: prev + 1}, {set: prev + 1}, {set: prev + 1}]",
			input: 0,
			want:  "3",
		},
	}
	for name, tt := range tests {
		t.Run(name, tt.check)
	}
}

// TestParityRefused shows mistakes for which the seeds have an error when a graph is built, or none.
func TestParityRefused(t *testing.T) {
	tests := map[string]struct{ src, want string }{
		"two nodes of one name":             {"chain: [{name: a, set: 1}, {name: a, set: 2}]", `1:35: the name "a" is taken by the node on line 1`},
		"no start":                          {"graph: {a: {set: 1}}", `1:1: graph needs start: the name of a node of the graph`},
		"a start that is nowhere":           {"graph: {a: {set: 1}}\nstart: b", `2:8: start leads to "b", which is no node of this graph`},
		"two starts":                        {"graph: {a: {set: 1}}\nstart: a\nstart: a", `3:1: duplicate key "start", first on line 2`},
		"an edge to nowhere":                {"graph: {a: {set: 1, next: typo}}\nstart: a", `1:27: next leads to "typo", which is no node of this graph`},
		"a conditional edge to nowhere":     {"graph: {a: {set: 1, next: [{when: prev > 1, to: typo}, {to: a}]}}\nstart: a", `1:49: next leads to "typo", which is no node of this graph`},
		"an end that is no node":            {"graph: {a: {set: 1, next: END}}\nstart: a", `1:27: next leads to "END", which is no node of this graph`},
		"an empty chain":                    {"chain: []", `1:8: chain has no nodes`},
		"an empty parallel":                 {"parallel: []", `1:11: parallel has no nodes`},
		"a route without cases":             {"route: prev\ncases: {}", `2:8: cases has no nodes`},
		"an empty graph":                    {"graph: {}\nstart: a", `1:8: graph has no nodes`},
		"no steps at all":                   {"set: 1\nlimits: {max_steps: 0}", `2:21: max_steps must be a whole number of at least 1, not "0"`},
		"no visits at all":                  {"set: 1\nlimits: {max_visits_per_node: 0}", `2:31: max_visits_per_node must be a whole number of at least 1, not "0"`},
		"nothing at once":                   {"set: 1\nlimits: {max_concurrency: 0}", `2:27: max_concurrency must be a whole number of at least 1, not "0"`},
		"an agent that nobody wrote":        {"agents: {executer: {model: mock}}\nchain: [{agent: executer}, {agent: executor}]", `2:36: agent names "executor", which is not in agents, did you mean "executer"?`},
		"a name of a branch that is nobody": {"parallel: [{name: a, set: 1}]\nmerge: outputs.b", `2:8: unknown field "b"`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g, diagnostics := nodes.Language().Parse("p.yaml", t.TempDir(), []byte(tt.src))
			if g != nil {
				t.Error("the file is taken")
			}
			if got := strings.ReplaceAll(diagnostics.Error(), "p.yaml:", ""); !strings.HasPrefix(got, tt.want) {
				t.Errorf("\n got %s\nwant %s", got, tt.want)
			}
		})
	}
}

// TestParityConcurrent shows what runs at once. A clock of its own makes a step that waits in vain a failure.
func TestParityConcurrent(t *testing.T) {
	fan := func(n int) string {
		src, targets := "", []string{}
		for i := range n {
			targets = append(targets, fmt.Sprintf("n%d", i))
			src += fmt.Sprintf("  n%d: {call: step}\n", i)
		}
		return "graph:\n  a: {set: prev, next: [" + strings.Join(targets, ", ") + "]}\n" + src + "start: a\n"
	}
	tests := map[string]struct {
		src      string
		together int64 // so many steps go on only together
		most     int64 // or: so many are at work at once
	}{
		"branches of a parallel":            {src: "parallel: [{call: step}, {call: step}]", together: 2},
		"branches of a graph":               {src: fan(2), together: 2},
		"sixteen without being asked":       {src: fan(16), together: 16},
		"no more nodes than allowed":        {src: fan(8) + "limits: {max_concurrency: 3}", most: 3},
		"sixteen at most without a limit":   {src: fan(40), most: 16},
		"no more branches than allowed":     {src: "for_each: 1..20\nmax_concurrency: 5\ndo: {call: step}", most: 5},
		"one limit for nested branches too": {src: "limits: {max_concurrency: 4}\nfor_each: 1..4\ndo: {for_each: 1..4, do: {call: step}}", most: 4},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				g := &gauge{}
				do := g.step
				if tt.together > 0 {
					do = meeting(tt.together)
				}
				r := try(t, graphOf(t, tt.src, steps(map[string]step{"step": do})), 1)
				if r.err != nil {
					t.Error(r.err)
				}
				if g.most.Load() != tt.most {
					t.Errorf("%d steps were at work at once, want %d", g.most.Load(), tt.most)
				}
			})
		})
	}
}

// TestParityFailureStopsSiblings lets a branch fail while others are at work and one waits for its turn.
func TestParityFailureStopsSiblings(t *testing.T) {
	tests := map[string]string{
		"of a parallel": "max_concurrency: 2\nparallel: [{name: slow, call: slow}, {name: bad, call: bad}, {name: late, call: late}]",
		"of a graph": `
limits: {max_concurrency: 2}
graph:
  a: {set: 1, next: [slow, bad, late]}
  slow: {call: slow}
  bad: {call: bad}
  late: {call: late}
start: a`,
	}
	for name, src := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var late atomic.Bool
				begun, stopped := make(chan struct{}), make(chan struct{})
				r := try(t, graphOf(t, src, steps(map[string]step{
					"slow": func(ctx context.Context, _ any) (any, error) {
						close(begun)
						defer close(stopped)
						<-ctx.Done()
						return nil, ctx.Err()
					},
					"bad":  func(context.Context, any) (any, error) { <-begun; return nil, errBoom },
					"late": func(context.Context, any) (any, error) { late.Store(true); return nil, nil },
				})), nil)
				select {
				case <-stopped:
				default:
					t.Error("the run returned before its branch ended")
				}
				if !errors.Is(r.err, errBoom) || r.Error.Node != "bad" {
					t.Errorf("the run failed with %v, not with the error of bad", r.err)
				}
				if late.Load() {
					t.Error("a branch started after the failure")
				}
				if got := r.Nodes["slow"].Status; got != string(engine.Stopped) {
					t.Errorf("the branch that was stopped is %s", got)
				}
			})
		})
	}
}

// TestParityFailureSparesSiblings lets a branch fail that the others need not mind: they end.
func TestParityFailureSparesSiblings(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		failed := make(chan struct{})
		r := try(t, graphOf(t, `
parallel: [{name: slow, call: slow}, {name: bad, call: bad}, {name: inner, parallel: [{call: bad2}, {set: 1}], on_error: continue}]
on_error: continue
`, steps(map[string]step{
			"slow": func(ctx context.Context, _ any) (any, error) { <-failed; return "done", ctx.Err() },
			"bad":  func(context.Context, any) (any, error) { defer close(failed); return nil, errBoom },
			"bad2": plain["boom"],
		})), nil)
		differs(t, "came to", `["done","ERROR: boom",["ERROR: boom",1]]`, r.said())
		if r.Failures != 2 {
			t.Errorf("%d failures are counted, want 2", r.Failures)
		}
	})
}

// TestParityStop stops a run from outside as soon as it tells of a first result, while two branches are at work.
func TestParityStop(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		begun := make(chan struct{})
		var stopped atomic.Int64
		g := graphOf(t, "parallel: [{name: quick, call: quick}, {call: wait}, {call: wait}]", steps(map[string]step{
			"quick": func(context.Context, any) (any, error) { <-begun; <-begun; return "quick", nil },
			"wait": func(ctx context.Context, prev any) (any, error) {
				begun <- struct{}{}
				if prev == "again" {
					return prev, nil
				}
				<-ctx.Done()
				stopped.Add(1)
				return nil, ctx.Err()
			},
		}))
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		r := tryWithin(ctx, t, g, "once", engine.WithListener(func(e engine.Event) {
			if e.Type == engine.StepCompleted {
				cancel()
			}
		}))
		if r.Status != engine.Stopped || r.Output != nil || !errors.Is(r.err, context.Canceled) {
			t.Errorf("the run is %s with %v and %v", r.Status, r.Output, r.err)
		}
		if stopped.Load() != 2 {
			t.Errorf("%d branches were stopped, want 2", stopped.Load())
		}
		differs(t, "the next run of the same graph", `["quick","again","again"]`, try(t, g, "again").said())
	})
}
