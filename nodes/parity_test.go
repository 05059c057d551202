package nodes_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/flowrun/flowrun/agents"
	"github.com/flowrun/flowrun/engine"
	"github.com/flowrun/flowrun/nodes"
	"github.com/flowrun/flowrun/spec"
)

// The tests of the parity_*_test.go files show what became here of the tests, and of the defects, of the two projects
// that flowrun grew from. docs/parity.md says which belongs to which, and TestParityPage keeps that page true.

// trial is a run with all that was heard of it.
type trial struct {
	*engine.Result
	err    error
	events []engine.Event
}

func try(t *testing.T, g *engine.Graph, input any, opts ...engine.Option) *trial {
	t.Helper()
	return tryWithin(t.Context(), t, g, input, opts...)
}

func tryWithin(ctx context.Context, t *testing.T, g *engine.Graph, input any, opts ...engine.Option) *trial {
	t.Helper()
	r := &trial{}
	hear := engine.WithListener(func(e engine.Event) { r.events = append(r.events, e) })
	r.Result, r.err = engine.Run(ctx, g, input, append([]engine.Option{hear}, opts...)...)
	if r.Result == nil {
		t.Fatalf("the run did not begin: %v", r.err)
	}
	return r
}

// said is the output as JSON, or the error with its kind.
func (r *trial) said() string {
	if r.err != nil {
		return outcomeOf(r.Result).Error
	}
	return compact(r.Output)
}

// visited names the leaves in the order in which they completed.
func (r *trial) visited() string {
	var names []string
	for _, e := range r.events {
		if e.Type == engine.StepCompleted && !container(e.Kind) {
			names = append(names, e.Node)
		}
	}
	return strings.Join(names, " ")
}

// told is the events, one a line: what happened, to whom, and what came of it.
func (r *trial) told() string {
	var lines []string
	for _, e := range r.events {
		line := string(e.Type) + " " + e.Workflow + e.Node
		switch {
		case e.Error != nil:
			line += ": " + string(e.Error.Kind) + " " + e.Error.Message
		case e.Type == engine.WorkflowStarted:
			line += " " + compact(e.Input)
		case e.Type == engine.StepCompleted, e.Type == engine.WorkflowCompleted:
			line += " " + compact(e.Output)
		}
		lines = append(lines, line)
	}
	return strings.Join(lines, "\n")
}

// outputs are those of the named nodes, as JSON.
func (r *trial) outputs() string {
	out := map[string]any{}
	for name, n := range r.Nodes {
		out[name] = n.Output.V
	}
	return compact(out)
}

// counted is how many events of a type there were.
func (r *trial) counted(what engine.EventType) int {
	n := 0
	for _, e := range r.events {
		if e.Type == what {
			n++
		}
	}
	return n
}

func container(kind string) bool {
	return slices.Contains([]string{"chain", "parallel", "for_each", "route", "loop", "graph", "flow"}, kind)
}

// step is a function that stands for one of the seeds' steps. It gets what the node received.
type step func(ctx context.Context, prev any) (any, error)

// steps lets a file call functions by name, as {call: NAME}.
func steps(byName map[string]step) nodes.Option {
	return nodes.WithKind(engine.Kind{
		Shape: spec.Shape{
			Name: "call", Summary: "calls a function of the test", Leaf: true,
			Fields: []spec.Field{{Name: "call", Form: spec.Text{}, Summary: "its name"}},
		},
		Slot: true,
		Build: func(n *spec.Node) engine.Body {
			f := byName[n.Text("call")]
			return engine.Body{Act: func(ctx context.Context, c *engine.Call) (any, error) { return f(ctx, c.Prev()) }}
		},
	})
}

// script is a model that answers as a test tells it to.
type script func(ctx context.Context, q agents.Question) (string, error)

// Answer counts a token each way.
func (s script) Answer(ctx context.Context, q agents.Question, _ func(string)) (agents.Answer, error) {
	answer, err := s(ctx, q)
	return agents.Answer{Text: answer, Usage: agents.Usage{Input: 1, Output: 1, Calls: 1}}, err
}

// scripts lets a file ask scripted models, as script/NAME.
func scripts(byName map[string]script) nodes.Option {
	return nodes.WithAgents(agents.NewSet(agents.WithProvider("script", func(name string) (agents.Model, error) {
		if s := byName[name]; s != nil {
			return s, nil
		}
		return nil, fmt.Errorf("there is no script %q", name)
	})))
}

// filesOf is graphOf for a file that includes others, given by name.
func filesOf(t *testing.T, src string, files map[string]string, opts ...nodes.Option) *engine.Graph {
	t.Helper()
	folder := t.TempDir()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	g, diagnostics := nodes.Language(opts...).Parse("p.yaml", folder, []byte(src))
	if g == nil {
		t.Fatalf("%v\n%s", diagnostics, src)
	}
	return g
}

// gauge is a step that takes a second and measures how many are in it at once.
type gauge struct{ now, most, all atomic.Int64 }

func (g *gauge) step(ctx context.Context, prev any) (any, error) {
	g.all.Add(1)
	n := g.now.Add(1)
	defer g.now.Add(-1)
	for most := g.most.Load(); n > most && !g.most.CompareAndSwap(most, n); most = g.most.Load() {
	}
	select {
	case <-time.After(time.Second):
		return prev, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// meeting is a step that goes on only when n are in it at once.
func meeting(n int64) step {
	var in atomic.Int64
	all := make(chan struct{})
	return func(ctx context.Context, prev any) (any, error) {
		if in.Add(1) == n {
			close(all)
		}
		select {
		case <-all:
			return prev, nil
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

var errBoom = errors.New("boom")

// plain are steps that need nothing from their test.
var plain = map[string]step{
	"double": func(_ context.Context, prev any) (any, error) { return prev.(int64) * 2, nil },
	"boom":   func(context.Context, any) (any, error) { return nil, errBoom },
	// hang waits until it is stopped.
	"hang": func(ctx context.Context, _ any) (any, error) {
		<-ctx.Done()
		return nil, context.Cause(ctx)
	},
}

// story is a pipeline and what comes of it. What is empty is not looked at.
type story struct {
	src     string
	input   any
	want    string // the output as JSON, or the error with its kind
	visited string // the leaves in the order in which they completed
	outputs string // of the named nodes, as JSON
	told    string // the events, one a line
}

func (s story) check(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := try(t, graphOf(t, s.src, steps(plain)), s.input)
		differs(t, "came to", s.want, r.said())
		differs(t, "visited", s.visited, r.visited())
		differs(t, "outputs", s.outputs, r.outputs())
		differs(t, "told", strings.TrimSpace(s.told), r.told())
	})
}

// differs reports what is not as it is wanted, where something is wanted.
func differs(t *testing.T, what, want, got string) {
	t.Helper()
	if want != "" && got != want {
		t.Errorf("%s (-want +got):\n%s", what, cmp.Diff(want, got))
	}
}

func TestParityChain(t *testing.T) {
	tests := map[string]story{
		"runs its nodes in order": {
			src:     "chain: [{name: inc, set: prev + 1}, {name: twice, set: prev * 2}, {name: less, set: prev - 3}]",
			input:   1,
			want:    "1",
			visited: "inc twice less",
			outputs: `{"inc":2,"less":1,"twice":4}`,
		},
		"takes steps that ask the world and steps that do not": {
			src:   "chain: [{set: prev + 1}, {call: double}, {set: prev + 1}]",
			input: 1,
			want:  "5",
		},
		"tells nodes without a name apart": {
			src:     "agents: {poet: {model: mock}}\nchain: [{agent: poet}, {agent: poet}, {agent: poet}]",
			input:   "x",
			want:    `"x"`,
			visited: "/chain[0] /chain[1] /chain[2]",
		},
		"calls a node by its name": {
			src:   "name: p\nchain: [{name: first, set: 1}]",
			input: 0,
			told: `
workflow_started p 0
step_started p
step_started first
step_completed first 1
step_completed p 1
workflow_completed p 1`,
		},
	}
	for name, tt := range tests {
		t.Run(name, tt.check)
	}
}

func TestParityRoute(t *testing.T) {
	handlers := "cases: {refund: {name: refund, set: '\"refund: \" + prev'}, bug: {name: bug, set: '\"bug: \" + prev'}}\n"
	tests := map[string]story{
		"gives the case what the route received": {
			src:     "route: 'prev contains \"money\" ? \"refund\" : \"bug\"'\n" + handlers,
			input:   "money back",
			want:    `"refund: money back"`,
			visited: "refund",
		},
		"takes the default for another key": {
			src:     "route: '\"praise\"'\n" + handlers + "default: {name: other, set: '\"other: \" + prev'}",
			input:   "well done",
			want:    `"other: well done"`,
			visited: "other",
		},
		"fails for another key without a default": {
			src:   "route: '\"praise\"'\n" + handlers,
			input: "well done",
			want:  `fail p.yaml:1:1: p: no case for "praise", and no default; the cases are refund, bug`,
		},
		"trims the key and minds its case": {
			src:   "route: '\" bug\\n\"'\n" + handlers,
			input: "x",
			want:  `"bug: x"`,
		},
		"begins a pipeline": {
			src:   "route: 'prev > 10 ? \"big\" : \"small\"'\ncases: {big: {set: '\"big\"'}, small: {set: '\"small\"'}}",
			input: 11,
			want:  `"big"`,
		},
		"asks a node that asks the world": {
			src:   "route: {call: double}\ncases: {\"4\": {set: '\"four\"'}}",
			input: 2,
			want:  `"four"`,
		},
		"asks an agent": {
			src:     "route: {name: sort, agent: {model: mock, mock: {reply: ' bug '}}}\n" + handlers,
			input:   "it crashes",
			want:    `"bug: it crashes"`,
			visited: "sort bug",
		},
		"asks in the middle of a chain": {
			src:     "chain: [{name: a, set: prev + 1}, {route: {name: sort, call: double}, cases: {\"4\": {name: b, set: prev}}}]",
			input:   1,
			want:    "2",
			visited: "a sort b",
		},
		"passes the input on by its default": {
			src:   "route: '\"neither\"'\n" + handlers + "default: {set: prev}",
			input: "as it is",
			want:  `"as it is"`,
		},
	}
	for name, tt := range tests {
		t.Run(name, tt.check)
	}
}

func TestParityParallel(t *testing.T) {
	tests := map[string]story{
		"merges": {
			src:   "parallel: [{set: prev + 1}, {call: double}, {set: prev - 1}]\nmerge: sum(results)",
			input: 10,
			want:  "40",
		},
		"gives a list in the order written": {
			src:     "parallel: [{name: slow, chain: [{wait: 1s}, {set: 1}]}, {name: fast, set: 2}]",
			want:    "[1,2]",
			visited: "fast /slow/chain[0] /slow/chain[1]",
		},
		"gives every branch what it received": {
			src:   "parallel: [{set: prev}, {set: prev}, {set: 'concat(prev, [\"changed\"])'}]",
			input: []any{"in"},
			want:  `[["in"],["in"],["in","changed"]]`,
		},
		"keeps what did not fail": {
			src:   "parallel: [{set: 1}, {call: boom}, {set: 3}]\non_error: continue",
			input: "x",
			want:  `[1,"ERROR: boom",3]`,
		},
		"fails with its first failure": {
			src:  "parallel: [{set: 1}, {name: bad, call: boom}, {call: hang}]",
			want: "internal p.yaml:1:22: bad: boom",
		},
		"tells of every branch": {
			src:   "name: p\nmax_concurrency: 1\nparallel: [{name: a, set: 1}, {set: 2}]",
			input: 0,
			told: `
workflow_started p 0
step_started p
step_started a
step_completed a 1
step_started /parallel[1]
step_completed /parallel[1] 2
step_completed p [1,2]
workflow_completed p [1,2]`,
		},
		"tells branches of one agent apart": {
			src:     "agents: {poet: {model: mock}}\nmax_concurrency: 1\nparallel: [{agent: poet}, {agent: poet}]",
			input:   "x",
			visited: "/parallel[0] /parallel[1]",
		},
	}
	for name, tt := range tests {
		t.Run(name, tt.check)
	}
}
