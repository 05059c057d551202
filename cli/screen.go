package cli

import (
	"bytes"
	"fmt"
	"io"

	"github.com/clipperhouse/displaywidth"
)

// screen keeps a block of lines at the end of what a terminal shows. Between two drawings the terminal is as a command
// leaves it: the cursor visible, on a line of its own below the block.
type screen struct {
	out     io.Writer
	reflows bool  // the terminal wraps lines anew when it gets narrower
	block   []int // how wide its lines are
}

// The control sequences of https://invisible-island.net/xterm/ctlseqs/ctlseqs.html; that of one step (synchronized
// output) is in https://github.com/contour-terminal/vt-extensions.
const (
	oneStep, stepDone     = "\x1b[?2026h", "\x1b[?2026l"
	hideCursor, cursor    = "\x1b[?25l", "\x1b[?25h"
	cutLines, wrapLines   = "\x1b[?7l", "\x1b[?7h"
	eraseRight, eraseDown = "\x1b[K", "\x1b[J"
)

// draw puts another block in the place of the last, and text that stays above it. Text ends with a newline; lines are
// narrower than the width of the terminal, in columns.
func (s *screen) draw(text []byte, lines []string, width int) {
	if len(s.block) == 0 && len(lines) == 0 {
		_, _ = s.out.Write(text) // without control sequences where none are needed
		return
	}
	var b bytes.Buffer
	b.WriteString(oneStep + hideCursor + "\r")
	if up := s.rows(width); up > 0 {
		fmt.Fprintf(&b, "\x1b[%dA", up)
	}
	if len(text) > 0 {
		b.WriteString(eraseDown)
		b.Write(text)
	}
	b.WriteString(cutLines) // where the terminal takes a character for wider than we do
	s.block = s.block[:0]
	for _, l := range lines {
		b.WriteString(l + eraseRight + "\n")
		s.block = append(s.block, displaywidth.Options{ControlSequences: true}.String(l))
	}
	b.WriteString(eraseDown + wrapLines + cursor + stepDone)
	_, _ = s.out.Write(b.Bytes()) // a terminal that is gone has sent a signal
}

// rows is how many rows the block takes in a terminal that may have another width by now.
func (s *screen) rows(width int) int {
	rows := len(s.block)
	for _, w := range s.block {
		if s.reflows && w > width {
			rows += (w - 1) / width
		}
	}
	return rows
}

// forget leaves the block where it is; the next stands below.
func (s *screen) forget() { s.block = nil }
