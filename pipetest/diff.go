package pipetest

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/flowrun/flowrun/spec"
)

// diff shows how a text became another: - before a line that is gone, + before one that is new, with some lines that
// stayed around them.
func diff(from, to string) []string {
	a, b := strings.Split(from, "\n"), strings.Split(to, "\n")
	head := 0
	for head < len(a) && head < len(b) && a[head] == b[head] {
		head++
	}
	tail := 0
	for tail < len(a)-head && tail < len(b)-head && a[len(a)-1-tail] == b[len(b)-1-tail] {
		tail++
	}
	var lines []string
	for _, l := range a[:head] {
		lines = append(lines, "  "+l)
	}
	lines = append(lines, between(a[head:len(a)-tail], b[head:len(b)-tail])...)
	for _, l := range a[len(a)-tail:] {
		lines = append(lines, "  "+l)
	}
	return clipped(near(lines))
}

// between is the difference of lines whose first and last differ: by their longest common part where they are few
// enough to find it.
func between(a, b []string) []string {
	const most = 4_000_000 // comparisons
	common := func(i, j int) int { return 0 }
	if len(a)*len(b) <= most {
		lengths := make([][]int, len(a)+1)
		for i := range lengths {
			lengths[i] = make([]int, len(b)+1)
		}
		for i := len(a) - 1; i >= 0; i-- {
			for j := len(b) - 1; j >= 0; j-- {
				if a[i] == b[j] {
					lengths[i][j] = lengths[i+1][j+1] + 1
				} else {
					lengths[i][j] = max(lengths[i+1][j], lengths[i][j+1])
				}
			}
		}
		common = func(i, j int) int { return lengths[i][j] }
	}
	var lines []string
	i, j := 0, 0
	for i < len(a) || j < len(b) {
		switch {
		case i < len(a) && j < len(b) && a[i] == b[j]:
			lines = append(lines, "  "+a[i])
			i, j = i+1, j+1
		case j == len(b) || i < len(a) && common(i+1, j) >= common(i, j+1):
			lines = append(lines, "- "+a[i])
			i++
		default:
			lines = append(lines, "+ "+b[j])
			j++
		}
	}
	return lines
}

// near leaves out lines that stayed and stand far from any other.
func near(lines []string) []string {
	const around = 3
	var out []string
	skipped := false
	for i, l := range lines {
		window := lines[max(0, i-around):min(len(lines), i+around+1)]
		if !slices.ContainsFunc(window, func(l string) bool { return l[0] != ' ' }) {
			skipped = true
			continue
		}
		if skipped {
			out = append(out, "…")
		}
		out, skipped = append(out, l), false
	}
	if skipped {
		out = append(out, "…")
	}
	return out
}

// indentedJSON is a value as JSON over many lines, its keys sorted.
func indentedJSON(v any) string {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(json.RawMessage(spec.AsJSON(v))); err != nil {
		return spec.AsJSON(v)
	}
	return strings.TrimSuffix(b.String(), "\n")
}
