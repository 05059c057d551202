package nodes

import (
	"github.com/flowrun/flowrun/engine"
	"github.com/flowrun/flowrun/spec"
)

func forEach() engine.Kind {
	each := func(n *spec.Node) spec.Type { return n.Node("do").Result() }
	return engine.Kind{
		Shape: spec.Shape{
			Name:    "for_each",
			Summary: "runs a node for every item of a list, several at once",
			Fields: append([]spec.Field{
				{Name: "for_each", Form: spec.OneOf{spec.Code{Want: spec.ListOf(spec.Any)}, spec.Data{}}, Summary: "the list"},
				{Name: "do", Form: spec.NodeForm{Stand: spec.ForEach}, Required: true, Summary: "the node that runs for each item", Locals: []spec.Local{
					{Name: "item", Summary: "the item, or the items of a batch; prev is the same", Type: itemType},
					{Name: "index", Summary: "its number, from 0", Type: func(*spec.Node) spec.Type { return spec.Integer }},
					{Name: "done", With: "in_order", Summary: "with in_order: the outputs so far", Type: func(*spec.Node) spec.Type { return spec.ListOf(spec.Any) }},
				}},
				{Name: "as", Form: spec.NameForm{}, Renames: "item", Summary: "another name for item"},
				{Name: "batch", Form: spec.Whole{Min: 1}, Summary: "items in groups of so many, the last may be smaller"},
				{Name: "in_order", Form: spec.Flag{}, Summary: "one item after another; do may read the outputs so far as done"},
			}, fanOutFields([]spec.Local{
				{Name: "results", Summary: "the outputs in the order of the items", Type: resultsOf(each)},
				{Name: "errors", Summary: "for each item {message, kind, node}, nil where it did not fail"},
				{Name: "items", Summary: "the list itself, in its batches where there are some", Type: func(n *spec.Node) spec.Type { return spec.ListOf(itemType(n)) }},
			})...),
			Output:  fanOutType(each),
			Partial: races,
			Check: func(n *spec.Node, problem func(field, hint, message string)) {
				checkFanOut(n, 0, problem)
				if n.Bool("in_order") && n.Int("max_concurrency") > 1 {
					problem("max_concurrency", "", "in_order runs one item at a time; max_concurrency says otherwise")
				}
			},
			Example: `for_each: [1, 2, 3]
do: {set: item * item}
merge: sum(results)
`,
		},
		Least: func(*spec.Node, func(*spec.Node) int) int { return 0 },
		Build: func(n *spec.Node) engine.Body {
			e := &eachItem{fanOut: newFanOut(n), list: n.Expr("for_each"), do: n.Node("do"), item: n.LocalName("item"),
				batch: n.Int("batch")}
			if e.inOrder = n.Bool("in_order"); e.inOrder {
				e.atOnce = 1
			}
			return engine.Body{Decide: e.run}
		},
	}
}

// itemType is what is known of one item, or of the batch that stands for one.
func itemType(n *spec.Node) spec.Type {
	t := n.Expr("for_each").Type().Elem()
	if n.Has("batch") {
		return spec.ListOf(t)
	}
	return t
}

type eachItem struct {
	*fanOut
	list  *spec.Expr
	do    *spec.Node
	item  string
	batch int
}

func (e *eachItem) run(v *engine.Visit) (any, error) {
	value, err := v.Eval(e.list, v.Prev())
	if err != nil {
		return nil, err
	}
	items := value.([]any) // its form allows nothing else
	if e.batch > 0 {
		items = batches(items, e.batch)
	}
	if err := v.Require(needed(e.node, len(items)) * v.Least(e.do)); err != nil {
		return nil, err
	}
	results, err := e.fanOut.run(v, len(items), func(i int, sofar []any) engine.Job {
		j := engine.Job{Node: e.do, Item: i, IsItem: true, Prev: items[i]}
		j.Locals = []engine.Local{{Name: e.item, Value: items[i]}, {Name: "index", Value: int64(i)}}
		if e.inOrder {
			j.Locals = append(j.Locals, engine.Local{Name: "done", Value: sofar})
		}
		return j
	})
	if err != nil {
		return nil, err
	}
	return results.merged(v, engine.Local{Name: "items", Value: items})
}

func batches(items []any, size int) []any {
	var out []any
	for len(items) > 0 {
		n := min(size, len(items))
		out = append(out, items[:n:n])
		items = items[n:]
	}
	return out
}
