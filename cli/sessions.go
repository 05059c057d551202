package cli

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/clipperhouse/displaywidth"
	urfave "github.com/urfave/cli/v2"

	"github.com/flowrun/flowrun/journal"
	"github.com/flowrun/flowrun/spec"
)

// sessionActions are what can be done with sessions.
var sessionActions = []string{"ls", "show", "rm"}

const sessionsDescription = `ls lists the sessions in which agents with memory: session remember something,
the latest first: when, of which user, how many exchanges and tokens. show
prints what was said in one, the oldest first. rm lets the agents forget it.

A session is one of a user: show and rm are for that of --user-id, or else for
that of no named user.
`

func (p *program) sessionsCommand() *urfave.Command {
	return &urfave.Command{
		Name: "sessions", Usage: "list, show or forget what agents remember", ArgsUsage: "ls|show|rm [SESSION]", Description: sessionsDescription,
		Flags: []urfave.Flag{
			&urfave.StringFlag{Name: "user-id", Usage: "the `ID` of the user whose sessions they are (ls: default all)"},
			&urfave.StringFlag{Name: "agent", Usage: "show only what the agent of this `NAME` remembers"},
			journalFlag(),
			&urfave.StringFlag{Name: "output", Aliases: []string{"o"}, Value: "text", Usage: "`FORMAT` is text or json"},
		},
		Before: journalFlags,
		Action: p.sessions,
	}
}

func (p *program) sessions(c *urfave.Context) error {
	action, id := c.Args().First(), c.Args().Get(1)
	switch {
	case action != "ls" && action != "show" && action != "rm":
		return usage("sessions is for %s, not %q%s", oneOf(sessionActions), action, spec.DidYouMean(action, sessionActions))
	case action == "ls" && c.Args().Len() > 1:
		return usage("flowrun sessions ls takes no SESSION")
	case action != "ls" && id == "":
		return usage("flowrun sessions %s needs a SESSION", action)
	case action != "show" && c.IsSet("agent"):
		return usage("--agent is for flowrun sessions show")
	}
	j, err := p.history(c)
	if err != nil {
		return err
	}
	defer j.Close()
	switch action {
	case "ls":
		return p.listSessions(c, j)
	case "show":
		return p.showSession(c, j, id)
	}
	return p.forgetSession(c, j, id)
}

// session is one as JSON shows it.
type session struct {
	User      string    `json:"user_id"`
	ID        string    `json:"session_id"`
	Exchanges int       `json:"exchanges"`
	Tokens    int       `json:"tokens"`
	Last      time.Time `json:"last_at"`
}

func (p *program) listSessions(c *urfave.Context, j *journal.Journal) error {
	all, err := j.Sessions(c.String("user-id"))
	if err != nil {
		return err
	}
	list := []session{}
	for _, s := range all {
		if !c.IsSet("user-id") || s.UserID == c.String("user-id") { // empty is a user, too
			list = append(list, session{s.UserID, s.ID, s.Exchanges, s.Tokens, s.Last})
		}
	}
	if c.String("output") == "json" {
		return printJSON(p.Out, list)
	}
	columns := columns(p.Out)
	var b bytes.Buffer
	for _, s := range list {
		line := fmt.Sprintf("%s  %13s  %11s  %s", s.Last.Local().Format("2006-01-02 15:04"), count(s.Exchanges, "exchange"), count(s.Tokens, "token"), spec.Escape(s.ID))
		if s.User != "" {
			line += "  of " + spec.Escape(s.User)
		}
		if columns > 0 {
			line = displaywidth.TruncateString(line, columns, "…")
		}
		b.WriteString(line + "\n")
	}
	fmt.Fprintln(&b, count(len(list), "session"))
	_, err = p.Out.Write(b.Bytes())
	return err
}

// exchange is one as JSON shows it.
type exchange struct {
	At     time.Time `json:"at"`
	Run    string    `json:"run_id"`
	Turn   string    `json:"turn"`
	Agent  string    `json:"agent"`
	Tokens int       `json:"tokens"`
	Prompt string    `json:"prompt"`
	Reply  string    `json:"reply"`
}

func (p *program) showSession(c *urfave.Context, j *journal.Journal, id string) error {
	all, err := j.Exchanges(c.String("user-id"), id, c.String("agent"))
	if err != nil {
		return err
	}
	if len(all) == 0 {
		return p.noSession(c, j, id)
	}
	said := make([]exchange, len(all))
	for i, x := range all { // the newest are first
		said[len(all)-1-i] = exchange{x.At, x.Run, x.Turn, x.Agent, x.Tokens, x.Prompt, x.Reply}
	}
	if c.String("output") == "json" {
		return printJSON(p.Out, said)
	}
	var b bytes.Buffer
	for i, x := range said {
		if i > 0 {
			b.WriteByte('\n')
		}
		fmt.Fprintf(&b, "%s  %s  run %s  %s\n", x.At.Local().Format("2006-01-02 15:04"), spec.Escape(x.Agent), spec.Escape(x.Run), spec.Escape(x.Turn))
		speech(&b, "> ", x.Prompt)
		speech(&b, "< ", x.Reply)
	}
	_, err = p.Out.Write(b.Bytes())
	return err
}

// speech writes a text, each line behind a mark, so that none looks as if flowrun had written it.
func speech(w io.Writer, mark, text string) {
	for line := range strings.Lines(text) {
		fmt.Fprintf(w, "%s%s\n", mark, spec.Escape(strings.TrimRight(line, "\r\n")))
	}
	if text == "" {
		fmt.Fprintln(w, strings.TrimRight(mark, " "))
	}
}

func (p *program) forgetSession(c *urfave.Context, j *journal.Journal, id string) error {
	n, err := j.RemoveSession(c.String("user-id"), id)
	if err != nil {
		return err
	}
	if n == 0 {
		return p.noSession(c, j, id)
	}
	if c.String("output") == "json" {
		return printJSON(p.Out, struct {
			Removed int64 `json:"removed"`
		}{n})
	}
	_, err = fmt.Fprintf(p.Out, "removed %s\n", count(int(n), "exchange"))
	return err
}

// noSession says that a user has no such session, and where there is one of that name.
func (p *program) noSession(c *urfave.Context, j *journal.Journal, id string) error {
	whose := "no named user"
	if user := c.String("user-id"); user != "" {
		whose = fmt.Sprintf("user %q", user)
	}
	if c.IsSet("agent") {
		whose += fmt.Sprintf(" and agent %q", c.String("agent"))
	}
	all, err := j.Sessions("")
	if err != nil {
		return err
	}
	var ids []string
	for _, s := range all {
		if s.UserID == c.String("user-id") {
			ids = append(ids, s.ID)
		} else if s.ID == id && !c.IsSet("user-id") {
			return usage("nothing is remembered of session %q of %s, but of others: give --user-id", id, whose)
		}
	}
	return usage("nothing is remembered of session %q of %s%s", id, whose, spec.DidYouMean(id, ids))
}
