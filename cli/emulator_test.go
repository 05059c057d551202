package cli

import (
	"strings"
	"testing"

	"github.com/clipperhouse/displaywidth"
	"github.com/hinshun/vt10x"
)

// emulator is a terminal. A wide character takes two columns, as on those that people use; vt10x knows no such.
type emulator struct {
	vt10x.Terminal
	raw strings.Builder
}

// filler stands in the second column of a wide character.
const filler = '\ue000'

func newEmulator(columns, rows int) *emulator {
	return &emulator{Terminal: vt10x.New(vt10x.WithSize(columns, rows))}
}

func (e *emulator) Write(b []byte) (int, error) {
	e.raw.Write(b)
	var shown strings.Builder
	for _, r := range string(b) {
		switch {
		case r == '\n': // as a terminal's driver does
			shown.WriteString("\r\n")
		case displaywidth.Rune(r) == 2:
			shown.WriteString(string(r) + string(filler))
		default:
			shown.WriteRune(r)
		}
	}
	_, err := e.Terminal.Write([]byte(shown.String()))
	return len(b), err
}

// screen is what it shows, without what is blank at the end of lines and below them.
func (e *emulator) screen() string {
	lines := strings.Split(strings.ReplaceAll(e.String(), string(filler), ""), "\n")
	for i, l := range lines {
		lines[i] = strings.TrimRight(l, " ")
	}
	return strings.TrimRight(strings.Join(lines, "\n"), "\n")
}

// reflow gives it another size and wraps what it shows anew, as many terminals do.
func (e *emulator) reflow(columns, rows int) {
	wrapped := vt10x.New(vt10x.WithSize(columns, rows))
	_, _ = wrapped.Write([]byte(strings.ReplaceAll(e.screen(), "\n", "\r\n") + "\r\n"))
	e.Terminal = wrapped
}

// isLeftAlone checks that a prompt may follow: the cursor is visible, at the start of the line below the text, in the
// modes in which it was found.
func (e *emulator) isLeftAlone(t *testing.T) {
	t.Helper()
	at, below := e.Cursor(), strings.Count(e.screen(), "\n")+1
	if at.X != 0 || at.Y != below || !e.CursorVisible() || e.Mode()&vt10x.ModeWrap == 0 || at.Attr.FG != vt10x.DefaultFG {
		t.Errorf("cursor %+v, visible %v, mode %b, want column 0 of line %d:\n%s", at, e.CursorVisible(), e.Mode(), below, e.screen())
	}
}
