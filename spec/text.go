package spec

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// notText finds where a file is not plain text that reads as it looks; nil where it is. escape is how the file may
// write any character, with a verb for its number.
func notText(file, src, escape string) *Diagnostic {
	if wide(src) {
		return &Diagnostic{Pos: Pos{file, 1, 1}, Message: "the file is UTF-16, not UTF-8", Hint: "save it as UTF-8"}
	}
	line, column := 1, 1
	for i, r := range src {
		problem, bytes := "", false
		switch {
		case r == utf8.RuneError && !strings.HasPrefix(src[i:], string(r)):
			problem, bytes = "the file is not UTF-8 text", true
		case r == 0:
			problem, bytes = "the file holds a NUL byte: it is no text", true
		case r == '\t' || r == '\n' || r == '\r' && strings.HasPrefix(src[i+1:], "\n"):
		case turns(r):
			problem = fmt.Sprintf("marks that turn the direction of text are not allowed: U+%04X", r)
		case breaks(r):
			problem = fmt.Sprintf("a line must end with LF or CR LF, not U+%04X", r)
		case unicode.IsControl(r):
			problem = fmt.Sprintf("control characters are not allowed: U+%04X", r)
		}
		if problem != "" {
			d := &Diagnostic{Pos: Pos{file, line, column}, Message: problem}
			if !bytes {
				d.Hint = fmt.Sprintf("where it is meant, write it as "+escape, r)
			}
			return d
		}
		if column++; r == '\n' {
			line, column = line+1, 1
		}
	}
	return nil
}

// wide tells whether a text is UTF-16, by its mark or by the zero byte that a letter has there.
func wide(src string) bool {
	if strings.HasPrefix(src, "\xff\xfe") || strings.HasPrefix(src, "\xfe\xff") {
		return true
	}
	zero := func(i int) bool { return src[i] == 0 }
	return len(src) > 3 && zero(0) == zero(2) && zero(1) == zero(3) && zero(0) != zero(1)
}

// turns tells whether a character embeds, overrides or isolates the direction of text: https://trojansource.codes. The
// marks U+061C, U+200E and U+200F do not, and honest Arabic and Hebrew has them.
func turns(r rune) bool { return r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069 }

// breaks tells whether YAML ends a line, and so a comment, at a character where an editor may not.
func breaks(r rune) bool { return r == '\r' || r == 0x85 || r == 0x2028 || r == 0x2029 }

// Escape makes a text that flowrun did not write harmless for a terminal, on one line: what an [Escaper] finds becomes
// visible, and what is no UTF-8 becomes U+FFFD. Escaped again, it stays as it is.
func Escape(s string) string {
	var e Escaper
	if utf8.ValidString(s) && !strings.ContainsFunc(s, e.Hides) {
		return s
	}
	e = Escaper{}
	var b strings.Builder
	for _, r := range s {
		switch {
		case !e.Hides(r):
			b.WriteRune(r)
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\t':
			b.WriteByte(' ')
		default:
			b.WriteString(Visible(r))
		}
	}
	return b.String()
}

// Visible stands for a character that hides.
func Visible(r rune) string {
	if r > 0xffff {
		return fmt.Sprintf(`\U%08x`, r)
	}
	return fmt.Sprintf(`\u%04x`, r)
}

// Escaper finds what must not reach a terminal as it is. It takes the characters of a text in their order; the zero
// value stands before the first.
type Escaper struct {
	tags int // how many may follow, as parts of a flag
}

// Hides tells whether a character could command a terminal, change the order or the lines of a text, or be text that
// only a machine sees. What emoji and scripts are joined with may pass, and so may the tags in the flags of regions:
// https://unicode.org/reports/tr51/#flag-emoji-tag-sequences.
func (e *Escaper) Hides(r rune) bool {
	tags := e.tags
	e.tags = 0
	switch {
	case r < 0x7f:
		return r < ' '
	case r == '\U0001f3f4':
		e.tags = 7 // at most six for the region, and the end
	case r >= 0xe0020 && r <= 0xe007f:
		e.tags = max(tags-1, 0)
		return tags == 0
	}
	return unicode.IsControl(r) || breaks(r) || unicode.Is(unicode.Bidi_Control, r) ||
		r >= 0x206a && r <= 0x206f || r == 0xfeff || r == 0xe0001 // of no use since Unicode 3.0, 3.2 and 5.1
}

// printable puts one sign in the place of each character that should not reach a terminal.
func printable(s string) string {
	var e Escaper
	return strings.Map(func(r rune) rune {
		if e.Hides(r) {
			return utf8.RuneError
		}
		return r
	}, s)
}
