package spec

import (
	"unicode/utf8"

	"github.com/expr-lang/expr/vm/runtime"
)

// Positions in a text count characters, as len does; expr-lang counts bytes for some of them.

// slice is v[from:to] of a text or a list; a bound that is not written is nil.
func slice(b *budget, args []any) (any, error) {
	v, from, to := args[0], args[1], args[2]
	s, isText := v.(string)
	if isText {
		b.read(s)
		b.take(int64(len(s)))
		v = []rune(s)
	}
	if from == nil {
		from = 0
	}
	if to == nil {
		to = runtime.Len(v)
	}
	part := runtime.Slice(v, from, to)
	if isText {
		return string(part.([]rune)), nil
	}
	return part, nil
}

// position finds a part of a text.
func position(name string, find func(s, part string) int) func(*budget, []any) (any, error) {
	return func(b *budget, args []any) (any, error) {
		s, err := argument[string](name, "a text", args, 0)
		if err != nil {
			return nil, err
		}
		part, err := argument[string](name, "a text", args, 1)
		if err != nil {
			return nil, err
		}
		b.read(s)
		at := find(s, part)
		if at > 0 {
			at = utf8.RuneCountInString(s[:at])
		}
		return at, nil
	}
}
