package spec

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// TestYAML writes values as people read them.
func TestYAML(t *testing.T) {
	v := Members{
		{"version", int64(1)},
		{"empty", []any{map[string]any{}, []any{}, ""}},
		{"said", "Dear Ada,\n\n  hello 👋\n"},
		{"cut", "one\ntwo"},
		{"long", "end\n\n\n"},
		{"odd", " first\nsecond\n"},
		{"pieces", []any{int64(5), int64(1)}},
		{"texts", []any{"plain text, as it is", "yes", "12", "a: b", "tab\t", "bell\a", "\u202e", "two\r\nlines\n"}},
		{"items", []any{map[string]any{"b": 1.5, "a": nil}, []any{"x", []any{"z"}}}},
	}
	want := `version: 1
empty:
  - {}
  - []
  - ""
said: |
  Dear Ada,

    hello 👋
cut: |-
  one
  two
long: |+
  end


odd: |2
   first
  second
pieces: [5, 1]
texts:
  - plain text, as it is
  - "yes"
  - "12"
  - "a: b"
  - "tab\t"
  - "bell\u0007"
  - "\u202e"
  - "two\u000d\nlines\n"
items:
  - a: null
    b: 1.5
  - - x
    - - z
`
	got := string(AppendYAML(nil, v))
	if got != want {
		t.Errorf("(-want +got):\n%s", cmp.Diff(want, got))
	}
	back, err := ParseYAML("p.yaml", []byte(got))
	if err != nil {
		t.Fatal(err)
	}
	if again := string(AppendYAML(nil, back)); !strings.Contains(again, "odd: |2\n   first\n  second\n") {
		t.Errorf("read back it is\n%s", again)
	}
}

// TestYAMLReadsBack writes any values and reads them.
func TestYAMLReadsBack(t *testing.T) {
	word := rapid.StringOfN(rapid.OneOf(rapid.RuneFrom([]rune("a \t\n:#-|>'\"\\%@`!&*?[]{},~=<\r\u0085\u2028\u202e\ufeff\U0001f600é.0e1")), rapid.Rune()), 0, 12, -1)
	text := rapid.OneOf(word, rapid.SampledFrom([]string{"true", "No", "null", "~", "0x1f", "1e5", ".5", "2001-01-01", "<<", "---", "...", "- a", "? a", "a:", "a #b", strings.Repeat("k", 2000)}))
	var value *rapid.Generator[any]
	value = rapid.Deferred(func() *rapid.Generator[any] {
		return rapid.OneOf(
			rapid.Map(text, func(s string) any { return s }), rapid.Map(text, func(s string) any { return s }),
			rapid.Map(rapid.Int64(), func(n int64) any { return n }),
			rapid.Map(rapid.Float64(), func(f float64) any { v, _ := Canonical(f); return v }),
			rapid.Just[any](nil), rapid.Just[any](true),
			rapid.Map(rapid.SliceOfN(value, 0, 3), func(l []any) any { return l }),
			rapid.Map(rapid.MapOfN(text, value, 0, 3), func(m map[string]any) any { return m }),
		)
	})
	rapid.Check(t, func(t *rapid.T) {
		v, err := Canonical(value.Draw(t, "value"))
		if err != nil {
			t.Skip(err)
		}
		b := AppendYAML(nil, v)
		back, err := ParseYAML("p.yaml", b)
		if err != nil {
			t.Fatalf("%v\n%s", err, b)
		}
		if diff := cmp.Diff(v, back); diff != "" {
			t.Fatalf("(-written +read):\n%s\n%s", diff, b)
		}
	})
}
