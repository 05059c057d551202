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
	call      func(args ...any) (any, error)
}

// Functions are flowrun's own functions for expressions. Each is pure: the same arguments give the same value.
func Functions() []Function {
	return []Function{
		{"json", "json(x)", "x as compact JSON with sorted keys", new(func(any) string), textOf(AsJSON)},
		{"parse_json", "parse_json(s)", "the value that the JSON text s holds", new(func(string) any), parseJSON},
		{"zip", "zip(a, b)", "a list of pairs from two lists of one length", new(func([]any, []any) []any), zip},
		{"to_map", "to_map(pairs)", "an object from a list of [key, value] pairs; the last of equal keys wins", new(func([]any) map[string]any), toMap},
		{"truncate", "truncate(s, n)", "at most n characters of the text s, the last an … where it was cut", new(func(string, int) string), truncate},
		{"compact", "compact(list)", "the list without its nils", new(func([]any) []any), compact},
		{"votes", "votes(list)", "the different values as {value, count}, the most frequent first, equal counts in the order met; nils do not vote", new(func([]any) []any), votes},
		{"join", "join(list, separator)", "the texts of a list as one text; the separator may be left out", new(func([]any, ...string) string), join},
		{"string", "string(x)", "x as text: a text as it is, anything else as JSON", new(func(any) string), textOf(AsText)},
		{"split", "split(s, separator)", "the parts of the text s as a list", new(func(string, string) []any), split},
		{"keys", "keys(object)", "the keys, sorted", new(func(any) []any), keys},
		{"values", "values(object)", "the values in the order of their sorted keys", new(func(any) []any), values},
		{"toPairs", "toPairs(object)", "a list of [key, value] pairs in the order of the sorted keys", new(func(any) []any), toPairs},
		{"toJSON", "toJSON(x)", "the same as json(x)", new(func(any) string), textOf(AsJSON)},
		{"fromJSON", "fromJSON(s)", "the same as parse_json(s)", new(func(string) any), parseJSON},
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
	c, err := Canonical(v)
	if err != nil {
		return err.Error()
	}
	return show(c)
}

func list(name string, args []any, i int) ([]any, error) {
	if l, ok := args[i].([]any); ok {
		return l, nil
	}
	if c, err := Canonical(args[i]); err == nil { // ranges are lists of Go ints
		if l, ok := c.([]any); ok {
			return l, nil
		}
	}
	return argument[[]any](name, "a list", args, i)
}

func textOf(f func(any) string) func(...any) (any, error) {
	return func(args ...any) (any, error) {
		v, err := Canonical(args[0])
		if err != nil {
			return nil, err
		}
		return f(v), nil
	}
}

func parseJSON(args ...any) (any, error) {
	s, err := argument[string]("parse_json", "a text", args, 0)
	if err != nil {
		return nil, err
	}
	v, err := ParseJSON(s)
	if err != nil {
		return nil, fmt.Errorf("parse_json: %w", err)
	}
	return v, nil
}

func zip(args ...any) (any, error) {
	a, err := list("zip", args, 0)
	if err != nil {
		return nil, err
	}
	b, err := list("zip", args, 1)
	if err != nil {
		return nil, err
	}
	if len(a) != len(b) {
		return nil, fmt.Errorf("zip needs two lists of one length, not %d and %d", len(a), len(b))
	}
	out := make([]any, len(a))
	for i := range a {
		out[i] = []any{a[i], b[i]}
	}
	return out, nil
}

func toMap(args ...any) (any, error) {
	pairs, err := list("to_map", args, 0)
	if err != nil {
		return nil, err
	}
	out := make(map[string]any, len(pairs))
	for i, p := range pairs {
		pair, ok := p.([]any)
		if !ok || len(pair) != 2 {
			return nil, fmt.Errorf("to_map needs [key, value] pairs; entry %d is %s", i, brief(p))
		}
		key, err := Canonical(pair[0])
		if err != nil {
			return nil, err
		}
		out[AsText(key)] = pair[1]
	}
	return out, nil
}

func truncate(args ...any) (any, error) {
	s, err := argument[string]("truncate", "a text", args, 0)
	if err != nil {
		return nil, err
	}
	c, _ := Canonical(args[1])
	n, ok := c.(int64)
	if !ok || n < 0 {
		return nil, fmt.Errorf("truncate needs a whole number of at least 0, not %s", brief(args[1]))
	}
	if int64(utf8.RuneCountInString(s)) <= n {
		return s, nil
	}
	if n == 0 {
		return "", nil
	}
	return string([]rune(s)[:n-1]) + "…", nil
}

func compact(args ...any) (any, error) {
	l, err := list("compact", args, 0)
	if err != nil {
		return nil, err
	}
	out := make([]any, 0, len(l))
	for _, v := range l {
		if v != nil {
			out = append(out, v)
		}
	}
	return out, nil
}

func votes(args ...any) (any, error) {
	l, err := list("votes", args, 0)
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
		c, err := Canonical(v)
		if err != nil {
			return nil, err
		}
		if c == nil {
			continue
		}
		key := AsJSON(c)
		if met[key] == nil {
			met[key] = &vote{value: c}
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

func join(args ...any) (any, error) {
	l, err := list("join", args, 0)
	if err != nil {
		return nil, err
	}
	separator := ""
	if len(args) > 1 {
		if separator, err = argument[string]("join", "a text as separator", args, 1); err != nil {
			return nil, err
		}
	}
	texts := make([]string, len(l))
	for i, v := range l {
		s, ok := v.(string)
		switch {
		case v == nil:
			return nil, fmt.Errorf("join needs texts and entry %d is nil: leave the nils out with join(compact(list), ...)", i)
		case !ok:
			return nil, fmt.Errorf("join needs texts and entry %d is %s: make them texts with join(map(list, string(#)), ...)", i, brief(v))
		}
		texts[i] = s
	}
	return strings.Join(texts, separator), nil
}

func split(args ...any) (any, error) {
	s, err := argument[string]("split", "a text", args, 0)
	if err != nil {
		return nil, err
	}
	separator, err := argument[string]("split", "a text as separator", args, 1)
	if err != nil {
		return nil, err
	}
	parts := []any{}
	for part := range strings.SplitSeq(s, separator) {
		parts = append(parts, part)
	}
	return parts, nil
}

// entries are the keys of an object, sorted, with the object itself.
func entries(name string, args []any) ([]string, map[string]any, error) {
	v, err := Canonical(args[0]) // groups are maps of other keys
	if err != nil {
		return nil, nil, err
	}
	object, err := argument[map[string]any](name, "an object", []any{v}, 0)
	return slices.Sorted(maps.Keys(object)), object, err
}

func keys(args ...any) (any, error) {
	sorted, _, err := entries("keys", args)
	out := make([]any, len(sorted))
	for i, k := range sorted {
		out[i] = k
	}
	return out, err
}

func values(args ...any) (any, error) {
	sorted, object, err := entries("values", args)
	out := make([]any, len(sorted))
	for i, k := range sorted {
		out[i] = object[k]
	}
	return out, err
}

func toPairs(args ...any) (any, error) {
	sorted, object, err := entries("toPairs", args)
	out := make([]any, len(sorted))
	for i, k := range sorted {
		out[i] = []any{k, object[k]}
	}
	return out, err
}
