package engine

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/flowrun/flowrun/spec"
)

// Call is one attempt of a leaf that asks something of the world: what its code sees.
type Call struct {
	Attempt int // from 1
	visit   *Visit
	env     spec.Values
	usage   ByAgent
	veil    *veil // over an answer that comes piece by piece
	slot    *bool // whether a slot is held for it
	beside  bool  // it is of a tool of the leaf, not of the leaf itself
	several bool  // others of the leaf's tools are at work as well
	apart   string

	exchange *Exchange // with a model, while it is recorded
	said     *Memory   // to be remembered if the leaf ends well
}

// newCall gathers what the leaf's expressions read, so that nothing of the run's state is read while it acts.
func newCall(v *Visit, attempt int) *Call {
	return &Call{Attempt: attempt, visit: v, slot: &v.seated, env: spec.Collect(&env{v, v.prev, v.locals}, v.vx.names, v.vx.steps)}
}

// Node is the node that acts.
func (c *Call) Node() *spec.Node { return c.visit.vx.node }

// Key names this execution of the node, the same for all its attempts and when the run goes on after a crash.
func (c *Call) Key() string { return c.visit.Key() }

// Prev is a copy of what the node received.
func (c *Call) Prev() any { return spec.Copy(c.visit.prev) }

// Eval works out an expression of the node, with some more names as given. The value is a copy.
func (c *Call) Eval(x *spec.Expr, more ...Local) (any, error) {
	vars := c.env
	if len(more) > 0 {
		vars = make(spec.Values, len(c.env)+len(more))
		maps.Copy(vars, c.env)
		for _, l := range more {
			vars[l.Name] = l.Value
		}
	}
	v, err := x.Eval(vars)
	return spec.Copy(v), err
}

// Repeats is how often the node came round before within the same item or file: visits beyond the first, its own and
// those of the nodes around it.
func (c *Call) Repeats() int {
	n := 0
	for v := c.visit; v != nil && v.file == c.visit.file; v = v.up {
		if n += v.count - 1; v.item != none {
			break
		}
	}
	return n
}

// Asked is how often this execution of the node has asked the world before, earlier attempts counted but no tools. What
// is beside belongs to the question that led to it.
func (c *Call) Asked() int {
	asked := c.visit.own().asked
	if c.beside {
		asked--
	}
	return asked
}

// Note keeps how far the execution has come, for its next attempt, also where the run is cut before it.
func (c *Call) Note(state string) { c.visit.own().state = Value{state} }

// Noted is what an attempt before this one noted; empty where none did.
func (c *Call) Noted() string {
	state, _ := c.visit.own().state.V.(string)
	return state
}

// Bounded tells whether a timeout of the file bounds the attempt.
func (c *Call) Bounded() bool { return c.visit.vx.timeout > 0 }

// Agent is by what an agent is known in the run: its name in the header, or without one that of its node, in an included
// file after the file's. A node that has no name, or that of an agent of the header, is known by its path. So no two agents
// share their usage and their budget.
func (c *Call) Agent(name string) string {
	v, unit := c.visit, c.visit.file.unit
	if name == "" {
		name = v.vx.node.Name
		taken := func(e spec.Entry) bool { return e.Name == name }
		if name == "" || slices.ContainsFunc(unit.pipeline.Header.Entries("agents"), taken) {
			return v.Path()
		}
	}
	if !unit.main {
		return unit.title + "/" + name
	}
	return name
}

// Allowed tells whether the user granted something that is known only now.
func (c *Call) Allowed(n spec.Need) bool { return c.visit.run.grants.Allow(n) }

// Grants are what the user allows.
func (c *Call) Grants() Grants { return c.visit.run.grants }

// Hide hides secrets in a text that came from outside, before a message quotes a part of it: what is left of a secret
// that was cut could not be known any more.
func (c *Call) Hide(s string) string { return c.visit.run.stream.mask.text(s) }

// Cut is how many bytes of a text are told where at most so many may be: no character is cut, and no secret, a part of
// which could not be known any more.
func (c *Call) Cut(s string, most int) int { return c.visit.run.stream.mask.cut(s, most) }

// subRun is an agent's work with one model, as it is told.
type subRun struct {
	model string
	began time.Duration
	used  Usage
	err   error // of the attempt that it was a part of
}

// Begin tells that an agent starts to work with a model, once for each in a row: all in one execution of the node are
// told under one id. err is why the one before did not do. When the leaf has ended that is told too, with what was used.
func (c *Call) Begin(model string, err error) {
	v, sub := c.visit, c.visit.own().sub
	if sub != nil && sub.model == model || !v.run.heard() {
		return
	}
	if sub != nil {
		var failed *Error
		if err = cmp.Or(err, sub.err); err != nil {
			failed = v.place(asError(err, Internal))
		}
		v.tellModel(failed)
	}
	v.rare.sub = &subRun{model: model, began: v.run.elapsed()}
	v.tell(&Event{Type: RunStarted, SubRunID: c.Key(), Model: model})
}

// tellModel tells, once, what the work with the latest model came to, if there was any.
func (v *Visit) tellModel(err *Error) {
	if v.rare == nil || v.rare.sub == nil {
		return
	}
	sub := v.rare.sub
	v.rare.sub = nil
	v.tell(&Event{Type: RunCompleted, SubRunID: v.Key(), Model: sub.model, Usage: sub.used, Duration: v.run.elapsed() - sub.began, Error: err})
}

// Listener hears an answer piece by piece as it comes, while the world is asked; nil where nobody listens. A recording
// does, so that it is the same whoever else listens.
func (c *Call) Listener() func(piece string) {
	stream := &c.visit.run.stream
	if !stream.pieces && c.visit.run.recorder == nil {
		return nil
	}
	return func(piece string) {
		if c.veil == nil {
			c.veil = newVeil(stream.mask)
		}
		c.hear(c.veil.add(piece))
	}
}

// flush tells what is left of an answer that has ended.
func (c *Call) flush() {
	if c.veil != nil {
		c.hear(c.veil.end())
		c.veil = nil
	}
}

func (c *Call) hear(text string) {
	if text == "" {
		return
	}
	if c.exchange != nil {
		c.exchange.hear(text)
	}
	c.visit.tell(&Event{Type: ModelDelta, SubRunID: c.Key(), Text: text})
}
