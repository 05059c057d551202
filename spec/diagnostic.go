package spec

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"
)

// Pos is a place in a file. Lines and columns count from 1, columns in characters; a zero line means the file as a whole.
type Pos struct {
	File   string
	Line   int
	Column int
}

// String is file:line:col, which editors jump to, on one line whatever the file is called.
func (p Pos) String() string {
	if p.Line == 0 {
		return Escape(p.File)
	}
	return fmt.Sprintf("%s:%d:%d", Escape(p.File), p.Line, p.Column)
}

// Diagnostic is one problem of a file: where, what was found and what would do.
type Diagnostic struct {
	Pos
	Message string
	Hint    string // how to mend it; empty where the message says it all
	Warning bool   // the file is good all the same

	line string // of the source
}

// Error is the problem on one line, as [Escape] leaves it: the message quotes the file.
func (d Diagnostic) Error() string {
	if d.Warning {
		return fmt.Sprintf("%s: warning: %s", d.Pos, Escape(d.Message))
	}
	return fmt.Sprintf("%s: %s", d.Pos, Escape(d.Message))
}

// Diagnostics are the problems of a file and of those it includes, sorted by place.
type Diagnostics []Diagnostic

const (
	maxListed   = 100  // problems that are written out; the rest are counted
	maxProblems = 1000 // errors after which a file is not looked at any further
)

// more says how many problems are not listed.
func (ds Diagnostics) more() string {
	if len(ds) >= maxProblems {
		return "and more problems"
	}
	return fmt.Sprintf("and %d more problems", len(ds)-maxListed)
}

// Error lists the problems, a line each.
func (ds Diagnostics) Error() string {
	var b strings.Builder
	for i, d := range ds {
		if i == maxListed {
			b.WriteString("\n" + ds.more())
			break
		}
		if i > 0 {
			b.WriteByte('\n')
		}
		b.WriteString(d.Error())
	}
	return b.String()
}

// Err is the errors among them, nil where there are none but warnings.
func (ds Diagnostics) Err() error {
	var bad Diagnostics
	for _, d := range ds {
		if !d.Warning {
			bad = append(bad, d)
		}
	}
	if len(bad) == 0 {
		return nil
	}
	return bad
}

// Write prints each problem with its source line, a caret and the hint, harmless for a terminal.
func (ds Diagnostics) Write(w io.Writer) error {
	var b strings.Builder
	for i, d := range ds {
		if i == maxListed {
			fmt.Fprintln(&b, ds.more())
			break
		}
		fmt.Fprintln(&b, d.Error())
		if shown := caret(d.line, d.Column); shown != "" {
			b.WriteString(indent(shown, "  "))
		}
		if d.Hint != "" {
			fmt.Fprintf(&b, "  hint: %s\n", Escape(d.Hint))
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// AsDiagnostics gives the problems in err, if that is what it is.
func AsDiagnostics(err error) (Diagnostics, bool) {
	var ds Diagnostics
	ok := errors.As(err, &ds)
	return ds, ok
}

func (ds Diagnostics) sort() Diagnostics {
	slices.SortStableFunc(ds, func(a, b Diagnostic) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	return slices.CompactFunc(ds, func(a, b Diagnostic) bool { return a.Pos == b.Pos && a.Message == b.Message })
}

// maxQuoted is how many characters of a source line or a value a message quotes.
const maxQuoted = 200

// shorten cuts a text to what a message quotes of one.
func shorten(s string) string {
	if utf8.RuneCountInString(s) > maxQuoted {
		return string([]rune(s)[:maxQuoted]) + "…"
	}
	return s
}

// quote shortens a text of the file for a message.
func quote(s string) string { return fmt.Sprintf("%q", shorten(s)) }

// show is a canonical value for a message: a text in quotes, anything else as JSON.
func show(v any) string {
	if s, ok := v.(string); ok {
		return quote(s)
	}
	return shorten(AsJSON(v))
}
