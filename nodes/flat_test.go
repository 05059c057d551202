package nodes_test

import (
	"context"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/flowrun/flowrun/engine"
	"github.com/flowrun/flowrun/nodes"
)

// Ten thousand runs in one process, of all kinds, leave neither memory nor goroutines behind.
func TestRunsLeaveNothingBehind(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "other.yaml"), []byte("set: prev\nfinally: {set: status}\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	var graphs []*engine.Graph
	for _, src := range []string{
		"chain: [{name: a, set: prev}, {agent: {model: mock}}, {set: steps.a.output}]",
		"parallel: [{wait: 0s}, {agent: {model: mock, mock: {fail: 1}}, retry: {delay: 0s}}, {fail: no}]\non_error: continue",
		"parallel: [{wait: 1h}, {set: prev}]\nwait_for: first",
		"parallel: [{wait: 1h}, {agent: {model: mock, mock: {latency: 1h}}}, {fail: no}]\ncatch: {set: error.message}",
		"for_each: 1..20\ndo: {name: a, set: item}\nmerge: sum(results)",
		"route: {agent: {model: mock, mock: {reply: k}}}\ncases: {k: {set: prev}}",
		"loop: [{name: a, set: prev}]\nuntil: iteration == 3\nfinally: {set: status}",
		"graph: {a: {set: prev, next: [b, c]}, b: {set: prev, next: d}, c: {set: prev, next: d}, d: {set: len(prev)}}\nstart: a",
		"flow: ./other.yaml\ntimeout: 1h",
		"loop: [{set: prev}]\nuntil: false\nlimits: {max_steps: 3, timeout: 1h}",
		"wait: 1h",
	} {
		g, problems := nodes.Language().Parse("p.yaml", dir, []byte(src))
		if g == nil {
			t.Fatal(problems)
		}
		graphs = append(graphs, g)
	}
	run := func(times int) {
		for i := range times {
			ctx, cancel := context.WithCancel(t.Context())
			g := graphs[i%len(graphs)]
			if g == graphs[len(graphs)-1] {
				cancel()
			}
			opts := []engine.Option{engine.WithListener(func(engine.Event) {})}
			if i%2 == 0 {
				opts = append(opts, engine.WithTurns(&engine.Position{}))
			}
			if result, err := engine.Run(ctx, g, "in", opts...); result == nil {
				t.Fatal(err)
			}
			cancel()
		}
	}
	run(1000)
	bytes, goroutines := left()
	run(10_000)
	after, more := left()
	const slack = 4 << 20
	if after > bytes+slack || more > goroutines {
		t.Errorf("%d bytes and %d goroutines after 1,000 runs, %d and %d after 10,000 more", bytes, goroutines, after, more)
	}
}

// left is the memory in use and the goroutines that there are, when what is garbage has gone.
func left() (bytes uint64, goroutines int) {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC() // what a first one finalizes
	runtime.ReadMemStats(&m)
	return m.HeapAlloc, runtime.NumGoroutine()
}
