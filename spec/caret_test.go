package spec

import (
	"strings"
	"testing"
)

func TestCaret(t *testing.T) {
	dots := strings.Repeat(".", 200)
	tests := map[string]struct {
		line   string
		column int
		want   string
	}{
		"the first character":         {"set: x", 1, "set: x\n^"},
		"behind the last":             {"set: x", 7, "set: x\n      ^"},
		"further than that":           {"set: x", 8, ""},
		"no column":                   {"set: x", 0, ""},
		"an empty line":               {"", 1, ""},
		"behind tabs":                 {"a:\tb:\tx", 7, "a: b: x\n      ^"},
		"behind wide characters":      {"日本 👍 x", 6, "日本 👍 x\n        ^"},
		"behind a combining one":      {"e\u0301 x", 4, "e\u0301 x\n  ^"},
		"a hundred cells":             {dots[:99] + "x", 100, dots[:99] + "x\n" + strings.Repeat(" ", 99) + "^"},
		"early in a long line":        {"x" + dots, 1, "x" + dots[:99] + "…\n^"},
		"late in a long line":         {dots + "x", 201, "…" + dots[:99] + "x\n" + strings.Repeat(" ", 100) + "^"},
		"in the middle of one":        {dots + "x" + dots, 201, "…" + dots[:50] + "x" + dots[:49] + "…\n" + strings.Repeat(" ", 51) + "^"},
		"with what takes no room":     {"x" + strings.Repeat("\u0301", 300), 1, "x" + strings.Repeat("\u0301", 199) + "…\n^"},
		"before a carriage return":    {"set: x\r", 7, "set: x\n      ^"},
		"behind what is not readable": {"\u202e\x1b x", 4, "\ufffd\ufffd x\n   ^"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := caret(tt.line, tt.column); got != tt.want {
				t.Errorf("\n got %q\nwant %q", got, tt.want)
			}
		})
	}
}
