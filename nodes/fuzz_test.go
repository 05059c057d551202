package nodes_test

import (
	"testing"

	"github.com/flowrun/flowrun/nodes"
)

// FuzzParse holds that no file strikes the reader, and that what it takes can be compiled and drawn.
func FuzzParse(f *testing.F) {
	lang := nodes.Language()
	for _, k := range lang.Kinds {
		f.Add(k.Example)
	}
	for _, p := range problems {
		f.Add(p.src)
	}
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, src string) {
		graph, diagnostics := lang.Parse("p.yaml", dir, []byte(src))
		if (graph == nil) != (diagnostics.Err() != nil) {
			t.Fatalf("a graph %v and %v", graph != nil, diagnostics)
		}
		if graph != nil {
			d := graph.Draw()
			_, _ = d.Mermaid(), d.DOT()
		}
	})
}
