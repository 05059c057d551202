package nodes_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/flowrun/flowrun/engine"
	"github.com/flowrun/flowrun/nodes"
	"github.com/flowrun/flowrun/spec"
)

// These are for profiles; bench/ prints figures beside other engines and beside targets.

const benchLimits = "limits: {max_steps: 100000000, max_visits_per_node: 1000000, max_concurrency: 1000}\n"

// benchLanguage has two leaves more that do nothing, so that the engine's own cost shows: ask takes a slot, as what
// asks the world does.
func benchLanguage() *engine.Language {
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

// BenchmarkRun runs whole pipelines without listeners: go test ./nodes -run - -bench Run -benchmem -cpuprofile cpu.out
func BenchmarkRun(b *testing.B) {
	million := make([]any, 1_000_000)
	for i := range million {
		million[i] = int64(i)
	}
	fan := func(leaf string, n, atOnce int) string {
		return "parallel:\n" + strings.Repeat("  - "+leaf+": 0\n", n) + fmt.Sprintf("max_concurrency: %d\n", atOnce)
	}
	for _, bench := range []struct {
		name, src string
		input     any
	}{
		{"chain/noop", "chain:\n" + strings.Repeat("  - pass: 0\n", 1000), 0},
		{"chain/set", "chain:\n" + strings.Repeat("  - set: prev + 1\n", 1000), 0},
		{"chain/ask", "chain:\n" + strings.Repeat("  - ask: 0\n", 1000), 0},
		{"loop", "loop: [{set: prev + 1}]\nuntil: prev >= 1000", 0},
		{"parallel/100of64", fan("pass", 100, 64), 0},
		{"parallel/10000of64", fan("pass", 10_000, 64), 0},
		{"parallel/100000of64", fan("pass", 100_000, 64), 0},
		{"parallel/1000atOnce", fan("pass", 1000, 1000), 0},
		{"parallel/10000atOnce", fan("pass", 10_000, 10_000), 0},
		{"ask/1000of64", fan("ask", 1000, 64), 0},
		{"ask/1000atOnce", fan("ask", 1000, 1000), 0},
		{"for_each/1000000of64", "for_each: input\ndo: {set: item}\nmax_concurrency: 64\nmerge: len(results)", million},
		{"agents/100of50ms", "agents: {a: {model: mock, mock: {reply: x, latency: 50ms}}}\nparallel:\n" + strings.Repeat("  - agent: a\n", 100) +
			"max_concurrency: 100", "x"},
	} {
		b.Run(bench.name, func(b *testing.B) {
			graph, diagnostics := benchLanguage().Parse("p.yaml", ".", []byte(benchLimits+bench.src))
			if graph == nil {
				b.Fatal(diagnostics)
			}
			for b.Loop() {
				if _, err := engine.Run(b.Context(), graph, bench.input); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkResume goes on with a run of which only the first of many items had ended.
func BenchmarkResume(b *testing.B) {
	for _, n := range []int{1000, 10_000, 100_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			graph, diagnostics := benchLanguage().Parse("p.yaml", ".", fmt.Appendf(nil, benchLimits+"for_each: 1..%d\ndo: {pass: 0}\nmerge: len(results)", n))
			if graph == nil {
				b.Fatal(diagnostics)
			}
			first := engine.Entry{Turn: "/[0]/do", Finished: &engine.Finished{Number: 1, Named: engine.Named{Status: "completed", Visits: 1}, Tally: engine.Tally{Steps: 1}}}
			for b.Loop() {
				if r, err := engine.Run(b.Context(), graph, nil, engine.WithTurns(engine.NewPosition([]engine.Entry{first}))); err != nil || r.Steps != n {
					b.Fatal(r.Steps, err)
				}
			}
		})
	}
}

// BenchmarkLoad reads files of many agents: go test ./nodes -run - -bench Load -benchmem
func BenchmarkLoad(b *testing.B) {
	for _, n := range []int{100, 1000, 10_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			src := manyAgents(n)
			for b.Loop() {
				if g, diagnostics := nodes.Language().Parse("p.yaml", ".", src); g == nil {
					b.Fatal(diagnostics)
				}
			}
		})
	}
}

// BenchmarkCompile makes the graph of a checked file.
func BenchmarkCompile(b *testing.B) {
	lang := nodes.Language()
	p, diagnostics := spec.Parse("p.yaml", ".", manyAgents(1000), lang.Spec)
	if p == nil {
		b.Fatal(diagnostics)
	}
	for b.Loop() {
		lang.Compile(p)
	}
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
