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

// turns tells whether a character embeds, overrides or isolates the direction of text: https://trojansource.codes. The
// marks U+200E and U+200F do not, and honest Arabic and Hebrew has them.
func turns(r rune) bool { return r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069 }

// breaks tells whether YAML ends a line, and so a comment, at a character where an editor may not.
func breaks(r rune) bool { return r == '\r' || r == 0x85 || r == 0x2028 || r == 0x2029 }

// oneLine writes the controls in the name of a file as a program's source would, so that a message stays on its line.
func oneLine(name string) string {
	if !strings.ContainsFunc(name, hides) {
		return name
	}
	var b strings.Builder
	for _, r := range name {
		switch {
		case r == '\n':
			b.WriteString(`\n`)
		case hides(r):
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// hides tells whether a character could command a terminal or show other text than there is.
func hides(r rune) bool {
	return unicode.IsControl(r) || turns(r) || breaks(r) || r == 0x200e || r == 0x200f
}

// printable replaces what should not reach a terminal: files come from anywhere.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if hides(r) {
			return utf8.RuneError
		}
		return r
	}, s)
}
