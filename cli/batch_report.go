package cli

import (
	"fmt"
	"io"
	"sync"
	"time"

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
