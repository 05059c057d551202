package cli

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	urfave "github.com/urfave/cli/v2"

	"github.com/flowrun/flowrun/engine"
	"github.com/flowrun/flowrun/journal"
	"github.com/flowrun/flowrun/nodes"
	"github.com/flowrun/flowrun/spec"
)

const resumeDescription = `The run goes on from what it has finished, with the input, parameters, models,
limits and identity that it began with, and prints what it would have printed.
What it may do is asked again: the grants are those of this call. RUN is the id
of a run, as much of it as no other begins with, or last.

A run that failed goes on where it failed; what had completed does not run again,
and failures that it went on past stay (flowrun retry runs those again too).
Where the file has changed since, nothing runs, unless --force is given: then
the run begins again, and takes over all steps of which neither the node nor
what it received has changed.

Commands run in the folder in which the run began. Exit codes are those of
flowrun run; 2 also where the run is unknown, goes on elsewhere, has completed,
or waits for flowrun approve.
`

func (p *program) resumeCommand() *urfave.Command {
	flags := []urfave.Flag{
		&urfave.BoolFlag{Name: "last", Usage: "the latest run"},
		&urfave.BoolFlag{Name: "force", Usage: "also where the file has changed: what is the same is kept, the rest runs again"},
		&urfave.StringFlag{Name: "from", Usage: "fork a new run that keeps all that was finished before `NODE` first began"},
	}
	return &urfave.Command{
		Name: "resume", Usage: "go on with a run that was cut, stopped, or failed", ArgsUsage: "[RUN]", Description: resumeDescription,
		Flags: append(flags, workFlags()...), Before: runNamed,
		Action: func(c *urfave.Context) error {
			return p.goOn(&again{c: c, force: c.Bool("force"), from: c.String("from")})
		},
	}
}

const retryDescription = `The same run goes on: every step that failed runs again, those too whose failure
was caught or gone past, and what follows from them. The others are not run
again. Where somebody rejected it is asked again. RUN is the id of a run, as much
of it as no other begins with, or last. Exit codes are those of flowrun run.
`

func (p *program) retryCommand() *urfave.Command {
	flags := []urfave.Flag{
		&urfave.BoolFlag{Name: "last", Usage: "the latest run"},
		&urfave.BoolFlag{Name: "force", Usage: "also where the file has changed: what is not the same runs again, too"},
	}
	return &urfave.Command{
		Name: "retry", Usage: "run again what failed in a run", ArgsUsage: "[RUN]", Description: retryDescription,
		Flags: append(flags, workFlags()...), Before: runNamed,
		Action: func(c *urfave.Context) error { return p.goOn(&again{c: c, force: c.Bool("force"), retry: true}) },
	}
}

// runNamed refuses a call that does not name one run.
func runNamed(c *urfave.Context) error {
	named := c.Args().Present()
	switch {
	case named && c.Bool("last"):
		return usage("give a RUN or --last, not both")
	case !named && !c.Bool("last"):
		return usage("flowrun %s needs a RUN, or --last", c.Command.Name)
	case c.IsSet("from") && c.String("from") == "":
		return usage("--from needs the name of a node")
	}
	return cmp.Or(journalFlags(c), checkAudit(c), checkGrace(c))
}

// again is how a run goes on.
type again struct {
	c        *urfave.Context
	force    bool
	retry    bool
	from     string    // the node from which a new run is to go on
	approval *approval // with which a run goes on that waits
}

// goOn goes on with a run.
func (p *program) goOn(how *again) error {
	c := how.c
	j, err := p.history(c)
	if err != nil {
		return err
	}
	defer j.Close()
	w, rec, err := how.take(j)
	if err != nil {
		return err
	}
	defer w.close()
	same, err := p.reload(c, w, how)
	if err != nil {
		return err
	}
	if err := p.goBack(c, w, "run "+w.head.ID); err != nil {
		return err
	}
	if err := limitFlags(c, &w.head); err != nil {
		return err
	}
	p.answered(c, w, true)
	if w.run != nil {
		if w.answers.known, err = j.Decisions(rec.ID); err != nil {
			return journalError(c, err)
		}
	}
	if err := p.permitted(c, w); err != nil {
		return err
	}
	w.start = func() error {
		if err := how.prepare(j, w, rec, same); err != nil || !c.IsSet("timeout") {
			return journalError(c, err)
		}
		if at := w.run.Find("/").Cursor; at != nil && !at.Started.IsZero() { // it counts from then: what is given, from now on
			w.head.Timeout += time.Since(at.Started)
		}
		return nil
	}
	return p.execute(c, w)
}

// take finds the run, and takes it for this process unless a new one is to go on from it.
func (a *again) take(j *journal.Journal) (*work, *journal.Record, error) {
	word := lastRun
	if !a.c.Bool("last") {
		word = a.c.Args().First()
	}
	id, err := find(j, word)
	if err != nil {
		return nil, nil, err
	}
	rec, err := j.Get(id)
	if err != nil {
		return nil, nil, journalError(a.c, err)
	}
	if err := a.fits(j, rec, a.from != "" && rec.Status == journal.Running); err != nil {
		return nil, nil, err
	}
	w := &work{head: rec.Head, memory: &memory{j, rec.Head}}
	if a.from != "" {
		return w, rec, nil
	}
	if w.run, err = j.Take(id); err != nil { // and this refuses one that is running, when it is known where
		return nil, nil, journalError(a.c, err)
	}
	if rec, err = j.Get(id); err != nil { // it may have gone on meanwhile
		err = journalError(a.c, err)
	} else {
		err = a.fits(j, rec, false)
	}
	if err != nil {
		w.run.Close()
		return nil, nil, err
	}
	return w, rec, nil
}

// fits says why a run does not go on so, if that is so.
func (a *again) fits(j *journal.Journal, rec *journal.Record, running bool) error {
	id := rec.ID
	switch {
	case rec.Status == journal.Damaged:
		return journalError(a.c, &journal.DamagedError{ID: id, Err: errors.New(rec.Damage)})
	case running:
		return usage("%v", &journal.LiveError{ID: id, Owner: rec.Owner})
	case a.from != "":
		return nil
	case a.approval != nil && rec.Status != journal.Waiting:
		return usage("run %s does not wait for an approval: it is %s", id, rec.Status)
	case a.approval != nil:
		_, err := a.approval.question(a.c, rec)
		return err
	case rec.Status == journal.Waiting && !overdue(rec):
		return usage("run %s waits for an approval: %s", id, next(a.c, "approve", id, waitsFor(rec), "VALUE"))
	case rec.Status != journal.Completed:
		return nil
	case !a.retry:
		return usage("run %s has completed: %s", id, next(a.c, "runs show", id))
	}
	some, err := failures(j, id)
	if err == nil && !some {
		err = usage("run %s has completed, and nothing in it failed: %s", id, next(a.c, "runs show", id))
	}
	return journalError(a.c, err)
}

// failures tells whether something failed in a run, be it that the run went on past it or caught it.
func failures(j *journal.Journal, id string) (some bool, err error) {
	turns, err := j.Turns(id)
	if err != nil {
		return false, err
	}
	ends := map[string]*engine.Finished{} // the latest: it may have failed, and run again
	for _, t := range turns {
		if !t.Past && t.Finished != nil {
			ends[t.Turn] = t.Finished
		}
	}
	for _, f := range ends {
		some = some || f.Error != nil
	}
	return some, nil
}

// overdue tells whether somebody was to answer earlier than now, so that a run that waits can go on.
func overdue(rec *journal.Record) bool {
	return rec.Result != nil && slices.ContainsFunc(rec.Result.Waiting, late)
}

// waitsFor is the node that asks, or a word for it where several do.
func waitsFor(rec *journal.Record) string {
	if rec.Result != nil && len(rec.Result.Waiting) == 1 {
		return rec.Result.Waiting[0].Node
	}
	return "NODE"
}

// reload reads the file of a run that goes on, and tells whether it is as it was.
func (p *program) reload(c *urfave.Context, w *work, how *again) (same bool, err error) {
	set, err := modelSet(c)
	if err != nil {
		return false, err
	}
	overrides := modelsNamed(w.head.Models)
	w.lang = nodes.Language(append(overrides.options(), nodes.WithAgents(set), nodes.WithCommands(&p.commands))...)
	var problems spec.Diagnostics
	if w.head.Source != "" {
		w.file = "-"
		w.graph, problems = w.lang.Parse("stdin", filepath.Dir(w.head.File), []byte(w.head.Source), readOptions(c)...)
	} else {
		w.file = nearby(w.head.File)
		w.graph, problems = w.lang.Load(w.file, readOptions(c)...)
	}
	if err := problems.Err(); err != nil {
		return false, problems
	}
	same = w.graph.Pipeline().Digest() == w.head.Digest
	if !same && !how.force {
		return false, usage("%s is not as it was when run %s began; --force goes on with it as it is now, and keeps the steps that are the same", w.file, w.head.ID)
	}
	w.head.Digest = w.graph.Pipeline().Digest()
	w.opts = append(w.opts, engine.WithSecrets(set.Secrets()...))
	return same, overrides.check(w.graph, set)
}

// goBack lets the commands of a run or batch run in the folder in which that began.
func (p *program) goBack(c *urfave.Context, w *work, what string) error {
	here, err := os.Stat(".")
	if err != nil {
		return err
	}
	commands := slices.ContainsFunc(w.graph.Pipeline().Needs(), func(n spec.Need) bool { return n.Grant == "exec" || n.Grant == "mcp" })
	there, err := os.Stat(w.head.Folder)
	switch {
	case w.head.Folder == "" || !commands || err == nil && os.SameFile(here, there):
		return nil
	case err != nil || !there.IsDir():
		return usage("%s began in %s, which is not there any more: its commands cannot run in it", what, w.head.Folder)
	case !c.Bool("quiet"):
		fmt.Fprintf(p.Err, "flowrun: commands run in %s, where %s began\n", spec.Escape(w.head.Folder), what)
	}
	p.commands.Folder = w.head.Folder
	return nil
}

// nearby is a path as one would write it where one is, if it is not far.
func nearby(path string) string {
	here, err := os.Getwd()
	if err != nil {
		return path
	}
	if folder, err := filepath.EvalSymlinks(here); err == nil {
		here = folder
	}
	if rel, err := filepath.Rel(here, path); err == nil && filepath.IsLocal(rel) {
		return rel
	}
	return path
}

// prepare makes the run ready to go on, or a new one that goes on from it.
func (a *again) prepare(j *journal.Journal, w *work, rec *journal.Record, same bool) error {
	if a.approval != nil {
		if err := a.approval.decide(a.c, j, rec, w.answers.known); err != nil {
			return err
		}
	}
	switch {
	case a.from != "":
		return a.fork(j, w, rec)
	case a.retry || !same:
		own, err := w.run.Reuse()
		if err != nil {
			return err
		}
		var asked []string
		if a.retry {
			asked = w.askAnew(own)
		}
		ends, err := inherited(j, w)
		if err != nil {
			return err
		}
		if a.retry {
			maps.DeleteFunc(ends, func(_ string, f *engine.Finished) bool { return !succeeded(f) })
		}
		overlay(ends, own)
		w.reuse = newReuse(ends, !same)
		spent := w.run.Find("/").Spent.Usage
		if err := w.run.Restart(w.head.Digest, asked...); err != nil || len(spent) == 0 {
			return err
		}
		return keep(w.run, engine.Entry{Turn: "/", Cursor: &engine.Cursor{Tally: engine.Tally{Usage: spent}}})
	case w.head.From != "" || w.run.Restarted(): // it may have been cut before it had taken over all
		ends, err := inherited(j, w)
		if err != nil {
			return err
		}
		if w.run.Restarted() {
			own, err := w.run.Reuse()
			if err != nil {
				return err
			}
			overlay(ends, own)
		}
		w.reuse = newReuse(ends, false)
	}
	if rec.Status == journal.Failed {
		return keep(w.run, engine.Entry{Turn: "/", Reopened: true})
	}
	return nil
}

// askAnew forgets what people decided where the turn failed, and tells for which questions: they are asked again.
func (w *work) askAnew(ends map[string]*engine.Finished) []string {
	ids := undone(w.answers.known, ends)
	for _, id := range ids {
		delete(w.answers.known, id)
	}
	return ids
}

// keep records an entry and waits until it is kept.
func keep(run *journal.Run, e engine.Entry) error {
	if kept := run.Record(e); kept != nil {
		return kept()
	}
	return nil
}

// fork begins a new run that takes over what was finished before a node first began.
func (a *again) fork(j *journal.Journal, w *work, rec *journal.Record) error {
	node, err := named(w.graph.Pipeline(), a.from)
	if err != nil {
		return err
	}
	ends, err := before(j, rec.ID, node)
	if err != nil {
		return err
	}
	w.reuse = newReuse(ends, true)
	w.head.Origin, w.head.From, w.head.ID, w.head.Batch, w.head.Line = rec.ID, a.from, "", "", 0
	if w.head.SessionID == rec.ID {
		w.head.SessionID = ""
	}
	return w.begin(j)
}
