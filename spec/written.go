package spec

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// AppendWritten adds what is written in the mapping, in a form of its own: two that add the same say the same. Entries of
// the header that it names belong to it, and files that it includes; nodes below it and its description do not.
func (o *Object) AppendWritten(b []byte) []byte {
	return appendWritten(b, o, 0)
}

func appendWritten(b []byte, v any, depth int) []byte {
	if depth > maxDepth {
		return b
	}
	switch v := v.(type) {
	case nil, bool, int64, string, map[string]any:
		return AppendJSON(b, v)
	case int:
		return strconv.AppendInt(b, int64(v), 10)
	case float64:
		return strconv.AppendFloat(b, v, 'g', -1, 64)
	case time.Duration:
		return append(b, v.String()...)
	case *Expr:
		if b = append(b, '$', byte('0'+v.form)); v.form == dataForm {
			return appendTerm(b, v.root)
		}
		return strconv.AppendQuote(b, v.source)
	case *Schema:
		return append(b, v.json...)
	case *reference:
		return appendWritten(append(strconv.AppendQuote(b, v.name), '='), v.entry, depth+1)
	case *Pipeline:
		if v == nil {
			return b
		}
		b = appendWritten(b, v.Header, depth+1)
		for _, n := range v.nodes {
			b = appendWritten(append(strconv.AppendQuote(b, n.Path()), ' '), n.Object, depth+1)
		}
		return b
	case []any:
		b = append(b, '[')
		for _, item := range v {
			b = append(appendWritten(b, item, depth+1), ',')
		}
		return append(b, ']')
	case []Entry:
		b = append(b, '<')
		for _, e := range v {
			b = append(appendWritten(append(strconv.AppendQuote(b, e.Name), ':'), e.Value, depth+1), ',')
		}
		return append(b, '>')
	case *Object:
		if v == nil {
			return b
		}
		written := slices.Clone(v.values)
		slices.SortFunc(written, func(x, y fieldValue) int { return strings.Compare(x.field.Name, y.field.Name) })
		b = append(b, '{')
		for _, f := range written {
			if f.field.Name != "description" {
				b = append(appendWritten(append(append(b, f.field.Name...), ':'), f.value, depth+1), ',')
			}
		}
		return append(b, '}')
	case *Node, []*Node:
		return b
	}
	return fmt.Append(b, v)
}

// appendTerm adds data of which only what it was compiled to is left.
func appendTerm(b []byte, t term) []byte {
	switch t := t.(type) {
	case constant:
		return AppendJSON(b, t.value)
	case code:
		return strconv.AppendQuote(append(b, '$'), t.code.Source().String())
	case template:
		return appendTerms(append(b, '$'), t.parts)
	case listTerm:
		return appendTerms(b, t)
	case objectTerm:
		for _, key := range t.keys {
			b = append(strconv.AppendQuote(b, key), ':')
		}
		return appendTerms(b, t.parts)
	}
	return b
}

func appendTerms(b []byte, parts []term) []byte {
	b = append(b, '[')
	for _, part := range parts {
		b = append(appendTerm(b, part), ',')
	}
	return append(b, ']')
}
