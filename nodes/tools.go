package nodes

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/flowrun/flowrun/agents"
	"github.com/flowrun/flowrun/engine"
	"github.com/flowrun/flowrun/spec"
)

// toolTime bounds a call of a tool where the file sets no timeout; a pipeline has its own.
const toolTime = time.Minute

// toolFields are the settings of an entry of tools.
func toolFields() spec.Record {
	with := func(f spec.Field) spec.Field {
		f.Params = "params"
		return f
	}
	return spec.Record{Fields: []spec.Field{
		{Name: "description", Form: spec.Text{}, Summary: "what the tool is for, which models are told"},
		{Name: "params", Form: spec.Map{Names: true, Of: spec.SchemaForm{Entry: true}}, Summary: "its arguments, typed; the templates of exec and http read them as params.NAME"},
		with(argvField()),
		with(stdinField()),
		with(dirField()),
		with(environmentField()),
		with(addressField()),
		with(methodField()),
		with(headersField("headers of the request")),
		with(bodyField()),
		parseField("what the command prints, or the address answers, is read as"),
		{Name: "mcp", Form: spec.Record{Fields: []spec.Field{
			{Name: "command", Form: spec.List{Of: spec.Template{}, Min: 1}, Summary: "the command that is the server, started when a node first needs it, once for the run"},
			{Name: "environment", Form: environmentField().Form, Secrets: true, Summary: "environment variables of the command beside PATH, HOME and LANG"},
			{Name: "url", Form: spec.Template{Insert: insert, Check: checkAddress("url")}, Summary: "the address of a server that runs elsewhere"},
			headersField("headers of the requests to the address"),
		}, Rules: slices.Concat(oneOf("a server has command or url", "command", "url"), []spec.Rule{
			goesWith("environment", "command"), goesWith("headers", "url"),
		})}, Summary: "a server of the Model Context Protocol, whose tools are called NAME.TOOL"},
		{Name: "flow", Form: spec.Include{}, Summary: "a pipeline file; the model gives its input and its params"},
		{Name: "timeout", Form: spec.Duration{Positive: true}, Summary: "of each call; without it 1m, but for a pipeline, which has limits of its own"},
	}, Rules: slices.Concat(oneOf("a tool has one of exec, http, mcp and flow", "exec", "http", "mcp", "flow"), []spec.Rule{
		goesWith("params", "exec", "http"), goesWith("stdin", "exec"), goesWith("dir", "exec"), goesWith("environment", "exec"),
		goesWith("method", "http"), goesWith("headers", "http"), goesWith("body", "http"), goesWith("parse", "exec", "http"),
	})}
}

// oneOf are rules by which exactly one of some fields is written.
func oneOf(message string, fields ...string) []spec.Rule {
	rules := []spec.Rule{{AnyOf: fields, Message: message}}
	for i, f := range fields {
		for _, other := range fields[:i] {
			rules = append(rules, spec.Rule{NotBoth: []string{other, f}, Message: message + ", not both " + other + " and " + f})
		}
	}
	return rules
}

// goesWith is the rule by which a field stands only beside one of others.
func goesWith(field string, others ...string) spec.Rule {
	return spec.Rule{Only: field, With: others, Message: field + " goes with " + strings.Join(others, " or ")}
}

// toolRef names a tool, or one of a server's.
func toolRef() spec.Ref { return spec.Ref{Section: "tools", Parts: true} }

// named is a tool as a node names it.
type named struct {
	word string // such as files.read_file
	part string // of a server's: read_file
	tool *tool
}

// toolNamed is the tool that a reference means.
func toolNamed(o *options, word string, entry *spec.Object) named {
	name, part, _ := strings.Cut(word, ".")
	return named{word, part, newTool(o, name, entry)}
}

// problem says what is wrong with naming it so, if anything: whole tells whether a whole server will do.
func (n named) problem(whole bool) (message, hint string) {
	dotted := strings.Contains(n.word, ".")
	switch {
	case n.tool.server == nil && dotted:
		return fmt.Sprintf("%s names a tool of a server, and %s is none", short(n.word), n.tool.name), "write " + n.tool.name
	case n.tool.server != nil && n.part == "" && (dotted || !whole):
		return fmt.Sprintf("%s is a server, which has several tools", n.tool.name), fmt.Sprintf("name one of its tools: %s.TOOL", n.tool.name)
	}
	if p := n.tool.flow; p != nil && slices.ContainsFunc(p.Params, func(param spec.Param) bool { return param.Name == inputArgument }) {
		return fmt.Sprintf("%s cannot be a tool: its param %s has the name of what its input is given as", p.File, inputArgument), "rename the param"
	}
	return "", ""
}

// tool is an entry of the header's tools.
type tool struct {
	name        string
	description string
	timeout     time.Duration
	entry       *spec.Object
	arguments   *arguments // nil for a server, which says itself what its tools take

	command *command // one of these
	request *requester
	server  *serverForm
	flow    *spec.Pipeline
}

func newTool(o *options, name string, entry *spec.Object) *tool {
	t := &tool{name: name, description: entry.Text("description"), timeout: toolTime, entry: entry}
	if t.arguments = newArguments(entry.Entries("params")); entry.Has("mcp") {
		t.arguments, t.server = nil, newServerForm(o.commands, t, entry.Record("mcp"))
		t.server.mocks = o.mocksOfServer(name)
	}
	switch {
	case entry.Has("exec"):
		t.command = newCommand(o.commands, entry)
		t.command.tool, t.command.mock = t, o.mockBy(name)
	case entry.Has("http"):
		t.request = newRequester(entry)
		t.request.tool, t.request.mock = t, o.mockBy(name)
	case entry.Has("flow"):
		t.flow, t.timeout = entry.Included("flow"), 0
		t.arguments = pipelineArguments(t.flow)
		if t.description == "" {
			t.description = t.flow.Header.Text("description")
		}
	}
	if entry.Has("timeout") {
		t.timeout = entry.Duration("timeout")
	}
	return t
}

// needs are those of calling the tool.
func (n named) needs() []spec.Need {
	t := n.tool
	switch {
	case t.command != nil && t.command.mock == nil:
		return []spec.Need{t.command.need(t.entry.Place("exec"))}
	case t.request != nil && t.request.mock == nil:
		return []spec.Need{t.request.need(t.entry.Place("http"))}
	case t.server != nil && t.server.mocks.of(n.part) == nil && !t.server.mocks.alone():
		return t.server.needs(t.entry.Place("mcp"))
	case t.flow != nil:
		return t.flow.Needs()
	}
	return nil
}

// reads are the expressions of what answers in the tool's place.
func (t *tool) reads() []*spec.Expr {
	switch {
	case t.command != nil:
		return t.command.mock.reads()
	case t.request != nil:
		return t.request.mock.reads()
	case t.server != nil:
		return t.server.mocks.reads()
	}
	return nil
}

// output is the type of what the tool gives.
func (t *tool) output() spec.Type {
	switch {
	case t.server != nil:
		return spec.Any
	case t.flow != nil:
		return t.flow.Type
	}
	return parsedType(t.entry)
}

// call calls the tool: part is which of a server's, nth which run of its pipeline below the node this is.
func (t *tool) call(ctx context.Context, c *engine.Call, part string, nth int, args map[string]any) (any, error) {
	switch {
	case t.command != nil:
		v, err := t.command.act(ctx, c.With(engine.Local{Name: "params", Value: args}))
		return v, t.failed(err)
	case t.request != nil:
		v, err := t.request.act(ctx, c.With(engine.Local{Name: "params", Value: args}))
		return v, t.failed(err)
	case t.server != nil:
		v, err := t.server.call(ctx, c, part, args)
		return v, t.failed(err)
	}
	params := make(map[string]any, len(args))
	for name, v := range args {
		if name != inputArgument {
			params[name] = v
		}
	}
	v, err := c.File(ctx, engine.Below{File: t.flow, Nth: nth, Input: args[inputArgument], Params: params, Timeout: t.timeout})
	if err == engine.ErrLate {
		err = t.late()
	}
	return v, err
}

// late is the error of a call that took too long.
func (t *tool) late() error {
	return engine.Errorf(engine.Timeout, "%s did not end within its timeout of %s", t.name, t.timeout)
}

// bounded does a part of a tool's work in the tool's time, with errors of the tool's kind, which recordings keep. What
// is no tool's is as it was.
func bounded[T any](t *tool, do func(context.Context) (T, error)) func(context.Context) (T, error) {
	if t == nil || t.timeout == 0 {
		return do
	}
	return func(ctx context.Context) (T, error) {
		late := t.late()
		ctx, cancel := context.WithTimeoutCause(ctx, t.timeout, late)
		defer cancel()
		v, err := do(ctx)
		if err != nil && context.Cause(ctx) == late {
			err = late
		}
		return v, t.failed(err)
	}
}

// failed is an error as one of the tool's kind, where it says none itself.
func (t *tool) failed(err error) error {
	var already *engine.Error
	var failed *spec.EvalError
	if err == nil || errors.As(err, &already) || errors.As(err, &failed) {
		return err
	}
	kind := engine.Tool
	switch {
	case t.command != nil:
		kind = engine.Exec
	case t.request != nil:
		kind = engine.HTTP
	}
	return engine.Errorf(kind, "%w", err)
}

// offered is a tool as a model is offered it.
type offered struct {
	agents.Tool
	named
}

// maxOffered bounds the tools that an agent gets by naming a whole server.
const maxOffered = 128

// offers are the tools that some names stand for, each once, in their order; called are those that a mock in the agent's
// place will call.
func offers(ctx context.Context, c *engine.Call, all []named, called []string) ([]offered, error) {
	var out []offered
	seen := map[string]bool{}
	add := func(o offered) {
		if !seen[o.Name] {
			seen[o.Name] = true
			out = append(out, o)
		}
	}
	for _, n := range all {
		t := n.tool
		if t.server == nil {
			add(offered{agents.Tool{Name: t.name, Description: t.description, Schema: t.arguments}, n})
			continue
		}
		listed, err := t.listed(ctx, c, n.part, called...)
		if err != nil {
			return nil, err
		}
		if len(listed) > maxOffered {
			return nil, engine.Errorf(engine.Tool, "%s has %d tools, more than the %d that an agent can be given together: name those that it needs, such as %s.%s",
				t.name, len(listed), maxOffered, t.name, listed[0].Name)
		}
		for _, own := range listed {
			schema, err := spec.NewSchema(own.Schema)
			if err != nil {
				return nil, engine.Errorf(engine.Tool, "%s: what its tool %s takes is no JSON Schema: %w", t.name, own.Name, err)
			}
			word := t.name + "." + own.Name
			add(offered{agents.Tool{Name: word, Description: own.Description, Schema: schema}, named{word, own.Name, t}})
		}
	}
	return out, nil
}
