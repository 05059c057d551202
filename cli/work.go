package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	urfave "github.com/urfave/cli/v2"

	"github.com/flowrun/flowrun/cache"
	"github.com/flowrun/flowrun/engine"
	"github.com/flowrun/flowrun/journal"
)

// work is a pipeline that is to run, or to go on.
type work struct {
	lang     *engine.Language
	graph    *engine.Graph
	file     string // as the user named it; - is standard input
	head     journal.Head
	opts     []engine.Option // beside those of the head
	anyInput bool            // what is checked must hold for all inputs
	tape     *tape
	run      *journal.Run // nil where nothing is kept
	memory   *memory      // of what was kept before
	reuse    *reuse       // nil where nothing is taken over
	answers  *answers     // nil where nobody can be asked
	start    func() error // what is to be kept before it begins; nil: nothing
}

// options are those of the head and the others.
func (w *work) options() []engine.Option {
	h := w.head
	return append([]engine.Option{
		engine.WithParams(h.Params), engine.WithRunID(h.ID), engine.WithIdentity(h.UserID, h.SessionID), engine.WithStartedAt(h.StartedAt),
		engine.WithMaxSteps(h.MaxSteps), engine.WithMaxVisits(h.MaxVisits), engine.WithMaxConcurrency(h.MaxConcurrency), engine.WithTimeout(h.Timeout),
	}, w.opts...)
}

// kept are those of a run that is kept; none of another.
func (w *work) kept() []engine.Option {
	if w.run == nil {
		return nil
	}
	opts := []engine.Option{engine.WithTurns(w.run), engine.WithMemory(w.memory), engine.WithSeq(w.run.LastSeq()), engine.WithStepListener(w.run.Hear)}
	if w.reuse != nil {
		opts = append(opts, engine.WithReuse(w.reuse.find))
	}
	return opts
}

// close gives up the run that is kept. Its result was written before, or is missed.
func (w *work) close() {
	if w.run != nil {
		_ = w.run.Close()
	}
}

// check says what would keep the work from beginning.
func (w *work) check(opts ...engine.Option) error {
	if w.anyInput {
		return engine.CheckAll(w.graph, opts...)
	}
	return engine.Check(w.graph, w.head.Input, opts...)
}

// permitted finds what would keep the work from beginning, and asks for what was not allowed where somebody can answer.
func (p *program) permitted(c *urfave.Context, w *work) error {
	granted := p.grants(c, w.file, w.graph.Pipeline())
	opts := w.options()
	err := w.check(append(opts, engine.WithGrants(granted))...)
	if denied := (*engine.PermissionError)(nil); errors.As(err, &denied) && p.canAsk(c) {
		if err := w.check(append(opts, engine.WithGrants(engine.Grants{All: true}))...); err != nil {
			return err // which no permission helps
		}
		granted, err = p.permit(w.file, w.graph, granted, denied.Needs)
	}
	w.opts = append(w.opts, engine.WithGrants(granted))
	return err
}

// cached lets answers be taken from the cache and kept there, unless nobody wants that. What it gives besides is for the
// end: it warns where they were not kept.
func (p *program) cached(c *urfave.Context, w *work) (opts []engine.Option, warn func()) {
	if c.Bool("no-cache") || w.tape != nil {
		return nil, func() {}
	}
	store := cache.Own()
	return []engine.Option{engine.WithCache(engine.NewCache(store))}, func() {
		if err := store.Err(); err != nil && !c.Bool("quiet") {
			fmt.Fprintf(p.Err, "flowrun: warning: answers are not kept: %s\n", escapeLines(err.Error()))
		}
	}
}

// execute runs what is known to be able to begin.
func (p *program) execute(c *urfave.Context, w *work) error {
	grace, err := graceFlag(c)
	if err != nil {
		return err
	}
	opts, warn := p.cached(c, w)
	defer warn()
	coloured := colours(c, p.Err)
	if !c.Bool("quiet") && p.redraws(c) {
		p.live = startLive(p.Err.(*os.File), newProgress(nil, w.lang, coloured))
		p.Err = p.live
		defer p.live.close()
	}
	p.attend()
	ctx, drain, stop := p.interruptible(grace)
	defer stop()
	opts = append(opts, engine.WithDrain(drain))
	trail, err := openTrail(c, w.head)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	opts = append(opts, trail.options(cancel)...)
	events, err := p.events(c.String("events"), w.file)
	if err != nil {
		return err
	}
	answer := w.streamed(c, p.Out)
	opts = append(opts, listeners(events, answer)...)
	switch {
	case p.live != nil:
		opts = append(opts, engine.WithListener(p.live.hear))
	case !c.Bool("quiet"):
		opts = append(opts, engine.WithListener(newProgress(p.Err, w.lang, coloured).hear))
	}
	defer w.close()
	if w.start != nil {
		if err := w.start(); err != nil {
			return err
		}
	}
	if w.run != nil && !c.Bool("quiet") {
		p.onward.Store(toGoOn(next(c, "resume", w.head.ID)))
	}
	opts = slices.Concat(w.options(), opts, w.kept())
	result, runErr := engine.Run(ctx, w.graph, w.head.Input, opts...)
	p.live.close() // the output may go to the same terminal
	audited := trail.close(p.Err, runErr)
	if result == nil {
		return runErr
	}
	told := p.tell(c, w, result, runErr, answer)
	return cmp.Or(told, audited, events.close())
}

// streamed prints the text of the last agent as it comes; nil where nobody asked for that.
func (w *work) streamed(c *urfave.Context, out io.Writer) *streamed {
	if !c.Bool("stream") || c.String("events") == "-" || c.String("output") != "text" {
		return nil
	}
	return &streamed{out: out, from: lastAgents(w.graph.Pipeline())}
}

// listeners hear what happens in the run, before the progress: that must not stand on the lines of the answer.
func listeners(events *eventFile, answer *streamed) []engine.Option {
	var all []engine.Option
	if events != nil {
		all = append(all, engine.WithListener(events.hear))
	}
	if answer != nil {
		all = append(all, engine.WithListener(answer.hear))
	}
	return all
}

// tell keeps and prints what the run came to. The error says why it did not complete, or what went wrong here.
func (p *program) tell(c *urfave.Context, w *work, result *engine.Result, runErr error, answer *streamed) error {
	kept := w.tape.close(result)
	if kept != nil && runErr != nil {
		fmt.Fprintf(p.Err, "flowrun: warning: %s\n", escapeLines(kept.Error()))
	}
	if !c.Bool("quiet") {
		w.reuse.tell(p.Err)
	}
	if ended := w.end(result); ended != nil && (runErr == nil || result.Status == engine.Waiting) { // nobody could know what it came to
		return w.resumable(c, ended)
	}
	if result.Status == engine.Waiting {
		p.waits(c, result)
	}
	shown := p.show(c, result, answer)
	if !c.Bool("quiet") {
		w.tape.warn(p.Err, result)
	}
	if runErr != nil && result.Status != engine.Waiting {
		runErr = w.resumable(c, runErr)
	}
	return cmp.Or(runErr, kept, shown)
}

// show prints what the run came to on standard output.
func (p *program) show(c *urfave.Context, result *engine.Result, answer *streamed) error {
	var err error
	switch {
	case c.String("events") == "-":
	case c.String("output") == "json":
		err = printJSON(p.Out, result)
	case answer != nil && answer.err != nil:
		err = answer.err
	case result.Status == engine.Completed && !answer.said(result.Output):
		err = printOutput(p.Out, result.Output)
	}
	if err != nil {
		return fmt.Errorf("writing the output: %w", err)
	}
	return nil
}
