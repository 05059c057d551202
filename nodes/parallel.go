package nodes

import (
	"github.com/flowrun/flowrun/engine"
	"github.com/flowrun/flowrun/spec"
)

func parallel() engine.Kind {
	branches := func(n *spec.Node) []*spec.Node { return n.Nodes("parallel") }
	return engine.Kind{
		Shape: spec.Shape{
			Name:    "parallel",
			Summary: "runs nodes at once, each with the same input",
			Fields: append([]spec.Field{
				{Name: "parallel", Form: spec.NodeList{Stand: spec.Together}, Summary: "the branches"},
			}, fanOutFields([]spec.Local{
				{Name: "results", Summary: "the branches' outputs in the order written", Type: resultsOf(func(n *spec.Node) spec.Type { return branchType(branches(n)) })},
				{Name: "outputs", Summary: "the outputs of the named branches, by name", Type: outputsOf},
				{Name: "errors", Summary: "for each branch {message, kind, node}, nil where it did not fail"},
			})...),
			Output:  fanOutType(func(n *spec.Node) spec.Type { return branchType(branches(n)) }),
			Partial: races,
			Check: func(n *spec.Node, problem func(field, hint, message string)) {
				checkFanOut(n, len(branches(n)), problem)
			},
			Example: `parallel:
  - name: loud
    set: upper(input ?? "hello")
  - name: length
    set: len(input ?? "hello")
merge: outputs.loud + " has " + string(outputs.length)
`,
		},
		Least: func(n *spec.Node, child func(*spec.Node) int) int {
			var each []int
			for _, b := range branches(n) {
				each = append(each, child(b))
			}
			return leastOf(n, each)
		},
		Build: func(n *spec.Node) engine.Body {
			f := newFanOut(n)
			nodes := branches(n)
			return engine.Body{Decide: func(v *engine.Visit) (any, error) {
				each := make([]int, len(nodes))
				for i, b := range nodes {
					each[i] = v.Least(b)
				}
				if err := v.Require(leastOf(n, each)); err != nil {
					return nil, err
				}
				results, err := f.run(v, len(nodes), func(i int, _ []any) engine.Job { return engine.Job{Node: nodes[i], Prev: v.Prev()} })
				if err != nil {
					return nil, err
				}
				return results.merged(v, engine.Local{Name: "outputs", Value: byName(nodes, results.outputs)})
			}}
		},
	}
}

// branchType is what is known of every branch's output.
func branchType(nodes []*spec.Node) spec.Type {
	var types []spec.Type
	for _, b := range nodes {
		types = append(types, b.Result())
	}
	return spec.Either(types...)
}

// outputsOf is the type of a parallel's outputs by name.
func outputsOf(n *spec.Node) spec.Type {
	fields := map[string]spec.Type{}
	for _, b := range n.Nodes("parallel") {
		if b.Name != "" {
			fields[b.Name] = spec.Any
			if !forgiving(n) {
				fields[b.Name] = b.Result()
			}
		}
	}
	return spec.ObjectOf(fields)
}

func byName(nodes []*spec.Node, outputs []any) map[string]any {
	named := make(map[string]any, len(nodes))
	for i, b := range nodes {
		if b.Name != "" {
			named[b.Name] = outputs[i]
		}
	}
	return named
}
