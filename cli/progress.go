package cli

import (
	"fmt"
	"io"
	"os"
	"time"

	urfave "github.com/urfave/cli/v2"
	"golang.org/x/term"

	"github.com/flowrun/flowrun/engine"
	"github.com/flowrun/flowrun/spec"
)

// progress prints what matters of a run, a line an event: what asks the world when it starts and ends, what fails, is
// tried again or is skipped, and named containers when they are done.
type progress struct {
	w       io.Writer
	asks    map[string]bool // kinds that ask something of the world
	leaf    map[string]bool
	colours bool
	brief   bool // leaves out what a live tree shows: what is at work, and each of many
	began   time.Time
	tree    *tree
	total   engine.Usage
	steps   int
}

func newProgress(w io.Writer, lang *engine.Language, colours bool) *progress {
	p := &progress{w: w, asks: map[string]bool{"wait": true, "approve": true}, leaf: map[string]bool{}, colours: colours, tree: newTree()}
	for _, k := range lang.Kinds {
		p.asks[k.Name] = p.asks[k.Name] || k.Slot
		p.leaf[k.Name] = k.Leaf
	}
	return p
}

// colours tells whether progress is coloured: on a terminal that can, unless it was asked not to be.
func colours(c *urfave.Context, w io.Writer) bool {
	return isTerminal(w) && !c.Bool("no-color") && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
}

func isTerminal(w io.Writer) bool {
	if h, ok := w.(*harmless); ok {
		w = h.out
	}
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

func (p *progress) hear(e engine.Event) {
	if e.Type == engine.WorkflowStarted && !p.began.IsZero() { // it was resumed, and told of itself anew
		p.tree, p.total, p.steps = newTree(), engine.Usage{}, 0
	}
	other := p.tree.asked(e.Turn)
	n := p.tree.hear(e)
	hidden := p.brief && n.crowded()
	switch e.Type {
	case engine.WorkflowStarted:
		p.began = e.Time
		p.line(e, "run", e.Workflow, e.RunID, "")
	case engine.StepStarted:
		if p.asks[e.Kind] && !p.brief {
			p.line(e, "start", label(e), e.Kind, "")
		}
	case engine.RunStarted:
		if other != "" && other != e.Model {
			p.line(e, "asks", label(e), e.Model+" in place of "+other, yellow)
		}
	case engine.RunCompleted:
		p.total.Add(e.Usage)
	case engine.ToolReturned:
		if !hidden {
			p.returned(e)
		}
	case engine.StepCompleted:
		p.completed(e, n, hidden)
	case engine.StepFailed:
		p.failed(e, hidden)
	case engine.StepRetried:
		p.line(e, "retry", label(e), fmt.Sprintf("attempt %d failed, again in %s: %s", e.Attempt, took(e.Delay), e.Error.Message), yellow)
	case engine.StepSkipped:
		if !hidden {
			p.line(e, "skip", label(e), e.Kind, grey)
		}
	case engine.ApprovalRequested:
		if !p.brief {
			p.line(e, "asks", label(e), e.Approvals[0].Message, yellow)
		}
	case engine.ApprovalGiven:
		said := e.Value
		if e.By != "" {
			said += " by " + e.By
		}
		p.line(e, "answer", label(e), said, "")
	case engine.WorkflowWaiting:
		p.line(e, "waits", e.Workflow, p.summary(e), yellow)
	case engine.WorkflowCompleted:
		p.line(e, "done", e.Workflow, p.summary(e), green)
	case engine.WorkflowFailed:
		p.line(e, "failed", e.Workflow, p.summary(e), red)
	case engine.WorkflowCancelled:
		p.line(e, "cancel", e.Workflow, p.summary(e), red)
	}
}

func (p *progress) completed(e engine.Event, n *node, hidden bool) {
	if p.leaf[e.Kind] {
		p.steps++
	}
	if e.Error != nil {
		p.line(e, "caught", label(e), e.Error.Message, yellow)
	}
	named := e.Path != e.Node && e.Path != "/" && !p.leaf[e.Kind]
	if hidden || e.Error == nil && !p.asks[e.Kind] && !named && !n.wide() {
		return
	}
	detail := took(e.Duration)
	if n.wide() {
		detail += ", " + n.sum()
	}
	if n.model != "" {
		detail += ", " + n.model + ", " + spent(n.used)
	}
	p.line(e, "done", label(e), detail, green)
}

// failed tells of the node at which something went wrong; those around it only hand it on.
func (p *progress) failed(e engine.Event, hidden bool) {
	if p.leaf[e.Kind] {
		p.steps++
	}
	switch {
	case e.Error.Path != e.Path:
	case e.Error.Kind == engine.Cancelled:
		if !hidden {
			p.line(e, "stop", label(e), e.Error.Message, grey)
		}
	default:
		p.line(e, "fail", label(e), e.Error.Message, red)
	}
}

// returned tells of a tool that an agent called.
func (p *progress) returned(e engine.Event) {
	detail := e.Tool + " " + took(e.Duration)
	if e.Error != nil {
		detail += ": " + e.Error.Message
	}
	p.line(e, "tool", label(e), detail, grey)
}

func (p *progress) summary(e engine.Event) string {
	return fmt.Sprintf("%s, %s%s", took(e.Duration), count(p.steps, "step"), consumed(p.total))
}

// consumed is what models used; nothing where none was asked.
func consumed(u engine.Usage) string {
	s := ""
	if u.Calls > 0 {
		s += ", " + count(u.Calls, "call")
	}
	if u.Tokens() > 0 {
		s += fmt.Sprintf(", %d+%d tokens", u.InputTokens, u.OutputTokens)
	}
	if u.CacheHits > 0 {
		s += fmt.Sprintf(", %d from the cache", u.CacheHits)
	}
	return s + price(u)
}

// spent is what a node used.
func spent(u engine.Usage) string {
	if u.Calls == 0 && u.CacheHits > 0 {
		return "from the cache"
	}
	return count(u.Tokens(), "token") + price(u)
}

// price is what a usage cost, as far as that is known; nothing where it cost nothing.
func price(u engine.Usage) string {
	usd, known := u.USD()
	switch {
	case usd == 0:
		return ""
	case !known:
		return ", " + dollars(usd) + " and what has no price"
	}
	return ", " + dollars(usd)
}

// dollars is a price with four decimals: of one too small for them, that it is.
func dollars(usd float64) string {
	const least = 0.0001
	if usd < least {
		return "<$0.0001"
	}
	return fmt.Sprintf("$%.4f", usd)
}

// label is the node's name with the item or visit that it stands for.
func label(e engine.Event) string {
	if e.Label == e.Turn {
		return e.Turn
	}
	s := e.Label
	if e.Item != nil {
		s += fmt.Sprintf("[%d]", *e.Item)
	}
	if e.Visit > 1 {
		s += fmt.Sprintf("#%d", e.Visit)
	}
	return s
}

const (
	red    = "31"
	green  = "32"
	yellow = "33"
	cyan   = "36"
	grey   = "90"
)

func (p *progress) line(e engine.Event, what, who, detail, colour string) {
	verb := fmt.Sprintf("%-6s", what)
	if p.colours && colour != "" {
		verb = "\x1b[" + colour + "m" + verb + "\x1b[0m"
	}
	fmt.Fprintf(p.w, "%5.1fs  %s  %-20s  %s\n", e.Time.Sub(p.began).Seconds(), verb, spec.Escape(who), spec.Escape(detail))
}

// count is a number of things.
func count(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}

// took is a duration, in milliseconds or to a tenth of a second.
func took(d time.Duration) string {
	if d < time.Second {
		return fmt.Sprintf("%dms", d.Milliseconds())
	}
	return fmt.Sprintf("%.1fs", d.Seconds())
}
