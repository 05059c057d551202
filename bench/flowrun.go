package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/flowrun/flowrun/engine"
	"github.com/flowrun/flowrun/nodes"
	"github.com/flowrun/flowrun/spec"
)

// flowrun runs a plan as a pipeline file whose steps are a kind of node of this program's. A step takes a slot, as an
// agent does.
func flowrun() system {
	return system{"flowrun", func(p plan) (run, error) {
		f := &file{}
		f.write(p)
		limits := ""
		if p.loop == nil || p.loop.times > 0 {
			// The others have none of these, or none so low.
			limits = fmt.Sprintf("limits: {max_steps: 1000000, max_visits_per_node: 1000000, max_concurrency: %d}, ", max(len(p.parallel), 16))
		}
		graph, err := f.load(limits)
		if err != nil {
			return nil, err
		}
		return func(ctx context.Context) (any, error) {
			result, err := engine.Run(ctx, graph, "x")
			if err != nil {
				return nil, err
			}
			return result.Output, nil
		}, nil
	}}
}

// file is a pipeline file with the steps that it names by number.
type file struct {
	text  strings.Builder
	steps []step
}

func (f *file) write(p plan) {
	switch {
	case p.step != nil:
		f.step(p.step)
	case p.loop != nil:
		f.text.WriteString("{loop: [")
		f.step(p.loop.body)
		if p.loop.times > 0 {
			fmt.Fprintf(&f.text, "], max_iterations: %d}", p.loop.times)
		} else {
			f.text.WriteString("], while: true}")
		}
	case p.parallel != nil:
		f.list("parallel", p.parallel)
	default:
		f.list("chain", p.chain)
	}
}

func (f *file) list(kind string, children []plan) {
	fmt.Fprintf(&f.text, "{%s: [", kind)
	for i, c := range children {
		if i > 0 {
			f.text.WriteString(", ")
		}
		f.write(c)
	}
	f.text.WriteString("]}")
}

func (f *file) step(s step) {
	fmt.Fprintf(&f.text, "{step: %d}", len(f.steps))
	f.steps = append(f.steps, s)
}

func (f *file) load(header string) (*engine.Graph, error) {
	src := "{" + header + strings.TrimPrefix(f.text.String(), "{")
	graph, diagnostics := nodes.Language(nodes.WithKind(f.kind())).Parse("p.yaml", ".", []byte(src))
	if graph == nil {
		return nil, diagnostics
	}
	return graph, nil
}

// kind is the kind of node that runs the steps.
func (f *file) kind() engine.Kind {
	return engine.Kind{
		Shape: spec.Shape{
			Name: "step", Summary: "runs a step of this program", Leaf: true,
			Fields: []spec.Field{{Name: "step", Form: spec.Whole{}, Summary: "its number"}},
		},
		Slot:  true,
		Fails: engine.Fail,
		Build: func(n *spec.Node) engine.Body {
			s := f.steps[n.Int("step")]
			return engine.Body{Act: func(ctx context.Context, c *engine.Call) (any, error) { return s(ctx, c.Prev()) }}
		},
	}
}
