package spec

import (
	"strings"
	"testing"
	"time"
)

// fuzzed is what fuzzed expressions read.
var fuzzed = map[string]any{
	"n": int64(3), "x": 2.5, "s": strings.Repeat("ab ", 300), "b": true, "none": nil,
	"l": []any{int64(1), "a", nil, []any{2.5, false}},
	"o": map[string]any{"k": "v", "l": []any{int64(1), int64(2)}, "o": map[string]any{}},
}

// FuzzExpression looks for a source that panics, or takes more than an expression may.
func FuzzExpression(f *testing.F) {
	for _, b := range bombs {
		if len(b.src) < 2*maxSource {
			f.Add(b.src)
		}
	}
	f.Add(`sortBy(filter(input.l, # != nil), string(#), "desc")[0] ?? input.o?.k`)
	f.Fuzz(func(t *testing.T, src string) {
		evaluateWithin(t, strings.ReplaceAll(src, "${{", ""))
	})
}

// FuzzTemplate does the same for texts with expressions between.
func FuzzTemplate(f *testing.F) {
	for _, b := range bombs {
		if len(b.src) < 2*maxSource {
			f.Add("a ${{ " + b.src + " }} b")
		}
	}
	f.Add("$${{ ${{ input.s }} ${{ '}}' }} ${{ {a: {b: 1}} }}")
	f.Add(strings.Repeat("${{", 1000) + strings.Repeat("}}", 1000))
	f.Fuzz(func(t *testing.T, src string) {
		evaluateWithin(t, "${{ 1 }}"+src)
	})
}

// evaluateWithin loads and evaluates an expression. The time is generous: fuzzing shares the machine.
func evaluateWithin(t *testing.T, src string) {
	t.Helper()
	start, before := time.Now(), allocated()
	p, problems := Parse("p.yaml", ".", []byte("set: "+AsJSON(src)+"\n"), tiny())
	if problems.Err() == nil {
		v, err := p.Root.Expr("set").Eval(Values{"input": fuzzed, "prev": fuzzed})
		if at, ok := err.(*EvalError); err != nil && (!ok || at.Pos.Line == 0) {
			t.Errorf("%T %v has no place", err, err)
		}
		if again, err := Canonical(v); err != nil || !same(v, again) {
			t.Errorf("%v is not canonical: %v", v, err)
		}
	}
	if took := time.Since(start); took > patience*10*time.Second {
		t.Errorf("it took %v", took)
	}
	if mebibytes := (allocated() - before) >> 20; mebibytes > patience*300 {
		t.Errorf("it took %d MiB", mebibytes)
	}
}
