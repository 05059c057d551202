package cli

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	urfave "github.com/urfave/cli/v2"

	"github.com/flowrun/flowrun/agents"
	"github.com/flowrun/flowrun/cache"
	"github.com/flowrun/flowrun/engine"
	"github.com/flowrun/flowrun/journal"
	"github.com/flowrun/flowrun/nodes"
	"github.com/flowrun/flowrun/spec"
)

func (p *program) runCommand() *urfave.Command {
	flags := []urfave.Flag{
		&urfave.StringFlag{Name: "input", Aliases: []string{"i"}, Usage: "take `TEXT` as the pipeline's input"},
		&urfave.StringFlag{Name: "input-file", Usage: "take the input from `PATH`, .json and .yaml as a value, else as text; - is standard input"},
		&urfave.StringSliceFlag{Name: "param", Aliases: []string{"p"}, Usage: "set a parameter, `NAME=VALUE`; again for more"},
		&urfave.StringSliceFlag{Name: "model", Aliases: []string{"m"}, Usage: "ask another `MODEL`, as provider/name or a short name of the file; for one agent as AGENT=MODEL, again for more"},
		&urfave.StringFlag{Name: "user-id", Usage: "the `ID` of the user for whom it runs, which is run.user_id in the file"},
		&urfave.StringFlag{Name: "session-id", Usage: "the `ID` of the session it belongs to, which is run.session_id in the file (default the run's)"},
		&urfave.StringFlag{Name: "run-id", Usage: "the `ID` of the run (default a new one)"},
		&urfave.StringFlag{Name: "record", Usage: "keep in `FILE` all that models, commands, requests and tools answer"},
		&urfave.StringFlag{Name: "replay", Usage: "answer from `FILE`, which --record wrote, and ask nothing: no key and no grant but for files and variables is needed"},
		&urfave.BoolFlag{Name: "dry-run", Usage: "print what would run and what it needs, and run nothing"},
		&urfave.BoolFlag{Name: "no-journal", Usage: "keep nothing of the run: it cannot be resumed"},
	}
	return &urfave.Command{
		Name: "run", Usage: "run a pipeline", ArgsUsage: "FILE", Description: runDescription, Flags: append(flags, workFlags()...),
		Before: contradictions, Action: p.run,
	}
}

// workFlags are those of all commands that let a pipeline work: what they print, what bounds it, and what it may do.
func workFlags() []urfave.Flag {
	const limits = "In place of the file's limits:"
	return append([]urfave.Flag{
		&urfave.StringFlag{Name: "output", Aliases: []string{"o"}, Value: "text", Usage: "`FORMAT` is text, the output alone, or json, the whole result"},
		&urfave.BoolFlag{Name: "stream", Usage: "print the text of the last agent as it comes"},
		&urfave.StringFlag{Name: "events", Usage: "write the run's events to `PATH` as JSON Lines; - is standard output, in place of the output"},
		journalFlag(), auditFlags()[0], auditFlags()[1],
		&urfave.StringFlag{Name: "grace", Value: "10s", Usage: "after the first Ctrl-C let what runs go on for a `DURATION` before it is stopped"},
		pricesFlag(),
		&urfave.BoolFlag{Name: "no-cache", Usage: "ask anew what may be kept: answers are neither taken from the cache nor kept"},
		&urfave.BoolFlag{Name: "quiet", Aliases: []string{"q"}, Usage: "no progress and no warnings, errors only"},
		&urfave.BoolFlag{Name: "no-color", Usage: "no colours, as with NO_COLOR in the environment"},
		&urfave.IntFlag{Category: limits, Name: "max-steps", Base: 10, Usage: "take at most `N` steps (default limits.max_steps, else 100)"},
		&urfave.IntFlag{Category: limits, Name: "max-visits", Base: 10, Usage: "visit a node at most `N` times (default limits.max_visits_per_node, else 25)"},
		&urfave.IntFlag{Category: limits, Name: "max-concurrency", Base: 10, Usage: "let at most `N` agents, commands and requests work at once (default limits.max_concurrency, else 16)"},
		&urfave.StringFlag{Category: limits, Name: "timeout", Usage: "stop after a `DURATION` such as 30s or 5m (default limits.timeout, else never)"},
	}, grantFlags()...)
}

const runDescription = `The output goes to standard output, progress and errors to standard error.
FILE may be - for standard input.

Exit codes: 0 completed, 1 failed, 2 wrong usage, file or input, 3 limit
reached, 4 not allowed, 5 not as recorded, 6 waits for an approval, 124
timed out, 130 interrupted. With 2 and 4 nothing ran.
`

// contradictions refuses flags that exclude each other.
func contradictions(c *urfave.Context) error {
	switch {
	case c.IsSet("input") && c.IsSet("input-file"):
		return usage("give --input or --input-file, not both")
	case c.String("input-file") == "-" && c.Args().First() == "-":
		return usage("the pipeline and its input cannot both come from standard input")
	}
	return cmp.Or(journalFlags(c), recordingFlags(c), checkAudit(c), checkGrace(c))
}

func (p *program) run(c *urfave.Context) error {
	set, err := modelSet(c)
	if err != nil {
		return err
	}
	overrides := modelsNamed(c.StringSlice("model"))
	lang := nodes.Language(append(overrides.options(), nodes.WithAgents(set), nodes.WithCommands(&p.commands))...)
	graph, err := p.load(c, lang)
	if err != nil {
		return err
	}
	if err := overrides.check(graph, set); err != nil {
		return err
	}
	input, err := p.input(c, graph.Pipeline())
	if err != nil {
		return err
	}
	head, err := p.head(c, graph.Pipeline(), input)
	if err != nil {
		return err
	}
	w := &work{lang: lang, graph: graph, file: c.Args().First(), head: head}
	if w.tape, err = openTape(c); err != nil {
		return err
	}
	w.opts = append(w.tape.options(), engine.WithSecrets(set.Secrets()...))
	if c.Bool("dry-run") {
		all := append(w.options(), engine.WithGrants(engine.Grants{All: true}), engine.WithApprovals(&answers{}))
		return p.plan(c, graph, p.grants(c, w.file, graph.Pipeline()), engine.Check(graph, input, all...))
	}
	kept, err := p.journal(c)
	if err != nil {
		return err
	}
	if kept != nil {
		defer kept.Close()
		w.start = func() error { return w.begin(kept) }
	}
	p.answered(c, w, kept != nil)
	if err := p.permitted(c, w); err != nil {
		return err
	}
	return p.execute(c, w)
}

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

// kept are those of a run that is kept.
func (w *work) kept() []engine.Option {
	return []engine.Option{engine.WithTurns(w.run), engine.WithMemory(w.memory), engine.WithSeq(w.run.LastSeq()), engine.WithStepListener(w.run.Hear)}
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

// graceFlag is how long what runs may go on after the first signal.
func graceFlag(c *urfave.Context) (time.Duration, error) {
	return spec.ParseDuration(c.String("grace"))
}

func checkGrace(c *urfave.Context) error {
	if _, err := graceFlag(c); err != nil {
		return usage("--grace must be a duration such as 10s, not %q", c.String("grace"))
	}
	return nil
}

// keptNone warns that answers were not kept, if that is so.
func (p *program) keptNone(c *urfave.Context, err error) {
	if err != nil && !c.Bool("quiet") {
		fmt.Fprintf(p.Err, "flowrun: warning: answers are not kept: %s\n", escapeLines(err.Error()))
	}
}

// execute runs what is known to be able to begin.
func (p *program) execute(c *urfave.Context, w *work) error {
	var opts []engine.Option
	grace, err := graceFlag(c)
	if err != nil {
		return err
	}
	if !c.Bool("no-cache") && w.tape == nil {
		answers := cache.Own()
		opts = append(opts, engine.WithCache(engine.NewCache(answers)))
		defer func() { p.keptNone(c, answers.Err()) }()
	}
	colours := colours(c, p.Err)
	if !c.Bool("quiet") && p.redraws(c) {
		p.live = startLive(p.Err.(*os.File), newProgress(nil, w.lang, colours))
		p.Err = p.live
		defer p.live.close()
	}
	p.attend()
	ctx, drain, stop := p.interruptible(grace)
	defer stop()
	opts = append(opts, engine.WithDrain(drain))
	trail, err := openTrail(c)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	opts = append(opts, trail.options(cancel)...)
	events, err := p.events(c.String("events"))
	if err != nil {
		return err
	}
	if events != nil {
		opts = append(opts, engine.WithListener(events.hear))
	}
	var answer *streamed // before the progress, which must not stand on its lines
	if c.Bool("stream") && c.String("events") != "-" && c.String("output") == "text" {
		answer = &streamed{out: p.Out, from: lastAgents(w.graph.Pipeline())}
		opts = append(opts, engine.WithListener(answer.hear))
	}
	switch {
	case p.live != nil:
		opts = append(opts, engine.WithListener(p.live.hear))
	case !c.Bool("quiet"):
		opts = append(opts, engine.WithListener(newProgress(p.Err, w.lang, colours).hear))
	}
	if w.start != nil {
		if err := w.start(); err != nil {
			return err
		}
	}
	if w.run != nil {
		defer w.run.Close()
		opts = append(opts, w.kept()...)
	}
	if w.reuse != nil {
		opts = append(opts, engine.WithReuse(w.reuse.find))
	}
	result, runErr := engine.Run(ctx, w.graph, w.head.Input, append(w.options(), opts...)...)
	p.live.close() // the output may go to the same terminal
	audited := trail.close(p.Err, runErr)
	if result == nil {
		return runErr
	}
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
		p.waits(result, journalNamed(c))
	}
	shown := p.show(c, result, answer)
	if !c.Bool("quiet") {
		w.tape.warn(p.Err, result)
	}
	if runErr != nil && result.Status != engine.Waiting {
		runErr = w.resumable(c, runErr)
	}
	return cmp.Or(runErr, audited, kept, shown, events.close())
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

// printOutput prints a text as it is, with a newline where it lacks one, and anything else as JSON for people.
func printOutput(w io.Writer, v any) error {
	if s, ok := v.(string); ok {
		if !strings.HasSuffix(s, "\n") {
			s += "\n"
		}
		_, err := io.WriteString(w, s)
		return err
	}
	return printJSON(w, engine.Value{V: v})
}

// printJSON prints JSON on one line, or indented where that makes it no longer than people would read.
func printJSON(w io.Writer, v any) error {
	var line bytes.Buffer
	e := json.NewEncoder(&line)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return err
	}
	const most, deepest = 1 << 20, 32
	if line.Len() <= most && levels(line.Bytes()) <= deepest {
		var lines bytes.Buffer
		if err := json.Indent(&lines, line.Bytes(), "", "  "); err != nil {
			return err
		}
		line = lines
	}
	_, err := w.Write(line.Bytes())
	return err
}

// levels is how deep the lists and objects of a JSON text nest.
func levels(text []byte) int {
	depth, deepest, quoted := 0, 0, false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '[' || c == '{':
			depth++
			deepest = max(deepest, depth)
		case c == ']' || c == '}':
			depth--
		}
	}
	return deepest
}

// load reads the file that a command names, and prints warnings.
func (p *program) load(c *urfave.Context, lang *engine.Language) (*engine.Graph, error) {
	if !c.Args().Present() {
		return nil, usage("flowrun %s needs one FILE", c.Command.Name)
	}
	graph, diagnostics := p.read(c.Args().First(), lang, readOptions(c))
	if err := diagnostics.Err(); err != nil {
		return nil, diagnostics
	}
	if !c.Bool("quiet") {
		p.diagnose(diagnostics)
	}
	return graph, nil
}

// read loads a file, or standard input for -.
func (p *program) read(file string, lang *engine.Language, opts []spec.Option) (*engine.Graph, spec.Diagnostics) {
	if file != "-" {
		return lang.Load(file, opts...)
	}
	src, err := spec.ReadText(p.In)
	if err != nil {
		return nil, spec.Diagnostics{{Pos: spec.Pos{File: "stdin"}, Message: err.Error()}}
	}
	p.source = string(src)
	return lang.Parse("stdin", ".", src, opts...)
}

// head is what the flags say about the run.
func (p *program) head(c *urfave.Context, pipeline *spec.Pipeline, input any) (journal.Head, error) {
	h := journal.Head{ID: c.String("run-id"), Workflow: pipeline.Name, Digest: pipeline.Digest(), Input: input, Models: c.StringSlice("model"),
		UserID: c.String("user-id"), SessionID: c.String("session-id"), Source: p.source}
	var err error
	if h.Params, err = paramFlags(c, pipeline); err != nil {
		return h, err
	}
	if !runID.MatchString(h.ID) || h.ID != "" && strings.Trim(h.ID, ".") == "" {
		return h, usage("--run-id has letters, digits, _, . and - only, at most 100, no - at its start, and not dots alone")
	}
	if h.ID == lastRun {
		return h, usage("--run-id %s would stand for the latest run", lastRun)
	}
	if h.File, err = located(pipeline.File); err != nil {
		return h, err
	}
	if h.Folder, err = os.Getwd(); err != nil {
		return h, err
	}
	return h, limitFlags(c, &h)
}

var runID = regexp.MustCompile(`^([A-Za-z0-9_.][A-Za-z0-9_.-]{0,99})?$`)

// limitFlags puts the limits that flags set into a head.
func limitFlags(c *urfave.Context, h *journal.Head) error {
	for flag, to := range map[string]*int{"max-steps": &h.MaxSteps, "max-visits": &h.MaxVisits, "max-concurrency": &h.MaxConcurrency} {
		if c.IsSet(flag) {
			*to = c.Int(flag)
		}
	}
	if c.IsSet("timeout") {
		d, err := spec.ParseDuration(c.String("timeout"))
		if err != nil || d == 0 {
			return usage("--timeout must be a duration such as 30s or 5m, not %q", c.String("timeout"))
		}
		h.Timeout = d
	}
	return nil
}

// paramFlags reads name=value: a text where the parameter is one, else a value as a file would say it.
func paramFlags(c *urfave.Context, pipeline *spec.Pipeline) (map[string]any, error) {
	types := map[string]*spec.Schema{}
	for _, param := range pipeline.Params {
		types[param.Name] = param.Schema
	}
	params := map[string]any{}
	for _, given := range c.StringSlice("param") {
		name, text, ok := strings.Cut(given, "=")
		if !ok {
			return nil, usage("--param is name=value, not %q", given)
		}
		params[name] = text
		if s := types[name]; s != nil && s.Check(name, text) != nil {
			if v, err := spec.ParseValue(text); err == nil {
				params[name] = v
			}
		}
	}
	return params, nil
}

// input is what --input or --input-file give.
func (p *program) input(c *urfave.Context, pipeline *spec.Pipeline) (any, error) {
	text, name := c.String("input"), "--input"
	switch {
	case c.IsSet("input-file"):
		name = c.String("input-file")
		b, err := p.readInput(name)
		if err != nil {
			return nil, usage("reading the input: %v", err)
		}
		text = string(b)
	case !c.IsSet("input"):
		return nil, nil
	}
	ext := strings.ToLower(filepath.Ext(name))
	structured := c.IsSet("input-file") && (ext == ".json" || ext == ".yaml" || ext == ".yml")
	if !structured && (pipeline.Input == nil || pipeline.Input.Check("input", text) == nil) {
		return text, nil
	}
	v, err := spec.ParseValue(text)
	if err != nil {
		return nil, usage("reading %s: %v", name, err)
	}
	return v, nil
}

// maxInput bounds an input, in bytes.
const maxInput = 64 << 20

func (p *program) readInput(name string) ([]byte, error) {
	from := p.In
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		from = f
	}
	b, err := io.ReadAll(io.LimitReader(from, maxInput+1))
	if err == nil && len(b) > maxInput {
		err = fmt.Errorf("it is larger than %d MiB", maxInput>>20)
	}
	return b, err
}

// models are the models that --model names, by agent; "" for all.
type models map[string]string

// modelsNamed reads what --model was given.
func modelsNamed(flags []string) models {
	m := models{}
	for _, given := range flags {
		agent, ref, one := strings.Cut(given, "=")
		if !one || strings.Contains(agent, "/") {
			agent, ref = "", given
		}
		m[agent] = ref
	}
	return m
}

func (m models) options() []nodes.Option {
	var opts []nodes.Option
	for agent, ref := range m {
		opts = append(opts, nodes.WithModel(agent, ref))
	}
	return opts
}

// check refuses agents that the pipeline does not have, and what is no model.
func (m models) check(g *engine.Graph, set *agents.Set) error {
	var known, short []string
	for _, p := range g.Pipelines() {
		known = append(known, nodes.Agents(p)...)
		short = append(short, nodes.Models(p)...)
	}
	for _, agent := range slices.Sorted(maps.Keys(m)) {
		ref, given := m[agent], m[agent]
		if agent != "" {
			given = agent + "=" + ref
		}
		if agent != "" && !slices.Contains(known, agent) {
			return usage("--model %s: the pipeline has no agent %q%s", given, agent, spec.DidYouMean(agent, known))
		}
		if problem, hint := set.Known(ref); problem != "" && !slices.Contains(short, ref) {
			return usage("--model %s: %s (%s)", given, problem, hint)
		}
	}
	return nil
}

// events opens where events are written; nil where nobody asked for them.
func (p *program) events(path string) (*eventFile, error) {
	switch path {
	case "":
		return nil, nil
	case "-":
		return newEventFile(nopCloser{p.Out}), nil
	}
	f, err := os.Create(path)
	if err != nil {
		return nil, usage("opening the event file: %v", err)
	}
	return newEventFile(f), nil
}
