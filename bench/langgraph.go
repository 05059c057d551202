package main

import (
	"context"

	"github.com/smallnest/langgraphgo/graph"
)

// langGraph runs a plan as a graph of langgraphgo: a fan-out is several edges from one node. It has one state for all
// nodes; what those of a round give is merged into a list, in the order in which the engine hands it over.
func langGraph() system {
	return system{"langgraphgo", func(p plan) (run, error) {
		g := &langGraphBuilder{StateGraph: graph.NewStateGraph[any]()}
		g.SetStateMerger(func(_ context.Context, _ any, states []any) (any, error) {
			if len(states) == 1 {
				return states[0], nil
			}
			return append([]any(nil), states...), nil
		})
		start := g.add(pass)
		g.SetEntryPoint(start)
		for _, last := range g.lower(p, []string{start}) {
			g.AddEdge(last, graph.END)
		}
		r, err := g.Compile()
		if err != nil {
			return nil, err
		}
		return func(ctx context.Context) (any, error) { return r.Invoke(ctx, "x") }, nil
	}}
}

// pass is where ways meet.
func pass(_ context.Context, in any) (any, error) { return in, nil }

type langGraphBuilder struct {
	*graph.StateGraph[any]
	namer
}

func (g *langGraphBuilder) add(s step) string {
	name := g.next()
	g.AddNode(name, "", s)
	return name
}

// lower adds a plan after some nodes and gives the nodes at its end.
func (g *langGraphBuilder) lower(p plan, after []string) []string {
	switch {
	case p.step != nil:
		name := g.add(p.step)
		for _, a := range after {
			g.AddEdge(a, name)
		}
		return []string{name}
	case p.loop != nil:
		body := g.lower(plan{step: p.loop.body}, after)[0]
		end, again := g.add(pass), p.loop.rounds()
		g.AddConditionalEdge(body, func(context.Context, any) string {
			if again() {
				return body
			}
			return end
		})
		return []string{end}
	case p.parallel != nil:
		var ends []string
		for _, c := range p.parallel {
			ends = append(ends, g.lower(c, after)...)
		}
		return g.lower(plan{step: pass}, ends)
	}
	for _, c := range p.chain {
		after = g.lower(c, after)
	}
	return after
}
