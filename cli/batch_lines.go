package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	urfave "github.com/urfave/cli/v2"

	"github.com/flowrun/flowrun/engine"
	"github.com/flowrun/flowrun/journal"
)

// begunLine is a line with the run that it had before, if it had one.
type begunLine struct {
	inputLine
	before *journal.Record
}

// lineResult is what came of a line.
type lineResult struct {
	inputLine
	row    []byte // nil where it has not ended
	status engine.Status
	why    *engine.Error // it failed
	usage  engine.Usage
	before bool // it had ended before
	cut    bool // it began and has not ended
}

func (l *lineResult) size() int { return len(l.row) + len(l.raw) }

// begin runs the lines.
func (b *batch) begin(c *urfave.Context) error {
	b.report.began = time.Now()
	if !b.quiet && b.redraws(c) && !(c.String("out") == "" && isTerminal(b.Out)) {
		b.live = startBlock(b.Err.(*os.File), b.report.block)
		b.Err = b.live
		defer b.live.close()
	}
	grace, err := graceFlag(c)
	if err != nil {
		return err
	}
	ctx, drain, release := b.interruptible(grace)
	defer release()
	b.ctx, b.stop = context.WithCancelCause(ctx)
	defer b.stop(nil)
	b.admit, b.halt = context.WithCancelCause(drain)
	defer b.halt(nil)
	b.opts = append(b.opts, engine.WithDrain(drain))
	if b.journal != nil && !b.quiet {
		b.onward.Store("flowrun: the same command goes on with the rest")
	}
	if b.live == nil && !b.quiet {
		defer b.report.lines(b.Err)()
	}
	w := window{atOnce: c.Int("concurrency"), ahead: max(64, 4*c.Int("concurrency")), bytes: 64 << 20}
	lines := b.lines()
	err = inOrder(w, func() (begunLine, bool) { return b.next(lines) }, func(l begunLine) *lineResult {
		done := b.line(l)
		b.report.ended(done)
		return done
	}, (*lineResult).size, b.write)
	b.live.close()
	return b.end(c, err)
}

// lines reads the inputs ahead, so that nobody who has to stop waits for them. What it holds on to when the batch stops
// before their end is the reading of standard input, which nothing ends but the process.
func (b *batch) lines() <-chan inputLine {
	lines := make(chan inputLine)
	go func() {
		defer close(lines)
		for {
			l, err := b.in.next()
			if err != nil {
				if !errors.Is(err, io.EOF) {
					b.halt(b.unread(err))
				}
				return
			}
			select {
			case lines <- l:
			case <-b.admit.Done():
				return
			}
		}
	}()
	return lines
}

// next is the next line to begin, if there is one.
func (b *batch) next(lines <-chan inputLine) (begunLine, bool) {
	select {
	case l, ok := <-lines:
		if !ok || b.admit.Err() != nil {
			return begunLine{}, false
		}
		before, err := b.kept.at(l.number)
		if err != nil {
			b.halt(err)
			return begunLine{}, false
		}
		return begunLine{l, before}, true
	case <-b.admit.Done():
		return begunLine{}, false
	}
}

// line runs a line, goes on with its run, or takes what came of it before.
func (b *batch) line(l begunLine) *lineResult {
	none := &lineResult{inputLine: l.inputLine}
	if b.ctx.Err() != nil {
		return none
	}
	input, wrong := b.in.value(l.inputLine, b.graph.Pipeline().Input)
	if l.before != nil {
		if err := b.unchanged(l.before, input, wrong); err != nil {
			b.halt(err)
			return none
		}
		switch r := l.before; {
		case r.Damage != "":
			return b.done(l, &engine.Result{RunID: r.ID, Status: engine.Failed, Error: engine.Errorf(engine.Internal, "what is kept of the run %s is damaged: %s", r.ID, r.Damage)})
		case r.Result != nil && (r.Status == journal.Completed || r.Status == journal.Failed && r.ErrorKind != engine.Budget):
			done := b.done(l, r.Result)
			done.before = true
			return done
		}
	}
	if wrong == nil {
		wrong = b.graph.Accepts(input)
	}
	if wrong != nil {
		return b.done(l, &engine.Result{Status: engine.Failed, Error: engine.Errorf(engine.Schema, "%w", wrong)})
	}
	if b.pool.Exhausted() {
		b.halt(errExhausted)
		return none
	}
	result, err := b.execute(l, input)
	switch {
	case err != nil:
		b.halt(err)
		return none
	case result.Status == engine.Stopped:
		return &lineResult{inputLine: l.inputLine, usage: result.Usage.Total(), cut: true}
	case result.Error != nil && result.Error.Kind == engine.Budget && b.pool.Exhausted():
		b.halt(errExhausted)
	}
	return b.done(l, result)
}

// done is a line with its result.
func (b *batch) done(l begunLine, r *engine.Result) *lineResult {
	row := struct {
		Line   int           `json:"line"`
		RunID  *string       `json:"run_id"` // null where none began
		Status engine.Status `json:"status"`
		Output engine.Value  `json:"output"`
		Error  *engine.Error `json:"error"`
		// what it waits for
		Waiting []engine.Approval `json:"waiting,omitempty"`
		Steps   int               `json:"steps"`
		Usage   any               `json:"usage"`
	}{l.number, nil, r.Status, engine.Value{V: r.Output}, r.Error, r.Waiting, r.Steps, r.Usage.Total().Shown()}
	if r.RunID != "" {
		row.RunID = &r.RunID
	}
	var text bytes.Buffer
	e := json.NewEncoder(&text)
	e.SetEscapeHTML(false)
	if err := e.Encode(row); err != nil { // no result is such
		b.halt(err)
	}
	return &lineResult{inputLine: l.inputLine, row: text.Bytes(), status: r.Status, usage: r.Usage.Total(), why: r.Error}
}

// write hands on the result of the line whose turn it is.
func (b *batch) write(l *lineResult) error {
	if l.row == nil {
		return nil
	}
	_, err := b.out.Write(l.row)
	if err == nil && l.status == engine.Failed {
		if b.told++; !b.quiet && b.told <= mostFailures {
			fmt.Fprintln(b.Err, failure(l))
		}
		err = b.failed.add(l.raw)
	}
	if err != nil {
		err = fmt.Errorf("writing the results: %w", err)
		b.halt(err)
		b.stop(err)
	}
	return err
}
