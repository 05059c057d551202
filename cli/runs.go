package cli

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	urfave "github.com/urfave/cli/v2"

	"github.com/flowrun/flowrun/engine"
	"github.com/flowrun/flowrun/journal"
	"github.com/flowrun/flowrun/nodes"
	"github.com/flowrun/flowrun/spec"
)

const runsDescription = `ls           lists runs, the newest first
show RUN     draws what ran, with times, tokens, cost and errors
events RUN   prints the run's events as JSON Lines
logs RUN     prints what run printed of its progress
diff A B     compares what the nodes of two runs gave
rm RUN...    removes runs with all that is kept of them
prune        removes the runs that the flags name, as for ls; those that go on
             stay, and without --status those that wait for an approval
export RUN   prints all that is kept of a run as one JSON object

RUN is the id of a run, as much of it as no other begins with, or last. A TIME
is a date such as 2026-01-31, with 15:04 or 15:04:05 behind T, or so long ago: 90m,
24h, 30d.
`

// runsActions are what can be done with runs, and the flags that go with each beside --journal and --output.
var runsActions = map[string][]string{
	"ls": {"pipeline", "status", "user-id", "session-id", "since", "until", "limit"}, "show": nil, "events": nil, "logs": {"no-color"}, "diff": nil,
	"rm": nil, "prune": {"before", "pipeline", "status", "user-id", "session-id", "since", "until"}, "export": nil,
}

var statuses = []string{"running", "completed", "failed", "cancelled", "waiting", "interrupted", "damaged"}

func (p *program) runsCommand() *urfave.Command {
	return &urfave.Command{
		Name: "runs", Usage: "look at runs that were kept, compare and remove them", ArgsUsage: "ls|show|events|logs|diff|rm|prune|export [RUN...]", Description: runsDescription,
		Flags: []urfave.Flag{
			&urfave.StringFlag{Name: "pipeline", Usage: "ls and prune: only runs of the pipeline of this `NAME`"},
			&urfave.StringFlag{Name: "status", Usage: "ls and prune: only runs whose `STATUS` is " + oneOf(statuses)},
			&urfave.StringFlag{Name: "user-id", Aliases: []string{"user"}, Usage: "ls and prune: only runs for the user of this `ID`"},
			&urfave.StringFlag{Name: "session-id", Aliases: []string{"session"}, Usage: "ls and prune: only runs of the session of this `ID`"},
			&urfave.StringFlag{Name: "since", Usage: "ls and prune: only runs that began at a `TIME` or later"},
			&urfave.StringFlag{Name: "until", Usage: "ls and prune: only runs that began before a `TIME`"},
			&urfave.IntFlag{Name: "limit", Base: 10, Usage: "ls: at most `N`, the newest; 0 is all (default 50, with --output json all)"},
			&urfave.StringFlag{Name: "before", Usage: "prune: the same as --until `TIME`"},
			&urfave.StringFlag{Name: "output", Aliases: []string{"o"}, Value: "text", Usage: "`FORMAT` is text or json"},
			&urfave.BoolFlag{Name: "no-color", Usage: "logs: no colours, as with NO_COLOR in the environment"},
			journalFlag(),
		},
		Before: runsFlags,
		Action: p.runs,
	}
}

// runsFlags refuses flags that do not go with what is to be done, and what does not name the runs that it needs.
func runsFlags(c *urfave.Context) error {
	action := c.Args().First()
	goes, ok := runsActions[action]
	actions := slices.Sorted(maps.Keys(runsActions))
	if !ok {
		return usage("runs is for %s, not %q%s", oneOf(actions), action, spec.DidYouMean(action, actions))
	}
	for _, f := range c.Command.Flags {
		flag := f.Names()[0]
		switch {
		case !c.IsSet(flag) || flag == "journal":
		case !slices.Contains(goes, flag) && flag != "output":
			return usage("runs %s takes no --%s", action, flag)
		case c.String(flag) == "": // lest it means all
			return usage("--%s needs a value", flag)
		}
	}
	switch n := c.NArg() - 1; {
	case (action == "ls" || action == "prune") && n > 0:
		return usage("runs %s takes no RUN", action)
	case action == "diff" && n != 2:
		return usage("runs diff needs two runs, as in flowrun runs diff A B")
	case action == "rm" && n == 0:
		return usage("runs rm needs a RUN")
	case slices.Contains([]string{"show", "events", "logs", "export"}, action) && n != 1:
		return usage("runs %s needs one RUN", action)
	case action == "prune" && !slices.ContainsFunc(goes, c.IsSet):
		return usage("runs prune needs to be told which runs, as with --before 30d or --status failed, lest it removes all")
	}
	return journalFlags(c)
}

func (p *program) runs(c *urfave.Context) error {
	j, err := p.history(c)
	if err != nil {
		return err
	}
	defer j.Close()
	r := &runs{program: p, c: c, j: j, json: c.String("output") == "json"}
	var ids []string
	for _, word := range c.Args().Tail() {
		id, err := find(j, word)
		if err != nil {
			return err
		}
		ids = append(ids, id)
	}
	switch c.Args().First() {
	case "ls":
		err = r.list()
	case "show":
		err = r.show(ids[0])
	case "events":
		err = r.events(ids[0])
	case "logs":
		err = r.logs(ids[0])
	case "diff":
		err = r.diff(ids[0], ids[1])
	case "rm":
		err = r.remove(ids)
	case "prune":
		err = r.prune()
	case "export":
		err = r.export(ids[0])
	}
	return journalError(c, err)
}

// journalError is an error of the journal as one of the call: nothing ran.
func journalError(c *urfave.Context, err error) error {
	var damaged *journal.DamagedError
	var exists *journal.ExistsError
	var unknown *journal.UnknownError
	var live *journal.LiveError
	var unread *journal.ReadError
	if errors.As(err, &damaged) {
		return usage("%v (%s removes it)", err, next(c, "runs rm", damaged.ID))
	}
	if errors.As(err, &exists) {
		return usage("%v: %s", err, next(c, "runs show", exists.ID))
	}
	if errors.As(err, &unknown) || errors.As(err, &live) || errors.As(err, &unread) {
		return usage("%v", err)
	}
	return err
}

// runs is one look at the journal.
type runs struct {
	*program
	c    *urfave.Context
	j    *journal.Journal
	json bool
}

// moment is a time that a flag names; zero without it.
func moment(c *urfave.Context, flag string) (time.Time, error) {
	text := c.String(flag)
	if !c.IsSet(flag) {
		return time.Time{}, nil
	}
	for _, layout := range []string{time.DateOnly, "2006-01-02T15:04", "2006-01-02T15:04:05", time.RFC3339} {
		if t, err := time.ParseInLocation(layout, text, time.Local); err == nil {
			return t, nil
		}
	}
	days := 0
	if n, err := fmt.Sscanf(text, "%dd", &days); n == 1 && err == nil && text == fmt.Sprintf("%dd", days) && days >= 0 && days < 100_000 {
		return time.Now().AddDate(0, 0, -days), nil
	}
	d, err := spec.ParseDuration(text)
	if err != nil {
		return time.Time{}, usage("--%s is a date such as 2026-01-31 or 2026-01-31T15:04, or so long ago, such as 90m, 24h or 30d, not %q", flag, text)
	}
	return time.Now().Add(-d), nil
}

func (r *runs) events(id string) error {
	events, err := r.j.Events(id)
	if err != nil {
		return err
	}
	var line []byte
	for _, e := range events {
		line = append(e.AppendJSON(line[:0]), '\n')
		if _, err := r.Out.Write(line); err != nil {
			return err
		}
	}
	return nil
}

func (r *runs) logs(id string) error {
	events, err := r.j.Events(id)
	if err != nil {
		return err
	}
	if r.json {
		return r.events(id)
	}
	lines := newProgress(r.Out, nodes.Language(), colours(r.c, r.Out))
	for _, e := range events {
		lines.hear(e)
	}
	return nil
}

// ends are the outputs of a run's leaves and named nodes, by turn.
func (r *runs) ends(id string) (map[string]*engine.Finished, error) {
	turns, err := r.j.Turns(id)
	if err != nil {
		return nil, err
	}
	ends := map[string]*engine.Finished{}
	for _, t := range turns {
		if t.Finished != nil && !t.Past && (t.Finished.Basis != "" || t.Name != "" || t.Turn == "/") {
			ends[t.Turn] = t.Finished
		}
	}
	return ends, nil
}

func (r *runs) remove(ids []string) error {
	slices.Sort(ids)
	ids = slices.Compact(ids)
	if err := r.j.Remove(ids...); err != nil {
		return err
	}
	return r.removed(ids)
}

func (r *runs) removed(ids []string) error {
	if r.json {
		return printJSON(r.Out, map[string][]string{"removed": append([]string{}, ids...)})
	}
	_, err := fmt.Fprintf(r.Out, "removed %s\n", count(len(ids), "run"))
	return err
}

func (r *runs) prune() error {
	f, err := r.filter()
	if err != nil {
		return err
	}
	before, err := moment(r.c, "before")
	if err != nil {
		return err
	}
	switch {
	case f.Status == journal.Running:
		return usage("runs that go on are not removed")
	case r.c.IsSet("before") && r.c.IsSet("until"):
		return usage("--before and --until say the same: give one of them")
	case r.c.IsSet("before"):
		f.Until = before
	}
	ids, err := r.j.Prune(f)
	if err != nil {
		return err
	}
	return r.removed(ids)
}
