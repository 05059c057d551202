package main

import (
	"context"
	"sync"

	"golang.org/x/sync/errgroup"
)

// What a programmer would write without an engine.

func goroutines() system { return system{"goroutines", byHand(waitGroup)} }

func errGroup() system { return system{"errgroup", byHand(group)} }

// fan runs branches at once and gives their outputs in order.
type fan func(ctx context.Context, in any, branches []step) (any, error)

func byHand(f fan) func(plan) (run, error) {
	var lower func(p plan) step
	lower = func(p plan) step {
		switch {
		case p.step != nil:
			return p.step
		case p.loop != nil:
			return p.loop.byHand
		}
		var steps []step
		for _, child := range append(p.chain, p.parallel...) {
			steps = append(steps, lower(child))
		}
		if p.parallel != nil {
			return func(ctx context.Context, in any) (any, error) { return f(ctx, in, steps) }
		}
		return func(ctx context.Context, v any) (_ any, err error) {
			for _, s := range steps {
				if v, err = s(ctx, v); err != nil {
					return nil, err
				}
			}
			return v, nil
		}
	}
	return func(p plan) (run, error) {
		s := lower(p)
		return func(ctx context.Context) (any, error) { return s(ctx, "x") }, nil
	}
}

func (l *loop) byHand(ctx context.Context, v any) (_ any, err error) {
	for i := 0; l.times == 0 || i < l.times; i++ {
		if v, err = l.body(ctx, v); err != nil {
			return nil, err
		}
	}
	return v, nil
}

func waitGroup(ctx context.Context, in any, branches []step) (any, error) {
	outputs, errs := make([]any, len(branches)), make([]error, len(branches))
	var wg sync.WaitGroup
	for i, b := range branches {
		wg.Go(func() { outputs[i], errs[i] = b(ctx, in) })
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return nil, err
		}
	}
	return outputs, nil
}

func group(ctx context.Context, in any, branches []step) (any, error) {
	outputs := make([]any, len(branches))
	g, ctx := errgroup.WithContext(ctx)
	for i, b := range branches {
		g.Go(func() (err error) { outputs[i], err = b(ctx, in); return err })
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	return outputs, nil
}
