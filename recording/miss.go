package recording

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/flowrun/flowrun/engine"
	"github.com/flowrun/flowrun/spec"
)

const (
	maxCompared = 200 // recorded questions with which one that is missed is compared
	maxFields   = 5   // that a message shows
	maxLines    = 6   // of a field, on each side
	maxWidth    = 160 // characters of a line
)

// miss says that a question was not recorded, and how the most alike that was differs.
func (r *Replay) miss(turn string, q *engine.Content) error {
	x := r.alike(turn, q)
	if x == nil {
		return engine.Errorf(engine.Recording, "this %s call was not recorded, and no other", q.Kind)
	}
	return engine.Errorf(engine.Recording, "this %s call was not recorded; the most alike is that of %s:%s", q.Kind, x.Turn, difference(flat(x.Content.Value), flat(q.Value)))
}

// alike is the recorded question that is most like another: one of the same execution where there is any, then that which
// shares most.
func (r *Replay) alike(turn string, q *engine.Content) *engine.Exchange {
	var here, elsewhere []*engine.Exchange
	for i := range r.kept.exchanges {
		switch x := &r.kept.exchanges[i]; {
		case x.Content.Kind != q.Kind:
		case x.Turn == turn:
			here = append(here, x)
		default:
			elsewhere = append(elsewhere, x)
		}
	}
	if len(here) == 0 {
		here = elsewhere
	}
	var best *engine.Exchange
	most := math.MinInt
	asked := flat(q.Value)
	for _, x := range here[:min(len(here), maxCompared)] {
		if n := shared(flat(x.Content.Value), asked); n > most {
			best, most = x, n
		}
	}
	return best
}

// flat is a value by its fields, such as messages[0].text.
func flat(v any) map[string]string {
	fields := map[string]string{}
	flatten("", v, fields)
	return fields
}

func flatten(path string, v any, fields map[string]string) {
	switch v := v.(type) {
	case map[string]any:
		for k, item := range v {
			flatten(strings.TrimPrefix(path+"."+k, "."), item, fields)
		}
	case []any:
		for i, item := range v {
			flatten(fmt.Sprintf("%s[%d]", path, i), item, fields)
		}
	default:
		fields[path] = spec.AsText(v)
	}
}

// shared weighs what two questions have in common: fields, less those that only one has, and then the beginnings of those
// that differ.
func shared(a, b map[string]string) int {
	const field = 1_000_000
	n, both := 0, 0
	for path, x := range a {
		switch y, ok := b[path]; {
		case !ok:
			continue
		case x == y:
			n += field
		default:
			n += min(begins(x, y), field-1)
		}
		both++
	}
	return n - field*(len(a)+len(b)-2*both)
}

// begins is how many bytes two texts share at their beginning.
func begins(a, b string) int {
	n := 0
	for n < min(len(a), len(b)) && a[n] == b[n] {
		n++
	}
	return n
}

// difference shows the fields that differ, with the lines that do: - as recorded, + as asked now.
func difference(recorded, asked map[string]string) string {
	paths := map[string]bool{}
	for _, fields := range []map[string]string{recorded, asked} {
		for path := range fields {
			if recorded[path] != asked[path] || has(recorded, path) != has(asked, path) {
				paths[path] = true
			}
		}
	}
	var b strings.Builder
	for i, path := range slices.Sorted(maps.Keys(paths)) {
		if i == maxFields {
			fmt.Fprintf(&b, "\n  and %d more fields", len(paths)-i)
			break
		}
		fmt.Fprintf(&b, "\n  %s", path)
		old, now := changed(lines(recorded, path), lines(asked, path))
		if len(old) > 0 && len(now) > 0 {
			old[0], now[0] = around(old[0], now[0])
		}
		show(&b, "-", old)
		show(&b, "+", now)
	}
	return b.String()
}

func has(fields map[string]string, path string) bool {
	_, ok := fields[path]
	return ok
}

func lines(fields map[string]string, path string) []string {
	if !has(fields, path) {
		return nil
	}
	return strings.Split(fields[path], "\n")
}

// changed are the lines of two texts between those that they share at their beginning and their end.
func changed(a, b []string) (old, now []string) {
	for len(a) > 0 && len(b) > 0 && a[0] == b[0] {
		a, b = a[1:], b[1:]
	}
	for len(a) > 0 && len(b) > 0 && a[len(a)-1] == b[len(b)-1] {
		a, b = a[:len(a)-1], b[:len(b)-1]
	}
	return a, b
}

// around leaves out what two long lines share at their beginning.
func around(a, b string) (string, string) {
	const before = 40
	from := begins(a, b) - before
	if from <= 0 || len(a) <= maxWidth && len(b) <= maxWidth {
		return a, b
	}
	for !utf8.RuneStart(a[from]) {
		from--
	}
	return "…" + a[from:], "…" + b[from:]
}

func show(b *strings.Builder, sign string, lines []string) {
	for i, line := range lines {
		if i == maxLines {
			fmt.Fprintf(b, "\n    %s … and %d more lines", sign, len(lines)-i)
			return
		}
		if r := []rune(line); len(r) > maxWidth {
			line = string(r[:maxWidth]) + "…"
		}
		fmt.Fprintf(b, "\n    %s %s", sign, line)
	}
}
