package cli

import (
	"bytes"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

// commands tells whether a terminal takes a character for more than itself.
func commands(r rune) bool {
	return unicode.In(r, unicode.Cc, unicode.Zl, unicode.Zp, unicode.Bidi_Control)
}

// FuzzHarmless holds that a terminal gets nothing that hides, and the same wherever a text is cut.
func FuzzHarmless(f *testing.F) {
	f.Add([]byte("a\x1b[2J\u202e漢字\xe2\x80"), byte(1))
	f.Add([]byte("🏴\U000e0067\U000e007f\U000e0067\n\t\r"), byte(3))
	f.Fuzz(func(t *testing.T, text []byte, step byte) {
		var whole, pieces bytes.Buffer
		write := func(h *harmless, b []byte) {
			if n, err := h.Write(b); err != nil || n != len(b) {
				t.Fatalf("wrote %d of %d: %v", n, len(b), err)
			}
		}
		text = append(text, '\n') // ends a character that is not whole
		write(&harmless{out: &whole}, text)
		h, size := &harmless{out: &pieces}, 1
		for rest := text; len(rest) > 0; size = 1 + (size+int(step))%7 {
			n := min(size, len(rest))
			write(h, rest[:n])
			rest = rest[n:]
		}
		if pieces.String() != whole.String() {
			t.Errorf("in pieces %q, at once %q", pieces.String(), whole.String())
		}
		if !utf8.Valid(whole.Bytes()) {
			t.Errorf("%q is not UTF-8", whole.String())
		}
		for _, r := range whole.String() {
			if r != '\n' && r != '\t' && commands(r) {
				t.Errorf("%q holds %U", whole.String(), r)
			}
		}
		if lines := strings.Count(whole.String(), "\n"); lines != bytes.Count(text, []byte("\n")) {
			t.Errorf("%d lines of %q", lines, text)
		}
	})
}
