package nodes_test

import (
	"fmt"
	"testing"

	"github.com/flowrun/flowrun/engine"
)

// TestOptions holds that no data becomes an option of a command: of a node, and of a server of tools.
func TestOptions(t *testing.T) {
	t.Parallel()
	refused := func(kind engine.ErrorKind, i int, word string) string {
		return fmt.Sprintf("%s: argument %d would be taken for an option: %q", kind, i, word)
	}
	const server = "tools: {s: {mcp: {command: [absent-server, '${{ input }}']}}}\ntool: s.echo"
	tests := map[string]struct{ src, input, want string }{
		"data":                    {"exec: [echo, '${{ input }}']", "- x", refused(engine.Schema, 1, "- x")},
		"data of some text":       {"exec: [echo, '${{ input }}, x']", "-n", refused(engine.Schema, 1, "-n, x")},
		"a whole command":         {"exec: [find, '${{ input }}', -maxdepth, '0']", "-delete", refused(engine.Schema, 1, "-delete")},
		"standard input":          {"exec: [cat, '${{ input }}']", "-", refused(engine.Schema, 1, "-")},
		"of a server":             {server, "--root=/", refused(engine.Schema, 1, "--root=/")},
		"behind --":               {"exec: [basename, --, '${{ input }}']", "--help", "--help"},
		"-- that is data":         {"exec: [echo, '${{ input }}', '${{ input }}']", "--", refused(engine.Schema, 1, "--")},
		"behind text":             {"exec: [echo, '-${{ input }}']", "-x", "--x"},
		"what the author wrote":   {"exec: [echo, -e, x]", "", "x"},
		"below zero":              {"exec: [echo, '${{ input }}']", "-5", "-5"},
		"what only looks like it": {"exec: [echo, '${{ input }}']", "\u2212x", "\u2212x"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			result, err := engine.Run(t.Context(), graphOf(t, tt.src), tt.input, everything)
			got := ""
			if err != nil {
				got = string(result.Error.Kind) + ": " + result.Error.Message
			} else {
				got = text(result.Output)
			}
			if got != tt.want {
				t.Errorf("\n got %s\nwant %s", got, tt.want)
			}
		})
	}
}
