package nodes_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/flowrun/flowrun/engine"
	"github.com/flowrun/flowrun/nodes"
)

// BenchmarkRun runs whole pipelines without listeners: go test ./nodes -bench Run -benchmem
func BenchmarkRun(b *testing.B) {
	limits := "limits: {max_steps: 1000000, max_visits_per_node: 1000000, max_concurrency: 100}\n"
	for name, src := range map[string]string{
		"chain of 100":             "chain:\n" + strings.Repeat("  - set: prev\n", 100),
		"parallel of 100":          "parallel:\n" + strings.Repeat("  - set: prev\n", 100),
		"loop of 100":              "loop: [{set: prev + 1}]\nuntil: prev >= 100",
		"100 agents of 50ms":       "agents: {a: {model: mock, mock: {reply: x, latency: 50ms}}}\nparallel:\n" + strings.Repeat("  - agent: a\n", 100),
		"for_each over 1000 items": "chain: [{set: 1..1000}, {for_each: prev, do: {set: item}}]",
	} {
		b.Run(name, func(b *testing.B) {
			graph, diagnostics := nodes.Language().Parse("p.yaml", ".", []byte(limits+src))
			if graph == nil {
				b.Fatal(diagnostics)
			}
			for b.Loop() {
				if _, err := engine.Run(b.Context(), graph, 0); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkParse reads files of many agents: go test ./nodes -bench Parse -benchmem
func BenchmarkParse(b *testing.B) {
	for _, n := range []int{100, 1000} {
		var src strings.Builder
		src.WriteString("agents: {a: {model: mock}}\nchain:\n")
		for i := range n {
			fmt.Fprintf(&src, "  - {name: s%d, agent: a, prompt: \"Step %d of ${{ input }} after ${{ prev }}\"}\n", i, i)
		}
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			began := time.Now()
			for b.Loop() {
				if g, diagnostics := nodes.Language().Parse("p.yaml", ".", []byte(src.String())); g == nil {
					b.Fatal(diagnostics)
				}
			}
			b.ReportMetric(float64(time.Since(began).Microseconds())/float64(b.N*n), "µs/node")
		})
	}
}
