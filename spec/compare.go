package spec

import (
	"cmp"
	"fmt"
	"iter"
	"reflect"

	"github.com/expr-lang/expr/vm/runtime"
)

// equal tells whether two values are. expr-lang's own compares what lists share again and again, calls itself as deep as
// a value is, and takes the numbers within objects for different ones.
func (b *budget) equal(l, r any, depth int) bool {
	if depth > maxLevels {
		panic(errDepth)
	}
	b.step(1)
	switch x := l.(type) {
	case string:
		y, ok := r.(string)
		if !ok || len(x) != len(y) {
			return false
		}
		b.read(x)
		return x == y
	case nil, bool, int, int64, float64:
		return runtime.Equal(l, r)
	}
	if n := length(l); n >= 0 {
		if length(r) != n {
			return false
		}
		for i := range n {
			if !b.equal(at(l, i), at(r, i), depth+1) {
				return false
			}
		}
		return true
	}
	x, isObject := b.object(l)
	y, both := b.object(r)
	if !isObject || !both {
		return runtime.IsNil(l) && runtime.IsNil(r)
	}
	if len(x) != len(y) {
		return false
	}
	for k, v := range x {
		b.read(k)
		w, ok := y[k]
		if !ok || !b.equal(v, w, depth+1) {
			return false
		}
	}
	return true
}

// contains is the operator in.
func (b *budget) contains(needle, in any) bool {
	if in == nil {
		return false
	}
	if length(in) < 0 {
		return runtime.In(key(b, needle), in)
	}
	for v := range items(in) {
		if b.equal(v, needle, 0) {
			return true
		}
	}
	return false
}

// uniq is a list without what is equal to something before it.
func (b *budget) uniq(list any) []any {
	out := []any{}
	texts, whole := map[string]bool{}, map[int64]bool{}
	var others []any // all but texts, to compare with each
	for v := range items(list) {
		b.list(1)
		if s, ok := v.(string); ok {
			b.read(s)
			if !texts[s] {
				b.take(mapSize / 4)
				texts[s] = true
				out = append(out, v)
			}
			continue
		}
		if n, ok := integer(v); ok {
			if whole[n] {
				continue
			}
			b.take(mapSize / 4)
			whole[n] = true
		}
		if !b.among(others, v) {
			others = append(others, v)
			out = append(out, v)
		}
	}
	return out
}

func (b *budget) among(list []any, v any) bool {
	_, number := integer(v)
	for _, other := range list {
		if _, both := integer(other); both && number {
			continue // known to differ
		}
		if b.equal(v, other, 0) {
			return true
		}
	}
	return false
}

// length is that of a list, -1 for what is none.
func length(list any) int {
	switch list := list.(type) {
	case []any:
		return len(list)
	case []int:
		return len(list)
	case nil, string, map[string]any:
		return -1
	}
	if v := reflect.ValueOf(list); v.Kind() == reflect.Slice || v.Kind() == reflect.Array {
		return v.Len()
	}
	return -1
}

// at is an element of a list.
func at(list any, i int) any {
	switch list := list.(type) {
	case []any:
		return list[i]
	case []int:
		return list[i]
	}
	return reflect.ValueOf(list).Index(i).Interface()
}

// items are the elements of a list.
func items(list any) iter.Seq[any] {
	return func(yield func(any) bool) {
		for i := range length(list) {
			if !yield(at(list, i)) {
				return
			}
		}
	}
}

// object gives an object as it is in JSON: groups and pairs are maps of other keys.
func (b *budget) object(v any) (map[string]any, bool) {
	if object, ok := v.(map[string]any); ok {
		return object, true
	}
	m := reflect.ValueOf(v)
	if m.Kind() != reflect.Map {
		return nil, false
	}
	b.list(m.Len())
	b.take(mapSize)
	out := make(map[string]any, m.Len())
	for it := m.MapRange(); it.Next(); {
		out[b.text(it.Key().Interface())] = it.Value().Interface()
	}
	return out, true
}

// less orders the keys of objects, at the budget's cost.
func (b *budget) less(x, y string) int {
	b.step(1 + int64(min(len(x), len(y)))/readSize)
	return cmp.Compare(x, y)
}

// key lets through what may select an element: anything else would end up whole in expr-lang's message.
func key(b, v any) any {
	switch v := v.(type) {
	case string:
		b.(*budget).read(v)
		return v
	case nil, bool, int, int64, float64:
		return v
	}
	panic(fmt.Errorf("found %s where a key or a number is needed", kindOf(v)))
}

// kindOf is the kind of a value that is too much to show.
func kindOf(v any) string {
	if length(v) >= 0 {
		return "a list"
	}
	return "an object"
}
