package main

import (
	"context"

	"github.com/firebase/genkit/go/genkit"
)

// genkitFlow runs a plan as a flow of genkit. A flow is Go code whose steps are named, so chains and loops are Go's; it
// has nothing that runs steps at once, so branches are an errgroup's, as its users write them.
func genkitFlow() system {
	return system{"genkit + errgroup", func(p plan) (run, error) {
		named := traced(p, &namer{})
		body, err := byHand(group)(named)
		if err != nil {
			return nil, err
		}
		flow := genkit.DefineFlow(genkit.Init(context.Background()), "bench", func(ctx context.Context, _ string) (any, error) { return body(ctx) })
		return func(ctx context.Context) (any, error) { return flow.Run(ctx, "x") }, nil
	}}
}

// traced makes every step of a plan one of genkit's.
func traced(p plan, names *namer) plan {
	wrap := func(s step) step {
		name := names.next()
		return func(ctx context.Context, in any) (any, error) {
			return genkit.Run(ctx, name, func() (any, error) { return s(ctx, in) })
		}
	}
	all := func(children []plan) []plan {
		var wrapped []plan
		for _, c := range children {
			wrapped = append(wrapped, traced(c, names))
		}
		return wrapped
	}
	switch {
	case p.step != nil:
		return plan{step: wrap(p.step)}
	case p.loop != nil:
		return plan{loop: &loop{wrap(p.loop.body), p.loop.times}}
	}
	return plan{chain: all(p.chain), parallel: all(p.parallel)}
}
