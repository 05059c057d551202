// Package engine compiles a checked pipeline into a graph and runs it: visits, steps, limits, slots, retries, fan-outs,
// cancellation, events, and the question whether a turn was finished before. It knows nothing of YAML, of agents, of
// which kinds of nodes there are, or of who listens.
package engine

import (
	"context"

	"github.com/flowrun/flowrun/spec"
)

// Kind is a kind of node: its shape, declared once, and what it does. Containers decide, leaves act.
type Kind struct {
	spec.Shape
	// Slot: the leaf asks something of the world and takes one of the run's slots while it does.
	Slot bool
	// People: the leaf asks people, by [Visit.Approve]. Somebody must be there to answer or the run able to wait; its timeout
	// is theirs, and what they said stands: no attempt is made again.
	People bool
	// Fails is the kind of its errors where they do not say one themselves; Internal where it is empty.
	Fails ErrorKind
	// Retry is what its attempts follow where nothing else is written.
	Retry Retry
	// Settings are mappings beside the node's own that may hold its timeout and retry, nearest first.
	Settings func(n *spec.Node) []*spec.Object
	// Tools are mappings of the header that are not the node's own but that it works with: their expressions read what
	// the node reads, and the files that they include may run below it.
	Tools func(n *spec.Node) []*spec.Object
	// Least is the least number of steps a visit needs if nothing fails, given that of each child. Without it that is
	// one for a leaf, and for others what their children need as they stand.
	Least func(n *spec.Node, child func(*spec.Node) int) int
	// Build makes the body of a node. It must not fail: what can be wrong with a node its shape reports.
	Build func(n *spec.Node) Body
}

// Body is what a node does. One of Decide and Act is there. It is shared by all runs of a graph.
type Body struct {
	// Decide runs children, or works out a value without asking the world. It is pure: no goroutines, clock,
	// randomness or I/O but what its Visit offers.
	Decide func(v *Visit) (any, error)
	// Act asks something of the world and ends when its context does. What it returns is the run's from then on.
	Act func(ctx context.Context, c *Call) (any, error)
	// Label is what progress calls a node that has no name, such as its agent's.
	Label string
	// Uses is what it asks of the world, for people: a model, a command, an address. Empty where that is nothing, or
	// known only when it runs.
	Uses string
	// Unpriced are the models that it may ask and of which nobody knows what they cost.
	Unpriced []string
	// Rates are how fast the models may be asked that it may ask, where that is bounded. They hold for all of the run.
	Rates map[string]Rate
	// Allowance is what it may use in the whole run.
	Allowance Allowance
	// Window is how many tokens of what was said before it recalls at the most; 0 where it remembers nothing.
	Window int
	// Reads are expressions that a leaf evaluates beside those of its node and its settings.
	Reads []*spec.Expr
	// Ready says, before the first step of a run, what the node lacks to do its work; it may be nil.
	Ready func() error
}

// Language is the kinds and the fields of a file's header, made ready to load pipelines.
type Language struct {
	Kinds []Kind
	Spec  *spec.Language

	byName map[string]*Kind
}

// NewLanguage puts kinds and header together.
func NewLanguage(kinds []Kind, header []spec.Field) *Language {
	l := &Language{Kinds: kinds, byName: make(map[string]*Kind, len(kinds))}
	shapes := make([]spec.Shape, len(kinds))
	for i := range l.Kinds {
		shapes[i] = l.Kinds[i].Shape
		l.byName[shapes[i].Name] = &l.Kinds[i]
	}
	l.Spec = spec.NewLanguage(shapes, Modifiers(), modifierRules(), header)
	return l
}

// Load reads a pipeline file and compiles it. Where the file has errors the graph is nil; the diagnostics may hold
// warnings beside a graph.
func (l *Language) Load(file string, opts ...spec.Option) (*Graph, spec.Diagnostics) {
	p, diagnostics := spec.Load(file, l.Spec, opts...)
	if p == nil {
		return nil, diagnostics
	}
	return l.Compile(p), diagnostics
}

// Parse is Load for a file whose text is known; folder is where the files are that it includes.
func (l *Language) Parse(name, folder string, src []byte, opts ...spec.Option) (*Graph, spec.Diagnostics) {
	p, diagnostics := spec.Parse(name, folder, src, l.Spec, opts...)
	if p == nil {
		return nil, diagnostics
	}
	return l.Compile(p), diagnostics
}
