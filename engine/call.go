package engine

import (
	"context"
	"maps"

	"github.com/flowrun/flowrun/spec"
)

// Call is one attempt of a leaf that asks something of the world: what its code sees.
type Call struct {
	Attempt int // from 1
	visit   *Visit
	env     spec.Values
	usage   Usage
	held    string // of an answer that comes piece by piece: the end that may become a secret
}

// newCall gathers what the leaf's expressions read, so that nothing of the run's state is read while it acts.
func newCall(v *Visit, attempt int) *Call {
	return &Call{Attempt: attempt, visit: v, env: spec.Collect(&env{v, v.prev, v.locals}, v.vx.names, v.vx.steps)}
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

// Asked is how often this execution of the node has asked the world so far, earlier attempts counted.
func (c *Call) Asked() int { return c.visit.asked }

// Bounded tells whether a timeout of the file bounds the attempt.
func (c *Call) Bounded() bool { return c.visit.vx.timeout > 0 }

// Allowed tells whether the user granted something that is known only now.
func (c *Call) Allowed(n spec.Need) bool { return c.visit.run.grants.Allow(n) }

// Ask is the one door out: all that a leaf asks of the world goes through it. What it needs must be granted.
func Ask[T any](ctx context.Context, c *Call, needs []spec.Need, do func(context.Context) (T, error)) (T, error) {
	for _, n := range needs {
		if !c.Allowed(n) {
			var none T
			return none, Errorf(Permission, "it needs %s", n.Flag())
		}
	}
	c.visit.asked++
	defer c.flush()
	return do(ctx)
}

// Begin tells, at the first attempt, that an agent starts to work with a model under an id of its own. When the leaf
// has ended, that is told too, with what the agent used.
func (c *Call) Begin(model string) {
	if c.visit.model == "" {
		c.visit.model = model
		c.visit.tell(Event{Type: RunStarted, SubRunID: c.Key(), Model: model})
	}
}

// Listener hears an answer piece by piece as it comes, while the world is asked; nil where nobody listens.
func (c *Call) Listener() func(piece string) {
	stream := &c.visit.run.stream
	if stream.events == nil {
		return nil
	}
	return func(piece string) {
		text := c.held + piece
		n := stream.mask.settled(text)
		c.held = text[n:]
		if n > 0 {
			c.hear(text[:n])
		}
	}
}

// flush tells what is left of an answer that has ended.
func (c *Call) flush() {
	if c.held != "" {
		c.hear(c.held)
		c.held = ""
	}
}

func (c *Call) hear(text string) {
	c.visit.tell(Event{Type: ModelDelta, SubRunID: c.Key(), Text: text})
}

// Use counts what a model was asked and answered.
func (c *Call) Use(u Usage) {
	c.usage.add(u)
	c.visit.run.spend(Tally{Usage: u})
}
