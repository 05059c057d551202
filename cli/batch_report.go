package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"syscall"
	"time"

	urfave "github.com/urfave/cli/v2"

	"github.com/flowrun/flowrun/engine"
	"github.com/flowrun/flowrun/spec"
)

const (
	reportEvery  = 10 * time.Second // between two lines of progress where no terminal shows it
	mostFailures = 20               // that are told one by one
)

// batchReport is how far a batch has come.
type batchReport struct {
	mu    sync.Mutex
	began time.Time
	total int // lines; 0 while it is not known
	tally batchTally
}

// batchTally counts the lines of a batch.
type batchTally struct {
	Completed int // with those that had before
	Failed    int
	Waiting   int // for an approval
	Cut       int // begun and not ended: the batch was stopped
	Before    int // of those that ended, the ones that had ended before
	usage     engine.Usage
}

// done are the lines that have ended.
func (t batchTally) done() int { return t.Completed + t.Failed }

// ended counts a line.
func (r *batchReport) ended(l *lineResult) {
	r.mu.Lock()
	defer r.mu.Unlock()
	t := &r.tally
	switch {
	case l.cut:
		t.Cut++
	case l.row == nil:
	case l.status == engine.Completed:
		t.Completed++
	case l.status == engine.Failed:
		t.Failed++
	default:
		t.Waiting++
	}
	if l.before {
		t.Before++
	}
	t.usage.Add(l.usage)
}

func (r *batchReport) sum() batchTally {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.tally
}

// line is one line of progress.
func (r *batchReport) line(now time.Time) string {
	t := r.sum()
	s := fmt.Sprint(t.done())
	if r.total > 0 {
		s += fmt.Sprintf(" of %d", r.total)
	}
	s += " lines done"
	if t.Failed > 0 {
		s += fmt.Sprintf(", %d failed", t.Failed)
	}
	if t.Waiting > 0 {
		s += fmt.Sprintf(", %d waiting", t.Waiting)
	}
	ran, elapsed := t.done()-t.Before, now.Sub(r.began)
	if ran > 0 && elapsed > 0 {
		s += ", " + pace(ran, elapsed)
	}
	s += consumed(t.usage)
	if left := r.total - t.done() - t.Waiting; r.total > 0 && ran > 0 && left > 0 {
		s += ", " + roughly(time.Duration(float64(elapsed)/float64(ran)*float64(left))) + " left"
	}
	return s
}

// pace is how many lines there are in a second, or a minute.
func pace(lines int, in time.Duration) string {
	if each := float64(lines) / in.Seconds(); each >= 1 {
		return fmt.Sprintf("%.1f/s", each)
	}
	return fmt.Sprintf("%.1f/min", float64(lines)/in.Minutes())
}

// roughly is a time that nobody knows exactly.
func roughly(d time.Duration) string {
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%ds", int(d.Seconds()+0.5))
	case d < time.Hour:
		return fmt.Sprintf("%dm%02ds", int(d.Minutes()), int(d.Seconds())%60)
	}
	return fmt.Sprintf("%dh%02dm", int(d.Hours()), int(d.Minutes())%60)
}

// block is the line on a terminal.
func (r *batchReport) block(now time.Time, width, _ int) []string {
	s := r.line(now)
	return []string{s[:min(len(s), max(0, width-1))]}
}

// lines writes a line of progress now and then, until it is stopped.
func (r *batchReport) lines(w io.Writer) (stop func()) {
	quit, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(reportEvery)
		defer tick.Stop()
		for {
			select {
			case now := <-tick.C:
				fmt.Fprintln(w, r.line(now))
			case <-quit:
				return
			}
		}
	}()
	return func() { close(quit); <-ended }
}

// failure is the line that tells why one of the batch failed.
func failure(l *lineResult) string {
	return fmt.Sprintf("line %d: %s", l.number, spec.Escape(l.why.Error()))
}

// errExhausted ends a batch whose budget is used up.
var errExhausted = errors.New("the budget is used up")

// end tells what the batch came to.
func (b *batch) end(c *urfave.Context, err error) error {
	t := b.report.sum()
	if failed := b.failed.close(); err == nil && failed != nil {
		err = fmt.Errorf("writing the failed lines: %w", failed)
	}
	var halted error
	if b.admit.Err() != nil {
		halted = context.Cause(b.admit)
	}
	if !b.quiet {
		fmt.Fprintf(b.Err, "%s, %s\n", b.report.line(time.Now()), took(time.Since(b.report.began)))
	}
	if c.String("output") == "json" {
		if shown := b.show(c, t); err == nil && shown != nil {
			err = fmt.Errorf("writing the summary: %w", shown)
		}
	}
	if err != nil {
		return err
	}
	say := func(code int, format string, args ...any) error {
		fmt.Fprintf(b.Err, "flowrun: "+format+"\n", args...)
		return silent(code)
	}
	onward := ""
	if b.journal != nil {
		onward = "; the same command goes on with the rest"
	}
	var by interrupted
	switch {
	case errors.As(halted, &by) && by.Signal == syscall.SIGPIPE:
		return halted
	case errors.As(halted, &by):
		return say(by.code(), "stopped by a signal: %s%s", by, onward)
	case errors.Is(halted, errExhausted):
		if onward != "" {
			onward = "; the same command with a larger one goes on"
		}
		return say(exitLimit, "the budget of the batch is used up%s", onward)
	case halted != nil:
		return halted
	case t.Failed > 0:
		return say(exitFailed, "%d of %s failed%s", t.Failed, count(t.done()+t.Waiting, "line"), b.failed.where())
	case t.Waiting > 0:
		return say(exitWaiting, "%s for an answer: %s tells which, and then the same command goes on", waits(t.Waiting), next(c, "runs ls --status waiting"))
	}
	return nil
}

func waits(lines int) string {
	if lines == 1 {
		return "1 line waits"
	}
	return fmt.Sprintf("%d lines wait", lines)
}

// show prints the summary.
func (b *batch) show(c *urfave.Context, t batchTally) error {
	return printJSON(b.Out, struct {
		Batch     string `json:"batch"`
		Workflow  string `json:"workflow"`
		Lines     int    `json:"lines"` // that have a result
		Completed int    `json:"completed"`
		Failed    int    `json:"failed"`
		Waiting   int    `json:"waiting"`
		Cut       int    `json:"cut"`
		Before    int    `json:"before"`
		Usage     any    `json:"usage"`
		Duration  int64  `json:"duration_ms"`
		Out       string `json:"out"`
		FailedIn  string `json:"failed_lines"`
	}{b.id, b.graph.Pipeline().Name, t.done() + t.Waiting, t.Completed, t.Failed, t.Waiting, t.Cut, t.Before, t.usage.Shown(),
		time.Since(b.report.began).Milliseconds(), c.String("out"), b.failed.name()})
}
