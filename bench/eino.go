package main

import (
	"context"
	"fmt"

	"github.com/cloudwego/eino/compose"
)

// einoChain runs a plan as chains of eino with its Parallel in them. A loop is a graph within a chain: a chain has none.
func einoChain() system {
	return system{"eino Chain", func(p plan) (run, error) {
		c, err := einoChainOf(p)
		if err != nil {
			return nil, err
		}
		return einoRun(c.Compile(context.Background()))
	}}
}

func einoRun(r compose.Runnable[any, any], err error) (run, error) {
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context) (any, error) { return r.Invoke(ctx, "x") }, nil
}

func lambda(s step) *compose.Lambda {
	return compose.InvokableLambda[any, any](compose.InvokeWOOpt[any, any](s))
}

func einoChainOf(p plan) (*compose.Chain[any, any], error) {
	c := compose.NewChain[any, any]()
	children := p.chain
	if children == nil {
		children = []plan{p}
	}
	for i, child := range children {
		switch {
		case child.step != nil:
			c.AppendLambda(lambda(child.step))
		case child.loop != nil:
			g, err := einoGraphOf(child)
			if err != nil {
				return nil, err
			}
			c.AppendGraph(g, einoRounds(child)...)
		case child.parallel != nil:
			fan := compose.NewParallel()
			for n, branch := range child.parallel {
				key := fmt.Sprint(n)
				if branch.step != nil {
					fan.AddLambda(key, lambda(branch.step))
					continue
				}
				sub, err := einoChainOf(branch)
				if err != nil {
					return nil, err
				}
				fan.AddGraph(key, sub)
			}
			if c.AppendParallel(fan); i < len(children)-1 { // two fan-outs may not follow each other
				c.AppendLambda(lambda(pass))
			}
		default:
			return nil, errNone
		}
	}
	return c, nil
}

// einoRounds raises the limit of a loop that has an end.
func einoRounds(p plan) []compose.GraphAddNodeOpt {
	if p.loop.times == 0 {
		return nil
	}
	return []compose.GraphAddNodeOpt{compose.WithGraphCompileOptions(compose.WithMaxRunSteps(p.loop.times + 10))}
}

// einoGraph runs a plan as one graph of eino in which a node waits for all before it.
func einoGraph() system {
	return system{"eino Graph, all", func(p plan) (run, error) {
		if p.loop != nil {
			return nil, fmt.Errorf("%w: cycles are refused", errNone)
		}
		g, err := einoGraphOf(p)
		if err != nil {
			return nil, err
		}
		return einoRun(g.Compile(context.Background(), compose.WithNodeTriggerMode(compose.AllPredecessor)))
	}}
}

// einoGraphAny does so with its default, in which a node runs whenever one before it is done.
func einoGraphAny() system {
	return system{"eino Graph, any", func(p plan) (run, error) {
		g, err := einoGraphOf(p)
		if err != nil {
			return nil, err
		}
		var opts []compose.GraphCompileOption
		if p.loop != nil && p.loop.times > 0 {
			opts = append(opts, compose.WithMaxRunSteps(p.loop.times+10))
		}
		return einoRun(g.Compile(context.Background(), opts...))
	}}
}

type einoBuilder struct {
	*compose.Graph[any, any]
	namer
	err error
}

func einoGraphOf(p plan) (*compose.Graph[any, any], error) {
	g := &einoBuilder{Graph: compose.NewGraph[any, any]()}
	g.edge(g.lower(p, compose.START), compose.END)
	return g.Graph, g.err
}

func (g *einoBuilder) edge(from, to string) { g.keep(g.AddEdge(from, to)) }

func (g *einoBuilder) keep(err error) {
	if g.err == nil {
		g.err = err
	}
}

// lower adds a plan after a node and gives the node at its end, whose output has the options.
func (g *einoBuilder) lower(p plan, after string, opts ...compose.GraphAddNodeOpt) string {
	name := g.next()
	switch {
	case p.step != nil:
		g.keep(g.AddLambdaNode(name, lambda(p.step), opts...))
		g.edge(after, name)
	case p.loop != nil:
		body, again := g.lower(plan{step: p.loop.body}, after), p.loop.rounds()
		g.keep(g.AddLambdaNode(name, lambda(pass), opts...))
		ends := map[string]bool{body: true, name: true}
		g.keep(g.AddBranch(body, compose.NewGraphBranch(func(context.Context, any) (string, error) {
			if again() {
				return body, nil
			}
			return name, nil
		}, ends)))
	case p.parallel != nil:
		g.keep(g.AddLambdaNode(name, lambda(pass), opts...))
		for i, c := range p.parallel {
			g.edge(g.lower(c, after, compose.WithOutputKey(fmt.Sprint(i))), name)
		}
	default:
		for i, c := range p.chain {
			if i < len(p.chain)-1 {
				after = g.lower(c, after)
			} else {
				name = g.lower(c, after, opts...)
			}
		}
	}
	return name
}
