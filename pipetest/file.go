// Package pipetest runs tests of pipelines: it reads test files, runs their cases with mocks in place of models,
// commands and addresses, and holds what comes of them against what they expect. It knows nothing of the command line.
package pipetest

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/flowrun/flowrun/nodes"
	"github.com/flowrun/flowrun/spec"
)

// Ending is that of a test file's name. What stands before it is the name of the pipeline that it tests.
const Ending = ".test.yaml"

// judgeName is the name by which mocks know a judge that is no agent of the pipeline.
const judgeName = "judge"

// Sheet is how a test file is written.
func Sheet() spec.Sheet {
	aCase := spec.Record{Fields: caseFields(), Is: "a case"}
	return spec.Sheet{
		Name:   "a test file",
		Title:  "tests of a flowrun pipeline",
		Ending: Ending,
		Of:     "pipeline",
		Fields: []spec.Field{
			{Name: "pipeline", Form: spec.Text{}, Summary: "the pipeline's file, relative to this one; without it the one of the same name beside it"},
			{Name: "mocks", Form: spec.Map{Of: nodes.MockForm()}, Locals: nodes.MockLocals(), Summary: "what is answered in every case in place of models, commands, addresses, people and servers, by the name of an agent, a node or a tool, NAME.TOOL for one of a server's"},
			{Name: "cases", Form: spec.OneOf{spec.List{Of: aCase}, spec.Map{Of: aCase}}, Required: true, Summary: "the cases: a list, or a mapping by name"},
		},
		Check: check,
	}
}

func caseFields() []spec.Field {
	texts := spec.Map{Of: spec.Text{}}
	return []spec.Field{
		{Name: "name", Form: spec.Text{}, Summary: "what the case shows; in a mapping its key"},
		{Name: "input", Form: spec.Literal{}, Summary: "the run's input"},
		{Name: "params", Form: spec.Raw{}, Summary: "parameters by name"},
		{Name: "env", Form: texts, Summary: "values of declared environment variables, by name; others are not set"},
		{Name: "secrets", Form: texts, Summary: "values of declared secrets, by name"},
		{Name: "mocks", Form: spec.Map{Of: nodes.MockForm()}, Locals: nodes.MockLocals(), Summary: "those of this case, before those of the file"},
		{Name: "replay", Form: spec.Text{Check: checkReplay}, Summary: "a recording, relative to this file, from which everything is answered; mocks answer for judges alone then"},
		{Name: "expect", Form: spec.OneOf{expectation(), spec.List{Of: expectation(), Min: 1}}, Moment: spec.AfterNode, Locals: outcomes(), Summary: "what must hold when the run has ended; without status and error among it the run must complete, too"},
		{Name: "snapshot", Form: spec.OneOf{spec.Flag{}, spec.Text{}}, Summary: "true, or a name: output and steps must be those that are kept beside the file"},
		{Name: "min_pass_rate", Form: spec.Real{Min: 0, Max: 1}, Default: 1.0, Summary: "with --repeat, the share of the runs that must pass"},
	}
}

// checkReplay keeps a test file from having others read that are not its own.
func checkReplay(s string) (problem, hint string) {
	if !filepath.IsLocal(filepath.FromSlash(s)) {
		return "replay must name a file in the folder of the test file, or below it", ""
	}
	return "", ""
}

// expectation is an expression, or a question to a judge.
func expectation() spec.Form {
	return spec.OneOf{spec.Code{Want: spec.Bool, Parts: true}, spec.Record{Fields: []spec.Field{
		{Name: "judge", Required: true, Summary: "an agent says how well something meets a rubric", Form: spec.Record{Fields: []spec.Field{
			{Name: "agent", Required: true, Form: spec.OneOf{spec.Ref{Section: "agents"}, spec.AsWritten{Form: nodes.AgentForm()}}, Summary: "an agent of the pipeline's header, or settings"},
			{Name: "rubric", Required: true, Form: spec.Template{}, Summary: "what it must be like"},
			{Name: "of", Form: spec.Code{}, Summary: "what is judged; without it the output"},
			{Name: "min_score", Form: spec.Real{Min: 0, Max: 1}, Default: 0.7, Summary: "the least score, from 0 to 1, that passes"},
		}}},
	}, Is: "a question to a judge"}}
}

// outcomes are the names that expectations read.
func outcomes() []spec.Local {
	of := func(t spec.Type) func(*spec.Node) spec.Type { return func(*spec.Node) spec.Type { return t } }
	usage := map[string]spec.Type{"agents": spec.Any, "cost_usd": spec.Any}
	for _, n := range []string{"input_tokens", "cached_tokens", "output_tokens", "reasoning_tokens", "calls", "cache_hits"} {
		usage[n] = spec.Integer
	}
	return []spec.Local{
		{Name: "output", Summary: "the run's output, nil where it did not complete", Type: func(n *spec.Node) spec.Type { return n.Pipeline.Type }},
		{Name: "status", Summary: "completed, failed, cancelled, waiting for people, or refused where the run could not begin", Type: of(spec.String)},
		{Name: "error", Summary: "what ended the run, as {kind, message, node}, or nil"},
		{Name: "usage", Summary: "what the models used", Type: of(spec.ObjectOf(usage))},
		{Name: "events", Summary: "the events of the run as an event file has them, pieces of answers left out", Type: of(spec.ListOf(spec.Any))},
	}
}

// File is a test file that was read.
type File struct {
	Name  string // its path
	Cases []*Case

	pipeline *spec.Pipeline
	mocks    map[string]*nodes.Mock
	opts     []spec.Option
}

// Case is one run of the pipeline with what is expected of it.
type Case struct {
	Name string
	Pos  spec.Pos

	at    *spec.Object
	mocks map[string]*nodes.Mock
	file  *File
}

// Load reads a test file and the pipeline that it tests.
func Load(file string, opts ...spec.Option) (*File, spec.Diagnostics) {
	o, p, problems := spec.LoadSheet(file, Sheet(), nodes.Language().Spec, opts...)
	problems = slices.DeleteFunc(problems, func(d spec.Diagnostic) bool { return d.Warning }) // those are of the pipeline
	if o == nil {
		return nil, problems
	}
	f := &File{Name: file, pipeline: p, opts: opts, mocks: mocksIn(o)}
	for _, c := range casesIn(o) {
		f.Cases = append(f.Cases, &Case{Name: c.Name, Pos: c.Pos, at: c.Value.(*spec.Object), mocks: mocksIn(c.Value.(*spec.Object)), file: f})
	}
	return f, problems
}

func mocksIn(o *spec.Object) map[string]*nodes.Mock {
	mocks := map[string]*nodes.Mock{}
	for _, e := range o.Entries("mocks") {
		mocks[e.Name] = nodes.MockIn(e.Value)
	}
	return mocks
}

// casesIn are the cases with their names, whichever way they are written.
func casesIn(o *spec.Object) []spec.Entry {
	all := o.Entries("cases")
	for i, v := range o.List("cases") {
		c := v.(*spec.Object)
		name := c.Text("name")
		if name == "" {
			name = fmt.Sprintf("case %d", i+1)
		}
		all = append(all, spec.Entry{Name: name, Pos: c.Pos, Value: c})
	}
	return all
}

// check finds what the forms of the fields cannot know.
func check(o *spec.Object, p *spec.Pipeline, problem func(at spec.Pos, hint, message string)) {
	cases := casesIn(o)
	if len(cases) == 0 {
		problem(o.Place("cases"), "add one: cases: [{name: ..., input: ...}]", "the file has no cases")
	}
	can := mockable(p)
	known := slices.Concat(can.Nodes, can.Tools, can.Servers)
	slices.Sort(known)
	known = slices.Clip(slices.Compact(known))
	mocks := func(at *spec.Object, names []string) {
		for _, e := range at.Entries("mocks") {
			server, part, _ := strings.Cut(e.Name, ".")
			switch {
			case slices.Contains(can.Nodes, e.Name) && (slices.Contains(can.Tools, e.Name) || slices.Contains(can.Servers, e.Name)):
				problem(e.Pos, "rename one of them", fmt.Sprintf("mocks: %s is the name of a tool, and of an agent or a node as well", e.Name))
			case !slices.Contains(names, e.Name) && (part == "" || !slices.Contains(can.Servers, server)):
				problem(e.Pos, hintOf(names), fmt.Sprintf("mocks: the pipeline has no agent, command, request, approval or server called %q%s", e.Name, spec.DidYouMean(e.Name, names)))
			}
		}
	}
	for _, c := range cases {
		for _, j := range judges(c.Value.(*spec.Object)) {
			if name, _ := j.Ref("agent"); name != "" {
				known = append(known, name)
			}
		}
	}
	mocks(o, append(known, judgeName))
	first := map[string]int{}
	for _, c := range cases {
		at := c.Value.(*spec.Object)
		if line, twice := first[c.Name]; twice {
			problem(c.Pos, "", fmt.Sprintf("the case %q is there already, on line %d", c.Name, line))
		}
		if at.Has("name") && len(o.Entries("cases")) > 0 {
			problem(at.Place("name"), "", "a case in a mapping is named by its key")
		}
		first[c.Name] = c.Pos.Line
		names := known
		if slices.ContainsFunc(judges(at), func(j *spec.Object) bool { return j.Raw("agent") != nil }) {
			names = append(slices.Clip(known), judgeName)
		}
		mocks(at, names)
		declared(at, "env", p.Env(), problem)
		declared(at, "secrets", p.Secrets(), problem)
	}
}

// declared refuses values for variables that the pipeline does not declare.
func declared(at *spec.Object, field string, names []string, problem func(at spec.Pos, hint, message string)) {
	for _, e := range at.Entries(field) {
		if !slices.Contains(names, e.Name) {
			problem(e.Pos, "", fmt.Sprintf("%s: the pipeline declares no %q there%s", field, e.Name, spec.DidYouMean(e.Name, names)))
		}
	}
}

// hintOf lists the names of what can be mocked, where they are few.
func hintOf(names []string) string {
	const few = 10
	if n := len(names); n == 0 || n > few {
		return ""
	}
	return "there are " + strings.Join(names, ", ")
}

// mockable are the names that mocks may have in a pipeline and those that it includes.
func mockable(p *spec.Pipeline) nodes.Mockable {
	var all nodes.Mockable
	for _, p := range nodes.Language().Compile(p).Pipelines() {
		m := nodes.MockableIn(p)
		all.Nodes, all.Tools, all.Servers = append(all.Nodes, m.Nodes...), append(all.Tools, m.Tools...), append(all.Servers, m.Servers...)
	}
	return all
}

// expectations are those of a case, each an expression or a mapping.
func expectations(c *spec.Object) []any {
	if x := c.Expr("expect"); x != nil {
		return []any{x}
	}
	if o := c.Record("expect"); o != nil {
		return []any{o}
	}
	return c.List("expect")
}

func judges(c *spec.Object) []*spec.Object {
	var all []*spec.Object
	for _, e := range expectations(c) {
		if o, ok := e.(*spec.Object); ok {
			all = append(all, o.Record("judge"))
		}
	}
	return all
}
