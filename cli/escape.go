package cli

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// escape makes text that flowrun did not write harmless for a terminal: what could command it becomes visible.
func escape(s string) string {
	if !strings.ContainsFunc(s, commands) {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		switch {
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\t':
			b.WriteByte(' ')
		case commands(r):
			b.WriteString(visible(r))
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// escapeLines is escape for text of several lines.
func escapeLines(s string) string {
	lines := strings.Split(s, "\n")
	for i, l := range lines {
		lines[i] = escape(l)
	}
	return strings.Join(lines, "\n")
}

// visible stands for a character that commands.
func visible(r rune) string { return fmt.Sprintf(`\u%04x`, r) }

// commands tells whether a terminal may take a character for more than itself: controls and marks of direction.
func commands(r rune) bool {
	return unicode.IsControl(r) || r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069 || r == 0x200e || r == 0x200f
}

// harmless writes to a terminal text that flowrun did not write: lines and tabs stay, what commands becomes visible.
type harmless struct {
	out  io.Writer
	tail []byte // of a character that is not whole yet
}

func (h *harmless) Write(b []byte) (int, error) {
	text := append(h.tail, b...)
	var safe []byte
	for len(text) > 0 && utf8.FullRune(text) {
		r, size := utf8.DecodeRune(text)
		if commands(r) && r != '\n' && r != '\t' {
			safe = append(safe, visible(r)...)
		} else {
			safe = utf8.AppendRune(safe, r)
		}
		text = text[size:]
	}
	h.tail = slices.Clone(text)
	if _, err := h.out.Write(safe); err != nil {
		return 0, err
	}
	return len(b), nil
}
