package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"
)

// work is something that all systems are measured at.
type work struct {
	name  string
	steps int
	plan  plan
}

func works(s step) []work {
	return []work{
		{"chain of 100", 100, chainOf(100, s)},
		{"parallel of 100", 100, parallelOf(100, s)},
		{"parallel of 1000", 1000, parallelOf(1000, s)},
		{"loop of 100", 100, plan{loop: &loop{s, 100}}},
		{"chain of 10 fan-outs, each of 10 chains of 2", 200, nested(s)},
	}
}

// agentLike is a step that waits as a fast model would.
func agentLike(ctx context.Context, _ any) (any, error) {
	time.Sleep(50 * time.Millisecond)
	return "x", nil
}

const rounds = 7

// compare prints what works cost on every system: rounds in which each has its turn, and the medians of these.
func compare(w io.Writer) error {
	all := append(works(noop), work{"parallel of 100 steps of 50 ms", 100, parallelOf(100, agentLike)})
	for _, work := range all {
		if err := compareAt(w, work); err != nil {
			return fmt.Errorf("%s: %w", work.name, err)
		}
	}
	return nil
}

func compareAt(w io.Writer, work work) error {
	all := systems()
	costs, none := make([][]cost, len(all)), make([]error, len(all))
	var ours cost
	for range rounds {
		for i, s := range all {
			r, err := s.build(work.plan)
			if errors.Is(err, errNone) {
				none[i] = err
				continue
			}
			var c cost
			if err == nil {
				c, err = sample(r, 60*time.Millisecond)
			}
			if err != nil {
				return fmt.Errorf("%s: %w", s.name, err)
			}
			if costs[i] = append(costs[i], c); s.name == "flowrun" {
				ours = median(costs[i])
			}
		}
	}
	fmt.Fprintf(w, "\n### A %s\n\n| system | cpu a step (best) | beside flowrun | wall a run | allocs a step | bytes a step |\n|---|---|---|---|---|---|\n", work.name)
	for i, s := range all {
		if none[i] != nil {
			fmt.Fprintf(w, "| %s | %v | | | | |\n", s.name, none[i])
			continue
		}
		c, n := median(costs[i]), float64(work.steps)
		fmt.Fprintf(w, "| %s | %s | %.3g | %s | %.1f | %.0f |\n", s.name, cpuOfEach(costs[i], work.steps),
			float64(c.cpu)/float64(ours.cpu), short(c.wall), c.allocs/n, c.bytes/n)
	}
	return nil
}
