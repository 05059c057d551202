package nodes_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/flowrun/flowrun/agents"
	"github.com/flowrun/flowrun/engine"
)

// TestParityRunsKeepApart lets a run end while another of the same graph waits between its key and its case.
func TestParityRunsKeepApart(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		begun, goOn := make(chan struct{}), make(chan struct{})
		g := graphOf(t, "route: {call: sort}\ncases: {any: {set: prev}}", steps(map[string]step{
			"sort": func(_ context.Context, prev any) (any, error) {
				if prev == "first" {
					close(begun)
					<-goOn
				}
				return "any", nil
			},
		}))
		var wg sync.WaitGroup
		wg.Go(func() { gives(t, g, "first", "first") })
		<-begun
		gives(t, g, "second", "second")
		close(goOn)
		wg.Wait()
	})
}

// TestParityManyRuns runs one graph 24 times at once.
func TestParityManyRuns(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := graphOf(t, "route: {call: meet}\ncases: {any: {chain: [{wait: 1s}, {name: n, set: prev}, {set: steps.n.output * 10}]}}\ndefault: {set: prev * 10}",
			steps(map[string]step{"meet": meeting(24)}))
		var wg sync.WaitGroup
		for i := range 24 {
			wg.Go(func() { gives(t, g, i, int64(i*10)) })
		}
		wg.Wait()
	})
}

// gives runs a graph, beside others if need be.
func gives(t *testing.T, g *engine.Graph, input, want any) {
	if r, err := engine.Run(t.Context(), g, input); err != nil || r.Output != want {
		t.Errorf("the run of %v came to %v, %v", input, r, err)
	}
}

func TestParityEvents(t *testing.T) {
	tests := map[string]story{
		"of a chain": {
			src:   "name: p\nchain: [{name: a, set: prev + 1}, {name: b, set: prev + 1}]",
			input: 1,
			told: `
workflow_started p 1
step_started p
step_started a
step_completed a 2
step_started b
step_completed b 3
step_completed p 3
workflow_completed p 3`,
		},
		"of a route": {
			src:   "name: p\nroute: {name: sort, set: '\"x\"'}\ncases: {x: {name: chosen, set: prev}, y: {name: other, set: prev}}",
			input: 1,
			told: `
workflow_started p 1
step_started p
step_started sort
step_completed sort "x"
step_started chosen
step_completed chosen 1
step_completed p 1
workflow_completed p 1`,
		},
		"of a step that fails": {
			src:   "name: p\nchain: [{name: a, set: prev}, {name: b, call: boom}, {name: c, set: prev}]",
			input: 1,
			told: `
workflow_started p 1
step_started p
step_started a
step_completed a 1
step_started b
step_failed b: internal boom
step_failed p: internal boom
workflow_failed p: internal boom`,
		},
		"of a node that is skipped": {
			src:   "name: p\nchain: [{name: a, when: false, set: 2}, {name: b, set: prev}]",
			input: 1,
			told: `
workflow_started p 1
step_started p
step_skipped a
step_started b
step_completed b 1
step_completed p 1
workflow_completed p 1`,
		},
	}
	for name, tt := range tests {
		t.Run(name, tt.check)
	}
}

// TestParityRawError gives the error of a step in Go to who ran the pipeline.
func TestParityRawError(t *testing.T) {
	t.Parallel()
	r := try(t, graphOf(t, "chain: [{parallel: [{name: bad, call: boom}]}]", steps(plain)), nil)
	if !errors.Is(r.err, errBoom) {
		t.Errorf("%v is not the step's own error", r.err)
	}
}

// TestParityIdentity looks for whom a run is on every event, and at what its agents and steps know of it.
func TestParityIdentity(t *testing.T) {
	src := "parallel: [{agent: {model: script/who}, prompt: '${{ run.user_id }} in ${{ run.session_id }}'}, {set: run.user_id}]"
	tests := map[string]struct {
		options []engine.Option
		user    string
		session string
		want    string
	}{
		"given": {[]engine.Option{engine.WithIdentity("alice", "s1")}, "alice", "s1", `["alice in s1","alice"]`},
		"made":  {[]engine.Option{engine.WithRunID("r7")}, "", "r7", `[" in r7",""]`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			echo := func(_ context.Context, q agents.Question) (string, error) { return q.Prompt(), nil }
			r := try(t, graphOf(t, src, scripts(map[string]script{"who": echo})), nil, tt.options...)
			differs(t, "came to", tt.want, r.said())
			for i, e := range r.events {
				if e.UserID != tt.user || e.SessionID != tt.session || e.RunID != r.RunID || e.Seq != i+1 {
					t.Errorf("event %d is number %d, of %q in %q, run %q", i+1, e.Seq, e.UserID, e.SessionID, e.RunID)
				}
			}
			if last := r.events[len(r.events)-1]; r.events[0].Type != engine.WorkflowStarted || last.Type != engine.WorkflowCompleted {
				t.Errorf("the events go from %s to %s", r.events[0].Type, last.Type)
			}
		})
	}
}

// TestParityAgent runs agents whose models are scripted: what they are asked, how often, and what comes of it.
func TestParityAgent(t *testing.T) {
	limited := &agents.Error{Kind: agents.RateLimit, Message: "slow down", RetryAfter: 7 * time.Second}
	tests := map[string]struct {
		src     string
		answers []any // texts, errors, or how long to be silent
		want    string
		asked   []string // prompts
		took    time.Duration
	}{
		"answers as a step of a chain": {
			src:     "chain: [{set: prev + 1}, {agent: {model: script/x}, prompt: 'How many? ${{ prev }}'}, {set: upper(prev)}]",
			answers: []any{"two"},
			want:    `"TWO"`,
			asked:   []string{"How many? 2"},
		},
		"gets data as JSON": {
			src:     "chain: [{set: '{list: [1, \"two\"], none: nil}'}, {agent: {model: script/x}}]",
			answers: []any{"thanks"},
			asked:   []string{`{"list":[1,"two"],"none":null}`},
		},
		"waits as long as a rate limit asks": {
			src:     "agent: {model: script/x}",
			answers: []any{limited, limited, "yes"},
			want:    `"yes"`,
			took:    14 * time.Second,
		},
		"is not asked again what no attempt mends": {
			src:     "agent: {model: script/x}",
			answers: []any{&agents.Error{Kind: agents.Auth, Message: "who are you?"}},
			want:    "auth p.yaml:1:1: p: who are you?",
		},
		"ends at its timeout": {
			src:     "agents: {slow: {model: script/x, timeout: 5s}}\nagent: slow",
			answers: []any{time.Hour},
			want:    "timeout p.yaml:2:1: p: it did not end within its timeout of 5s",
			took:    5 * time.Second,
		},
		"chooses among the cases of a route": {
			src:     "route: {agent: {model: script/x}}\ncases: {yes: {set: 1}, no: {set: 2}}",
			answers: []any{"Well...", " no\n"},
			want:    "2",
		},
		"takes what the file says for all where it says nothing itself": {
			src:     "defaults: {model: script/x, timeout: 5s}\nchain: [{agent: {system: Be brief.}}]",
			answers: []any{time.Hour},
			want:    "timeout p.yaml:2:9: /chain[0]: it did not end within its timeout of 5s",
			took:    5 * time.Second,
		},
		"minds its own settings before those for all": {
			src:     "defaults: {model: script/none, timeout: 5s}\nagent: {model: script/x, timeout: 9s}",
			answers: []any{time.Hour},
			want:    "timeout p.yaml:2:1: p: it did not end within its timeout of 9s",
			took:    9 * time.Second,
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var asked []string
				answer := func(ctx context.Context, q agents.Question) (string, error) {
					asked = append(asked, q.Prompt())
					next := tt.answers[len(asked)-1]
					switch next := next.(type) {
					case error:
						return "", next
					case time.Duration:
						select {
						case <-time.After(next):
						case <-ctx.Done():
						}
						return "too late", ctx.Err()
					}
					return next.(string), nil
				}
				models := scripts(map[string]script{"x": answer, "none": answer})
				r := try(t, graphOf(t, tt.src, models), 1)
				differs(t, "came to", tt.want, r.said())
				if tt.asked != nil {
					differs(t, "asked", strings.Join(tt.asked, "\n"), strings.Join(asked, "\n"))
				}
				if len(asked) != len(tt.answers) || tt.took > 0 && r.Duration != tt.took {
					t.Errorf("asked %d times in %s, want %d in %s", len(asked), r.Duration, len(tt.answers), tt.took)
				}
			})
		})
	}
}

func TestParityDraw(t *testing.T) {
	route := "name: p\nroute: {name: sort, set: prev}\ncases: {x: {name: a, set: 1}}\ndefault: {name: b, set: 2}"
	tests := map[string]struct {
		src  string
		draw func(*engine.Drawing) string
		want string
	}{
		"a chain is a line": {
			src:  "name: p\nchain: [{name: a, set: 1}, {name: b, set: 2}, {name: c, set: 3}]",
			draw: (*engine.Drawing).Mermaid,
			want: `
flowchart TD
  subgraph n0_["p (chain)"]
    n1["a (set)"]
    n2["b (set)"]
    n3["c (set)"]
  end
  n1 --> n2
  n2 --> n3
`,
		},
		"ways of a route are labelled": {
			src:  route,
			draw: (*engine.Drawing).Mermaid,
			want: `
flowchart TD
  subgraph n0_["p (route)"]
    n1["sort (set)"]
    n2["a (set)"]
    n3["b (set)"]
  end
  n1 -->|"x"| n2
  n1 -->|"default"| n3
`,
		},
		"a route without a classifier has a mark of its own": {
			src:  "name: p\nroute: prev\ncases: {x: {name: a, set: 1}}",
			draw: (*engine.Drawing).Mermaid,
			want: `
flowchart TD
  subgraph n0_["p (route)"]
    n0{"?"}
    n1["a (set)"]
  end
  n0 -->|"x"| n1
`,
		},
		"edges say when they are taken": {
			src:  "name: p\ngraph:\n  a: {set: prev, next: [{when: prev > 1, to: b}, {to: a}]}\n  b: {set: prev}\nstart: a",
			draw: (*engine.Drawing).Mermaid,
			want: `
flowchart TD
  subgraph n0_["p (graph)"]
    n1["a (set)"]
    n2["b (set)"]
  end
  n1 -->|"prev #gt; 1"| n2
  n1 --> n1
`,
		},
		"for Graphviz": {
			src:  route,
			draw: (*engine.Drawing).DOT,
			want: `
digraph "p" {
  node [shape=box]
  subgraph cluster_n0 {
    label="p (route)"
    n1 [label="sort (set)"]
    n2 [label="a (set)"]
    n3 [label="b (set)"]
  }
  n1 -> n2 [label="x"]
  n1 -> n3 [label="default"]
}
`,
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			differs(t, "drew", strings.TrimLeft(tt.want, "\n"), tt.draw(graphOf(t, tt.src).Draw()))
		})
	}
}
