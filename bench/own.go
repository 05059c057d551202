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

// figure is one of flowrun's own, with what it should be.
type figure struct {
	name   string
	run    run
	times  int           // how many of what it counts one run has
	cpu    time.Duration // at most so much for each; 0: no target
	wall   time.Duration
	allocs float64
}

const atOnce = 64

// own prints what flowrun costs beside goroutines and errgroup, and beside its targets.
func own(w io.Writer) error {
	if err := programs(w); err != nil { // first: what a process used counts what the one that started it held
		return err
	}
	var figures []figure
	for _, n := range []int{100, 1000, 10_000, 100_000} {
		figures = append(figures, fanOuts(n, atOnce, time.Microsecond)...)
	}
	for _, n := range []int{100, 1000, 10_000} {
		figures = append(figures, fanOuts(n, n, 2*time.Microsecond)...)
	}
	figures = append(figures,
		figure{name: "1000 branches, 64 at once, one that takes a slot", run: pipeline("parallel", 1000, "{ask: 0}", atOnce), times: 1000},
		figure{name: "1000 branches, all at once, one that takes a slot", run: pipeline("parallel", 1000, "{ask: 0}", 1000), times: 1000},
		figure{name: "chain of 1000, a step that takes a slot", run: pipeline("chain", 1000, "{ask: 0}", 0), times: 1000},
		figure{name: "chain of 1000 no-op steps, a step", run: pipeline("chain", 1000, "{pass: 0}", 0), times: 1000, cpu: 300 * time.Nanosecond},
		figure{name: "chain of 1000 `set: prev + 1`, a step", run: pipeline("chain", 1000, "{set: prev + 1}", 0), times: 1000, cpu: time.Microsecond},
		figure{name: "building the graph of 1000 agents", run: building(1000), times: 1, cpu: 2 * time.Millisecond},
		figure{name: "loading 1000 agents from YAML", run: loading(1000), times: 1, cpu: 20 * time.Millisecond},
		figure{name: "100 agents of 50 ms at once", run: waiting(100), times: 1, wall: 55 * time.Millisecond},
	)
	costs := make([][]cost, len(figures))
	for range rounds {
		for i, f := range figures {
			c, err := sample(f.run, 60*time.Millisecond)
			if err != nil {
				return fmt.Errorf("%s: %w", f.name, err)
			}
			costs[i] = append(costs[i], c)
		}
	}
	fmt.Fprint(w, "\n| what | cpu | target | allocs | target | wall a run | target | |\n|---|---|---|---|---|---|---|---|\n")
	for i, f := range figures {
		c, n := median(costs[i]), time.Duration(f.times)
		c.cpu, c.allocs = c.cpu/n, c.allocs/float64(n)
		fmt.Fprintf(w, "| %s | %s | %s | %.1f | %s | %s | %s | %s |\n", f.name, short(c.cpu), most(f.cpu, short), c.allocs,
			most(f.allocs, func(n float64) string { return fmt.Sprint(n) }), short(c.wall), most(f.wall, short), f.verdict(c))
	}
	return nil
}

func (f figure) verdict(c cost) string {
	switch {
	case f.cpu == 0 && f.wall == 0 && f.allocs == 0:
		return ""
	case f.cpu > 0 && c.cpu > f.cpu, f.wall > 0 && c.wall > f.wall, f.allocs > 0 && c.allocs > f.allocs+0.05:
		return "missed"
	}
	return "met"
}

func most[T time.Duration | float64](target T, print func(T) string) string {
	if target == 0 {
		return ""
	}
	return "≤ " + print(target)
}

// fanOuts are no-op branches, so many of them at once, run by flowrun and by hand.
func fanOuts(n, atOnce int, cpu time.Duration) []figure {
	how := fmt.Sprintf("%d branches, %d at once, ", n, atOnce)
	if atOnce == n {
		how = fmt.Sprintf("%d branches, all at once, ", n)
	}
	ours := figure{name: how + "a branch", run: pipeline("parallel", n, "{pass: 0}", atOnce), times: n, cpu: cpu}
	if atOnce < n {
		ours.allocs = 4
	}
	return []figure{
		ours,
		{name: how + "goroutines", run: workers(n, atOnce), times: n},
		{name: how + "errgroup", run: limited(n, atOnce), times: n},
	}
}

func workers(n, atOnce int) run {
	return func(context.Context) (any, error) {
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
	}
}

func limited(n, atOnce int) run {
	return func(context.Context) (any, error) {
		outputs := make([]any, n)
		var g errgroup.Group
		g.SetLimit(atOnce)
		for i := range n {
			g.Go(func() error { outputs[i] = "x"; return nil })
		}
		return outputs, g.Wait()
	}
}

// raised are limits that no figure here reaches.
const raised = "limits: {max_steps: 100000000, max_visits_per_node: 1000000, max_concurrency: 1000}\n"

// pipeline is n of the same node in a container.
func pipeline(kind string, n int, node string, atOnce int) run {
	src := raised + kind + ":\n" + strings.Repeat("  - "+node+"\n", n)
	if atOnce > 0 {
		src += fmt.Sprintf("max_concurrency: %d\n", atOnce)
	}
	return runOf(src, int64(0))
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

func building(n int) run {
	lang := language()
	p, diagnostics := spec.Parse("p.yaml", ".", manyAgents(n), lang.Spec)
	return func(context.Context) (any, error) {
		if p == nil {
			return nil, diagnostics
		}
		return lang.Compile(p), nil
	}
}

func loading(n int) run {
	src := manyAgents(n)
	return func(context.Context) (any, error) {
		graph, diagnostics := language().Parse("p.yaml", ".", src)
		if graph == nil {
			return nil, diagnostics
		}
		return graph, nil
	}
}

func waiting(n int) run {
	return runOf(raised+"agents: {a: {model: mock, mock: {reply: x, latency: 50ms}}}\nparallel:\n"+strings.Repeat("  - agent: a\n", n)+
		"max_concurrency: 100\n", "x")
}
