package pipetest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/flowrun/flowrun/agents"
	"github.com/flowrun/flowrun/engine"
	"github.com/flowrun/flowrun/nodes"
	"github.com/flowrun/flowrun/recording"
	"github.com/flowrun/flowrun/spec"
)

// Plan is how tests are run.
type Plan struct {
	Only     *regexp.Regexp // cases whose names match; nil: all
	Repeat   int            // how often each case runs; at least once
	Parallel int            // runs at once; at least one
	Live     bool           // agents and servers of tools without a mock are asked
	Update   bool           // snapshots are written anew
	Grants   engine.Grants  // of all runs; the variables of a case need none
	Agents   *agents.Set    // nil: that of the environment
	Commands *nodes.Commands
}

// Outcome is what became of a case.
type Outcome struct {
	Case     *Case
	Runs     int
	Passed   int       // of the runs
	Need     int       // of the runs, that must pass
	Failures []Failure // of the first run that failed
	Duration time.Duration
}

// OK tells whether enough of the runs passed.
func (o Outcome) OK() bool { return o.Passed >= o.Need }

// Failure is something expected that did not come.
type Failure struct {
	Pos        spec.Pos
	Expression string   // that did not hold; empty where it was none
	Message    string   // one line
	Detail     []string // lines that show the difference
}

// Report is what became of test files.
type Report struct {
	Outcomes []Outcome  // in the order of the files and their cases
	Unused   []Snapshot // that no case uses; removed where snapshots were updated
	Written  []Snapshot
	Updated  bool
}

// Failed is how many cases failed.
func (r *Report) Failed() int {
	n := 0
	for _, o := range r.Outcomes {
		if !o.OK() {
			n++
		}
	}
	return n
}

// Run runs the cases of files, several at once, and returns when all have ended. The error is that of ctx, or says why
// snapshots could not be read or written.
func Run(ctx context.Context, files []*File, plan Plan) (*Report, error) {
	report := &Report{Updated: plan.Update}
	shelves := map[*File]*shelf{}
	for _, f := range files {
		s, err := openShelf(f)
		if err != nil {
			return nil, err
		}
		shelves[f] = s
		for _, c := range f.Cases {
			if plan.Only == nil || plan.Only.MatchString(c.Name) {
				report.Outcomes = append(report.Outcomes, Outcome{Case: c})
			}
		}
	}
	plan.each(len(report.Outcomes), func(i int) {
		o := &report.Outcomes[i]
		*o = plan.outcome(ctx, o.Case, shelves[o.Case.file])
	})
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	for _, f := range files {
		unused, written, err := shelves[f].close(plan)
		if err != nil {
			return nil, err
		}
		report.Unused, report.Written = append(report.Unused, unused...), append(report.Written, written...)
	}
	return report, nil
}

// each does something for the numbers below n, some at once.
func (p Plan) each(n int, do func(i int)) {
	next := make(chan int)
	var workers sync.WaitGroup
	for range min(n, max(1, p.Parallel)) {
		workers.Go(func() {
			for i := range next {
				do(i)
			}
		})
	}
	for i := range n {
		next <- i
	}
	close(next)
	workers.Wait()
}

func (p Plan) outcome(ctx context.Context, c *Case, kept *shelf) Outcome {
	began := time.Now()
	o := Outcome{Case: c, Runs: max(1, p.Repeat)}
	o.Need = o.Runs
	if o.Runs > 1 {
		o.Need = needed(c.at.Float("min_pass_rate"), o.Runs)
	}
	for range o.Runs {
		if ctx.Err() != nil {
			break
		}
		failures := p.run(ctx, c, kept)
		if len(failures) == 0 {
			o.Passed++
		} else if o.Failures == nil {
			o.Failures = failures
		}
	}
	o.Duration = time.Since(began)
	return o
}

// needed is how many of some runs a share of them is, a part of one counted as one.
func needed(share float64, runs int) int {
	const slack = 1e-9 // 0.3 of 10 is 3
	n := int(share * float64(runs))
	if share*float64(runs)-float64(n) > slack {
		n++
	}
	return n
}

// run runs a case once and says what was not as expected.
func (p Plan) run(ctx context.Context, c *Case, kept *shelf) []Failure {
	opts, tape, err := p.answers(c)
	if err != nil {
		return []Failure{{Pos: c.at.Place("replay"), Message: "reading the recording: " + err.Error()}}
	}
	graph, problems := c.file.graph(opts...)
	if graph == nil {
		return []Failure{{Pos: c.Pos, Message: "the pipeline has changed: " + problems.Error()}}
	}
	var events []any
	run := append(p.engineOptions(c), tape)
	if c.reads("events") {
		run = append(run, engine.WithListener(func(e engine.Event) {
			if e.Type != engine.ModelDelta {
				v, _ := spec.ParseJSON(string(e.AppendJSON(nil))) // which is JSON
				events = append(events, v)
			}
		}))
	}
	result, err := engine.Run(ctx, graph, c.at.Literal("input"), run...)
	if ctx.Err() != nil {
		return []Failure{{Pos: c.Pos, Message: "it was interrupted"}}
	}
	if f := c.unfinished(result, err); f != nil {
		return []Failure{*f}
	}
	seen, err := c.seen(result, err)
	if err != nil {
		return []Failure{{Pos: c.Pos, Message: err.Error()}}
	}
	seen["events"] = append([]any{}, events...)
	return p.unmet(ctx, c, kept, seen)
}

// unfinished says why a run came to nothing that the case could be about; nil where it did.
func (c *Case) unfinished(result *engine.Result, err error) *Failure {
	failed := &engine.Error{}
	if result != nil && result.Error != nil {
		failed = result.Error
	}
	if errors.Is(failed, nodes.ErrUnmocked) { // a model would have been asked
		return &Failure{Pos: c.Pos, Message: failed.Error(), Detail: []string{"give it a mock under mocks, or let it be asked with --live"}}
	}
	expected := c.reads("status") || c.reads("error")
	if err == nil || expected && failed.Kind != engine.Recording {
		return nil
	}
	why := strings.Split(err.Error(), "\n")
	if result == nil && refusedKind(err) == string(engine.Permission) {
		why = append(why, "mock what needs it under mocks, or allow it")
	}
	return &Failure{Pos: c.Pos, Message: "the run did not complete: " + why[0], Detail: why[1:]}
}

// unmet are the expectations that do not hold for what is seen of a run, and its snapshot where that differs.
func (p Plan) unmet(ctx context.Context, c *Case, kept *shelf, seen spec.Values) []Failure {
	var failures []Failure
	add := func(f *Failure) {
		if f != nil {
			failures = append(failures, *f)
		}
	}
	for _, e := range expectations(c.at) {
		switch e := e.(type) {
		case *spec.Expr:
			add(held(e, seen))
		case *spec.Object:
			add(p.judged(ctx, c, e.Record("judge"), seen))
		}
	}
	if name := c.snapshot(); name != "" {
		add(kept.compare(c, name, seen, p.Update))
	}
	return failures
}

// answers say where the answers of a run come from: from the case's recording, of which nothing goes out, or from its
// mocks. Ids are the same in every run, so that outputs may hold them.
func (p Plan) answers(c *Case) ([]nodes.Option, engine.Option, error) {
	if !c.at.Has("replay") {
		return p.options(c), engine.WithRunID("test"), nil
	}
	tape, err := recording.Open(filepath.Join(filepath.Dir(c.file.Name), filepath.FromSlash(c.at.Text("replay"))))
	if err != nil {
		return nil, nil, err
	}
	return p.with(agents.NewSet(agents.Idle())), engine.WithReplay(tape), nil
}

// options put the mocks of a case into the language.
func (p Plan) options(c *Case) []nodes.Option {
	mocks := maps.Clone(c.file.mocks)
	maps.Copy(mocks, c.mocks)
	return append(p.with(p.Agents), nodes.WithMocks(nodes.Mocks{By: mocks, Live: p.Live}))
}

// with are the options of all cases, with the models of a set.
func (p Plan) with(set *agents.Set) []nodes.Option {
	var opts []nodes.Option
	if set != nil {
		opts = append(opts, nodes.WithAgents(set))
	}
	if p.Commands != nil {
		opts = append(opts, nodes.WithCommands(p.Commands))
	}
	return opts
}

// graph is the pipeline with other answers.
func (f *File) graph(opts ...nodes.Option) (*engine.Graph, spec.Diagnostics) {
	return nodes.Language(opts...).Load(f.pipeline.File, f.opts...)
}

// engineOptions are what a case says of its run.
func (p Plan) engineOptions(c *Case) []engine.Option {
	grants := engine.Grants{All: p.Grants.All, By: maps.Clone(p.Grants.By)}
	if grants.By == nil {
		grants.By = map[string]engine.Grant{}
	}
	grants.By["env"] = engine.Grant{Any: true} // of which the run sees those of the case alone
	set := map[string]string{}
	for _, field := range []string{"env", "secrets"} {
		for _, e := range c.at.Entries(field) {
			set[e.Name] = e.Value.(string)
		}
	}
	opts := []engine.Option{
		engine.WithParams(c.at.Raw("params")), engine.WithGrants(grants),
		engine.WithApprovals(nobody{}),
		engine.WithEnviron(func(name string) (string, bool) { v, ok := set[name]; return v, ok }),
	}
	if p.Agents != nil {
		opts = append(opts, engine.WithSecrets(p.Agents.Secrets()...))
	}
	return opts
}

// nobody is there to answer what has no mock.
type nobody struct{}

func (nobody) Given(engine.Approval) (*engine.Answer, error)                { return nil, nil }
func (nobody) Ask(context.Context, engine.Approval) (*engine.Answer, error) { return nil, nil }

// reads tells whether an expectation of the case reads a name.
func (c *Case) reads(name string) bool {
	return slices.ContainsFunc(expectations(c.at), func(e any) bool {
		x, ok := e.(*spec.Expr)
		if o, judged := e.(*spec.Object); judged {
			x, ok = o.Record("judge").Expr("of"), o.Record("judge").Has("of")
		}
		if !ok {
			return false
		}
		names, _ := x.Reads()
		return slices.Contains(names, name)
	})
}

// refusedStatus is that of a run that could not begin.
const refusedStatus = "refused"

// seen is what expectations read of a run: its result, or the error for which it could not begin.
func (c *Case) seen(result *engine.Result, err error) (spec.Values, error) {
	seen := spec.Values{"output": nil, "error": nil, "status": refusedStatus, "usage": nil, "input": c.at.Literal("input"), "params": c.params(), "env": c.env()}
	nodes := map[string]any{}
	if result != nil {
		b, broken := json.Marshal(result)
		if broken != nil {
			return nil, fmt.Errorf("reading the result: %w", broken)
		}
		v, broken := spec.ParseJSON(string(b))
		if broken != nil {
			return nil, fmt.Errorf("reading the result: %w", broken)
		}
		r := v.(map[string]any)
		for _, name := range []string{"output", "status", "usage"} {
			seen[name] = r[name]
		}
		nodes = r["nodes"].(map[string]any)
	} else {
		seen["error"] = map[string]any{"kind": refusedKind(err), "message": err.Error(), "node": ""}
	}
	if result != nil && result.Error != nil {
		seen["error"] = map[string]any{"kind": string(result.Error.Kind), "message": result.Error.Message, "node": result.Error.Node}
	}
	steps := map[string]any{}
	for _, n := range c.file.pipeline.Nodes() {
		if n.Name != "" && !n.InItem() {
			steps[n.Name] = map[string]any{"output": nil, "status": nil, "error": nil, "visits": int64(0)}
		}
	}
	maps.Copy(steps, nodes)
	seen["steps"] = steps
	return seen, nil
}

// refusedKind is the kind of an error for which a run could not begin.
func refusedKind(err error) string {
	var denied *engine.PermissionError
	if errors.As(err, &denied) {
		return string(engine.Permission)
	}
	return string(engine.Schema)
}

// params are those of the case with the defaults of the others.
func (c *Case) params() map[string]any {
	params := map[string]any{}
	for _, p := range c.file.pipeline.Params {
		params[p.Name] = p.Default
	}
	maps.Copy(params, c.at.Raw("params"))
	return params
}

func (c *Case) env() map[string]any {
	env := map[string]any{}
	for _, name := range c.file.pipeline.Env() {
		env[name] = nil
	}
	for _, e := range c.at.Entries("env") {
		env[e.Name] = e.Value
	}
	return env
}

// snapshot is the name under which the case's outcome is kept; empty where it is not.
func (c *Case) snapshot() string {
	if c.at.Bool("snapshot") {
		return c.Name
	}
	return strings.TrimSpace(c.at.Text("snapshot"))
}
