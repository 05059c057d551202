package nodes

import (
	"github.com/flowrun/flowrun/engine"
	"github.com/flowrun/flowrun/spec"
)

func loop() engine.Kind {
	iteration := spec.Local{Name: "iteration", Summary: "the number of the iteration, from 1", Type: func(*spec.Node) spec.Type { return spec.Integer }}
	latest := spec.Local{Name: "prev", Summary: "the latest output", Type: func(n *spec.Node) spec.Type { return lastOf(n.Nodes("loop")) }}
	before := spec.Local{Name: "prev", Summary: "the latest output, at first what the loop received",
		Type: func(n *spec.Node) spec.Type { return spec.Either(n.Prev(), lastOf(n.Nodes("loop"))) }}
	return engine.Kind{
		Shape: spec.Shape{
			Name:    "loop",
			Summary: "runs a chain again and again; each iteration receives the output of the one before it",
			Fields: []spec.Field{
				{Name: "loop", Form: spec.NodeList{Stand: spec.Repeated}, Locals: []spec.Local{iteration}, Summary: "the nodes of one iteration, in order"},
				{Name: "until", Form: spec.Code{Want: spec.Bool}, Moment: spec.AfterChildren, Locals: []spec.Local{iteration, latest}, Summary: "ends the loop; read after each iteration"},
				{Name: "while", Form: spec.Code{Want: spec.Bool}, Moment: spec.AfterChildren, Locals: []spec.Local{iteration, before}, Summary: "goes on with the loop; read before each iteration"},
				{Name: "max_iterations", Form: spec.Whole{Min: 1}, Summary: "how many iterations at most; without until and while exactly so many"},
				{Name: "on_limit", Form: spec.Word{Of: []string{"fail", "continue"}}, Default: "fail", Summary: "what max_iterations means when until or while would go on: an error, or the latest output"},
			},
			Rules: []spec.Rule{
				{AnyOf: []string{"until", "while", "max_iterations"}, Message: "a loop needs until, while or max_iterations"},
				{NotBoth: []string{"until", "while"}, Message: "a loop has until or while, not both"},
			},
			Idle: func(n *spec.Node) bool { return n.Has("while") },
			Output: func(n *spec.Node) spec.Type {
				if n.Has("while") {
					return before.Type(n)
				}
				return lastOf(n.Nodes("loop"))
			},
			Example: `input: {type: integer, default: 1}
loop:
  - set: prev * 2
until: prev > 100
max_iterations: 20
`,
		},
		Least: leastTurns,
		Build: func(n *spec.Node) engine.Body {
			l := &looper{nodes: n.Nodes("loop"), until: n.Expr("until"), while: n.Expr("while"), most: n.Int("max_iterations"), lenient: n.Text("on_limit") == "continue"}
			return engine.Body{Decide: l.run}
		},
	}
}

// leastTurns is what the iterations need that certainly run: none before a while, all where only their number is
// written, else one.
func leastTurns(n *spec.Node, child func(*spec.Node) int) int {
	if n.Has("while") {
		return 0
	}
	sum := 0
	for _, c := range n.Nodes("loop") {
		sum += child(c)
	}
	if times := n.Int("max_iterations"); !n.Has("until") && sum > 0 {
		const far = 1 << 30 // no budget reaches further
		return sum * min(times, far/sum)
	}
	return sum
}

type looper struct {
	nodes        []*spec.Node
	until, while *spec.Expr // nil where not written
	most         int        // 0: no bound of its own
	lenient      bool
}

// run keeps after each iteration what the next one receives.
func (l *looper) run(v *engine.Visit) (any, error) {
	i, prev, err := goesOn(v, "iteration", 1)
	if err != nil {
		return nil, err
	}
	for ; ; i++ {
		iteration := engine.Local{Name: "iteration", Value: i}
		if l.while != nil {
			if more, err := v.Test(l.while, prev, iteration); err != nil || !more {
				return prev, err
			}
		}
		if l.most > 0 && i > int64(l.most) {
			return l.limit(prev)
		}
		for _, n := range l.nodes {
			o, err := v.Child(n, prev, iteration)
			if err != nil {
				return nil, err
			}
			prev = o.Value
		}
		if l.until != nil {
			if end, err := v.Test(l.until, prev, iteration); err != nil || end {
				return prev, err
			}
		}
		v.Save(func() any { return map[string]any{"iteration": i + 1, "prev": prev} })
	}
}

// limit is what the author's own bound means.
func (l *looper) limit(prev any) (any, error) {
	switch {
	case l.lenient || l.until == nil && l.while == nil:
		return prev, nil
	case l.until != nil:
		return nil, engine.Errorf(engine.Fail, "reached max_iterations=%d and until never held", l.most)
	}
	return nil, engine.Errorf(engine.Fail, "reached max_iterations=%d and while still held", l.most)
}
