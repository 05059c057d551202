package cli

import (
	"io"
	"path/filepath"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/flowrun/flowrun/spec"
)

// escapeLines is [spec.Escape] for text of several lines.
func escapeLines(s string) string {
	lines := strings.Split(s, "\n")
	for i, l := range lines {
		lines[i] = spec.Escape(l)
	}
	return strings.Join(lines, "\n")
}

// shellWord is a text as one word on a shell's line.
func shellWord(s string) string {
	special := func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsDigit(r) && !strings.ContainsRune("._-+,:@%/", r) && r != filepath.Separator
	}
	if s != "" && !strings.ContainsFunc(s, special) {
		return s
	}
	return spec.Escape("'" + strings.ReplaceAll(s, "'", `'\''`) + "'")
}

// harmless writes to a terminal text that flowrun did not write: lines and tabs stay, what hides becomes visible.
type harmless struct {
	out     io.Writer
	escaper spec.Escaper
	tail    []byte // of a character that is not whole yet
}

func (h *harmless) Write(b []byte) (int, error) {
	text := append(h.tail, b...)
	var safe []byte
	for len(text) > 0 && utf8.FullRune(text) {
		r, size := utf8.DecodeRune(text)
		if h.escaper.Hides(r) && r != '\n' && r != '\t' {
			safe = append(safe, spec.Visible(r)...)
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
