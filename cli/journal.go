package cli

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	urfave "github.com/urfave/cli/v2"

	"github.com/flowrun/flowrun/allowed"
	"github.com/flowrun/flowrun/engine"
	"github.com/flowrun/flowrun/journal"
	"github.com/flowrun/flowrun/spec"
)

// What commands have to do with the journal, where runs are kept.

func journalFlag() urfave.Flag {
	return &urfave.StringFlag{Name: "journal", Usage: "keep runs in `PATH` (default FLOWRUN_JOURNAL, else flowrun.db among the user's state)"}
}

// journalFlags refuses flags that exclude each other.
func journalFlags(c *urfave.Context) error {
	switch {
	case c.IsSet("journal") && c.Bool("no-journal"):
		return usage("give --journal or --no-journal, not both")
	case c.IsSet("journal") && c.IsSet("replay"):
		return usage("what is replayed is not kept: leave out --journal")
	case c.IsSet("journal") && c.String("journal") == "":
		return usage("--journal needs the name of a file")
	}
	return nil
}

// journalPath is where the journal is; named tells whether the user said so.
func journalPath(c *urfave.Context) (path string, named bool, err error) {
	if path = c.String("journal"); path != "" {
		return path, true, nil
	}
	return ownJournal()
}

// ownJournal is where the journal is where no flag says so.
func ownJournal() (path string, named bool, err error) {
	if path = os.Getenv("FLOWRUN_JOURNAL"); path != "" {
		return path, true, nil
	}
	folder, err := allowed.StateFolder()
	return filepath.Join(folder, "flowrun.db"), false, err
}

// journal opens where a run is kept; nil where it is not. One that cannot be made where nobody named it is missed, but
// keeps no pipeline from running.
func (p *program) journal(c *urfave.Context) (*journal.Journal, error) {
	if c.Bool("no-journal") || c.IsSet("replay") {
		return nil, nil
	}
	path, named, err := journalPath(c)
	var j *journal.Journal
	if err == nil {
		j, err = journal.Open(path)
	}
	if err == nil {
		return j, nil
	}
	var wrong *journal.OpenError
	if missing := !errors.As(err, &wrong) || wrong.Missing; missing && !named {
		if !c.Bool("quiet") {
			fmt.Fprintf(p.Err, "flowrun: warning: the run is not kept, and cannot be resumed: %s\n", escapeLines(err.Error()))
		}
		return nil, nil
	}
	return nil, usage("%v (--no-journal runs without one)", err)
}

// history opens the journal to look at, which must be there.
func (p *program) history(c *urfave.Context) (*journal.Journal, error) {
	path, _, err := journalPath(c)
	if err == nil {
		if _, err = os.Stat(path); errors.Is(err, os.ErrNotExist) {
			return nil, usage("there is no journal yet: %s", path)
		}
		var j *journal.Journal
		if j, err = journal.Open(path); err == nil {
			return j, nil
		}
	}
	return nil, usage("%v", err)
}

// begin begins to keep the work as a new run.
func (w *work) begin(j *journal.Journal) (err error) {
	w.head.StartedAt = time.Now().UTC()
	if w.head.ID == "" {
		w.head.ID = engine.NewRunID(w.head.StartedAt)
	}
	if w.head.SessionID == "" {
		w.head.SessionID = w.head.ID
	}
	w.memory = &memory{j, w.head}
	w.run, err = j.Begin(w.head)
	return err
}

// end keeps what the run came to.
func (w *work) end(result *engine.Result) error {
	if w.run == nil {
		return nil
	}
	return w.run.End(result)
}

// resumable is why a run did not complete that can go on.
type resumable struct {
	err     error
	command string
}

func (r *resumable) Error() string { return r.err.Error() }

func (r *resumable) Unwrap() error { return r.err }

// resumable adds to an error how the run can go on, where it can.
func (w *work) resumable(c *urfave.Context, err error) error {
	if w.run == nil || c.Bool("quiet") {
		return err
	}
	how := "resume"
	if failed := (*engine.Error)(nil); errors.As(err, &failed) && failed.Kind == engine.Rejected {
		how = "retry" // which asks again
	}
	return &resumable{err, next(c, how, w.head.ID)}
}

// next is a command to give next, over the same journal.
func next(c *urfave.Context, name string, words ...string) string {
	command, rest, flag := "flowrun "+name, "", ""
	if path := c.String("journal"); path != "" {
		flag = " --journal " + shellWord(path)
	}
	for _, w := range words {
		rest += " " + shellWord(w)
	}
	if slices.ContainsFunc(words, func(w string) bool { return strings.HasPrefix(w, "-") }) { // such as the option of an approval
		return command + flag + " --" + rest
	}
	return command + rest + flag
}

// lastRun stands for the latest run.
const lastRun = "last"

// find is the id of the run that a word means: the id itself, the beginning of one, or last.
func find(j *journal.Journal, word string) (string, error) {
	if word == lastRun {
		latest, err := j.List(journal.Filter{Limit: 1})
		if err != nil {
			return "", err
		}
		if len(latest) == 0 {
			return "", usage("the journal has no runs")
		}
		return latest[0].ID, nil
	}
	_, err := j.Get(word)
	if unknown := (*journal.UnknownError)(nil); !errors.As(err, &unknown) {
		return word, nil // whatever is wrong with it
	}
	all, err := j.List(journal.Filter{})
	if err != nil {
		return "", err
	}
	var found, ids []string
	for _, s := range all {
		if ids = append(ids, s.ID); word != "" && strings.HasPrefix(s.ID, word) {
			found = append(found, s.ID)
		}
	}
	switch len(found) {
	case 0:
		return "", usage("there is no run %q in the journal%s", word, spec.DidYouMean(word, ids))
	case 1:
		return found[0], nil
	}
	const most = 5
	more := ""
	if len(found) > most {
		more = fmt.Sprintf(" and %d more", len(found)-most)
	}
	return "", usage("%q is the beginning of several runs: %s%s", word, strings.Join(found[:min(most, len(found))], ", "), more)
}

// tellHow prints how what was printed as an error can go on.
func tellHow(w io.Writer, err error) {
	if r := (*resumable)(nil); errors.As(err, &r) {
		fmt.Fprintln(w, toGoOn(r.command))
	}
}

func toGoOn(command string) string { return "flowrun: to go on: " + command }

// runIDs are the ids of the latest runs, for completion.
func runIDs() []string {
	path, _, err := ownJournal()
	if err == nil {
		_, err = os.Stat(path)
	}
	if err != nil {
		return nil
	}
	j, err := journal.Open(path)
	if err != nil {
		return nil
	}
	defer j.Close()
	const most = 50
	latest, err := j.List(journal.Filter{Limit: most})
	if err != nil {
		return nil
	}
	ids := []string{lastRun}
	for _, s := range latest {
		if runID.MatchString(s.ID) { // what a shell may be given
			ids = append(ids, s.ID)
		}
	}
	return ids
}
