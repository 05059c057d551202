package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/flowrun/flowrun/engine"
	"github.com/flowrun/flowrun/nodes"
	"github.com/flowrun/flowrun/spec"
)

// figure is one of flowrun's own, with the same by hand where that says something, and with what it should be.
type figure struct {
	name  string
	build [3]func() run // flowrun's, with goroutines, with errgroup
	times int           // how many of what it counts one run has

	cpu    time.Duration // at most so much for each; 0: no target
	wall   time.Duration // of a run
	allocs float64       // for each
}

const atOnce = 64

func figures() []figure {
	var all []figure
	for _, n := range []int{100, 1000, 10_000, 100_000} {
		f := fanOut(n, atOnce, "pass")
		f.cpu, f.allocs = time.Microsecond, 4
		all = append(all, f)
	}
	for _, n := range []int{100, 1000, 10_000} {
		f := fanOut(n, n, "pass")
		f.cpu = 2 * time.Microsecond
		all = append(all, f)
	}
	chain := func(node string) [3]func() run { return [3]func() run{pipeline("chain", 1000, node, 0)} }
	return append(all,
		fanOut(1000, atOnce, "ask"),
		fanOut(1000, 1000, "ask"),
		figure{name: "chain of 1000 that take a slot: a step", build: chain("{ask: 0}"), times: 1000},
		figure{name: "chain of 1000 no-op leaves: a step", build: chain("{pass: 0}"), times: 1000, cpu: 300 * time.Nanosecond},
		figure{name: "chain of 1000 `set: prev + 1`: a step", build: chain("{set: prev + 1}"), times: 1000, cpu: time.Microsecond},
		figure{name: "building the graph of 1000 agents", build: [3]func() run{building(1000)}, times: 1, cpu: 2 * time.Millisecond},
		figure{name: "loading 1000 agents from YAML", build: [3]func() run{loading(1000)}, times: 1, cpu: 20 * time.Millisecond},
		figure{name: "100 agents of 50 ms at once: all", build: [3]func() run{waiting(100)}, times: 1, wall: 55 * time.Millisecond},
	)
}

// own prints what flowrun costs beside goroutines and errgroup, and beside its targets.
func own(w io.Writer) error {
	if err := programs(w); err != nil { // first: what a process used counts what the one that started it held
		return err
	}
	all := figures()
	costs := make([][3][]cost, len(all))
	for range rounds {
		for i, f := range all {
			for k, build := range f.build {
				if build == nil {
					continue
				}
				// Built anew, so that no other's heap makes the garbage collector rarer than it would be.
				c, err := sample(build(), 60*time.Millisecond)
				if err != nil {
					return fmt.Errorf("%s: %w", f.name, err)
				}
				costs[i][k] = append(costs[i][k], c)
			}
		}
	}
	fmt.Fprint(w, "\n| what | cpu (best) | target | goroutines | errgroup | allocs | target | wall a run | target | |\n|---|---|---|---|---|---|---|---|---|---|\n")
	for i, f := range all {
		f.print(w, costs[i])
	}
	return nil
}

func (f figure) print(w io.Writer, costs [3][]cost) {
	var cpu [3]string
	for k, c := range costs {
		if c != nil {
			cpu[k] = cpuOfEach(c, f.times)
		}
	}
	c := median(costs[0])
	allocs := c.allocs / float64(f.times)
	verdict := "met"
	switch {
	case f.cpu == 0 && f.wall == 0 && f.allocs == 0:
		verdict = ""
	case f.cpu > 0 && c.cpu/time.Duration(f.times) > f.cpu, f.wall > 0 && c.wall > f.wall, f.allocs > 0 && allocs > f.allocs:
		verdict = "missed"
	}
	fmt.Fprintf(w, "| %s | %s | %s | %s | %s | %.1f | %s | %s | %s | %s |\n", f.name, cpu[0], most(f.cpu, short), cpu[1], cpu[2], allocs,
		most(f.allocs, func(n float64) string { return fmt.Sprint(n) }), short(c.wall), most(f.wall, short), verdict)
}

func most[T time.Duration | float64](target T, print func(T) string) string {
	if target == 0 {
		return ""
	}
	return "≤ " + print(target)
}

// fanOut is n branches that do nothing, so many of them at once.
func fanOut(n, atOnce int, leaf string) figure {
	how := fmt.Sprintf("%d at once", atOnce)
	if atOnce == n {
		how = "all at once"
	}
	if leaf == "ask" {
		how += ", that take a slot"
	}
	return figure{
		name:  fmt.Sprintf("%d branches, %s: a branch", n, how),
		build: [3]func() run{pipeline("parallel", n, "{"+leaf+": 0}", atOnce), workers(n, atOnce), limited(n, atOnce)},
		times: n,
	}
}

func workers(n, atOnce int) func() run {
	return always(func(context.Context) (any, error) {
		outputs := make([]any, n)
		var next atomic.Int64
		var wg sync.WaitGroup
		for range min(n, atOnce) {
			wg.Go(func() {
				for i := next.Add(1) - 1; i < int64(n); i = next.Add(1) - 1 {
					outputs[i] = "x"
				}
			})
		}
		wg.Wait()
		return outputs, nil
	})
}

func limited(n, atOnce int) func() run {
	return always(func(context.Context) (any, error) {
		outputs := make([]any, n)
		var g errgroup.Group
		g.SetLimit(atOnce)
		for i := range n {
			g.Go(func() error { outputs[i] = "x"; return nil })
		}
		return outputs, g.Wait()
	})
}

// always builds what needs no building.
func always(r run) func() run { return func() run { return r } }

// raised are limits that no figure here reaches.
const raised = "limits: {max_steps: 100000000, max_visits_per_node: 1000000, max_concurrency: 1000}\n"

// pipeline is n of the same node in a container.
func pipeline(kind string, n int, node string, atOnce int) func() run {
	src := raised + kind + ":\n" + strings.Repeat("  - "+node+"\n", n)
	if atOnce > 0 {
		src += fmt.Sprintf("max_concurrency: %d\n", atOnce)
	}
	return func() run { return runOf(src, int64(0)) }
}

func runOf(src string, input any) run {
	graph, diagnostics := language().Parse("p.yaml", ".", []byte(src))
	if graph == nil {
		return func(context.Context) (any, error) { return nil, diagnostics }
	}
	return func(ctx context.Context) (any, error) {
		result, err := engine.Run(ctx, graph, input)
		if err != nil {
			return nil, err
		}
		return result.Output, nil
	}
}

// language has two leaves more that do nothing: what they cost is the engine's. ask takes a slot, as what asks the world
// does.
func language() *engine.Language {
	leaf := func(name string) spec.Shape {
		return spec.Shape{Name: name, Summary: "passes on what it received", Leaf: true,
			Fields: []spec.Field{{Name: name, Form: spec.Whole{}, Summary: "any number"}}}
	}
	return nodes.Language(
		nodes.WithKind(engine.Kind{Shape: leaf("pass"), Build: func(*spec.Node) engine.Body {
			return engine.Body{Decide: func(v *engine.Visit) (any, error) { return v.Prev(), nil }}
		}}),
		nodes.WithKind(engine.Kind{Shape: leaf("ask"), Slot: true, Build: func(*spec.Node) engine.Body {
			return engine.Body{Act: func(_ context.Context, c *engine.Call) (any, error) { return c.Prev(), nil }}
		}}))
}

// manyAgents is a file of n agents in a chain, named and with prompts of their own.
func manyAgents(n int) []byte {
	var src strings.Builder
	src.WriteString("agents: {a: {model: mock}}\nchain:\n")
	for i := range n {
		fmt.Fprintf(&src, "  - {name: s%d, agent: a, prompt: \"Step %d of ${{ input }} after ${{ prev }}\"}\n", i, i)
	}
	return []byte(src.String())
}

func building(n int) func() run {
	return func() run {
		lang := language()
		p, diagnostics := spec.Parse("p.yaml", ".", manyAgents(n), lang.Spec)
		return func(context.Context) (any, error) {
			if p == nil {
				return nil, diagnostics
			}
			return lang.Compile(p), nil
		}
	}
}

func loading(n int) func() run {
	src := manyAgents(n)
	return always(func(context.Context) (any, error) {
		graph, diagnostics := language().Parse("p.yaml", ".", src)
		if graph == nil {
			return nil, diagnostics
		}
		return graph, nil
	})
}

func waiting(n int) func() run {
	src := raised + "agents: {a: {model: mock, mock: {reply: x, latency: 50ms}}}\nparallel:\n" + strings.Repeat("  - agent: a\n", n) +
		"max_concurrency: 100\n"
	return func() run { return runOf(src, "x") }
}
