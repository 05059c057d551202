package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	urfave "github.com/urfave/cli/v2"

	"github.com/flowrun/flowrun/engine"
	"github.com/flowrun/flowrun/journal"
	"github.com/flowrun/flowrun/spec"
)

const approveDescription = `NODE is the node that asks, by its name, or by its turn where it asks several
times at once; VALUE is one of its options, approve or reject where it has none.
flowrun runs show RUN tells what a run waits for. The answer is kept, with the
time and who gave it, and stands. Then the run goes on as with flowrun resume:
the grants are those of this call. Exit codes are those of flowrun run; 6 where
the run waits for more.
`

func (p *program) approveCommand() *urfave.Command {
	flags := []urfave.Flag{&urfave.StringFlag{Name: "by", Usage: "the `NAME` of who decided (default the user of this system)"}}
	return &urfave.Command{
		Name: "approve", Usage: "answer for what a run waits, and go on with it", ArgsUsage: "RUN NODE VALUE", Description: approveDescription,
		Flags: append(flags, workFlags()...),
		Before: func(c *urfave.Context) error {
			switch {
			case c.NArg() != 3:
				return usage("flowrun approve needs RUN, NODE and VALUE")
			case c.IsSet("by") && strings.TrimSpace(c.String("by")) == "":
				return usage("--by needs a name")
			case len(c.String("by")) > maxName:
				return usage("--by has at most %d bytes", maxName)
			}
			return cmp.Or(journalFlags(c), checkAudit(c), checkGrace(c))
		},
		Action: func(c *urfave.Context) error {
			a := &approval{node: c.Args().Get(1), value: c.Args().Get(2), by: c.String("by")}
			if !c.IsSet("by") {
				a.by = whoami()
			}
			return p.goOn(&again{c: c, approval: a})
		},
	}
}

const maxName = 200 // bytes of who decided

// approval is what was decided for a node.
type approval struct{ node, value, by string }

// question finds what the answer is for.
func (a *approval) question(c *urfave.Context, rec *journal.Record) (engine.Approval, error) {
	var asked []engine.Approval
	var turns []string
	if rec.Result == nil {
		return engine.Approval{}, usage("what run %s waits for is not known: %s", rec.ID, next(c, "resume", rec.ID))
	}
	for _, q := range rec.Result.Waiting {
		if q.Turn == a.node || q.Node == a.node {
			asked, turns = append(asked, q), append(turns, q.Turn)
		}
	}
	if i := slices.Index(turns, a.node); i >= 0 {
		asked = asked[i : i+1]
	}
	switch {
	case len(asked) == 0:
		return engine.Approval{}, usage("run %s does not wait for %q; it waits for %s", rec.ID, a.node, strings.Join(asking(rec.Result.Waiting), ", "))
	case len(asked) > 1:
		return engine.Approval{}, usage("%s asks several times: name one of %s", a.node, strings.Join(turns, ", "))
	case !slices.Contains(asked[0].Options, a.value):
		return engine.Approval{}, usage("%s takes %s, not %q%s", a.node, oneOf(asked[0].Options), a.value, spec.DidYouMean(a.value, asked[0].Options))
	case late(asked[0]):
		return engine.Approval{}, usage("the time to answer %s ended at %s: %s goes on without", a.node, asked[0].Deadline.Local().Format(time.DateTime), next(c, "resume", rec.ID))
	}
	return asked[0], nil
}

// decide keeps the answer.
func (a *approval) decide(c *urfave.Context, j *journal.Journal, rec *journal.Record, known map[string]journal.Decision) error {
	q, err := a.question(c, rec)
	if err != nil {
		return err
	}
	d := journal.Decision{Turn: questionID(q), Value: a.value, By: a.by, At: time.Now().UTC()}
	err = j.Decide(rec.ID, d)
	if before := (*journal.DecidedError)(nil); errors.As(err, &before) {
		return usage("%s was answered already, by %s: %s", a.node, before.By, spec.AsText(before.Value))
	}
	if err == nil {
		known[d.Turn] = d
	}
	return err
}

// late tells whether the time to answer is over.
func late(q engine.Approval) bool { return !q.Deadline.IsZero() && time.Now().After(q.Deadline) }

// undone are the decisions about turns that failed since, as where somebody rejected.
func undone(known map[string]journal.Decision, ends map[string]*engine.Finished) (ids []string) {
	for id := range known {
		if f := ends[id[:max(0, strings.LastIndexByte(id, ' '))]]; f != nil && !succeeded(f) {
			ids = append(ids, id)
		}
	}
	return ids
}

// questionID names a question in the journal: another message or other options are another question.
func questionID(q engine.Approval) string { return fmt.Sprintf("%s %.16s", q.Turn, q.Key()) }

// answers are those to the questions of a run: what the journal has of them, and what is said at the desk.
type answers struct {
	known map[string]journal.Decision
	desk  *desk // nil: nobody is there, and the run waits
	kept  bool  // the run can wait
}

// answered lets the work ask people, where its answers can come: at the terminal, or another time.
func (p *program) answered(c *urfave.Context, w *work, kept bool) {
	if p.canAsk(c) {
		p.desk = newDesk(p.In, p.Err.(*os.File))
	}
	if kept || p.desk != nil {
		w.answers = &answers{known: map[string]journal.Decision{}, desk: p.desk, kept: kept}
		w.opts = append(w.opts, engine.WithApprovals(w.answers))
	}
}

// Given is the answer that the journal has.
func (a *answers) Given(q engine.Approval) (*engine.Answer, error) {
	d, ok := a.known[questionID(q)]
	value, isText := d.Value.(string)
	if !ok || !isText {
		return nil, nil
	}
	return &engine.Answer{Value: value, By: d.By, At: d.At}, nil
}

// Ask asks at the desk.
func (a *answers) Ask(ctx context.Context, q engine.Approval) (*engine.Answer, error) {
	if a.desk == nil {
		return nil, nil
	}
	answer, err := a.desk.Ask(ctx, q)
	if answer == nil && err == nil && !a.kept {
		return nil, engine.Errorf(engine.Rejected, "nobody answered, and a run that is not kept cannot wait")
	}
	return answer, err
}
