package spec

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

func TestEscape(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ text, want string }{
		"plain":                    {"a b", "a b"},
		"lines and tabs":           {"a\n\tb\r", `a\n b\u000d`},
		"C0 and delete":            {"\x1b[2J\x00\x7f", `\u001b[2J\u0000\u007f`},
		"C1":                       {"\u009b2J\u0085", `\u009b2J\u0085`},
		"C1 as a byte":             {"\x9b2J", "\ufffd2J"},
		"half a character":         {"a\xe2\x80", "a\ufffd\ufffd"},
		"marks of direction":       {"\u202e\u2066\u200e\u200f\u061c", `\u202e\u2066\u200e\u200f\u061c`},
		"separators of lines":      {"a\u2028b\u2029", `a\u2028b\u2029`},
		"a byte order mark":        {"\ufeffa", `\ufeffa`},
		"letters that nobody sees": {"a\U000e0068\U000e0069", `a\U000e0068\U000e0069`},
		"a flag of a region":       {"🏴\U000e0067\U000e0062\U000e0073\U000e0063\U000e0074\U000e007f!", "🏴\U000e0067\U000e0062\U000e0073\U000e0063\U000e0074\U000e007f!"},
		"letters behind a flag":    {"🏴" + strings.Repeat("\U000e0061", 8), "🏴" + strings.Repeat("\U000e0061", 7) + `\U000e0061`},
		"emoji, CJK, joined":       {"👩‍👩‍👧 ❤️ 漢字 می\u200cخواهم e\u0301", "👩‍👩‍👧 ❤️ 漢字 می\u200cخواهم e\u0301"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := Escape(tt.text); got != tt.want {
				t.Errorf("%q, want %q", got, tt.want)
			}
		})
	}
}

// FuzzEscape holds that nothing that hides is left in an escaped text, and that the rest is as it was.
func FuzzEscape(f *testing.F) {
	f.Add("a\x1b]0;t\a\n\u009b\x9b\u202e漢字")
	f.Add("🏴\U000e0067\U000e007f\U000e0067\xe2\x80")
	f.Fuzz(func(t *testing.T, text string) {
		got := Escape(text)
		if !utf8.ValidString(got) {
			t.Errorf("%q is not UTF-8", got)
		}
		for _, r := range got {
			if unicode.In(r, unicode.Cc, unicode.Zl, unicode.Zp, unicode.Bidi_Control) {
				t.Errorf("%q holds %U", got, r)
			}
		}
		if again := Escape(got); again != got {
			t.Errorf("%q becomes %q", got, again)
		}
		rest := got
		for _, word := range strings.FieldsFunc(string([]rune(text)), func(r rune) bool { return !unicode.IsGraphic(r) }) {
			_, after, ok := strings.Cut(rest, word)
			if !ok {
				t.Fatalf("%q lacks %q", got, word)
			}
			rest = after
		}
	})
}
