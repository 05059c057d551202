package nodes

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/flowrun/flowrun/agents"
	"github.com/flowrun/flowrun/engine"
	"github.com/flowrun/flowrun/spec"
)

// Mocks answer in place of what nodes ask of the world: of agents by their name in the header or their node's, of
// commands and addresses by their node's or their tool's, of servers by their tool's (files) or one of its tools'
// (files.read_file). While there are mocks no other model is asked; a server that has some is not started.
type Mocks struct {
	By   map[string]*Mock
	Live bool // what has no mock may be asked all the same
}

// WithMocks lets mocks answer; their files' own too.
func WithMocks(m Mocks) Option { return func(o *options) { o.mocks = &m } }

// Mock is what is answered in place of a model, a command or an address. A nil Mock echoes the prompt.
type Mock struct {
	settings *spec.Object // nil where replies are all that is written
	replies  []*spec.Expr // one for each call, the last for later ones; none: the prompt
	always   bool         // it fails where an error is written, unless it is told how often
}

// MockForm is how a mock is written outside of an agent: its replies alone, or all of its settings. MockIn reads it.
func MockForm() spec.Form {
	fields := append(mockFields(), spec.Field{Name: "message", Form: spec.Text{}, Summary: "what the failure says"})
	for i := range fields {
		switch fields[i].Name {
		case "fail":
			fields[i].Summary += "; with error and without it, all of them"
		case "error": // commands and addresses fail in their own way
			fields[i].Default = nil
		}
	}
	return spec.OneOf{spec.Template{}, spec.List{Of: spec.Template{}, Min: 1}, spec.Record{Fields: fields, Is: "a mock"}}
}

// MockIn is the mock that a field of [MockForm] holds.
func MockIn(value any) *Mock {
	switch v := value.(type) {
	case *spec.Expr:
		return &Mock{replies: []*spec.Expr{v}}
	case []any:
		m := &Mock{}
		for _, x := range v {
			m.replies = append(m.replies, x.(*spec.Expr))
		}
		return m
	case *spec.Object:
		m := mockIn(v)
		m.always = true
		return m
	}
	return nil
}

// mockIn is what stands under mock; nil where nothing does.
func mockIn(o *spec.Object) *Mock {
	if o == nil {
		return nil
	}
	m := &Mock{settings: o, replies: o.Exprs("reply")}
	if one := o.Expr("reply"); one != nil {
		m.replies = []*spec.Expr{one}
	}
	return m
}

// MockLocals are what a reply may read.
func MockLocals() []spec.Local {
	return []spec.Local{
		{Name: "prompt", Summary: "the prompt", Type: func(*spec.Node) spec.Type { return spec.String }},
		{Name: "system", Summary: "the system prompt", Type: func(*spec.Node) spec.Type { return spec.String }},
		{Name: "call", Summary: "the number of this question to the agent, from 1", Type: func(*spec.Node) spec.Type { return spec.Integer }},
		{Name: "history", Summary: "what the agent remembers, the oldest first: a list of {prompt, reply}", Type: func(*spec.Node) spec.Type {
			return spec.ListOf(spec.ObjectOf(map[string]spec.Type{"prompt": spec.String, "reply": spec.String}))
		}},
		{Name: "attached", Summary: "the names of the files that go with the prompt", Type: func(*spec.Node) spec.Type { return spec.ListOf(spec.String) }},
	}
}

func mockFields() []spec.Field {
	call := spec.Record{Fields: []spec.Field{
		{Name: "tool", Form: spec.Text{}, Required: true, Summary: "its name"},
		{Name: "args", Form: spec.OneOf{spec.Data{Mapping: true}, spec.Template{}}, Summary: "its arguments; a text is taken for what the model wrote, be it JSON or not"},
	}}
	return []spec.Field{
		{Name: "reply", Form: spec.OneOf{spec.Template{}, spec.List{Of: spec.Template{}, Min: 1}}, Locals: MockLocals(), Summary: "the reply, or one for each call, the last for later ones; without it the prompt is echoed"},
		{Name: "latency", Form: spec.Duration{}, Summary: "how long a reply takes"},
		{Name: "jitter", Form: spec.Duration{}, Summary: "up to so much is added to the latency"},
		{Name: "fail", Form: spec.Whole{}, Summary: "so many attempts of each execution fail first"},
		{Name: "error", Form: spec.Word{Of: []string{"rate_limit", "timeout", "server", "network", "auth", "bad_request"}}, Default: "server", Summary: "how they fail"},
		{Name: "tool_calls", Form: spec.List{Of: spec.OneOf{call, spec.List{Of: call, Min: 1}}, Min: 1}, Summary: "what it calls before it replies, turn by turn: one tool, or a list of those called at once"},
		{Name: "tokens", Form: spec.Record{Fields: []spec.Field{
			{Name: "in", Form: spec.Whole{}, Summary: "of the question"},
			{Name: "out", Form: spec.Whole{}, Summary: "of the reply"},
		}}, Summary: "the usage that is reported; without it words are counted"},
	}
}

// AgentForm is the settings of an agent as a node writes them.
func AgentForm(opts ...Option) spec.Form { return settings(newOptions(opts), useField()) }

// Mockable are the names that mocks may have in a file.
type Mockable struct {
	Nodes   []string // agents, and nodes that ask something themselves
	Tools   []string // those that ask something themselves
	Servers []string // whose tools may have mocks as well: NAME.TOOL
}

// MockableIn are the names that mocks may have in a file.
func MockableIn(p *spec.Pipeline) Mockable {
	m := Mockable{Nodes: Agents(p)}
	for _, n := range p.Nodes() {
		if asks := n.Kind.Name == "exec" || n.Kind.Name == "http" || n.Kind.Name == "approve"; asks && n.Name != "" {
			m.Nodes = append(m.Nodes, n.Name)
		}
	}
	for _, e := range p.Header.Entries("tools") {
		switch t, ok := e.Value.(*spec.Object); {
		case ok && (t.Has("exec") || t.Has("http")):
			m.Tools = append(m.Tools, e.Name)
		case ok && t.Has("mcp"):
			m.Servers = append(m.Servers, e.Name)
		}
	}
	return m
}

// mockOf is what answers in a node's place; nil where nothing does.
func (o *options) mockOf(n *spec.Node) *Mock {
	if n.Kind.Name == agentKind {
		return o.mockBy(agentNames(n)...)
	}
	return o.mockBy(n.Name)
}

// mockBy is the mock of the first name that has one.
func (o *options) mockBy(names ...string) *Mock {
	if o.mocks == nil {
		return nil
	}
	for _, name := range names {
		if m := o.mocks.By[name]; m != nil {
			return m
		}
	}
	return nil
}

// mock is what the model mock answers for an agent; nil where nothing is written.
func (o *options) mock(n *spec.Node, d definition) *Mock {
	if m := o.mockOf(n); m != nil {
		return m
	}
	return mockIn(d.at("mock").Record("mock"))
}

// reads are the expressions of the replies, and of the arguments of what it calls.
func (m *Mock) reads() []*spec.Expr {
	if m == nil {
		return nil
	}
	reads := slices.Clone(m.replies)
	for _, turn := range m.calls() {
		for _, call := range turn {
			if args := call.Expr("args"); args != nil {
				reads = append(reads, args)
			}
		}
	}
	return reads
}

// calls are the tools that the mock is told to call, turn by turn.
func (m *Mock) calls() [][]*spec.Object {
	var turns [][]*spec.Object
	if m.settings == nil {
		return nil
	}
	for _, turn := range m.settings.List("tool_calls") {
		several, ok := turn.([]any)
		if !ok {
			several = []any{turn}
		}
		calls := make([]*spec.Object, len(several))
		for i, call := range several {
			calls[i] = call.(*spec.Object)
		}
		turns = append(turns, calls)
	}
	return turns
}

// callees are the tools that the mock is told to call.
func (m *Mock) callees() []string {
	if m == nil {
		return nil
	}
	var names []string
	for _, turn := range m.calls() {
		for _, call := range turn {
			names = append(names, call.Text("tool"))
		}
	}
	return names
}

// called are the calls of the mock with their arguments.
func (m *Mock) called(c *engine.Call) ([][]agents.ToolCall, error) {
	var turns [][]agents.ToolCall
	for i, turn := range m.calls() {
		var made []agents.ToolCall
		for j, one := range turn {
			call := agents.ToolCall{ID: fmt.Sprintf("call_%d_%d", i+1, j+1), Name: one.Text("tool"), Arguments: json.RawMessage("{}")}
			if args := one.Expr("args"); args != nil {
				v, err := c.Eval(args)
				if err != nil {
					return nil, err
				}
				call.Arguments = json.RawMessage(spec.AsText(v))
			}
			made = append(made, call)
		}
		turns = append(turns, made)
	}
	return turns, nil
}

// model is the mock for one call.
func (m *Mock) model(c *engine.Call) (*agents.Mock, error) {
	out := &agents.Mock{}
	if m == nil {
		return out, nil
	}
	var err error
	if out.ToolCalls, err = m.called(c); err != nil {
		return nil, err
	}
	if o := m.settings; o != nil {
		out.Latency, out.Jitter, out.Fail, out.Error = o.Duration("latency"), o.Duration("jitter"), o.Int("fail"), agents.Kind(o.Text("error"))
		if tokens := o.Record("tokens"); tokens != nil {
			out.Input, out.Output = tokens.Int("in"), tokens.Int("out")
		}
		if m.always {
			out.Message = o.Text("message")
			if !o.Has("fail") && (o.Has("error") || o.Has("message")) {
				out.Fail = math.MaxInt
			}
		}
	}
	if len(m.replies) > 0 {
		out.Reply = func(q agents.Question) (string, error) { return m.reply(c, q) }
	}
	return out, nil
}

func (m *Mock) reply(c *engine.Call, q agents.Question) (string, error) {
	v, err := m.value(c, q)
	if err != nil {
		return "", err
	}
	return spec.AsText(v), nil
}

// history is what was asked and answered before, as replies read it.
func history(q agents.Question) []any {
	list := []any{}
	for i := 0; i+1 < q.Past; i += 2 {
		list = append(list, map[string]any{"prompt": q.Messages[i].Text, "reply": q.Messages[i+1].Text})
	}
	return list
}

// value is what the reply gives.
func (m *Mock) value(c *engine.Call, q agents.Question) (any, error) {
	x := m.replies[min(q.Call, len(m.replies))-1]
	return c.Eval(x, engine.Local{Name: "prompt", Value: q.Prompt()}, engine.Local{Name: "system", Value: q.System}, engine.Local{Name: "call", Value: int64(q.Call)},
		engine.Local{Name: "attached", Value: names(q.Messages[q.Past].Attachments)}, engine.Local{Name: "history", Value: history(q)})
}

// answer is the output of a command or an address in whose place the mock answers; asked is what it would have been
// asked.
func (m *Mock) answer(ctx context.Context, c *engine.Call, asked, parse string) (any, error) {
	out, _, err := m.instead(ctx, c, asked)
	if err != nil {
		return nil, err
	}
	return parsed(out, parse)
}

// result is what a server's tool gives in whose place the mock answers: a list or an object as it is, all else as text.
func (m *Mock) result(ctx context.Context, c *engine.Call, args map[string]any) (any, error) {
	out, value, err := m.instead(ctx, c, spec.AsJSON(args))
	switch value.(type) {
	case map[string]any, []any:
		return value, err
	}
	return out, err
}

// instead asks the mock in place of what is no model, and gives its reply with the value behind it, if there is one.
func (m *Mock) instead(ctx context.Context, c *engine.Call, asked string) (out string, value any, err error) {
	call := 1 + c.Repeats() + c.Asked()
	out, err = engine.Ask(ctx, c, engine.Request[string]{Do: func(ctx context.Context) (text string, err error) {
		text, value, err = m.says(ctx, c, call, asked)
		return text, err
	}})
	return out, value, err
}

// says is what the mock answers to one of the questions of a node that is no agent, with the value behind it, if there
// is one. It fails in the node's own way unless another is written.
func (m *Mock) says(ctx context.Context, c *engine.Call, call int, asked string) (text string, value any, err error) {
	model, err := m.model(c)
	if err != nil {
		return "", nil, err
	}
	model.ToolCalls = nil // it is no model
	if model.Reply != nil {
		model.Reply = func(q agents.Question) (string, error) {
			if value, err = m.value(c, q); err != nil {
				return "", err
			}
			return spec.AsText(value), nil
		}
	}
	answer, err := model.Answer(ctx, agents.Question{Messages: []agents.Message{{Text: asked}}, Call: call, Attempt: c.Attempt}, nil)
	if e, ok := errors.AsType[*agents.Error](err); ok && model.Error == "" {
		return "", nil, errors.New(e.Message)
	}
	if err != nil {
		return "", nil, failed(err)
	}
	return answer.Text, value, nil
}

// ErrUnmocked is the cause of the error where a model would have been asked beside the mocks.
var ErrUnmocked = errors.New("a mock is missing")

// unmocked is the name by which an agent could have a mock.
func unmocked(n *spec.Node) string {
	names := agentNames(n)
	if len(names) == 0 {
		return ""
	}
	return names[len(names)-1]
}

// refusing is a model that must not be asked, with the name by which it could have a mock.
type refusing string

// Answer refuses in a way that no catch takes for the model's failure.
func (r refusing) Answer(context.Context, agents.Question, func(string)) (agents.Answer, error) {
	if r == "" {
		return agents.Answer{}, engine.Errorf(engine.Permission, "%w: no model is asked, and the agent has no name by which it could have one", ErrUnmocked)
	}
	return agents.Answer{}, engine.Errorf(engine.Permission, "%w: no model is asked, and there is none for %s", ErrUnmocked, string(r))
}
