package main

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
)

// TestSystems holds every system to running each step of a plan as often as it says.
func TestSystems(t *testing.T) {
	var ran atomic.Int64
	count := func(context.Context, any) (any, error) { ran.Add(1); return "x", nil }
	for _, s := range systems() {
		for _, w := range works(count) {
			t.Run(s.name+"/"+w.name, func(t *testing.T) {
				r, err := s.build(w.plan)
				if errors.Is(err, errNone) {
					t.Skip(err)
				}
				if err != nil {
					t.Fatal(err)
				}
				for range 2 {
					ran.Store(0)
					if _, err := r(t.Context()); err != nil {
						t.Fatal(err)
					}
					if got := int(ran.Load()); got != w.steps {
						t.Errorf("%d steps ran, want %d", got, w.steps)
					}
				}
			})
		}
	}
}

// TestInOrder holds those that promise it to giving outputs in the order of the branches.
func TestInOrder(t *testing.T) {
	p := plan{}
	for i := range 10 {
		p.parallel = append(p.parallel, plan{step: func(context.Context, any) (any, error) { return fmt.Sprint(i), nil }})
	}
	for _, s := range []system{goroutines(), errGroup(), flowrun(), genkitFlow()} {
		r, err := s.build(p)
		if err != nil {
			t.Fatal(err)
		}
		out, err := r(t.Context())
		if got := fmt.Sprint(out); err != nil || got != "[0 1 2 3 4 5 6 7 8 9]" {
			t.Errorf("%s gave %s, %v", s.name, got, err)
		}
	}
}

// TestBehaviour holds flowrun to what docs/performance.md says of it.
func TestBehaviour(t *testing.T) {
	for name, want := range map[string]string{
		"fail":     "returns after 0ms: `p.yaml:1:94: /parallel[0]: no money left`; the sibling was stopped",
		"deadline": "returns after 0ms with DeadlineExceeded",
		"panic":    "returns after 0ms: `p.yaml:1:94: /parallel[0]: panic: out of cheese`",
		"endless": "returns after 0ms: `p.yaml:1:9: /loop[0]: reached max_visits_per_node=25; the loop's exit condition never held " +
			"(raise limits.max_visits_per_node or fix it)`, after 25 rounds",
		"uneven": "returns after 0ms without an error and `[b d]`",
		"order":  "the order written, 200 times of 200",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var out strings.Builder
			if err := probe(&out, name, "flowrun"); err != nil {
				t.Fatal(err)
			}
			got := regexp.MustCompile(`\d+(ms|s)\b`).ReplaceAllString(strings.TrimSpace(out.String()), "0ms")
			if got != want {
				t.Errorf("\n got %s\nwant %s", got, want)
			}
		})
	}
}
