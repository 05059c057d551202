package cli

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/user"
	"strings"
	"sync"
	"time"

	"github.com/clipperhouse/displaywidth"
	urfave "github.com/urfave/cli/v2"
	"golang.org/x/term"

	"github.com/flowrun/flowrun/engine"
	"github.com/flowrun/flowrun/spec"
)

// desk asks whoever sits at the terminal for approvals, one after another.
type desk struct {
	out    io.Writer // the terminal
	keys   *keyboard
	size   func() (columns, rows int)
	others []curtain     // before what else is written there
	turn   chan struct{} // held by the one that is asked
}

// curtain holds back, from hide to show, what a run writes to a terminal.
type curtain interface {
	hide()
	show()
}

func newDesk(in io.Reader, out *os.File) *desk {
	return &desk{out: out, keys: newKeyboard(in), size: func() (int, int) { return terminalSize(out) }, turn: make(chan struct{}, 1)}
}

// terminalSize is how large a terminal is, or is taken to be.
func terminalSize(f *os.File) (columns, rows int) {
	columns, rows, err := term.GetSize(int(f.Fd()))
	if err != nil || columns <= 0 || rows <= 0 {
		return 80, 24
	}
	return columns, rows
}

// attend hangs the desk's curtains before what else goes to the terminal.
func (p *program) attend() {
	if p.desk == nil {
		return
	}
	if p.live != nil {
		p.desk.others = append(p.desk.others, p.live)
	} else {
		report := &held{out: p.Err}
		p.Err, p.desk.others = report, append(p.desk.others, report)
	}
	if isTerminal(p.Out) {
		output := &held{out: p.Out}
		p.Out, p.desk.others = output, append(p.desk.others, output)
	}
}

// waits tells what a run waits for, and how to answer each question.
func (p *program) waits(c *urfave.Context, r *engine.Result) {
	columns := 80
	var b strings.Builder
	fmt.Fprintf(&b, "flowrun: the run waits for %s:\n", count(len(r.Waiting), "approval"))
	nodes := asking(r.Waiting)
	for i, q := range r.Waiting {
		node := nodes[i]
		for _, l := range append(wrapped(node+" asks:", columns), indented(q.Message, columns)...) {
			b.WriteString(l + "\n")
		}
		for _, o := range q.Options {
			fmt.Fprintf(&b, "answer: %s\n", next(c, "approve", r.RunID, node, o))
		}
	}
	fmt.Fprint(p.Err, b.String())
}

// asking are the words for the nodes that ask: their names, and the turns of those that ask several times.
func asking(waiting []engine.Approval) []string {
	times := map[string]int{}
	for _, q := range waiting {
		times[q.Node]++
	}
	nodes := make([]string, len(waiting))
	for i, q := range waiting {
		if nodes[i] = q.Node; times[q.Node] > 1 {
			nodes[i] = q.Turn
		}
	}
	return nodes
}

// Ask shows the question, all of it, and takes the answer; nil where whoever is there leaves it open, with Ctrl-D.
func (d *desk) Ask(ctx context.Context, q engine.Approval) (*engine.Answer, error) {
	select {
	case d.turn <- struct{}{}:
		defer func() { <-d.turn }()
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	for _, c := range d.others {
		c.hide()
		defer c.show()
	}
	d.keys.forget()
	value, err := d.ask(ctx, q)
	if ctx.Err() != nil {
		fmt.Fprintln(d.out)
		return nil, context.Cause(ctx)
	}
	if errors.Is(err, io.EOF) {
		fmt.Fprintln(d.out)
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading the answer: %w", err)
	}
	return &engine.Answer{Value: value, By: whoami(), At: time.Now()}, nil
}

func (d *desk) ask(ctx context.Context, q engine.Approval) (string, error) {
	who := q.Node
	if !strings.HasSuffix(q.Turn, "/"+q.Node) && q.Turn != q.Node {
		who += " (" + q.Turn + ")"
	}
	columns, rows := d.size()
	lines := append(wrapped(who+" asks:", columns-1), indented(q.Message, columns-1)...)
	if !q.Deadline.IsZero() {
		then := "then it fails"
		if q.OnTimeout != "" {
			then = "then the answer is " + q.OnTimeout
		}
		lines = append(lines, fmt.Sprintf("until %s, %s", q.Deadline.Local().Format("2006-01-02 15:04:05"), then))
	}
	if err := d.print(ctx, lines, rows-2); err != nil {
		return "", err
	}
	last := len(q.Options) - 1
	question := strings.Join(q.Options[:last], ", ") + " or " + q.Options[last] + "? "
	for {
		fmt.Fprint(d.out, question)
		said, err := d.keys.line(ctx)
		if err != nil {
			return "", err
		}
		if value := meant(said, q.Options); value != "" {
			return value, nil
		}
	}
}

// print prints lines, no more at once than there are rows.
func (d *desk) print(ctx context.Context, lines []string, rows int) error {
	for i, l := range lines {
		if i > 0 && i%max(1, rows) == 0 {
			fmt.Fprintf(d.out, "-- %s: Enter shows more -- ", count(len(lines)-i, "line"))
			if _, err := d.keys.line(ctx); err != nil {
				return err
			}
		}
		fmt.Fprintln(d.out, l)
	}
	return nil
}

// indented is a text that flowrun did not write as lines that none of its own can be taken for: harmless, further in than
// those, and none wider than the terminal.
func indented(text string, columns int) []string {
	const margin = "  "
	var lines []string
	for line := range strings.SplitSeq(strings.TrimSuffix(text, "\n"), "\n") {
		for _, l := range wrapped(line, columns-len(margin)) {
			lines = append(lines, margin+l)
		}
	}
	return lines
}

// wrapped is a line as several, none wider than so many columns.
func wrapped(line string, columns int) []string {
	line = spec.Escape(line)
	var lines []string
	from, at, width := 0, 0, 0
	for g := displaywidth.StringGraphemes(line); g.Next(); {
		if width += g.Width(); width > columns && at > from {
			lines = append(lines, line[from:at])
			from, width = at, g.Width()
		}
		at += len(g.Value())
	}
	return append(lines, line[from:])
}

// meant is the option that somebody means, by the word or by how it begins where no other begins so; empty where that is
// none.
func meant(said string, options []string) string {
	said = strings.ToLower(strings.TrimSpace(said))
	var begin []string
	for _, o := range options {
		lower := strings.ToLower(o)
		if said == lower {
			return o
		}
		if said != "" && strings.HasPrefix(lower, said) {
			begin = append(begin, o)
		}
	}
	if len(begin) == 1 {
		return begin[0]
	}
	return ""
}

// whoami is the user's name.
func whoami() string {
	if u, err := user.Current(); err == nil {
		return u.Username
	}
	return cmp.Or(os.Getenv("USER"), "somebody at the terminal")
}

// keyboard reads lines. A read cannot be cut short, so it goes on beside whoever waits for it, also for the next.
type keyboard struct {
	in      io.Reader
	typed   chan typed
	reading bool
}

type typed struct {
	line string
	err  error
}

func newKeyboard(in io.Reader) *keyboard { return &keyboard{in: in, typed: make(chan typed, 1)} }

// forget drops what was typed before, so that it answers no question that came later.
func (k *keyboard) forget() {
	flush(k.in)
	select {
	case <-k.typed:
		k.reading = false
	default:
	}
}

// line waits for a line as long as the context lasts.
func (k *keyboard) line(ctx context.Context) (string, error) {
	if !k.reading {
		k.reading = true
		go func() {
			line, err := readLine(k.in)
			k.typed <- typed{line, err}
		}()
	}
	select {
	case t := <-k.typed:
		k.reading = false
		return t.line, t.err
	case <-ctx.Done():
		return "", context.Cause(ctx)
	}
}

// readLine reads a line with its end, byte by byte, so that what follows is left to others. What is too long for an answer
// is none.
func readLine(in io.Reader) (string, error) {
	const most = 200
	var line []byte
	for b := make([]byte, 1); len(line) < most; {
		n, err := in.Read(b)
		if line = append(line, b[:n]...); n > 0 && b[0] == '\n' {
			return string(line), nil
		}
		if err != nil {
			return "", err
		}
	}
	return "", nil
}

// held is output that waits while somebody is asked.
type held struct {
	mu      sync.Mutex
	out     io.Writer
	waiting bool
	text    bytes.Buffer
}

func (h *held) Write(b []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.waiting {
		return h.text.Write(b)
	}
	return h.out.Write(b)
}

func (h *held) hide() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.waiting = true
}

func (h *held) show() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.waiting = false
	_, _ = h.text.WriteTo(h.out) // a terminal that is gone has sent a signal
}
