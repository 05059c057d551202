package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// plan is work as a tree, the same for every system. One of its fields is set.
type plan struct {
	step     step
	chain    []plan
	parallel []plan
	loop     *loop
}

// step is one step: it gets the output before it, where the system passes it on.
type step func(ctx context.Context, in any) (any, error)

type loop struct {
	body  step
	times int // 0: without end
}

// run runs a plan once, from its beginning.
type run func(ctx context.Context) (any, error)

// system is an engine that can run plans.
type system struct {
	name  string
	build func(p plan) (run, error)
}

// errNone is the error of a system that has nothing for a plan.
var errNone = errors.New("no such construct")

// systems are all of them. Those by hand come first: nothing can cost less.
func systems() []system {
	return []system{
		goroutines(),
		errGroup(),
		flowrun(),
		einoChain(),
		einoGraph(),
		einoGraphAny(),
		adkAgents(),
		adkWorkflow(),
		genkitFlow(),
		langGraph(),
	}
}

// noop is the step whose cost is the engine's alone.
func noop(context.Context, any) (any, error) { return "x", nil }

func chainOf(n int, s step) plan {
	p := plan{}
	for range n {
		p.chain = append(p.chain, plan{step: s})
	}
	return p
}

func parallelOf(n int, s step) plan { return plan{parallel: chainOf(n, s).chain} }

// nested is a chain of 10 fan-outs, each of 10 chains of 2 steps.
func nested(s step) plan {
	p := plan{}
	for range 10 {
		fan := plan{}
		for range 10 {
			fan.parallel = append(fan.parallel, chainOf(2, s))
		}
		p.chain = append(p.chain, fan)
	}
	return p
}

// rounds tells a loop whether to go round once more: times - 1 times it says yes, then no, and then from the beginning.
// It is for one run at a time.
func (l *loop) rounds() (again func() bool) {
	n := 0
	return func() bool {
		n++
		if n == l.times {
			n = 0
			return false
		}
		return true
	}
}

// namer gives names that no other node of a plan has.
type namer struct{ n int }

func (n *namer) next() string {
	n.n++
	return fmt.Sprintf("n%d", n.n)
}

// firstLine is an error's text without what follows in lines of its own, such as a stack.
func firstLine(err error) string {
	line, _, more := strings.Cut(err.Error(), "\n")
	if more {
		line += " ..."
	}
	return line
}
