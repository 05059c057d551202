package cli

import (
	"bytes"
	"strings"
	"testing"
)

// TestPrintJSON prints values for people, and others so that no space between them outgrows them.
func TestPrintJSON(t *testing.T) {
	t.Parallel()
	deep := func(levels int, inner string) any {
		var v any = inner
		for range levels {
			v = []any{v}
		}
		return v
	}
	many := make([]any, 400_000)
	for i := range many {
		many[i] = int64(i)
	}
	tests := map[string]struct {
		v     any
		lines int
	}{
		"a number":                     {int64(1), 1},
		"an object":                    {map[string]any{"a": []any{"<"}}, 5},
		"one that holds brackets":      {map[string]any{"a\"": "]]" + strings.Repeat(`["\`, 100)}, 3},
		"one that nests as people may": {deep(32, ""), 65},
		"one that nests deeper":        {deep(33, ""), 1},
		"one that is long":             {many, 1},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var out bytes.Buffer
			if err := printJSON(&out, tt.v); err != nil {
				t.Fatal(err)
			}
			if n := strings.Count(out.String(), "\n"); n != tt.lines || !strings.HasSuffix(out.String(), "\n") {
				t.Errorf("%d lines, want %d", n, tt.lines)
			}
		})
	}
}
