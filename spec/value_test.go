package spec

import (
	"encoding/json"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestCanonical(t *testing.T) {
	type point struct {
		X int     `json:"x"`
		Y float64 `json:"y"`
	}
	tests := map[string]struct{ in, want any }{
		"nil":                         {nil, nil},
		"text":                        {"ä", "ä"},
		"text that is not UTF-8":      {"a\xff", "a\uFFFD"},
		"as long without being UTF-8": {[]any{"\xff\xff\xff"}, []any{"\uFFFD"}},
		"int":                         {7, int64(7)},
		"small ints":                  {[]any{int8(1), uint16(2), int32(3)}, []any{int64(1), int64(2), int64(3)}},
		"integral float":              {2.0, int64(2)},
		"negative zero":               {math.Copysign(0, -1), int64(0)},
		"fraction":                    {2.5, 2.5},
		"beyond int64":                {1e300, 1e300},
		"uint64 beyond int64":         {uint64(math.MaxUint64), float64(math.MaxUint64)},
		"JSON number of 17 digits":    {json.Number("9007199254740993"), int64(9007199254740993)},
		"JSON number with a fraction": {json.Number("1.50"), 1.5},
		"JSON number beyond int64":    {json.Number("9223372036854775808"), 9223372036854775808.0},
		"list of Go ints":             {[]int{1, 2}, []any{int64(1), int64(2)}},
		"no list":                     {[]any(nil), []any{}},
		"no map":                      {map[string]any(nil), map[string]any{}},
		"nested":                      {map[string]any{"a": []any{1, map[string]any{"b": 2.0}}}, map[string]any{"a": []any{int64(1), map[string]any{"b": int64(2)}}}},
		"keys that are numbers":       {map[any][]any{1: {2}}, map[string]any{"1": []any{int64(2)}}},
		"key that is not UTF-8":       {map[string]any{"a\xff": 1}, map[string]any{"a\uFFFD": int64(1)}},
		"bytes that read as one":      {[]any{"\xff\xfe\xfd", map[string]any{"a": "\xff\xfe\xfd"}}, []any{"\uFFFD", map[string]any{"a": "\uFFFD"}}},
		"keys of the same text":       {map[any][]any{"1": {"d"}, 1: {"a"}, int64(1): {"b", "c"}}, map[string]any{"1": []any{"a", "b", "c", "d"}}},
		"struct":                      {point{1, 2}, map[string]any{"x": int64(1), "y": int64(2)}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := Canonical(tt.in)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}
		})
	}
}

func TestCanonicalRefuses(t *testing.T) {
	tests := map[string]any{
		"NaN":                       math.NaN(),
		"infinity":                  []any{map[string]any{"a": math.Inf(1)}},
		"a function":                func() {},
		"a number too large":        json.Number("1e999"),
		"keys that read the same":   map[string]any{"a\xff": 1, "a\uFFFD": 2},
		"keys that become the same": map[any]any{1: "a", "1": "b"},
	}
	for name, in := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got, err := Canonical(in); err == nil {
				t.Errorf("got %v, want an error", got)
			}
		})
	}
}

// anyValue generates what JSON can say, in Go's various types.
func anyValue() *rapid.Generator[any] {
	var value func(depth int) *rapid.Generator[any]
	value = func(depth int) *rapid.Generator[any] {
		scalars := []*rapid.Generator[any]{
			rapid.Just[any](nil), rapid.Bool().AsAny(), rapid.Int().AsAny(), rapid.Int64().AsAny(), rapid.Uint64().AsAny(), rapid.String().AsAny(),
			rapid.Float64().Filter(func(f float64) bool { return !math.IsNaN(f) && !math.IsInf(f, 0) }).AsAny(),
		}
		if depth == 0 {
			return rapid.OneOf(scalars...)
		}
		return rapid.OneOf(append(scalars, rapid.SliceOfN(value(depth-1), 0, 4).AsAny(), rapid.MapOfN(rapid.String(), value(depth-1), 0, 4).AsAny())...)
	}
	return value(3)
}

// A canonical value is its own canonical form, and comes back the same from JSON.
func TestCanonicalHolds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v, err := Canonical(anyValue().Draw(t, "value"))
		if err != nil {
			t.Fatal(err)
		}
		again, err := Canonical(v)
		if err != nil || !cmp.Equal(v, again) {
			t.Fatalf("twice canonical is another: %v", cmp.Diff(v, again))
		}
		back, err := ParseJSON(AsJSON(v))
		if err != nil || !cmp.Equal(v, back) {
			t.Fatalf("through JSON it is another (%v): %v", err, cmp.Diff(v, back))
		}
		var library strings.Builder
		e := json.NewEncoder(&library)
		e.SetEscapeHTML(false)
		if err := e.Encode(v); err != nil || AsJSON(v)+"\n" != library.String() {
			t.Fatalf("its JSON is %s, the library's %s (%v)", AsJSON(v), library.String(), err)
		}
		if copied := Copy(v); !cmp.Equal(v, copied) {
			t.Fatalf("its copy is another: %v", cmp.Diff(v, copied))
		}
	})
}

func TestCopySharesNothing(t *testing.T) {
	inner := map[string]any{"a": int64(1)}
	list := []any{inner}
	copied := Copy(list).([]any)
	copied[0].(map[string]any)["a"] = int64(2)
	copied[0] = nil
	if inner["a"] != int64(1) || list[0] == nil {
		t.Errorf("the copy changed what it was copied from: %v", list)
	}
}

func TestParseJSONRefuses(t *testing.T) {
	tests := map[string]struct{ src, want string }{
		"nothing":      {"", "empty"},
		"half a value": {`{"a": `, "not JSON"},
		"two values":   {"1 2", "more after"},
		"text":         {"hello", "not JSON"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := ParseJSON(tt.src); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want an error with %q", err, tt.want)
			}
		})
	}
}

func TestAsText(t *testing.T) {
	tests := map[string]struct {
		in   any
		want string
	}{
		"text stays":             {"a\"b", "a\"b"},
		"nil":                    {nil, "null"},
		"number":                 {int64(2), "2"},
		"sorted keys, no spaces": {map[string]any{"b": int64(1), "a": []any{"x", 2.5}}, `{"a":["x",2.5],"b":1}`},
		"nothing is escaped":     {[]any{"<&>"}, `["<&>"]`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := AsText(tt.in); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}

// TestCanonicalWithin counts about the bytes of JSON, of which a text alone takes what it is long.
func TestCanonicalWithin(t *testing.T) {
	const most = 1000
	tests := map[string]struct {
		fits, not any
	}{
		"a text":                {strings.Repeat("a", most), strings.Repeat("a", most+1)},
		"a text no UTF-8":       {strings.Repeat("a\xff", most/4), strings.Repeat("a\xff", most/4+1)},
		"escapes":               {strings.Repeat("\n\u2028\x01é", most/16), strings.Repeat("\n\u2028\x01é", most/16+1)},
		"texts":                 {slices.Repeat([]any{"a"}, most/4), slices.Repeat([]any{"a"}, most/4+1)},
		"numbers":               {slices.Repeat([]any{int64(1)}, most/3), slices.Repeat([]any{int64(1)}, most/3+1)},
		"keys":                  {map[string]any{strings.Repeat("k", most-3): nil}, map[string]any{strings.Repeat("k", most): nil}},
		"nested":                {[]any{[]any{strings.Repeat("a", most-6)}}, []any{[]any{strings.Repeat("a", most)}}},
		"lists of Go":           {make([]int, most/3), make([]int, most/3+1)},
		"bytes":                 {make([]byte, most/4), make([]byte, most)},
		"what JSON makes of it": {struct{ S string }{"a"}, struct{ S string }{strings.Repeat("a", most)}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := CanonicalWithin(tt.fits, most); err != nil {
				t.Errorf("what fits: %v", err)
			}
			if _, err := CanonicalWithin(tt.not, most); err != ErrTooLarge {
				t.Errorf("what does not: %v", err)
			}
		})
	}
}

// TestParseReply refuses a small text whose value would be large, before it is made.
func TestParseReply(t *testing.T) {
	tests := map[string]struct{ text, problem string }{
		"a million numbers":     {"[" + strings.Repeat("1,", 1_000_000) + "1]", ""},
		"a long text":           {`"` + strings.Repeat(`[{,\"`, 2<<20) + `"`, ""},
		"a million objects":     {"[" + strings.Repeat(`{"a":0},`, 1_000_000) + "1]", "the value is too large"},
		"three million lists":   {"[" + strings.Repeat("[],", 3_000_000) + "1]", "the value is too large"},
		"a thousand levels":     {strings.Repeat("[", 1000) + strings.Repeat("]", 1000), ""},
		"a level more":          {strings.Repeat("[", 1001) + strings.Repeat("]", 1001), "it nests deeper than 1000 levels"},
		"what is no JSON":       {"[1", "it is not JSON: unexpected EOF"},
		"a text without an end": {`["a`, "it is not JSON: unexpected EOF"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			problem := ""
			if _, err := ParseReply(tt.text); err != nil {
				problem = err.Error()
			}
			if problem != tt.problem {
				t.Errorf("got %q, want %q", problem, tt.problem)
			}
		})
	}
}
