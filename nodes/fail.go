package nodes

import (
	"github.com/flowrun/flowrun/engine"
	"github.com/flowrun/flowrun/spec"
)

func fail() engine.Kind {
	return engine.Kind{
		Shape: spec.Shape{
			Name:    "fail",
			Summary: "fails with a message",
			Leaf:    true,
			Fields: []spec.Field{
				{Name: "fail", Form: spec.Template{}, Summary: "the message"},
			},
			Example: `chain:
  - fail: ${{ input ?? "nothing" }} is not enough
    catch: {set: '"sorry: " + error.message'}
`,
		},
		Build: func(n *spec.Node) engine.Body {
			message := n.Expr("fail")
			return engine.Body{Decide: func(v *engine.Visit) (any, error) {
				text, err := v.Eval(message, v.Prev())
				if err != nil {
					return nil, err
				}
				return nil, engine.Errorf(engine.Fail, "%s", spec.AsText(text))
			}}
		},
	}
}
