package nodes

import (
	"github.com/flowrun/flowrun/engine"
	"github.com/flowrun/flowrun/spec"
)

func chain() engine.Kind {
	return engine.Kind{
		Shape: spec.Shape{
			Name:    "chain",
			Summary: "runs nodes one after another; each receives the output of the one before it",
			Fields: []spec.Field{
				{Name: "chain", Form: spec.NodeList{Stand: spec.InSequence}, Summary: "the nodes, in order; the last one's output is the chain's"},
			},
			Output: func(n *spec.Node) spec.Type { return lastOf(n.Nodes("chain")) },
			Example: `chain:
  - set: upper(input ?? "hello")
  - set: prev + "!"
`,
		},
		Build: func(n *spec.Node) engine.Body {
			nodes := n.Nodes("chain")
			return engine.Body{Decide: func(v *engine.Visit) (any, error) { return runChain(v, nodes) }}
		},
	}
}

// lastOf is the type of what comes out of a sequence.
func lastOf(nodes []*spec.Node) spec.Type {
	if len(nodes) == 0 {
		return spec.Any
	}
	return nodes[len(nodes)-1].After()
}

// runChain keeps after each node what the next one receives, so that a chain that was cut does not carry the rest.
func runChain(v *engine.Visit, nodes []*spec.Node) (any, error) {
	next, prev, err := goesOn(v, "next", 0)
	if err != nil {
		return nil, err
	}
	for i := int(min(next, int64(len(nodes)))); i < len(nodes); i++ {
		o, err := v.Child(nodes[i], prev)
		if err != nil {
			return nil, err
		}
		prev = o.Value
		if i+1 < len(nodes) {
			v.Save(func() any { return map[string]any{"next": int64(i + 1), "prev": prev} })
		}
	}
	return prev, nil
}

// goesOn is where a sequence goes on, which it saved under a field, and what comes next there receives; the first number
// and what the node received where it begins. What is kept is data, and may be anything.
func goesOn(v *engine.Visit, field string, first int64) (at int64, prev any, err error) {
	state, ok := v.State()
	if !ok {
		return first, v.Prev(), nil
	}
	s, _ := state.(map[string]any)
	if at, ok = s[field].(int64); !ok || at < first {
		return 0, nil, engine.Errorf(engine.Internal, "what was kept of its position has no %s of %d or more", field, first)
	}
	return at, s["prev"], nil
}
