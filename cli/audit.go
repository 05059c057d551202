package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	urfave "github.com/urfave/cli/v2"

	"github.com/flowrun/flowrun/audit"
	"github.com/flowrun/flowrun/engine"
	"github.com/flowrun/flowrun/journal"
	"github.com/flowrun/flowrun/spec"
)

// auditKeyVariable names the key file where no flag does.
const auditKeyVariable = "FLOWRUN_AUDIT_KEY_FILE"

func auditKeyFlag() urfave.Flag {
	return &urfave.StringFlag{Name: "audit-key", Usage: "`FILE` holds the key of the audit trail (default $" + auditKeyVariable + ")"}
}

// auditFlags are those of commands that run pipelines.
func auditFlags() []urfave.Flag {
	return []urfave.Flag{
		&urfave.StringFlag{Name: "audit", Usage: "add the run's events to `FILE`, a line each, signed so that no line can be changed, added or removed unseen"},
		auditKeyFlag(),
	}
}

// checkAudit refuses flags that make no audit trail.
func checkAudit(c *urfave.Context) error {
	switch file := c.String("audit"); {
	case c.IsSet("audit") && (file == "" || file == "-"):
		return usage("--audit needs the name of a file")
	case c.IsSet("audit") && c.Bool("dry-run"):
		return usage("--dry-run runs nothing: leave out --audit")
	}
	return nil
}

// auditKey is the key of trails, in the file that a flag names, or was named before.
func auditKey(c *urfave.Context, before string) (audit.Key, error) {
	from, file := "--audit-key", c.String("audit-key")
	if !c.IsSet("audit-key") {
		file = before
	}
	if file == "" && !c.IsSet("audit-key") {
		from, file = auditKeyVariable, os.Getenv(auditKeyVariable)
	}
	if file == "" {
		return nil, usage("an audit trail needs a key: give --audit-key FILE, or set %s (openssl rand -hex 32 makes one)", auditKeyVariable)
	}
	key, err := audit.ReadKey(file)
	if err != nil {
		return nil, usage("%s %s: %v", from, file, err)
	}
	return key, nil
}

// trail is the audit trail that a run adds to; nil where there is none.
type trail struct {
	file string
	log  *audit.Log
}

// auditedIn puts where a run is audited into its head.
func auditedIn(c *urfave.Context, h *journal.Head) (err error) {
	for flag, to := range map[string]*string{"audit": &h.Audit, "audit-key": &h.AuditKey} {
		if !c.IsSet(flag) {
			continue
		}
		if *to, err = located(c.String(flag)); err != nil {
			return err
		}
	}
	return nil
}

// openTrail opens the trail that --audit names, or the one with which the run began.
func openTrail(c *urfave.Context, h journal.Head) (*trail, error) {
	t := &trail{file: c.String("audit")}
	if !c.IsSet("audit") {
		t.file = nearby(h.Audit)
		switch _, err := os.Lstat(h.Audit); {
		case h.Audit == "" && c.IsSet("audit-key"):
			return nil, usage("--audit-key is for --audit FILE, which is missing")
		case h.Audit == "":
			return nil, nil
		case err != nil: // none is made where the journal alone says so
			return nil, usage("the audit trail of run %s is not there any more: %s; --audit FILE names another", h.ID, t.file)
		}
	}
	key, err := auditKey(c, h.AuditKey)
	if err != nil {
		return nil, err
	}
	if t.log, err = audit.Open(t.file, key); err != nil {
		return nil, usage("--audit %s: %v", t.file, err)
	}
	return t, nil
}

// options let the trail hear a run, which ends when it cannot be written to any more: what nobody could prove must not go
// on.
func (t *trail) options(stop context.CancelCauseFunc) []engine.Option {
	if t == nil {
		return nil
	}
	return []engine.Option{engine.WithListener(func(e engine.Event) {
		t.log.Hear(e, func(err error) { stop(t.unwritten(err)) })
	})}
}

// unaudited is why a run cannot be audited any more.
type unaudited struct {
	file  string
	cause error
}

func (u *unaudited) Error() string {
	return fmt.Sprintf("writing the audit trail %s: %v", u.file, u.cause)
}
func (u *unaudited) Unwrap() error { return u.cause }

func (t *trail) unwritten(err error) error { return &unaudited{t.file, err} }

// close writes the rest. Where the run failed for another reason, it warns of its own.
func (t *trail) close(report io.Writer, failed error) error {
	if t == nil {
		return nil
	}
	err := t.log.Close()
	if err == nil || errors.As(failed, new(*unaudited)) {
		return nil
	}
	if err = t.unwritten(err); failed != nil {
		fmt.Fprintf(report, "flowrun: warning: %s\n", escapeLines(err.Error()))
	}
	return err
}

// auditActions are what can be done with an audit trail.
var auditActions = []string{"verify"}

const auditDescription = `verify checks a file that --audit of flowrun run wrote: it tells the first line
that was changed, inserted, removed or moved. Only who has the key can check.

Lines that were cut off at the end leave no trace in the file itself. Keep the
last signature that verify prints, and give it as --since another time: the file
must still have it.

Exit codes: 0 the trail is as it was written, 2 wrong usage, file or key, 5 it
is not.
`

func (p *program) auditCommand() *urfave.Command {
	return &urfave.Command{
		Name: "audit", Usage: "check an audit trail", ArgsUsage: "verify FILE", Description: auditDescription,
		Flags: []urfave.Flag{
			auditKeyFlag(),
			&urfave.StringFlag{Name: "since", Usage: "a line with this `SIGNATURE` must be in it, such as the last of an earlier check"},
			&urfave.StringFlag{Name: "output", Aliases: []string{"o"}, Value: "text", Usage: "`FORMAT` is text or json"},
		},
		Action: func(c *urfave.Context) error {
			if action := c.Args().First(); action != "verify" {
				return usage("audit is for verify, not %q%s", action, spec.DidYouMean(action, auditActions))
			}
			if c.Args().Len() < 2 {
				return usage("flowrun audit verify needs one FILE")
			}
			return p.verify(c, c.Args().Get(1))
		},
	}
}

func (p *program) verify(c *urfave.Context, file string) error {
	key, err := auditKey(c, "")
	if err != nil {
		return err
	}
	r, err := audit.Verify(file, key, c.String("since"))
	if err != nil {
		return usage("%s: %v", file, err)
	}
	if c.String("output") == "json" {
		err = printJSON(p.Out, r)
	} else if r.OK {
		err = printTrail(p.Out, r)
	}
	switch {
	case err != nil || r.OK:
		return err
	case c.String("output") != "json":
		fmt.Fprintf(p.Err, "%s:%d: %s\n", spec.Escape(r.File), r.Problem.Line, r.Problem.Message)
	}
	return silent(exitMismatch)
}

func printTrail(w io.Writer, r *audit.Report) error {
	text := fmt.Sprintf("%s: ok, %s of %s", spec.Escape(r.File), count(r.Lines, "line"), count(r.Runs, "run"))
	for i, torn := range r.Torn {
		if i == 0 {
			text += ", torn and marked as such: line "
		} else {
			text += ", "
		}
		text += fmt.Sprint(torn)
	}
	text += "\n"
	const most = 20
	for i, run := range r.Open {
		if i == most {
			text += fmt.Sprintf("and %d more\n", len(r.Open)-most)
			break
		}
		text += fmt.Sprintf("no end of run %s: it goes on, or was cut off, or its end was removed\n", spec.Escape(run))
	}
	if r.Last != "" {
		text += "last signature " + r.Last + "\n"
	}
	_, err := io.WriteString(w, text)
	return err
}
