package cli

import (
	"bufio"
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
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
	"ls": {"pipeline", "status", "user", "session", "since", "until", "limit"}, "show": nil, "events": nil, "logs": {"no-color"}, "diff": nil,
	"rm": nil, "prune": {"before", "pipeline", "status", "user", "session", "since", "until"}, "export": nil,
}

var statuses = []string{"running", "completed", "failed", "cancelled", "waiting", "interrupted", "damaged"}

func (p *program) runsCommand() *urfave.Command {
	return &urfave.Command{
		Name: "runs", Usage: "look at runs that were kept, compare and remove them", ArgsUsage: "ls|show|events|logs|diff|rm|prune|export [RUN...]", Description: runsDescription,
		Flags: []urfave.Flag{
			&urfave.StringFlag{Name: "pipeline", Usage: "ls and prune: only runs of the pipeline of this `NAME`"},
			&urfave.StringFlag{Name: "status", Usage: "ls and prune: only runs whose `STATUS` is " + oneOf(statuses)},
			&urfave.StringFlag{Name: "user", Usage: "ls and prune: only runs for the user of this `ID`"},
			&urfave.StringFlag{Name: "session", Usage: "ls and prune: only runs of the session of this `ID`"},
			&urfave.StringFlag{Name: "since", Usage: "ls and prune: only runs that began at a `TIME` or later"},
			&urfave.StringFlag{Name: "until", Usage: "ls and prune: only runs that began before a `TIME`"},
			&urfave.IntFlag{Name: "limit", Usage: "ls: at most `N`, the newest; 0 is all (default 50, with --output json all)"},
			&urfave.StringFlag{Name: "before", Usage: "prune: the same as --until"},
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
	for _, flag := range c.LocalFlagNames() {
		if !slices.Contains(goes, flag) && !slices.Contains([]string{"output", "o", "journal"}, flag) {
			return usage("runs %s takes no --%s", action, flag)
		}
		if flag != "journal" && c.String(flag) == "" { // lest it means all
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
	return journalError(err)
}

// journalError is an error of the journal as one of the call: nothing ran.
func journalError(err error) error {
	var damaged *journal.DamagedError
	var unknown *journal.UnknownError
	var live *journal.LiveError
	var unread *journal.ReadError
	if errors.As(err, &damaged) {
		return usage("%v (flowrun runs rm %s removes it)", err, shellWord(damaged.ID))
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
	f = journal.Filter{Workflow: c.String("pipeline"), Status: journal.Status(c.String("status")), UserID: c.String("user"), SessionID: c.String("session")}
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
	older := 0
	if !r.c.IsSet("limit") && len(all) > newest {
		older = len(all) - newest
		all = all[:newest]
	}
	out := bufio.NewWriter(r.Out) // of a tabwriter each cell would be a write
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, s := range all {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", spec.Escape(s.ID), s.Status, spec.Escape(s.Workflow), s.StartedAt.Local().Format("2006-01-02 15:04"), came(s))
	}
	if err := cmp.Or(w.Flush(), out.Flush()); err != nil || older == 0 {
		return err
	}
	_, err = fmt.Fprintf(r.Err, "flowrun: and %s: --limit 0 lists all\n", count(older, "older run"))
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

// difference is what a node gave in two runs; null where it did not end.
type difference struct {
	Turn string `json:"turn"`
	A    *gave  `json:"a"`
	B    *gave  `json:"b"`
}

type gave struct {
	Status string        `json:"status"`
	Output engine.Value  `json:"output"`
	Error  *engine.Error `json:"error"`
}

func gaveOf(f *engine.Finished) *gave {
	if f == nil {
		return nil
	}
	return &gave{f.Status, f.Output, f.Error}
}

func (g *gave) String() string {
	switch {
	case g == nil:
		return "did not end"
	case g.Error != nil:
		return g.Status + ": " + g.Error.Message
	case g.Status != string(engine.Completed):
		return g.Status
	}
	return spec.AsJSON(g.Output.V)
}

func (r *runs) diff(a, b string) error {
	was, err := r.ends(a)
	if err != nil {
		return err
	}
	is, err := r.ends(b)
	if err != nil {
		return err
	}
	turns := maps.Clone(was)
	maps.Copy(turns, is)
	differences := []difference{}
	for _, turn := range slices.SortedFunc(maps.Keys(turns), engine.CompareTurns) {
		d := difference{turn, gaveOf(was[turn]), gaveOf(is[turn])}
		if d.A.String() != d.B.String() {
			differences = append(differences, d)
		}
	}
	if r.json {
		return printJSON(r.Out, differences)
	}
	if len(differences) == 0 {
		_, err := fmt.Fprintf(r.Out, "the nodes of %s and %s gave the same\n", spec.Escape(a), spec.Escape(b))
		return err
	}
	for _, d := range differences {
		if _, err := fmt.Fprintf(r.Out, "%s\n- %s\n+ %s\n", spec.Escape(d.Turn), spec.Escape(short(d.A.String())), spec.Escape(short(d.B.String()))); err != nil {
			return err
		}
	}
	return nil
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

// exported is all that is kept of a run.
type exported struct {
	summary
	Source   string               `json:"source,omitempty"`
	Digest   string               `json:"digest"`
	Input    engine.Value         `json:"input"`
	Params   engine.Value         `json:"params"`
	Models   []string             `json:"models,omitempty"`
	Limits   map[string]any       `json:"limits"`
	Result   *engine.Result       `json:"result"`
	Turns    []engine.Entry       `json:"turns"`
	Events   []engine.Event       `json:"events"`
	Damage   string               `json:"damage,omitempty"`
	Decision map[string]*decision `json:"decisions,omitempty"`
}

// decision is what a person decided.
type decision struct {
	Value engine.Value `json:"value"`
	By    string       `json:"by"`
	At    time.Time    `json:"at"`
}

func (r *runs) export(id string) error {
	rec, err := r.j.Get(id)
	if err != nil {
		return err
	}
	turns, err := r.j.Turns(id)
	if err != nil {
		return err
	}
	events, err := r.j.Events(id)
	if err != nil {
		return err
	}
	decisions, err := r.j.Decisions(id)
	if err != nil {
		return err
	}
	h := rec.Head
	out := exported{summary: summaryOf(rec.Summary), Source: h.Source, Digest: h.Digest, Input: engine.Value{V: h.Input}, Params: engine.Value{V: h.Params},
		Models: h.Models, Limits: map[string]any{}, Result: rec.Result, Turns: []engine.Entry{}, Events: events, Decision: map[string]*decision{}}
	for name, n := range map[string]int{"max_steps": h.MaxSteps, "max_visits": h.MaxVisits, "max_concurrency": h.MaxConcurrency} {
		if n > 0 {
			out.Limits[name] = n
		}
	}
	if h.Timeout > 0 {
		out.Limits["timeout"] = h.Timeout.String()
	}
	for _, t := range turns {
		if !t.Past {
			out.Turns = append(out.Turns, t.Entry)
		}
	}
	for turn, d := range decisions {
		out.Decision[turn] = &decision{engine.Value{V: d.Value}, d.By, d.At}
	}
	return printJSON(r.Out, out)
}

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
			up := above(all, e.Turn)
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
		n := of(e)
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

// above finds the nearest turn above another.
func above(all map[string]*ran, turn string) *ran {
	for up := turn; up != "" && up != "/"; {
		up = up[:strings.LastIndexByte(up, '/')]
		if n := all[up]; n != nil {
			return n
		}
		if i := strings.LastIndexByte(up, '['); i > 0 && strings.HasSuffix(up, "]") {
			if n := all[up[:i]]; n != nil {
				return n
			}
		}
	}
	if turn == "/" {
		return nil
	}
	return all["/"]
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
