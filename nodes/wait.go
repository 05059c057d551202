package nodes

import (
	"github.com/flowrun/flowrun/engine"
	"github.com/flowrun/flowrun/spec"
)

func wait() engine.Kind {
	return engine.Kind{
		Shape: spec.Shape{
			Name:    "wait",
			Summary: "waits and passes on what it received",
			Leaf:    true,
			Fields: []spec.Field{
				{Name: "wait", Form: spec.Duration{}, Summary: "how long"},
			},
			Output: func(n *spec.Node) spec.Type { return n.Prev() },
			Example: `chain:
  - wait: 10ms
  - set: '"rested"'
`,
		},
		Build: func(n *spec.Node) engine.Body {
			d := n.Duration("wait")
			return engine.Body{Decide: func(v *engine.Visit) (any, error) { return v.Prev(), v.Sleep(d) }}
		},
	}
}
