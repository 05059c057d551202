package nodes

import (
	"cmp"
	"context"
	"errors"
	"strings"
	"sync/atomic"

	"github.com/flowrun/flowrun/agents"
	"github.com/flowrun/flowrun/engine"
	"github.com/flowrun/flowrun/spec"
)

// modelFields are the settings of an entry of models.
func modelFields(name spec.Form) []spec.Field {
	price := func(of string) spec.Field {
		return spec.Field{Name: of, Form: spec.Real{Max: 1_000_000}, Summary: "of " + of + " tokens"}
	}
	input, output, cached := price("input"), price("output"), price("cached")
	input.Required, output.Required = true, true
	cached.Summary = "of input tokens that the provider had in its own cache; without it as input"
	return append([]spec.Field{
		{Name: "model", Form: name, Required: true, Summary: "provider/name"},
		{Name: "base_url", Form: spec.Text{Check: checkURL}, Summary: "another address of the provider; needs a grant"},
		{Name: "price", Form: spec.Record{Fields: []spec.Field{input, output, cached}}, Summary: "in US dollars for a million tokens, in place of the known one"},
	}, engine.RateFields()...)
}

// modelRef is a model as a file names it.
type modelRef struct {
	name    string       // provider/name; empty where none is written
	baseURL string       // that the file gives it
	entry   *spec.Object // its settings among models, nil where it has none
	refused bool         // it must not be asked,
	mock    string       // but a mock of this name
}

// refer is a model by its name and the entry of models that the name stands for, if it does.
func refer(word string, entry any) modelRef {
	switch m := entry.(type) {
	case string:
		return modelRef{name: m}
	case *spec.Object:
		return modelRef{name: m.Text("model"), baseURL: m.Text("base_url"), entry: m}
	}
	return modelRef{name: word}
}

func (m modelRef) isMock() bool { return m.name == "mock" || strings.HasPrefix(m.name, "mock/") }

func (m modelRef) address() string {
	if m.baseURL == "" {
		return m.name
	}
	return m.name + " at " + m.baseURL
}

// models are the models that an agent node asks: its own, then those to fall back to. The first has no name where none
// is written.
func (o *options) models(n *spec.Node, d definition) []modelRef {
	if o.mockOf(n) != nil {
		return []modelRef{{name: "mock"}}
	}
	refs := o.real(n, d)
	for i := range refs {
		if !refs[i].isMock() && o.mocks != nil && !o.mocks.Live {
			refs[i] = modelRef{name: refs[i].name, entry: refs[i].entry, refused: true, mock: unmocked(n)}
		}
	}
	return refs
}

// real are the models that a node asks where nothing answers in their place.
func (o *options) real(n *spec.Node, d definition) []modelRef {
	if m := o.insteadOf(n); m != "" {
		for _, short := range n.Pipeline.Header.Entries("models") {
			if short.Name == m {
				return []modelRef{refer(m, short.Value)}
			}
		}
		return []modelRef{{name: m}}
	}
	own := modelRef{}
	for _, place := range []*spec.Object{d.at("model"), n.Pipeline.Header.Record("defaults")} {
		if place != nil && place.Has("model") {
			own = refer(place.Ref("model"))
			break
		}
	}
	if at := d.at("base_url"); at != nil && at.Has("base_url") {
		own.baseURL = at.Text("base_url")
	}
	refs := []modelRef{own}
	if at := d.at("fallback"); at != nil {
		for _, f := range at.Refs("fallback") {
			refs = append(refs, refer(f.Name, f.Value))
		}
	}
	return refs
}

// insteadOf is the model that the program asks in place of the agent's own; empty where it says none.
func (o *options) insteadOf(n *spec.Node) string {
	if len(o.instead) == 0 {
		return ""
	}
	for _, name := range agentNames(n) {
		if m := o.instead[name]; m != "" {
			return m
		}
	}
	return o.instead[""]
}

// candidate is a model that an agent may ask.
type candidate struct {
	name    string
	address string       // the name, with the address that the file gives it: what shares it is one model
	model   agents.Model // nil: the mock, which is another for each call
	foreign bool         // the file says where it is
	price   agents.Price
	priced  bool
}

// open makes a model ready to be asked. The error says what the environment lacks.
func (o *options) open(ref modelRef) (candidate, error) {
	c := candidate{name: ref.name, address: ref.address(), foreign: ref.baseURL != ""}
	c.price, c.priced = o.agents.Price(ref.name)
	if ref.entry != nil && ref.entry.Has("price") {
		p := ref.entry.Record("price")
		c.price, c.priced = agents.Price{Input: p.Float("input"), Output: p.Float("output"), Cached: p.Float("input"), Written: p.Float("input")}, true
		if p.Has("cached") {
			c.price.Cached = p.Float("cached")
		}
	}
	if ref.isMock() {
		return c, nil
	}
	if ref.refused {
		c.model = refusing(ref.mock)
		return c, nil
	}
	var err error
	c.model, err = o.agents.Open(ref.name, ref.baseURL)
	return c, err
}

// most is the most that a question may use.
func (m candidate) most(model agents.Model, q agents.Question) engine.Usage {
	return m.usage(agents.Bound(model, q), m.price.Most)
}

// used is what a question used, as far as it was told.
func (m candidate) used(model agents.Model, q agents.Question, a agents.Answer) engine.Usage {
	used := m.usage(a.Usage, m.price.Cost)
	if a.Usage.Untold {
		bound := agents.Bound(model, q)
		bound.Output = cmp.Or(bound.Output, len(a.Text)) // a token has at least one byte
		most := m.usage(bound, m.price.Most)
		if used.Presume(most); most.Cost > 0 {
			used.Unpriced = used.Calls
		}
	}
	return used
}

// usage is a usage of the model as runs have it.
func (m candidate) usage(u agents.Usage, cost func(agents.Usage) agents.Cost) engine.Usage {
	used := engine.Usage{InputTokens: u.Input, CachedTokens: u.Cached, OutputTokens: u.Output, ReasoningTokens: u.Reasoning, Calls: u.Calls}
	if m.priced {
		used.Cost = engine.Cost(cost(u))
	} else {
		used.Unpriced = u.Calls
	}
	return used
}

// reached is a context in which a model that the file points to is asked only at addresses that are granted, as a request
// of http is. denied is the error of asking: that an address is not granted, where that is why.
func (m candidate) reached(ctx context.Context, g engine.Grants) (_ context.Context, denied func(error) error) {
	if !m.foreign {
		return ctx, func(err error) error { return err }
	}
	var why atomic.Value // several addresses are tried at once
	check := func(host, address string) error {
		err := g.Reach(host, address)
		if err != nil {
			why.Store(err)
		}
		return err
	}
	return agents.WithDialCheck(ctx, check), func(err error) error {
		if refused, ok := why.Load().(error); ok && err != nil {
			return refused
		}
		return err
	}
}

// passable tells whether another model may have the answer where one failed.
func passable(err error) bool {
	e, ok := errors.AsType[*engine.Error](err)
	if !ok {
		return false
	}
	switch e.Kind {
	case engine.Auth, engine.RateLimit, engine.Server, engine.Network:
		return true
	}
	return e.Elsewhere
}
