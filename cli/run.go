package cli

import (
	"cmp"
	"os"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	urfave "github.com/urfave/cli/v2"

	"github.com/flowrun/flowrun/engine"
	"github.com/flowrun/flowrun/journal"
	"github.com/flowrun/flowrun/nodes"
	"github.com/flowrun/flowrun/spec"
)

func (p *program) runCommand() *urfave.Command {
	flags := slices.Concat([]urfave.Flag{
		&urfave.StringFlag{Name: "input", Aliases: []string{"i"}, Usage: "take `TEXT` as the pipeline's input"},
		&urfave.StringFlag{Name: "input-file", Usage: "take the input from `PATH`, .json and .yaml as a value, else as text; - is standard input"},
	}, aboutFlags(), []urfave.Flag{
		&urfave.StringFlag{Name: "session-id", Usage: "the `ID` of the session it belongs to, which is run.session_id in the file (default the run's)"},
		&urfave.StringFlag{Name: "run-id", Usage: "the `ID` of the run (default a new one)"},
		&urfave.StringFlag{Name: "record", Usage: "keep in `FILE` all that models, commands, requests and tools answer"},
		&urfave.StringFlag{Name: "replay", Usage: "answer from `FILE`, which --record wrote, and ask nothing: no key and no grant but for files and variables is needed"},
		&urfave.BoolFlag{Name: "dry-run", Usage: "print what would run and what it needs, and run nothing"},
		&urfave.BoolFlag{Name: "no-journal", Usage: "keep nothing of the run: it cannot be resumed"},
	}, workFlags())
	return &urfave.Command{
		Name: "run", Usage: "run a pipeline", ArgsUsage: "FILE", Description: runDescription, Flags: flags,
		Before: contradictions, Action: p.run,
	}
}

// aboutFlags are those of commands that name a pipeline: with what it runs, and for whom.
func aboutFlags() []urfave.Flag {
	return []urfave.Flag{
		&urfave.StringSliceFlag{Name: "param", Aliases: []string{"p"}, Usage: "set a parameter, `NAME=VALUE`; again for more"},
		&urfave.StringSliceFlag{Name: "model", Aliases: []string{"m"}, Usage: "ask another `MODEL`, as provider/name or a short name of the file; for one agent as AGENT=MODEL, again for more"},
		&urfave.StringFlag{Name: "user-id", Usage: "the `ID` of the user for whom it runs, which is run.user_id in the file"},
	}
}

// workFlags are those of all commands that let a run work: what they print, what bounds it, and what it may do.
func workFlags() []urfave.Flag {
	return slices.Concat([]urfave.Flag{
		&urfave.StringFlag{Name: "output", Aliases: []string{"o"}, Value: "text", Usage: "`FORMAT` is text, the output alone, or json, the whole result"},
		&urfave.BoolFlag{Name: "stream", Usage: "print the text of the last agent as it comes"},
		&urfave.StringFlag{Name: "events", Usage: "write the run's events to `PATH` as JSON Lines; - is standard output, in place of the output"},
		journalFlag(),
	}, auditFlags(), mannerFlags(), []urfave.Flag{
		&urfave.BoolFlag{Name: "no-color", Usage: "no colours, as with NO_COLOR in the environment"},
	}, boundFlags("In place of the file's limits:"), grantFlags())
}

// mannerFlags say how the work is done.
func mannerFlags() []urfave.Flag {
	return []urfave.Flag{
		&urfave.StringFlag{Name: "grace", Value: "10s", Usage: "after the first Ctrl-C let what runs go on for a `DURATION` before it is stopped"},
		pricesFlag(),
		&urfave.BoolFlag{Name: "no-cache", Usage: "ask anew what may be kept: answers are neither taken from the cache nor kept"},
		&urfave.BoolFlag{Name: "quiet", Aliases: []string{"q"}, Usage: "no progress and no warnings, errors only"},
	}
}

// boundFlags bound each run, in a part of the help.
func boundFlags(category string) []urfave.Flag {
	return []urfave.Flag{
		&urfave.IntFlag{Category: category, Name: "max-steps", Base: 10, Usage: "take at most `N` steps (default limits.max_steps, else 100)"},
		&urfave.IntFlag{Category: category, Name: "max-visits", Base: 10, Usage: "visit a node at most `N` times (default limits.max_visits_per_node, else 25)"},
		&urfave.IntFlag{Category: category, Name: "max-concurrency", Base: 10, Usage: "let at most `N` agents, commands and requests work at once (default limits.max_concurrency, else 16)"},
		&urfave.StringFlag{Category: category, Name: "timeout", Usage: "stop after a `DURATION` such as 30s or 5m (default limits.timeout, else never)"},
	}
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
	w, err := p.named(c)
	if err != nil {
		return err
	}
	pipeline := w.graph.Pipeline()
	input, err := p.input(c, pipeline)
	if err != nil {
		return err
	}
	if w.head, err = p.head(c, pipeline, input); err != nil {
		return err
	}
	if w.tape, err = openTape(c); err != nil {
		return err
	}
	w.opts = append(w.opts, w.tape.options()...)
	if c.Bool("dry-run") {
		all := append(w.options(), engine.WithGrants(engine.Grants{All: true}), engine.WithApprovals(&answers{}))
		return p.plan(c, w.graph, p.grants(c, w.file, pipeline), engine.Check(w.graph, input, all...))
	}
	kept, err := p.journal(c)
	if err != nil {
		return err
	}
	if kept != nil {
		defer kept.Close()
		w.start = func() error { return journalError(c, w.begin(kept)) }
	}
	p.answered(c, w, kept != nil)
	if err := p.permitted(c, w); err != nil {
		return err
	}
	return p.execute(c, w)
}

// named reads the pipeline that a command names, with the models that its flags do.
func (p *program) named(c *urfave.Context) (*work, error) {
	set, err := modelSet(c)
	if err != nil {
		return nil, err
	}
	overrides := modelsNamed(c.StringSlice("model"))
	w := &work{
		lang: nodes.Language(append(overrides.options(), nodes.WithAgents(set), nodes.WithCommands(&p.commands))...),
		file: c.Args().First(),
		opts: []engine.Option{engine.WithSecrets(set.Secrets()...)},
	}
	if w.graph, err = p.load(c, w.lang); err != nil {
		return nil, err
	}
	return w, overrides.check(w.graph, set)
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
	for _, flag := range []string{"user-id", "session-id"} {
		if id := c.String(flag); !utf8.ValidString(id) { // it would be another when it is read back
			return h, usage("--%s is text in UTF-8, not %q", flag, id)
		}
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
	return h, cmp.Or(auditedIn(c, &h), limitFlags(c, &h))
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
