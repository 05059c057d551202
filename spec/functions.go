package spec

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"
)

// Function is one that expressions have beside expr-lang's own, or instead of one of those.
type Function struct {
	Name    string
	Usage   string // with its parameters
	Summary string

	signature any // a pointer to a func whose type the checker uses
	most      int // arguments, where the signature leaves that open
	call      func(b *budget, args []any) (any, error)
}

// Functions are flowrun's own functions for expressions. Each is pure: the same arguments give the same value.
func Functions() []Function {
	return []Function{
		{Name: "json", Usage: "json(x)", Summary: "x as compact JSON with sorted keys", signature: new(func(any) string), call: toJSON},
		{Name: "parse_json", Usage: "parse_json(s)", Summary: "the value that the JSON text s holds", signature: new(func(string) any), call: parseJSON},
		{Name: "zip", Usage: "zip(a, b)", Summary: "a list of pairs from two lists of one length", signature: new(func([]any, []any) []any), call: zip},
		{Name: "to_map", Usage: "to_map(pairs)", Summary: "an object from a list of [key, value] pairs; the last of equal keys wins", signature: new(func([]any) map[string]any), call: toMap},
		{Name: "truncate", Usage: "truncate(s, n)", Summary: "at most n characters of the text s, the last an … where it was cut", signature: new(func(string, int) string), call: truncate},
		{Name: "compact", Usage: "compact(list)", Summary: "the list without its nils", signature: new(func([]any) []any), call: compact},
		{Name: "votes", Usage: "votes(list)", Summary: "the different values as {value, count}, the most frequent first, equal counts in the order met; nils do not vote", signature: new(func([]any) []any), call: votes},
		{Name: "join", Usage: "join(list, separator)", Summary: "the texts of a list as one text; the separator may be left out", signature: new(func([]any, ...string) string), call: join, most: 2},
		{Name: "string", Usage: "string(x)", Summary: "x as text: a text as it is, anything else as JSON", signature: new(func(any) string), call: toText},
		{Name: "split", Usage: "split(s, separator)", Summary: "the parts of the text s as a list", signature: new(func(string, string) []any), call: split},
		{Name: "keys", Usage: "keys(object)", Summary: "the keys, sorted", signature: new(func(any) []any), call: keys},
		{Name: "values", Usage: "values(object)", Summary: "the values in the order of their sorted keys", signature: new(func(any) []any), call: values},
		{Name: "toPairs", Usage: "toPairs(object)", Summary: "a list of [key, value] pairs in the order of the sorted keys", signature: new(func(any) []any), call: toPairs},
		{Name: "toJSON", Usage: "toJSON(x)", Summary: "the same as json(x)", signature: new(func(any) string), call: toJSON},
		{Name: "fromJSON", Usage: "fromJSON(s)", Summary: "the same as parse_json(s)", signature: new(func(string) any), call: parseJSON},
	}
}

// argument gives argument i as a T or says what was given.
func argument[T any](name, want string, args []any, i int) (T, error) {
	v, ok := args[i].(T)
	if !ok {
		return v, fmt.Errorf("%s needs %s, not %s", name, want, brief(args[i]))
	}
	return v, nil
}

// brief is an argument for a message.
func brief(v any) string {
	if s, ok := v.(string); ok {
		return quote(s)
	}
	c := canon{left: briefSize, each: valueSize, depth: maxLevels, full: errMemory}
	value, err := c.value(v)
	if err != nil {
		return kindOf(v)
	}
	return show(value)
}

// briefSize is what a value may take to be shown in a message.
const briefSize = 4 << 10

func (b *budget) listArgument(name string, args []any, i int) ([]any, error) {
	if l, ok := args[i].([]any); ok {
		b.step(int64(len(l)))
		return l, nil
	}
	n := length(args[i])
	if n < 0 {
		return argument[[]any](name, "a list", args, i)
	}
	b.list(n)
	out := make([]any, 0, n)
	for v := range items(args[i]) { // ranges are lists of Go ints
		out = append(out, v)
	}
	return out, nil
}

func toJSON(b *budget, args []any) (any, error) { return b.json(args[0]), nil }

func toText(b *budget, args []any) (any, error) { return b.text(args[0]), nil }

func parseJSON(b *budget, args []any) (any, error) {
	s, err := argument[string]("parse_json", "a text", args, 0)
	if err != nil {
		return nil, err
	}
	if err := b.payJSON(s); err != nil {
		return nil, err
	}
	v, err := ParseJSON(s)
	if err != nil {
		return nil, fmt.Errorf("parse_json: %w", err)
	}
	return v, nil
}

// payJSON pays for the values that a JSON text holds, before they are made.
func (b *budget) payJSON(s string) error {
	b.read(s)
	b.take(int64(len(s)))
	depth := 0
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '"':
			i = endOfText(s, i)
		case '[', '{':
			if depth++; depth > maxLevels {
				return errDepth
			}
			b.list(2)
			if s[i] == '{' {
				b.take(mapSize)
			}
		case ']', '}':
			depth--
		case ',', ':':
			b.list(2)
		}
	}
	return nil
}

func zip(b *budget, args []any) (any, error) {
	first, err := b.listArgument("zip", args, 0)
	if err != nil {
		return nil, err
	}
	second, err := b.listArgument("zip", args, 1)
	if err != nil {
		return nil, err
	}
	if len(first) != len(second) {
		return nil, fmt.Errorf("zip needs two lists of one length, not %d and %d", len(first), len(second))
	}
	b.list(4 * len(first))
	out := make([]any, len(first))
	for i := range first {
		out[i] = []any{first[i], second[i]}
	}
	return out, nil
}

func toMap(b *budget, args []any) (any, error) {
	pairs, err := b.listArgument("to_map", args, 0)
	if err != nil {
		return nil, err
	}
	b.list(3 * len(pairs))
	out := make(map[string]any, len(pairs))
	for i, p := range pairs {
		pair, ok := p.([]any)
		if !ok || len(pair) != 2 {
			return nil, fmt.Errorf("to_map needs [key, value] pairs; entry %d is %s", i, brief(p))
		}
		key := b.text(pair[0])
		b.read(key)
		out[key] = pair[1]
	}
	return out, nil
}

func truncate(b *budget, args []any) (any, error) {
	s, err := argument[string]("truncate", "a text", args, 0)
	if err != nil {
		return nil, err
	}
	c, _ := Canonical(args[1])
	n, ok := c.(int64)
	if !ok || n < 0 {
		return nil, fmt.Errorf("truncate needs a whole number of at least 0, not %s", brief(args[1]))
	}
	b.read(s)
	if int64(utf8.RuneCountInString(s)) <= n {
		return s, nil
	}
	if n == 0 {
		return "", nil
	}
	for i := range s {
		if n--; n == 0 {
			b.take(int64(i))
			return s[:i] + "…", nil
		}
	}
	return s, nil
}

func compact(b *budget, args []any) (any, error) {
	l, err := b.listArgument("compact", args, 0)
	if err != nil {
		return nil, err
	}
	b.list(len(l))
	out := make([]any, 0, len(l))
	for _, v := range l {
		if v != nil {
			out = append(out, v)
		}
	}
	return out, nil
}

func votes(b *budget, args []any) (any, error) {
	l, err := b.listArgument("votes", args, 0)
	if err != nil {
		return nil, err
	}
	type vote struct {
		value any
		count int64
	}
	var all []*vote
	met := map[string]*vote{}
	for _, v := range l {
		if v == nil {
			continue
		}
		key := b.json(v)
		if met[key] == nil {
			b.take(2 * mapSize)
			met[key] = &vote{value: v}
			all = append(all, met[key])
		}
		met[key].count++
	}
	slices.SortStableFunc(all, func(a, b *vote) int { return cmp.Compare(b.count, a.count) })
	out := make([]any, len(all))
	for i, v := range all {
		out[i] = map[string]any{"value": v.value, "count": v.count}
	}
	return out, nil
}

func join(b *budget, args []any) (any, error) {
	l, err := b.listArgument("join", args, 0)
	if err != nil {
		return nil, err
	}
	separator := ""
	if len(args) > 1 {
		if separator, err = argument[string]("join", "a text as separator", args, 1); err != nil {
			return nil, err
		}
	}
	b.list(len(l))
	b.take(times(len(l), len(separator)))
	texts := make([]string, len(l))
	for i, v := range l {
		s, ok := v.(string)
		switch {
		case v == nil:
			return nil, fmt.Errorf("join needs texts and entry %d is nil: leave the nils out with join(compact(list), ...)", i)
		case !ok:
			return nil, fmt.Errorf("join needs texts and entry %d is %s: make them texts with join(map(list, string(#)), ...)", i, brief(v))
		}
		b.take(int64(len(s)))
		texts[i] = s
	}
	return strings.Join(texts, separator), nil
}

func split(b *budget, args []any) (any, error) {
	n, err := pieces(b, "split", args)
	if err != nil {
		return nil, err
	}
	parts := make([]any, 0, n+1)
	for part := range strings.SplitSeq(args[0].(string), args[1].(string)) {
		parts = append(parts, part)
	}
	return parts, nil
}

// entries are the keys of an object, sorted, with the object itself.
func (b *budget) entries(name string, args []any) ([]string, map[string]any, error) {
	object, ok := b.object(args[0])
	if !ok {
		_, err := argument[map[string]any](name, "an object", args, 0)
		return nil, nil, err
	}
	b.list(3 * len(object))
	return slices.SortedFunc(maps.Keys(object), b.less), object, nil
}

func keys(b *budget, args []any) (any, error) {
	sorted, _, err := b.entries("keys", args)
	out := make([]any, len(sorted))
	for i, k := range sorted {
		out[i] = k
	}
	return out, err
}

func values(b *budget, args []any) (any, error) {
	sorted, object, err := b.entries("values", args)
	out := make([]any, len(sorted))
	for i, k := range sorted {
		out[i] = object[k]
	}
	return out, err
}

func toPairs(b *budget, args []any) (any, error) {
	sorted, object, err := b.entries("toPairs", args)
	out := make([]any, len(sorted))
	for i, k := range sorted {
		out[i] = []any{k, object[k]}
	}
	return out, err
}
