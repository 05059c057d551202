package nodes

import (
	"github.com/flowrun/flowrun/engine"
	"github.com/flowrun/flowrun/spec"
)

func set() engine.Kind {
	return engine.Kind{
		Shape: spec.Shape{
			Name:    "set",
			Summary: "works out a value",
			Leaf:    true,
			Fields: []spec.Field{
				{Name: "set", Form: spec.OneOf{spec.Template{Marked: true}, spec.Code{}, spec.Data{}}, Summary: "an expression, a text with ${{ }}, or a list or mapping whose texts may hold ${{ }}"},
			},
			Output: func(n *spec.Node) spec.Type { return n.Expr("set").Type() },
			Example: `set:
  shout: ${{ upper(input ?? "hello") }}
  length: ${{ len(input ?? "hello") }}
`,
		},
		Build: func(n *spec.Node) engine.Body {
			x := n.Expr("set")
			return engine.Body{Decide: func(v *engine.Visit) (any, error) { return v.Eval(x, v.Prev()) }}
		},
	}
}
