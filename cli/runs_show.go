package cli

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/flowrun/flowrun/engine"
	"github.com/flowrun/flowrun/journal"
	"github.com/flowrun/flowrun/spec"
)

func (r *runs) show(id string) error {
	rec, err := r.j.Get(id)
	damaged := (*journal.DamagedError)(nil)
	if err != nil && !errors.As(err, &damaged) {
		return err
	}
	var top *ran
	if err == nil {
		events, failed := r.j.Events(id)
		if errors.As(failed, &damaged) {
			rec.Status, rec.Damage = journal.Damaged, damaged.Err.Error()
		} else if failed != nil {
			return failed
		} else {
			top = history(events, rec.Status)
		}
	}
	if r.json {
		out := struct {
			summary
			Damage string        `json:"damage,omitempty"`
			Output *engine.Value `json:"output,omitempty"`
			Nodes  []*ran        `json:"nodes"`
		}{summaryOf(rec.Summary), rec.Damage, nil, []*ran{}}
		if rec.Result != nil && rec.Status == journal.Completed {
			out.Output = &engine.Value{V: rec.Result.Output}
		}
		if top != nil {
			top.flatten(&out.Nodes)
		}
		return printJSON(r.Out, out)
	}
	var b bytes.Buffer
	describe(&b, rec)
	if top != nil {
		b.WriteByte('\n')
		top.draw(&b, 0)
	}
	_, err = io.Copy(r.Out, &b)
	return err
}

// describe prints what is known of a run as a whole.
func describe(b *bytes.Buffer, rec *journal.Record) {
	line := func(name, value string) {
		if value != "" {
			fmt.Fprintf(b, "%-9s %s\n", name, spec.Escape(value))
		}
	}
	line("run", rec.ID)
	status := string(rec.Status)
	if rec.Status == journal.Running {
		status += " in " + rec.Owner.String()
	}
	line("status", status)
	line("pipeline", rec.Workflow)
	line("file", rec.File)
	line("user", rec.UserID)
	if rec.SessionID != rec.ID {
		line("session", rec.SessionID)
	}
	line("forked", rec.Origin)
	line("batch", rec.Batch)
	line("started", rec.StartedAt.Local().Format(time.DateTime))
	s := rec.Summary
	s.Error = ""
	line("came to", came(s))
	line("error", rec.Error)
	line("damage", rec.Damage)
}

// ran is a node's turn as it ran, with those below it.
type ran struct {
	Turn     string        `json:"turn"`
	Node     string        `json:"node"`
	Kind     string        `json:"kind"`
	Status   string        `json:"status"`
	Began    *time.Time    `json:"started_at"`
	Duration int64         `json:"duration_ms"`
	Model    string        `json:"model,omitempty"`
	Tokens   *tokens       `json:"usage,omitempty"`
	Retries  int           `json:"retries,omitempty"`
	Asks     string        `json:"asks,omitempty"` // people
	Options  []string      `json:"options,omitempty"`
	Answer   string        `json:"answer,omitempty"`
	By       string        `json:"by,omitempty"`
	Error    *engine.Error `json:"error,omitempty"`
	Output   *engine.Value `json:"output,omitempty"`
	label    string
	used     engine.Usage
	below    []*ran
}

// history is what the events of a run tell, as a tree: of each turn the latest.
func history(events []engine.Event, status journal.Status) *ran {
	top := &ran{}
	all := map[string]*ran{}
	of := func(e engine.Event) *ran {
		n := all[e.Turn]
		if n == nil {
			n = &ran{Turn: e.Turn, Node: e.Node, Kind: e.Kind, label: label(e)}
			all[e.Turn] = n
			up, _ := nearest(all, e.Turn)
			if up == nil {
				up = top
			}
			up.below = append(up.below, n)
		}
		return n
	}
	for _, e := range events {
		if e.Turn == "" {
			continue
		}
		of(e).hear(e)
	}
	if status != journal.Running {
		for _, n := range all {
			if n.Status == "running" {
				n.Status = "cut"
			}
		}
	}
	if status == journal.Waiting {
		top.wait()
	}
	return top
}

// hear takes in what an event tells of the turn.
func (n *ran) hear(e engine.Event) {
	switch e.Type {
	case engine.StepStarted:
		n.Status, n.Error, n.Output = "running", nil, nil
		n.Began = &e.Time
	case engine.StepCompleted:
		n.Status, n.Error, n.Output, n.Duration = "completed", e.Error, &engine.Value{V: e.Output}, e.Duration.Milliseconds()
	case engine.StepFailed:
		n.Status, n.Error, n.Duration = "failed", e.Error, e.Duration.Milliseconds()
		if e.Error.Kind == engine.Cancelled {
			n.Status = "cancelled"
		}
	case engine.ApprovalRequested:
		n.Asks = e.Approvals[0].Message
		n.Options = e.Approvals[0].Options
	case engine.ApprovalGiven:
		n.Asks, n.Options, n.Answer, n.By = "", nil, e.Value, e.By
	case engine.StepSkipped:
		n.Status, n.Error, n.Output = "skipped", nil, nil
	case engine.StepRetried:
		n.Retries++
	case engine.RunStarted:
		n.Model = e.Model
	case engine.RunCompleted:
		n.used.Add(e.Usage)
		t := tokensOf(n.used)
		n.Tokens = &t
	}
}

// wait finds what waits for people, and what for that.
func (n *ran) wait() (waits bool) {
	for _, below := range n.below {
		waits = below.wait() || waits
	}
	if waits = waits || n.Asks != ""; waits && n.Status == "cancelled" {
		n.Status, n.Error = "waiting", nil
	}
	return waits
}

func (n *ran) flatten(into *[]*ran) {
	for _, below := range n.below {
		*into = append(*into, below)
		below.flatten(into)
	}
}

// manyBelow is how many turns below one are drawn; of more those that did not complete are preferred.
const manyBelow = 50

func (n *ran) draw(b *bytes.Buffer, depth int) {
	shown := n.below
	rest := map[string]int{}
	if len(shown) > manyBelow {
		left := manyBelow
		for _, below := range n.below {
			if below.Status != "completed" {
				left--
			}
		}
		shown = nil
		for _, below := range n.below {
			completed := below.Status == "completed"
			switch {
			case completed && left > 0:
				left--
				shown = append(shown, below)
			case !completed && len(shown) < manyBelow:
				shown = append(shown, below)
			default:
				rest[below.Status]++
			}
		}
	}
	for _, below := range shown {
		fmt.Fprintf(b, "%s%-9s  %s  %s\n", strings.Repeat("  ", depth), below.Status, spec.Escape(below.label), spec.Escape(below.detail()))
		below.draw(b, depth+1)
	}
	for _, status := range slices.Sorted(maps.Keys(rest)) {
		fmt.Fprintf(b, "%sand %d more %s\n", strings.Repeat("  ", depth), rest[status], status)
	}
}

func (n *ran) detail() string {
	parts := []string{n.Kind}
	if n.Status == "completed" || n.Status == "failed" {
		parts = append(parts, took(time.Duration(n.Duration)*time.Millisecond))
	}
	if n.Model != "" {
		parts = append(parts, n.Model)
	}
	if n.Tokens != nil {
		parts = append(parts, spent(n.used))
	}
	if n.Retries > 0 {
		parts = append(parts, fmt.Sprintf("tried again %s", count(n.Retries, "time")))
	}
	if n.Answer != "" {
		parts = append(parts, n.Answer+" by "+n.By)
	}
	s := strings.Join(parts, ", ")
	if n.Status == "waiting" && n.Asks != "" {
		s += ": " + short(n.Asks) + " (" + strings.Join(n.Options, ", ") + ")"
	}
	if n.Error != nil && (n.Status == "completed" || strings.HasSuffix(n.Node, n.Error.Node)) {
		s += ": " + short(n.Error.Message)
	}
	return s
}
