package spec

import (
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// evaluate works out an expression of a pipeline whose input is a value.
func evaluate(t *testing.T, src string, input any) (any, error) {
	t.Helper()
	p := parse(t, src)
	return p.Root.Expr("set").Eval(Values{"input": input, "prev": input})
}

func TestFunctions(t *testing.T) {
	tests := map[string]struct {
		src   string
		input any
		want  any
	}{
		"json":                       {"json(input)", map[string]any{"b": int64(1), "a": "<"}, `{"a":"<","b":1}`},
		"parse_json":                 {"parse_json(input).n", `{"n": 9007199254740993}`, int64(9007199254740993)},
		"zip":                        {"zip(input, [1, 2])", []any{"a", "b"}, []any{[]any{"a", int64(1)}, []any{"b", int64(2)}}},
		"to_map":                     {"to_map(zip(input, 1..2))", []any{"a", "b"}, map[string]any{"a": int64(1), "b": int64(2)}},
		"to_map, last of equal keys": {`to_map([["a", 1], ["a", 2]])`, nil, map[string]any{"a": int64(2)}},
		"truncate":                   {"truncate(input, 3)", "äöüß", "äö…"},
		"truncate what fits":         {"truncate(input, 4)", "äöüß", "äöüß"},
		"truncate to nothing":        {"truncate(input, 0)", "a", ""},
		"compact":                    {"compact([1, nil, 2])", nil, []any{int64(1), int64(2)}},
		"votes":                      {`votes(["b", "a", nil, "a", "b", "c"])`, nil, []any{vote("b", 2), vote("a", 2), vote("c", 1)}},
		"join":                       {`join(input, "-")`, []any{"a", "b"}, "a-b"},
		"join without separator":     {`input | join()`, []any{"a", "b"}, "ab"},
		"string of an object":        {"string(input)", map[string]any{"b": int64(1), "a": nil}, `{"a":null,"b":1}`},
		"keys are sorted":            {"keys(input)", map[string]any{"c": 1, "a": 2, "b": 3}, []any{"a", "b", "c"}},
		"values follow their keys":   {"values(input)", map[string]any{"c": int64(1), "a": int64(2)}, []any{int64(2), int64(1)}},
		"pairs follow their keys":    {"toPairs(input)", map[string]any{"c": int64(1), "a": int64(2)}, []any{[]any{"a", int64(2)}, []any{"c", int64(1)}}},
		"parts of a text":            {`join(split(input, " "), "-")`, "a b c", "a-b-c"},
		"keys of groups":             {"keys(groupBy(input, # % 2))", []any{int64(1), int64(2)}, []any{"0", "1"}},
		"values of pairs":            {"values(fromPairs(input))", []any{[]any{"b", int64(1)}, []any{"a", int64(2)}}, []any{int64(2), int64(1)}},
		"groups by number":           {"groupBy(input, # % 2)", []any{int64(1), int64(2), int64(3)}, map[string]any{"0": []any{int64(2)}, "1": []any{int64(1), int64(3)}}},
		"range":                      {"1..3", nil, []any{int64(1), int64(2), int64(3)}},
		"integers stay integers":     {"input % 2 == 1 and input + 1 == 4", int64(3), true},
		"in a list of numbers":       {"input in [1, 3]", int64(3), true},
		"equal numbers":              {"input == 3.0", int64(3), true},
		"nil equals nothing else":    {`input == "" or input == 0`, nil, false},
		"optional chain":             {`input?.a?.b == nil ? "none" : "some"`, nil, "none"},
		"division gives an integer":  {"input / 2", int64(4), int64(2)},
		"repeat":                     {"repeat(\"ab\", input)", int64(2), "abab"},
		"conditional":                {`if input > 2 { "big" } else { "small" }`, int64(3), "big"},
		"let":                        {"let x = input; x + x", int64(3), int64(6)},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := evaluate(t, "set: |-\n  "+tt.src, tt.input)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("%s: -want +got\n%s", tt.src, diff)
			}
		})
	}
}

func vote(value any, count int64) any { return map[string]any{"value": value, "count": count} }

func TestExpressionsFail(t *testing.T) {
	tests := map[string]struct {
		src   string
		input any
		want  string
	}{
		"nil in join":           {"join(input)", []any{"a", nil}, "compact"},
		"number in join":        {"join(input)", []any{"a", int64(1)}, "map(list, string(#))"},
		"lists of two lengths":  {"zip(input, [1])", []any{}, "one length, not 0 and 1"},
		"no pairs":              {"to_map(input)", []any{int64(1)}, "[key, value] pairs"},
		"broken JSON":           {"parse_json(input)", "{", "parse_json: it is not JSON"},
		"negative length":       {"truncate(input, -1)", "a", "at least 0"},
		"what has no fields":    {"input.a", int64(1), "cannot fetch a"},
		"a field of a text":     {"input.a", "x", "found a text where an object is needed"},
		"keys of a text":        {"keys(input)", "x", `keys needs an object, not "x"`},
		"infinity":              {"1 / input", int64(0), "1 / 0 is +Inf, which is not a number that JSON has"},
		"a long text as a list": {"join(input)", strings.Repeat("x", 10_000), `join needs a list, not "xxx`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := evaluate(t, "set: "+tt.src, tt.input)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("got %v, want an error with %q", err, tt.want)
			}
			if e, ok := err.(*EvalError); !ok || e.Pos.String() != "p.yaml:1:6" {
				t.Errorf("the error %#v has no place, or another", err)
			}
		})
	}
}

func TestTypes(t *testing.T) {
	input := "input: {n: integer, name: string, tags: [string], maybe: optional string, in: {x: number}}\n"
	tests := map[string]struct{ src, want string }{
		"a field":             {"input.n", "integer"},
		"arithmetic":          {"input.n * 2", "integer"},
		"a float may be int":  {"input.in.x", "any"},
		"a text":              {"upper(input.name)", "string"},
		"a comparison":        {"input.n > 2", "boolean"},
		"a list":              {"input.tags", "list of string"},
		"its element":         {"input.tags[0]", "string"},
		"filtered":            {"filter(input.tags, # != \"\")", "list of string"},
		"an object":           {"input.in", "object with x"},
		"what may be missing": {"input.maybe", "any"},
		"behind ?.":           {"input?.name", "any"},
		"a map literal":       {"{a: 1}", "object"},
		"a dynamic field":     {`input["name"]`, "string"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := parse(t, input+"set: |-\n  "+tt.src)
			if got := p.Type.String(); got != tt.want {
				t.Errorf("%s: got %s, want %s", tt.src, got, tt.want)
			}
		})
	}
}

// What an expression reads is all that it is given when it runs.
func TestReads(t *testing.T) {
	p := parse(t, `
params: {a: {default: 1}}
seq:
  - {name: one, set: 1}
  - {name: two, set: 2}
  - set: ["${{ steps.two.output + params.a }}", "${{ let x = input; x + steps.one.output }}"]
`)
	names, steps := p.Root.Nodes("seq")[2].Expr("set").Reads()
	if diff := cmp.Diff([][]string{{"input", "params"}, {"one", "two"}}, [][]string{names, steps}); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	if !p.Root.Nodes("seq")[0].IsRead() || p.Root.Nodes("seq")[2].IsRead() {
		t.Error("IsRead does not tell what is read")
	}
}

func TestConstants(t *testing.T) {
	p := parse(t, "set: {a: [1, x, 2.50, true, null], b: {}}")
	got, ok := p.Root.Expr("set").Constant()
	want := map[string]any{"a": []any{int64(1), "x", 2.5, true, nil}, "b": map[string]any{}}
	if diff := cmp.Diff(want, got); !ok || diff != "" {
		t.Errorf("constant %v: -want +got\n%s", ok, diff)
	}
}

// TestCharacters counts characters, not bytes, in texts.
func TestCharacters(t *testing.T) {
	for src, want := range map[string]any{
		`input.s[0:2]`: "hé", `input.s[2:]`: "llo", `input.s[:-1]`: "héll", `input.s[:]`: "héllo", `input.s[4:2]`: "", `input.s[-9:9]`: "héllo",
		`"日本"[1:]`: "本", `indexOf("日本", "本")`: int64(1), `lastIndexOf("本日本", "本")`: int64(2), `indexOf("日", "x")`: int64(-1), `indexOf("日", "")`: int64(0),
		`input.l[1:]`: []any{int64(2), int64(3)}, `input.l[:2]`: []any{int64(1), int64(2)}, `(1..4)[1:3]`: []any{int64(2), int64(3)}, `[7, 8][:1]`: []any{int64(7)},
	} {
		input := map[string]any{"s": "héllo", "l": []any{int64(1), int64(2), int64(3)}}
		got, err := evaluate(t, "set: "+strconv.Quote(src), input)
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("%s: %v (-want +got):\n%s", src, err, diff)
		}
	}
}
