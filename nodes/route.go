package nodes

import (
	"strings"

	"github.com/flowrun/flowrun/engine"
	"github.com/flowrun/flowrun/spec"
)

func route() engine.Kind {
	return engine.Kind{
		Shape: spec.Shape{
			Name:    "route",
			Summary: "chooses one node by a key; that node receives what the route received",
			Fields: []spec.Field{
				{Name: "route", Form: spec.OneOf{spec.Code{}, spec.NodeForm{Stand: spec.First}}, Summary: "the key: an expression, or a node whose output is the key; an agent is told the keys"},
				{Name: "cases", Form: spec.NodeMap{Stand: spec.Choice}, Required: true, Summary: "the nodes by key"},
				{Name: "default", Form: spec.NodeForm{Stand: spec.Choice}, Summary: "the node for any other key; without it that is an error"},
			},
			Output: func(n *spec.Node) spec.Type { return branchType(candidates(n)) },
			Example: `input: {type: string, default: I want a refund}
route: 'input contains "refund" ? "billing" : "other"'
cases:
  billing: {set: '"to billing: " + prev'}
default: {set: '"to the front desk: " + prev'}
`,
		},
		Build: func(n *spec.Node) engine.Body {
			r := &router{key: n.Expr("route"), classifier: n.Node("route"), cases: n.Nodes("cases"), otherwise: n.Node("default")}
			return engine.Body{Decide: r.run}
		},
	}
}

func candidates(n *spec.Node) []*spec.Node {
	nodes := n.Nodes("cases")
	if d := n.Node("default"); d != nil {
		nodes = append(nodes[:len(nodes):len(nodes)], d)
	}
	return nodes
}

type router struct {
	key        *spec.Expr // or
	classifier *spec.Node
	cases      []*spec.Node
	otherwise  *spec.Node // nil where there is none
}

func (r *router) run(v *engine.Visit) (any, error) {
	key, err := r.choose(v)
	if err != nil {
		return nil, err
	}
	chosen := r.otherwise
	for _, c := range r.cases {
		if c.Key == key {
			chosen = c
		}
	}
	if chosen == nil {
		return nil, engine.Errorf(engine.Fail, "no case for %q, and no default; the cases are %s", key, strings.Join(keysOf(r.cases), ", "))
	}
	o, err := v.Child(chosen, v.Prev())
	return o.Result(), err
}

func (r *router) choose(v *engine.Visit) (string, error) {
	if r.key != nil {
		key, err := v.Eval(r.key, v.Prev())
		if err != nil {
			return "", err
		}
		return strings.TrimSpace(spec.AsText(key)), nil
	}
	o, err := v.Child(r.classifier, v.Prev())
	if err != nil {
		return "", err
	}
	return strings.TrimSpace(spec.AsText(o.Result())), nil
}

func keysOf(cases []*spec.Node) []string {
	keys := make([]string, len(cases))
	for i, c := range cases {
		keys[i] = c.Key
	}
	return keys
}

// choices are the keys among which an agent must choose because it is the classifier of a route; nil where it is none.
func choices(n *spec.Node) []string {
	if p := n.Parent; p != nil && n.Stand() == spec.First {
		return keysOf(p.Nodes("cases"))
	}
	return nil
}
