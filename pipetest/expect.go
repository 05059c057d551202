package pipetest

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/flowrun/flowrun/spec"
)

// held says why an expression does not hold; nil where it does.
func held(x *spec.Expr, seen spec.Values) *Failure {
	v, err := x.Eval(seen)
	if err == nil && v == true {
		return nil
	}
	f := &Failure{Pos: x.Pos, Expression: x.Source()}
	if err != nil {
		f.Message = err.Error()
	}
	f.Detail = explain(x, seen)
	return f
}

// explain shows what made an expression give what it gave.
func explain(x *spec.Expr, seen spec.Values) []string {
	op, parts := x.Parts()
	switch op {
	case "==", "!=":
		if len(parts) == 2 {
			return compared(op, parts[0], parts[1], seen)
		}
	case "and", "&&", "or", "||", "not", "!": // what decided
		var lines []string
		for _, p := range parts {
			v, err := p.Eval(seen)
			if decided := err != nil || v == (op == "not" || op == "!"); !decided {
				continue
			}
			if deeper := explain(p, seen); len(deeper) > 0 && op != "not" && op != "!" {
				lines = append(append(lines, "in "+p.Source()+":"), indented(deeper)...)
			} else {
				lines = append(lines, worth(p, seen)...)
			}
			if op == "and" || op == "&&" {
				break
			}
		}
		return lines
	}
	var lines []string
	for _, p := range parts {
		lines = append(lines, worth(p, seen)...)
	}
	if len(parts) == 0 {
		lines = worth(x, seen)
	}
	return lines
}

// worth is a part with its value.
func worth(x *spec.Expr, seen spec.Values) []string {
	v, err := x.Eval(seen)
	if err != nil { // whose message stands above
		if _, parts := x.Parts(); len(parts) > 0 {
			return explain(x, seen)
		}
		return nil
	}
	return valued(x.Source()+" is", v)
}

// valued writes a value behind what it is of; one of many lines below it.
func valued(what string, v any) []string {
	text := written(v)
	if !strings.Contains(text, "\n") {
		return []string{what + " " + short(text)}
	}
	return append([]string{what}, indented(clipped(strings.Split(text, "\n")))...)
}

// written is a value as JSON, or a text of many lines as it is.
func written(v any) string {
	if s, ok := v.(string); ok && strings.Contains(s, "\n") {
		return strings.TrimSuffix(s, "\n")
	}
	compact := spec.AsJSON(v)
	const wide = 80
	if len(compact) <= wide {
		return compact
	}
	return indentedJSON(v)
}

// compared shows both sides of a comparison, or where they differ.
func compared(op string, left, right *spec.Expr, seen spec.Values) []string {
	l, lerr := left.Eval(seen)
	r, rerr := right.Eval(seen)
	if lerr != nil || rerr != nil || op == "!=" {
		return worth(left, seen)
	}
	if a, b, many := lines(l, r); many {
		return append([]string{left.Source() + " differs (- as expected, + as it is):"}, indented(diff(b, a))...)
	}
	return append(valued(left.Source()+" is", l), valued("not", r)...)
}

// lines are two values as lines that can be compared: texts of which one has many, or lists or objects too large for one.
func lines(l, r any) (a, b string, many bool) {
	if a, b := written(l), written(r); !strings.Contains(a, "\n") && !strings.Contains(b, "\n") {
		return a, b, false
	}
	ltext, ok := l.(string)
	rtext, okToo := r.(string)
	switch {
	case ok && okToo:
		return ltext, rtext, true
	case ok || okToo || l == nil || r == nil:
		return "", "", false
	}
	return indentedJSON(l), indentedJSON(r), true
}

func indented(lines []string) []string {
	out := make([]string, len(lines))
	for i, l := range lines {
		out[i] = strings.TrimRight("  "+l, " ")
	}
	return out
}

const (
	mostLines = 40
	mostRunes = 400
)

// clipped is lines of which the last are counted only where they are many.
func clipped(lines []string) []string {
	if more := len(lines) - mostLines; more > 0 {
		lines = append(lines[:mostLines:mostLines], fmt.Sprintf("… %d more lines", more))
	}
	for i := range lines {
		lines[i] = short(lines[i])
	}
	return lines
}

// short cuts a line to what a report shows of one.
func short(s string) string {
	if utf8.RuneCountInString(s) > mostRunes {
		return string([]rune(s)[:mostRunes]) + "…"
	}
	return s
}
