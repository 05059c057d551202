package spec

import (
	"fmt"
	"math"

	"github.com/expr-lang/expr/builtin"
	"github.com/expr-lang/expr/vm/runtime"
)

// The operators and functions of expr-lang that calculate, with an error where its own wrap around, round wildly or
// leave the numbers that JSON has. Like its own they panic.

func add(l, r any) any {
	if x, y, ok := integers(l, r); ok {
		sum := x + y
		if (sum > x) != (y > 0) && y != 0 {
			overflow(l, "+", r)
		}
		return int(sum)
	}
	return finite(l, "+", r, runtime.Add(l, r))
}

func subtract(l, r any) any {
	if x, y, ok := integers(l, r); ok {
		difference := x - y
		if (difference < x) != (y > 0) && y != 0 {
			overflow(l, "-", r)
		}
		return int(difference)
	}
	return finite(l, "-", r, runtime.Subtract(l, r))
}

func multiply(l, r any) any {
	if x, y, ok := integers(l, r); ok {
		product := x * y
		if x != 0 && (product/x != y || x == -1 && y == math.MinInt64) {
			overflow(l, "*", r)
		}
		return int(product)
	}
	return finite(l, "*", r, runtime.Multiply(l, r))
}

func divide(l, r any) any { return finite(l, "/", r, runtime.Divide(l, r)) }

func power(l, r any) any { return finite(l, "**", r, runtime.Exponent(l, r)) }

func negate(v any) any {
	if n, ok := integer(v); ok && n == math.MinInt64 {
		panic(fmt.Errorf("-(%d) is no integer of 64 bits", n))
	}
	return runtime.Negate(v)
}

func absolute(v any) any {
	if n, ok := integer(v); ok && n == math.MinInt64 {
		panic(fmt.Errorf("abs(%d) is no integer of 64 bits", n))
	}
	return builtin.Abs(v)
}

func toInteger(v any) any {
	if f, ok := v.(float64); ok && !(f >= math.MinInt64 && f < -math.MinInt64) {
		panic(fmt.Errorf("%v is no integer of 64 bits", f))
	}
	return builtin.Int(v)
}

func toFloat(v any) any {
	f := builtin.Float(v)
	if _, err := canonicalFloat(f.(float64)); err != nil {
		panic(err)
	}
	return f
}

func integer(v any) (int64, bool) {
	switch v := v.(type) {
	case int64:
		return v, true
	case int:
		return int64(v), true
	}
	return 0, false
}

func integers(l, r any) (x, y int64, ok bool) {
	if x, ok = integer(l); ok {
		y, ok = integer(r)
	}
	return x, y, ok
}

func overflow(l any, operator string, r any) {
	panic(fmt.Errorf("%v %s %v is no integer of 64 bits", l, operator, r))
}

// finite gives the result of an operation where it is one.
func finite(l any, operator string, r, result any) any {
	if f, ok := result.(float64); ok && (math.IsInf(f, 0) || math.IsNaN(f)) {
		panic(fmt.Errorf("%v %s %v is %v, which is not a number that JSON has", l, operator, r, f))
	}
	return result
}
