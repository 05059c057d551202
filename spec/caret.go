package spec

import (
	"strings"
	"unicode"

	"golang.org/x/text/width"
)

// maxShown is how many cells of a source line are shown.
const maxShown = 100

// caret is a source line with a caret below one of its characters, on two lines; what of a long line is far from the
// caret is left out. Empty where the line has no such character. A tab is one space wide, so that the caret stands right
// on every terminal.
func caret(line string, column int) string {
	runes := []rune(printable(strings.ReplaceAll(strings.TrimRight(line, "\r"), "\t", " ")))
	at := column - 1
	if line == "" || at < 0 || at > len(runes) {
		return ""
	}
	from, to := at, at
	before, after := 0, 0 // cells
	for before+after < maxShown && to-from < maxQuoted && (from > 0 || to < len(runes)) {
		if to == len(runes) || from > 0 && before <= after {
			from--
			before += cells(runes[from])
		} else {
			after += cells(runes[to])
			to++
		}
	}
	shown := string(runes[from:to])
	if from > 0 {
		shown, before = "…"+shown, before+1
	}
	if to < len(runes) {
		shown += "…"
	}
	return shown + "\n" + strings.Repeat(" ", before) + "^"
}

// cells is how many columns of a terminal a character takes.
func cells(r rune) int {
	if unicode.In(r, unicode.Mn, unicode.Me, unicode.Cf) {
		return 0
	}
	switch width.LookupRune(r).Kind() {
	case width.EastAsianWide, width.EastAsianFullwidth:
		return 2
	}
	return 1
}
