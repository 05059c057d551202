package nodes

import (
	"github.com/flowrun/flowrun/engine"
	"github.com/flowrun/flowrun/spec"
)

func flow() engine.Kind {
	return engine.Kind{
		Shape: spec.Shape{
			Name:    "flow",
			Summary: "runs another pipeline file; its input is what the node received",
			Fields: []spec.Field{
				{Name: "flow", Form: spec.Include{With: "with"}, Summary: "the file, relative to this one"},
				{Name: "with", Form: spec.Data{Mapping: true}, Summary: "values for the file's params"},
			},
			Output: func(n *spec.Node) spec.Type {
				if p := n.Included("flow"); p != nil {
					return p.Type
				}
				return spec.Any
			},
			Example: `flow: ./shout.yaml
with: {times: 2}
`,
		},
		Build: func(n *spec.Node) engine.Body {
			p, with := n.Included("flow"), n.Expr("with")
			return engine.Body{Decide: func(v *engine.Visit) (any, error) {
				var params map[string]any
				if with != nil {
					value, err := v.Eval(with, v.Prev())
					if err != nil {
						return nil, err
					}
					params = value.(map[string]any)
				}
				return v.File(p, v.Prev(), params)
			}}
		},
	}
}
