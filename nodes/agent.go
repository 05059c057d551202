package nodes

import (
	"cmp"
	"fmt"
	"net/url"
	"slices"
	"time"

	"github.com/flowrun/flowrun/agents"
	"github.com/flowrun/flowrun/engine"
	"github.com/flowrun/flowrun/spec"
)

const agentKind = "agent"

func agent(o *options) engine.Kind {
	return engine.Kind{
		Shape: spec.Shape{
			Name:    agentKind,
			Summary: "asks a model",
			Leaf:    true,
			Fields: []spec.Field{
				{Name: "agent", Form: spec.OneOf{spec.Ref{Section: "agents"}, settings(o, useField())}, Summary: "an agent of the header, or its settings"},
				{Name: "prompt", Form: spec.Template{}, Summary: "what the model is asked; without it the agent's prompt, else what the node received"},
				{Name: "prompt_file", Form: spec.TemplateFile{}, Summary: "a file that holds the prompt, relative to this one"},
				engine.CacheField(),
			},
			Rules: []spec.Rule{apart("prompt")},
			Output: func(n *spec.Node) spec.Type {
				if s := defined(n).schema(); s != nil {
					return s.Type()
				}
				return spec.String
			},
			Check: func(n *spec.Node, problem func(field, hint, message string)) {
				d := defined(n)
				if o.models(n, d)[0].name == "" && d != nil && !d.flawed() {
					problem("agent", "write model: provider/name, or set defaults: {model: ...}", "the agent has no model")
				}
				d.checkTools(o, problem)
			},
			Needs: func(n *spec.Node) []spec.Need {
				d := defined(n)
				needs := attachingOf(n, d).needs()
				for _, t := range d.tools(o) {
					needs = append(needs, t.needs()...)
				}
				for _, m := range o.models(n, d) {
					if m.baseURL != "" {
						needs = append(needs, spec.Need{Grant: "net", Name: hostOf(m.baseURL), Pos: n.Place("agent"), What: m.address()})
					}
				}
				return needs
			},
			Example: `agents:
  poet: {model: mock, system: You write haiku., mock: {reply: "An old silent pond..."}}
agent: poet
prompt: Write about ${{ input ?? "a pond" }}
`,
		},
		Slot:     true,
		Settings: func(n *spec.Node) []*spec.Object { return defined(n) },
		Tools: func(n *spec.Node) []*spec.Object {
			var entries []*spec.Object
			for _, t := range defined(n).tools(o) {
				entries = append(entries, t.tool.entry)
			}
			return entries
		},
		Retry: engine.Retry{MaxAttempts: 3, Delay: 500 * time.Millisecond, Backoff: 2, MaxDelay: 30 * time.Second, Jitter: 250 * time.Millisecond,
			Kinds: []engine.ErrorKind{engine.RateLimit, engine.Server, engine.Timeout, engine.Network}, Requests: true},
		Build: func(n *spec.Node) engine.Body {
			a := newAsker(o, n)
			label, _ := n.Ref("agent")
			return engine.Body{Act: a.act, Uses: a.models[0].name, Label: label, Ready: a.ready(),
				Unpriced: a.unpriced(), Rates: a.rates, Allowance: a.allowance, Window: a.window, Reads: a.reads()}
		},
	}
}

// apart says that a text stands in its place or in a file of its own.
func apart(field string) spec.Rule {
	return spec.Rule{NotBoth: []string{field, inFile(field)}, Message: fmt.Sprintf("an agent has %s or %s, not both", field, inFile(field)), Hint: "leave one of them out, or move the text into the file"}
}

// inFile is the field that names the file which holds the text of a field.
func inFile(field string) string { return field + "_file" }

// settings are those of an agent, in the header or on a node, where further ones stand first.
func settings(o *options, first ...spec.Field) spec.Record {
	return spec.Record{Fields: append(first, agentFields(o)...), Rules: []spec.Rule{apart("system"), apart("prompt")}}
}

func useField() spec.Field {
	return spec.Field{Name: "use", Form: spec.Ref{Section: "agents"}, Summary: "an agent of the header whose settings hold where none is written here"}
}

func agentFields(o *options) []spec.Field {
	scope := spec.Word{Of: []string{"session"}}
	return []spec.Field{
		{Name: "model", Form: spec.Ref{Section: "models", Also: o.known}, Summary: "provider/name, or a short name from models"},
		{Name: "system", Form: spec.Template{}, Summary: "the system prompt"},
		{Name: "system_file", Form: spec.TemplateFile{}, Summary: "a file that holds the system prompt, relative to this one"},
		{Name: "prompt", Form: spec.Template{}, Summary: "the prompt, where the node writes none"},
		{Name: "prompt_file", Form: spec.TemplateFile{}, Summary: "a file that holds the prompt, relative to this one"},
		{Name: "attach", Form: spec.OneOf{spec.Template{}, spec.List{Of: spec.Template{}, Min: 1}}, Summary: "files that go with the prompt, images (png, jpeg, gif, webp) and UTF-8 texts of at most 10 MiB each and 20 MiB together, relative to this one; each needs a grant"},
		{Name: "temperature", Form: spec.Real{Min: 0, Max: 2}, Summary: "how freely the model chooses words"},
		{Name: "top_p", Form: spec.Real{Min: 0, Max: 1}, Summary: "share of the likeliest words among which it chooses"},
		{Name: "max_tokens", Form: spec.Whole{Min: 1}, Summary: "of one reply"},
		{Name: "stop", Form: spec.List{Of: spec.Text{}, Min: 1}, Summary: "texts at which a reply ends"},
		{Name: "seed", Form: spec.Whole{}, Summary: "for providers that can repeat a reply"},
		{Name: "reasoning", Form: spec.Word{Of: []string{"low", "medium", "high"}}, Summary: "how much the model thinks first"},
		{Name: "tools", Form: spec.List{Of: toolRef(), Min: 1}, Summary: "tools of the header that the model may call, or one of a server's: NAME.TOOL"},
		{Name: "tool_choice", Form: spec.Ref{Section: "tools", Parts: true, Also: choosable}, Summary: "auto, none, required, or the one tool to call; without it the provider's own, auto"},
		{Name: "max_turns", Form: spec.Whole{Min: 1}, Default: 10, Summary: "how often the model may call tools before it answers; several calls at once are one turn"},
		{Name: "output_schema", Form: spec.SchemaForm{}, Summary: "the reply is a JSON value that fits this schema; the node's output is the value"},
		{Name: "output_retries", Form: spec.Whole{}, Default: 2, Summary: "how often a reply that does not fit is asked for again"},
		{Name: "fallback", Form: spec.List{Of: spec.Ref{Section: "models", Also: o.known}, Min: 1}, Summary: "models to ask in order where the one before cannot be reached, does not exist, fails, or refuses for its rate or the key"},
		{Name: "budget", Form: engine.BudgetForm(), Summary: "what the agent may use in the whole run"},
		{Name: "memory", Form: spec.OneOf{scope, spec.Record{Fields: []spec.Field{
			{Name: "scope", Form: scope, Required: true, Summary: "what was said before by the agent of this name, to the same user in the same session"},
			{Name: "max_tokens", Form: spec.Whole{Min: 1}, Default: defaultWindow, Summary: "the newest prompts and replies that have so many tokens together, four bytes counted as one"},
		}}}, Summary: "session: before the prompt, the model is told what it was asked and answered before in the same session of the same user"},
		{Name: "extra", Form: spec.Raw{}, Summary: "put into the request as it is"},
		{Name: "base_url", Form: spec.Text{Check: checkURL}, Summary: "another address of the provider; needs a grant, for the provider's key goes there"},
		{Name: "mock", Form: spec.Record{Fields: mockFields()}, Summary: "what the model mock answers in this agent's place"},
		{Name: "timeout", Form: spec.Duration{Positive: true}, Summary: "for nodes that set none: bounds one attempt"},
		{Name: "retry", Form: engine.RetryForm(), Summary: "for nodes that set none"},
		engine.CacheField(),
	}
}

// checkURL finds what no provider can be asked at.
func checkURL(s string) (problem, hint string) {
	u, err := agents.Address(s)
	switch {
	case err != nil:
		return "base_url " + err.Error(), ""
	case engine.OddHost(u.Host):
		return "the host of base_url is a number that programs read in different ways", "write the address as four numbers such as 192.0.2.1"
	}
	return "", ""
}

func hostOf(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return ""
	}
	return u.Host
}

// definition is where an agent's settings are written: on the node, then in the header.
type definition []*spec.Object

func defined(n *spec.Node) definition {
	if own := n.Record("agent"); own != nil {
		_, used := own.Ref("use")
		if o, ok := used.(*spec.Object); ok {
			return definition{own, o}
		}
		return definition{own}
	}
	_, named := n.Ref("agent")
	if o, ok := named.(*spec.Object); ok {
		return definition{o}
	}
	return nil
}

// Speaks tells whether a node's output is what a model says, as it says it.
func Speaks(n *spec.Node) bool {
	return n.Kind.Name == agentKind && defined(n).schema() == nil
}

// at is the nearest place where a setting is written; the farthest, with its default, where it is nowhere.
func (d definition) at(field string) *spec.Object {
	for _, o := range d {
		if o.Has(field) {
			return o
		}
	}
	if len(d) == 0 {
		return nil
	}
	return d[len(d)-1]
}

// words is a text that is written in its place or in a file of its own.
func (d definition) words(field, file string) *spec.Expr {
	for _, o := range d {
		if x := cmp.Or(o.Expr(field), o.Expr(file)); x != nil {
			return x
		}
	}
	return nil
}

func (d definition) flawed() bool {
	return slices.ContainsFunc(d, (*spec.Object).Flawed)
}

func (d definition) schema() *spec.Schema {
	if o := d.at("output_schema"); o != nil {
		return o.Schema("output_schema")
	}
	return nil
}

// defaultWindow is how many tokens of earlier exchanges an agent is told where nothing else is written.
const defaultWindow = 4000

// window is how many tokens of earlier exchanges it is told; 0 where it remembers nothing.
func (d definition) window() int {
	o := d.at("memory")
	switch {
	case !o.Has("memory"):
		return 0
	case o.Record("memory") != nil:
		return o.Record("memory").Int("max_tokens")
	}
	return defaultWindow
}
