package engine_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/flowrun/flowrun/leaktest"

	"github.com/flowrun/flowrun/engine"
	"github.com/flowrun/flowrun/spec"
)

func TestMain(m *testing.M) { leaktest.Main(m) }

// acts are what the leaves of a test do, by name.
type acts map[string]func(ctx context.Context, c *engine.Call) (any, error)

// language is a small one of the tests' own: do (a leaf that acts), seq, all, repeat and file. The engine knows no
// kinds by name, so it needs none of the real ones.
func language(leaves acts) *engine.Language {
	kinds := []engine.Kind{
		{
			Shape: spec.Shape{Name: "do", Leaf: true, Fields: []spec.Field{{Name: "do", Form: spec.Text{}}, {Name: "with", Form: spec.Template{}}}},
			Slot:  true, Fails: engine.Exec,
			Build: func(n *spec.Node) engine.Body {
				act := leaves[n.Text("do")]
				return engine.Body{Act: func(ctx context.Context, c *engine.Call) (any, error) {
					if act == nil {
						return n.Text("do"), nil
					}
					return act(ctx, c)
				}}
			},
		},
		{
			Shape: spec.Shape{Name: "set", Leaf: true, Fields: []spec.Field{{Name: "set", Form: spec.Code{}}}, Output: func(n *spec.Node) spec.Type { return n.Expr("set").Type() }},
			Build: func(n *spec.Node) engine.Body {
				return engine.Body{Decide: func(v *engine.Visit) (any, error) { return v.Eval(n.Expr("set"), v.Prev()) }}
			},
		},
		{
			Shape: spec.Shape{Name: "seq", Fields: []spec.Field{{Name: "seq", Form: spec.NodeList{Stand: spec.InSequence}}}},
			Build: func(n *spec.Node) engine.Body {
				return engine.Body{Decide: func(v *engine.Visit) (any, error) { return sequence(v, n.Nodes("seq")) }}
			},
		},
		{
			Shape: spec.Shape{Name: "repeat", Fields: []spec.Field{{Name: "repeat", Form: spec.NodeList{Stand: spec.Repeated}}, {Name: "times", Form: spec.Whole{Min: 1}}}},
			Build: func(n *spec.Node) engine.Body {
				return engine.Body{Decide: func(v *engine.Visit) (any, error) {
					var out any
					var err error
					for range n.Int("times") {
						if out, err = sequence(v, n.Nodes("repeat")); err != nil {
							return nil, err
						}
					}
					return out, nil
				}}
			},
		},
		{
			Shape: spec.Shape{Name: "all", Fields: []spec.Field{{Name: "all", Form: spec.NodeList{Stand: spec.Together}}, {Name: "at_once", Form: spec.Whole{Min: 1}, Default: 16}, {Name: "enough", Form: spec.Whole{}}}},
			Build: func(n *spec.Node) engine.Body {
				return engine.Body{Decide: func(v *engine.Visit) (any, error) { return together(v, n) }}
			},
		},
		{
			Shape: spec.Shape{Name: "file", Fields: []spec.Field{{Name: "file", Form: spec.Include{With: "with"}}, {Name: "with", Form: spec.Data{Mapping: true}}}},
			Build: func(n *spec.Node) engine.Body {
				return engine.Body{Decide: func(v *engine.Visit) (any, error) { return v.File(n.Included("file"), v.Prev(), nil) }}
			},
		},
	}
	header := []spec.Field{
		{Name: "name", Form: spec.NameForm{}}, {Name: "input", Form: spec.SchemaForm{}}, {Name: "params", Form: spec.Map{Names: true, Of: spec.SchemaForm{Entry: true}}},
		{Name: "env", Form: spec.List{Of: spec.Text{}}}, {Name: "secrets", Form: spec.List{Of: spec.Text{}}},
		{Name: "defaults", Form: spec.Record{Fields: []spec.Field{{Name: "timeout", Form: spec.Duration{}}, {Name: "retry", Form: engine.RetryForm()}}}},
		{Name: "limits", Form: spec.Record{Fields: engine.Limits()}}, {Name: "output", Form: spec.Code{}, Moment: spec.AfterChildren},
		{Name: "finally", Form: spec.NodeForm{}, Locals: []spec.Local{{Name: "status"}, {Name: "error"}}},
	}
	return engine.NewLanguage(kinds, header)
}

func sequence(v *engine.Visit, nodes []*spec.Node) (any, error) {
	prev := v.Prev()
	for _, n := range nodes {
		o, err := v.Child(n, prev)
		if err != nil {
			return nil, err
		}
		prev = o.Value
	}
	return prev, nil
}

func together(v *engine.Visit, n *spec.Node) (any, error) {
	nodes := n.Nodes("all")
	least := 0
	for _, b := range nodes {
		least += v.Least(b)
	}
	if err := v.Require(least); err != nil {
		return nil, err
	}
	out := make([]any, len(nodes))
	next, won := 0, 0
	err := v.Together(engine.Jobs{
		AtOnce: n.Int("at_once"),
		Next: func() (engine.Job, bool) {
			if next == len(nodes) {
				return engine.Job{}, false
			}
			next++
			return engine.Job{Node: nodes[next-1], Key: next - 1, Prev: v.Prev()}, true
		},
		Ended: func(j engine.Job, o engine.Outcome) error {
			if o.Err != nil {
				return o.Err
			}
			if o.Value == "panic in Ended" {
				panic("as told")
			}
			out[j.Key] = o.Result()
			if won++; n.Int("enough") > 0 && won == n.Int("enough") {
				return engine.ErrEnough
			}
			return nil
		},
	})
	return out, err
}

func compile(t testing.TB, leaves acts, src string) *engine.Graph {
	t.Helper()
	g, diagnostics := language(leaves).Parse("p.yaml", t.TempDir(), []byte(src))
	if g == nil {
		t.Fatalf("%v\n%s", diagnostics, src)
	}
	return g
}

// log keeps what happened, in order.
type log struct {
	mu    sync.Mutex
	lines []string
}

func (l *log) add(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, fmt.Sprintf(format, args...))
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.lines, "\n")
}

// hear writes the events of nodes into the log.
func (l *log) hear(e engine.Event) {
	switch {
	case e.Error != nil:
		l.add("%s %s: %s", e.Type, e.Label, e.Error.Kind)
	default:
		l.add("%s %s", e.Type, e.Label)
	}
}

// until is a leaf that waits for a channel, or ends with its context.
func until(ch <-chan struct{}, out any) func(context.Context, *engine.Call) (any, error) {
	return func(ctx context.Context, _ *engine.Call) (any, error) {
		select {
		case <-ch:
			return out, nil
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

func failing(kind engine.ErrorKind) func(context.Context, *engine.Call) (any, error) {
	return func(context.Context, *engine.Call) (any, error) { return nil, engine.Errorf(kind, "broken") }
}

func TestErrors(t *testing.T) {
	never := make(chan struct{})
	leaves := acts{
		"plain":     func(context.Context, *engine.Call) (any, error) { return nil, errors.New("broken") },
		"server":    failing(engine.Server),
		"cancelled": func(context.Context, *engine.Call) (any, error) { return nil, context.Canceled },
		"permit":    failing(engine.Permission),
		"panic":     func(context.Context, *engine.Call) (any, error) { panic("as told") },
		"nan":       func(context.Context, *engine.Call) (any, error) { return func() {}, nil },
		"ended":     func(context.Context, *engine.Call) (any, error) { return "panic in Ended", nil },
		"slow":      until(never, nil),
	}
	tests := map[string]struct{ src, want string }{
		"kind of the node's kind":        {"do: plain", "exec p.yaml:1:1: p: broken"},
		"its own kind":                   {"do: server", "server p.yaml:1:1: p: broken"},
		"an unnamed node":                {"seq: [{do: ok}, {do: server}]", "server p.yaml:1:17: /seq[1]: broken"},
		"a named node":                   {"seq: [{name: n, do: server}]", "server p.yaml:1:7: n: broken"},
		"a cancellation within":          {"do: cancelled", "exec p.yaml:1:1: p: context canceled"},
		"a panic":                        {"do: panic", "panic p.yaml:1:1: p: panic: as told"},
		"a panic in a container":         {"seq: [{name: a, all: [{do: ended}, {do: slow}]}]", "panic p.yaml:1:7: a: panic: as told"},
		"what is no value":               {"do: nan", "internal p.yaml:1:1: p: its output is no JSON value: func() is not a value that JSON has"},
		"an expression":                  {"set: prev + 1", "expression p.yaml:1:6: p: invalid operation: nil + integer"},
		"a condition":                    {"when: prev\nset: 1", "expression p.yaml:1:7: p: it must give boolean, not null"},
		"a branch, not its siblings":     {"all: [{do: slow}, {name: b, do: server}, {do: slow}]", "server p.yaml:1:19: b: broken"},
		"the innermost":                  {"all: [{all: [{do: slow}, {seq: [{name: c, do: plain}]}]}, {do: slow}]", "exec p.yaml:1:33: c: broken"},
		"permission is never caught":     {"seq: [{do: permit, on_error: continue}, {do: ok}]\ncatch: {do: ok}", "permission p.yaml:1:7: /seq[0]: broken"},
		"a catch that fails":             {"seq: [{name: a, do: server, catch: {name: b, do: plain}}]", "exec p.yaml:1:36: b: broken"},
		"a condition is not caught":      {"seq: [{when: prev, set: 1, catch: {set: 2}}]", "expression p.yaml:1:14: /seq[0]: it must give boolean, not null"},
		"finally, where the run is fine": {"set: 1\nfinally: {name: f, do: plain}", "exec p.yaml:2:10: f: broken"},
		"finally hides nothing":          {"do: server\nfinally: {do: plain}", "server p.yaml:1:1: p: broken"},
		"the output":                     {"do: ok\noutput: prev > 2", "expression p.yaml:2:9: p: invalid operation: string > integer"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			result, err := engine.Run(t.Context(), compile(t, leaves, tt.src), nil)
			var e *engine.Error
			if !errors.As(err, &e) || string(e.Kind)+" "+e.Error() != tt.want {
				t.Fatalf("\n got %v\nwant %s", err, tt.want)
			}
			if result.Status != engine.Failed || result.Output != nil || result.Error.Message != e.Message {
				t.Errorf("the result says %s, %v, %v", result.Status, result.Output, result.Error)
			}
			if (e.Kind == engine.Panic) != (e.Stack() != nil) {
				t.Error("a panic has a stack, other errors have none")
			}
		})
	}
}

// A secret is shown in no error of the result: not in that of a node that the run went on past either, nor where the
// run had to go on.
func TestResultHidesSecrets(t *testing.T) {
	leak := func(context.Context, *engine.Call) (any, error) { return nil, errors.New("the key is s3cret") }
	g := compile(t, acts{"leak": leak}, `seq: [{name: past, do: leak, on_error: continue}, {name: caught, do: leak, catch: {set: error.kind}}, {name: last, do: leak}]`)
	turns := &engine.Position{}
	for _, when := range []string{"at once", "on going on"} {
		result, _ := engine.Run(t.Context(), g, nil, engine.WithSecrets("s3cret"), engine.WithTurns(turns))
		for _, name := range []string{"past", "caught", "last"} {
			if got := result.Nodes[name].Error; got == nil || got.Message != "the key is ***" {
				t.Errorf("%s, %s failed with %v", when, name, got)
			}
		}
		b, err := json.Marshal(result)
		if err != nil || strings.Contains(string(b), "s3cret") {
			t.Errorf("%s: %s %v", when, b, err)
		}
	}
}
