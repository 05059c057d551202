package spec

import (
	"encoding/base64"
	"errors"
	"fmt"
	"math"
	"reflect"
	"strings"

	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/builtin"
	"github.com/expr-lang/expr/vm/runtime"
)

// builtins are the functions of expr-lang that expressions may call, with how a call is guarded. Those that are not here
// are off: now, date, duration and timezone, by which two runs would differ, and what [overloads] takes the place of.
var builtins = map[string]func(*guard, *ast.Node, *ast.BuiltinNode){
	"all": looping, "any": looping, "none": looping, "one": looping, "count": looping,
	"find": looping, "findIndex": looping, "findLast": looping, "findLastIndex": looping,
	"filter": listing, "map": listing, "reduce": listing, "sum": summing, "groupBy": grouping, "sortBy": sorting,

	"type": free, "first": free, "last": free, "take": free, "get": selecting,
	"ceil": free, "floor": free, "round": free, "abs": checked(absolute), "int": checked(toInteger), "float": checked(toFloat),
	"bitand": free, "bitor": free, "bitxor": free, "bitnand": free, "bitshl": free, "bitshr": free, "bitushr": free, "bitnot": free,

	"len": reading, "indexOf": paying(position("indexOf", strings.Index)), "lastIndexOf": paying(position("lastIndexOf", strings.LastIndex)), "hasPrefix": reading, "hasSuffix": reading,
	"upper": growing, "lower": growing, "repeat": paying(repeat), "toBase64": paying(toBase64), "fromBase64": paying(fromBase64),

	"min": paying(aggregate("min")), "max": paying(aggregate("max")), "mean": paying(aggregate("mean")), "median": paying(aggregate("median")),
	"reverse": paying(copying("reverse")), "concat": paying(copying("concat")), "flatten": paying(flatten), "uniq": paying(uniq),
	"fromPairs": paying(fromPairs),
}

// overloads take the place of functions that expr-lang knows with several signatures: its checker tries them all at
// every level, so that the types of sort(sort(sort(...))) take forever.
var overloads = []Function{
	{Name: "sort", most: 2, signature: new(func([]any, ...string) []any), call: sortList},
	{Name: "trim", most: 2, signature: new(func(string, ...string) string), call: cut("trim")},
	{Name: "trimPrefix", most: 2, signature: new(func(string, ...string) string), call: cut("trimPrefix")},
	{Name: "trimSuffix", most: 2, signature: new(func(string, ...string) string), call: cut("trimSuffix")},
	{Name: "splitAfter", most: 3, signature: new(func(string, string, ...int) []string), call: splitAfter},
	{Name: "replace", most: 4, signature: new(func(string, string, string, ...int) string), call: replace},
}

// free costs next to nothing, whatever it is given.
func free(*guard, *ast.Node, *ast.BuiltinNode) {}

// looping runs a predicate, or nothing, over a list. What the predicate makes is gone when it ends.
func looping(g *guard, _ *ast.Node, x *ast.BuiltinNode) {
	g.loop(x, weight{bytes: -g.predicates(x).bytes})
}

// listing keeps what its predicate makes.
func listing(g *guard, _ *ast.Node, x *ast.BuiltinNode) { g.loop(x, weight{bytes: slotSize}) }

// summing adds up by a function of ours: the sum of expr-lang wraps around.
func summing(g *guard, n *ast.Node, x *ast.BuiltinNode) {
	looping(g, n, x)
	var each ast.Node = &ast.PointerNode{}
	if len(x.Arguments) > 1 {
		each = x.Arguments[1].(*ast.PredicateNode).Node
	}
	p := &ast.PredicateNode{Node: call(x, add, each, &ast.PointerNode{Name: "acc"})}
	g.weights[p] = g.weigh(p)
	sum := &ast.BuiltinNode{Name: "reduce", Arguments: []ast.Node{x.Arguments[0], p, &ast.IntegerNode{}}}
	sum.SetNature(*x.Nature())
	ast.Patch(n, sum)
}

func grouping(g *guard, _ *ast.Node, x *ast.BuiltinNode) {
	p := x.Arguments[1].(*ast.PredicateNode)
	p.Node = g.pay(p.Node, scanned, p.Node)
	g.loop(x, weight{bytes: slotSize + mapSize/2})
}

// comparisons is how often an element is compared while a list of some million is sorted.
const comparisons = 20

func sorting(g *guard, _ *ast.Node, x *ast.BuiltinNode) {
	p := x.Arguments[1].(*ast.PredicateNode)
	p.Node = g.pay(p.Node, compared, p.Node)
	g.loop(x, weight{steps: comparisons, bytes: 2 * slotSize})
}

// compared pays for a text by which a list is sorted.
func compared(b, v any) any {
	if s, ok := v.(string); ok {
		b.(*budget).step(int64(len(s)) / readSize * comparisons)
	}
	return v
}

// reading goes through its texts.
func reading(g *guard, _ *ast.Node, x *ast.BuiltinNode) {
	for i := range x.Arguments {
		g.scan(&x.Arguments[i])
	}
}

// growing makes a text as long as the one it is given.
func growing(g *guard, _ *ast.Node, x *ast.BuiltinNode) {
	x.Arguments[0] = g.pay(x.Arguments[0], grown, x.Arguments[0])
}

// selecting gets an element.
func selecting(g *guard, _ *ast.Node, x *ast.BuiltinNode) { g.key(&x.Arguments[1]) }

// checked is a function of a number in place of one of the same name.
func checked(f func(any) any) func(*guard, *ast.Node, *ast.BuiltinNode) {
	return func(_ *guard, n *ast.Node, x *ast.BuiltinNode) { *n = call(x, f, x.Arguments[0]) }
}

// paying is a function with a budget in place of one of the same name.
func paying(f func(*budget, []any) (any, error)) func(*guard, *ast.Node, *ast.BuiltinNode) {
	return func(g *guard, n *ast.Node, x *ast.BuiltinNode) { *n = g.pay(x, charged(f), x.Arguments...) }
}

// native is a function of expr-lang.
func native(name string) func(...any) (any, error) {
	f := builtin.Builtins[builtin.Index[name]]
	if f.Safe == nil {
		return f.Func
	}
	return func(args ...any) (any, error) {
		v, _, err := f.Safe(args...)
		return v, err
	}
}

// aggregate goes through lists within lists.
func aggregate(name string) func(*budget, []any) (any, error) {
	f := native(name)
	return func(b *budget, args []any) (any, error) {
		before := b.steps
		for _, a := range args {
			b.walk(a, 0)
		}
		if name == "median" {
			b.take((before - b.steps) * valueSize)
		}
		v, err := f(args...)
		if x, ok := v.(float64); ok && (math.IsInf(x, 0) || math.IsNaN(x)) {
			return nil, fmt.Errorf("%s gives %v, which is not a number that JSON has", name, x)
		}
		return v, err
	}
}

// copying makes a list of those that it is given.
func copying(name string) func(*budget, []any) (any, error) {
	f := native(name)
	return func(b *budget, args []any) (any, error) {
		for _, a := range args {
			b.list(max(length(a), 0))
		}
		return f(args...)
	}
}

func flatten(b *budget, args []any) (any, error) {
	if length(args[0]) < 0 {
		return nil, fmt.Errorf("cannot flatten %s", reflect.ValueOf(args[0]).Kind())
	}
	out := []any{}
	var add func(list any, depth int)
	add = func(list any, depth int) {
		if depth > maxLevels {
			panic(errDepth)
		}
		for v := range items(list) {
			b.step(1)
			if length(v) >= 0 {
				add(v, depth+1)
				continue
			}
			b.take(slotSize)
			out = append(out, v)
		}
	}
	add(args[0], 1)
	return out, nil
}

func uniq(b *budget, args []any) (any, error) {
	if length(args[0]) < 0 {
		return nil, fmt.Errorf("cannot uniq %s", reflect.ValueOf(args[0]).Kind())
	}
	return b.uniq(args[0]), nil
}

func fromPairs(b *budget, args []any) (any, error) {
	n := length(args[0])
	if n < 0 {
		return nil, fmt.Errorf("cannot transform %s from pairs", reflect.ValueOf(args[0]).Kind())
	}
	b.list(n)
	b.take(int64(n) * mapSize / 4)
	out := make(map[any]any, n)
	for pair := range items(args[0]) {
		if length(pair) != 2 {
			return nil, errors.New("fromPairs needs [key, value] pairs")
		}
		var entry []any
		for v := range items(pair) {
			entry = append(entry, v)
		}
		out[key(b, entry[0])] = entry[1]
	}
	return out, nil
}

func sortList(b *budget, args []any) (any, error) {
	n := max(length(args[0]), 0)
	b.list(n)
	b.step(int64(n) * comparisons)
	if n > 0 {
		for v := range items(args[0]) {
			compared(b, v)
		}
	}
	return native("sort")(args...)
}

func repeat(b *budget, args []any) (any, error) {
	s, err := argument[string]("repeat", "a text", args, 0)
	if err != nil {
		return nil, err
	}
	n := runtime.ToInt(args[1])
	if n < 0 {
		return nil, fmt.Errorf("invalid argument for repeat (expected positive integer, got %d)", n)
	}
	b.take(times(n, len(s)))
	if s == "" {
		return s, nil
	}
	return strings.Repeat(s, n), nil
}

// times multiplies; what is too much is too much for any budget.
func times(n, m int) int64 {
	if m > 0 && n > math.MaxInt64/m {
		return math.MaxInt64
	}
	return int64(n) * int64(m)
}

// cut is one of the functions that leave off the ends of a text.
func cut(name string) func(*budget, []any) (any, error) {
	f := native(name)
	return func(b *budget, args []any) (any, error) {
		s, err := argument[string](name, "a text", args, 0)
		if err != nil {
			return nil, err
		}
		each := 1 // looks at a character
		if len(args) > 1 {
			off, err := argument[string](name, "a text", args, 1)
			if err != nil {
				return nil, err
			}
			each += len(off)
		}
		b.step(times(len(s), each) / readSize)
		return f(args...)
	}
}

func splitAfter(b *budget, args []any) (any, error) {
	if _, err := pieces(b, "splitAfter", args); err != nil {
		return nil, err
	}
	return native("splitAfter")(args...)
}

// pieces pays for the list that a text is split into.
func pieces(b *budget, name string, args []any) (int, error) {
	s, err := argument[string](name, "a text", args, 0)
	if err != nil {
		return 0, err
	}
	separator, err := argument[string](name, "a text as separator", args, 1)
	if err != nil {
		return 0, err
	}
	b.read(s)
	n := strings.Count(s, separator)
	b.list(n + 1)
	return n, nil
}

func replace(b *budget, args []any) (any, error) {
	var texts [3]string
	for i := range texts {
		var err error
		if texts[i], err = argument[string]("replace", "a text", args, i); err != nil {
			return nil, err
		}
	}
	b.read(texts[0])
	n := strings.Count(texts[0], texts[1])
	if len(args) == 4 {
		if most := runtime.ToInt(args[3]); most >= 0 {
			n = min(n, most)
		}
	}
	b.step(int64(n))
	b.take(int64(len(texts[0])))
	b.take(times(n, len(texts[2])))
	return native("replace")(args...)
}

func toBase64(b *budget, args []any) (any, error) {
	s, err := argument[string]("toBase64", "a text", args, 0)
	if err != nil {
		return nil, err
	}
	b.take(3 * int64(len(s)))
	return base64.StdEncoding.EncodeToString([]byte(s)), nil
}

func fromBase64(b *budget, args []any) (any, error) {
	s, err := argument[string]("fromBase64", "a text", args, 0)
	if err != nil {
		return nil, err
	}
	b.take(2 * int64(len(s)))
	return native("fromBase64")(s)
}
