package engine

import (
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// TestMaskGrowing cuts texts anywhere: hidden piece by piece they are as hidden at once.
func TestMaskGrowing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		word := rapid.StringOfN(rapid.RuneFrom([]rune("ab\"")), 1, 4, -1)
		m := newMask(rapid.SliceOfN(word, 1, 3).Draw(t, "secrets"))
		pieces := rapid.SliceOf(rapid.StringOfN(rapid.RuneFrom([]rune("ab\"\\ ")), 0, 5, -1)).Draw(t, "pieces")
		var shown, held string
		for _, p := range pieces {
			held += p
			n := m.settled(held)
			shown, held = shown+m.text(held[:n]), held[n:]
		}
		shown += m.text(held)
		if want := m.text(strings.Join(pieces, "")); shown != want {
			t.Fatalf("shown as %q, want %q", shown, want)
		}
	})
}

// TestMask hides secrets in the ways in which messages write them.
func TestMask(t *testing.T) {
	m := newMask([]string{" a\"<é ", "", "long", "longer"})
	for text, want := range map[string]string{
		`a"<é`:            "***",
		`it said "a\"<é"`: `it said "***"`,
		`"a\"\u003cé"`:    `"***"`,
		`"a\"<\u00e9"`:    `"***"`,
		"longer long":     "*** ***",
		"nothing":         "nothing",
	} {
		if got := m.text(text); got != want {
			t.Errorf("%s is shown as %s, want %s", text, got, want)
		}
	}
}
