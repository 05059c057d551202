// Package nodes is the kinds of nodes, one file each, and the shapes of a file's header. It knows nothing of who
// listens to a run or of the command line.
package nodes

import (
	"slices"
	"strings"

	"github.com/flowrun/flowrun/agents"
	"github.com/flowrun/flowrun/engine"
	"github.com/flowrun/flowrun/spec"
)

// Language is flowrun's language with all its kinds.
func Language(opts ...Option) *engine.Language {
	o := newOptions(opts)
	return engine.NewLanguage(append(kinds(o), o.kinds...), header(o))
}

func newOptions(opts []Option) *options {
	o := &options{instead: map[string]string{}}
	for _, opt := range opts {
		opt(o)
	}
	if o.agents == nil {
		o.agents = agents.NewSet()
	}
	if o.commands == nil {
		o.commands = &Commands{}
	}
	return o
}

// kinds lists the kinds of nodes in the order of the documentation. A new one is a line here and a file.
func kinds(o *options) []engine.Kind {
	return []engine.Kind{
		agent(o),
		chain(),
		parallel(),
		forEach(),
		route(),
		loop(),
		graph(),
		set(),
		flow(),
		execute(o),
		request(o),
		toolKind(o),
		wait(),
		approve(o),
		fail(),
	}
}

// Option changes the language.
type Option func(*options)

type options struct {
	agents   *agents.Set
	instead  map[string]string // models, by agent; under "" for every agent
	mocks    *Mocks            // nil: nothing is mocked but what the file says
	commands *Commands
	kinds    []engine.Kind
}

// WithAgents takes models from a set of providers; without it from those of the environment.
func WithAgents(s *agents.Set) Option { return func(o *options) { o.agents = s } }

// WithModel lets an agent of the header, or one written on the node of that name, ask another model, given as
// provider/name; every agent, where agent is empty.
func WithModel(agent, model string) Option { return func(o *options) { o.instead[agent] = model } }

// WithCommands lets the program know the commands that run.
func WithCommands(c *Commands) Option { return func(o *options) { o.commands = c } }

// WithKind adds a kind of node.
func WithKind(k engine.Kind) Option { return func(o *options) { o.kinds = append(o.kinds, k) } }

// known says what is wrong with the name of a model; where its provider is misspelt, the hint is what was meant.
func (o *options) known(ref string) (problem, hint string) {
	problem, hint = o.agents.Known(ref)
	provider, _, slash := strings.Cut(ref, "/")
	if names := o.agents.Names(); slash && !slices.Contains(names, provider) {
		if near := spec.DidYouMean(provider, names); near != "" {
			hint = strings.TrimPrefix(near, ", ")
		}
	}
	return problem, hint
}

// Models are the short names for models that a file has.
func Models(p *spec.Pipeline) []string {
	var names []string
	for _, m := range p.Header.Entries("models") {
		names = append(names, m.Name)
	}
	return names
}

// Agents are the names by which [WithModel] knows the agents of a file, sorted.
func Agents(p *spec.Pipeline) []string {
	var names []string
	for _, n := range p.Nodes() {
		if n.Kind.Name == agentKind {
			names = append(names, agentNames(n)...)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// agentNames are those of a node and of the header's agent that it uses.
func agentNames(n *spec.Node) []string {
	var names []string
	for _, name := range []string{n.Name, used(n)} {
		if name != "" {
			names = append(names, name)
		}
	}
	return names
}

// used is the name of the header's agent that a node uses; empty where it uses none.
func used(n *spec.Node) string {
	word, _ := n.Ref("agent")
	if own := n.Record("agent"); own != nil {
		word, _ = own.Ref("use")
	}
	return word
}
