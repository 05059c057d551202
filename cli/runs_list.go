package cli

import (
	"bufio"
	"cmp"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/flowrun/flowrun/engine"
	"github.com/flowrun/flowrun/journal"
	"github.com/flowrun/flowrun/spec"
)

// summary is a run as JSON shows it.
type summary struct {
	ID        string           `json:"run_id"`
	Workflow  string           `json:"workflow"`
	File      string           `json:"file"`
	Status    journal.Status   `json:"status"`
	UserID    string           `json:"user_id"`
	SessionID string           `json:"session_id"`
	Batch     string           `json:"batch,omitempty"`
	Line      int              `json:"line,omitempty"`
	Origin    string           `json:"forked_from,omitempty"`
	StartedAt time.Time        `json:"started_at"`
	EndedAt   *time.Time       `json:"ended_at"`
	Steps     int              `json:"steps"`
	Failures  int              `json:"failures"`
	Tokens    tokens           `json:"usage"`
	ErrorKind engine.ErrorKind `json:"error_kind,omitempty"`
	Error     string           `json:"error,omitempty"`
	Owner     *journal.Owner   `json:"owner,omitempty"`
}

// tokens is what was used.
type tokens struct {
	Input  int      `json:"input_tokens"`
	Output int      `json:"output_tokens"`
	Calls  int      `json:"calls"`
	Cost   *float64 `json:"cost_usd"` // null where it is not known
}

func tokensOf(u engine.Usage) tokens {
	t := tokens{Input: u.InputTokens, Output: u.OutputTokens, Calls: u.Calls}
	if usd, known := u.USD(); known {
		t.Cost = &usd
	}
	return t
}

func summaryOf(s journal.Summary) summary {
	out := summary{s.ID, s.Workflow, s.File, s.Status, s.UserID, s.SessionID, s.Batch, s.Line, s.Origin, s.StartedAt, nil, s.Steps, s.Failures,
		tokensOf(s.Usage), s.ErrorKind, s.Error, nil}
	if !s.EndedAt.IsZero() {
		out.EndedAt = &s.EndedAt
	}
	if s.Status == journal.Running {
		out.Owner = &s.Owner
	}
	return out
}

// filter is what the flags say about which runs.
func (r *runs) filter() (f journal.Filter, err error) {
	c := r.c
	f = journal.Filter{Workflow: c.String("pipeline"), Status: journal.Status(c.String("status")), UserID: c.String("user-id"), SessionID: c.String("session-id")}
	if f.Since, err = moment(c, "since"); err != nil {
		return f, err
	}
	f.Until, err = moment(c, "until")
	return f, err
}

// newest is how many runs people are shown who do not say how many they want.
const newest = 50

func (r *runs) list() error {
	f, err := r.filter()
	if err != nil {
		return err
	}
	f.Limit = r.c.Int("limit")
	few := !r.json && !r.c.IsSet("limit")
	if few {
		f.Limit = newest + 1 // which tells that there are more: to count them is to read them
	}
	all, err := r.j.List(f)
	if err != nil {
		return err
	}
	if r.json {
		out := make([]summary, len(all))
		for i, s := range all {
			out[i] = summaryOf(s)
		}
		return printJSON(r.Out, out)
	}
	older := few && len(all) > newest
	if older {
		all = all[:newest]
	}
	out := bufio.NewWriter(r.Out) // of a tabwriter each cell would be a write
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, s := range all {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", spec.Escape(s.ID), s.Status, spec.Escape(s.Workflow), s.StartedAt.Local().Format("2006-01-02 15:04"), came(s))
	}
	if err := cmp.Or(w.Flush(), out.Flush()); err != nil || !older {
		return err
	}
	_, err = fmt.Fprintln(r.Err, "flowrun: there are older runs: --limit 0 lists all")
	return err
}

// came is what a run came to, for people.
func came(s journal.Summary) string {
	var parts []string
	if !s.EndedAt.IsZero() {
		parts = append(parts, took(s.EndedAt.Sub(s.StartedAt)))
	}
	if !s.EndedAt.IsZero() || s.Steps > 0 {
		parts = append(parts, count(s.Steps, "step"))
	}
	if s.Failures > 0 {
		parts = append(parts, count(s.Failures, "failure")+" gone past")
	}
	if s.Usage.Tokens() > 0 {
		parts = append(parts, fmt.Sprintf("%d+%d tokens", s.Usage.InputTokens, s.Usage.OutputTokens))
	}
	line := strings.Join(parts, ", ") + price(s.Usage)
	if s.Error != "" {
		line += ": " + spec.Escape(short(s.Error))
	}
	return line
}

// short cuts a text for a line.
func short(s string) string {
	const most = 200
	s = strings.ReplaceAll(s, "\n", " ")
	if runes := []rune(s); len(runes) > most {
		return string(runes[:most]) + "…"
	}
	return s
}
