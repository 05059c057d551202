package engine

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/flowrun/flowrun/spec"
)

// Request is one question that a leaf asks of the world.
type Request[T any] struct {
	Needs   []spec.Need           // that must be granted
	Content func() *Content       // where the answer may be kept
	Keep    func(answer T) bool   // tells whether a cache may keep an answer; nil: any
	Text    func(answer T) string // what is heard of an answer that was known, where it is not nil
	Model   *Asked                // nil: no model is asked
	Do      func(context.Context) (T, error)
}

// Asked is the model that a request asks.
type Asked struct {
	Model string       // those that share it share its rate
	Agent string       // that asks
	Most  func() Usage // that the call may use, as far as anything bounds it
	Used  func() Usage // that it used, known when it has ended, also in failure
}

// Ask is the one door out: all that a leaf asks of the world goes through it. What it needs must be granted; an answer
// that is known already is not asked for; what a model may use must be left in the budgets, and its rate must allow it.
// Where a run is replayed nothing goes out, and so nothing needs to be granted, is counted in budgets, or waits.
func Ask[T any](ctx context.Context, c *Call, r Request[T]) (answer T, err error) {
	run := c.visit.run
	if err := c.visit.keeps(); err != nil {
		return answer, err
	}
	if run.replay == nil {
		if err := c.granted(r.Needs...); err != nil {
			return answer, err
		}
	}
	if !c.beside {
		c.visit.own().asked++
		defer c.flush()
	}
	switch {
	case run.replay != nil:
		return replayed(ctx, c, r)
	case run.recorder != nil:
		return recorded(ctx, c, r)
	}
	ask := func() (T, error) { return out(ctx, c, r) }
	cache, how := run.cache, c.visit.vx.caching
	if cache == nil || !how.On || c.beside {
		return ask()
	}
	content := r.content()
	if content == nil {
		return ask()
	}
	content.Label = run.stream.mask.line(content.Label)
	answer, fresh, err := through(ctx, cache, content, how.TTL, r, ask)
	if fresh || err != nil {
		return answer, err
	}
	if r.Model != nil {
		c.use(r.Model.Agent, Usage{CacheHits: 1})
	}
	if r.Text != nil {
		c.say(r.Text(answer), nil)
	}
	return answer, nil
}

// granted says which need is not.
func (c *Call) granted(needs ...spec.Need) error {
	for _, n := range needs {
		if !c.Allowed(n) {
			return Errorf(Permission, "it needs %s", n.Flag())
		}
	}
	return nil
}

// out asks the world.
func out[T any](ctx context.Context, c *Call, r Request[T]) (answer T, err error) {
	m := r.Model
	if m == nil {
		return r.Do(ctx)
	}
	var most, used Usage
	purses := c.purses(m)
	lane := c.visit.run.lanes.of(m.Model)
	if len(purses) > 0 || lane.rate.Tokens > 0 {
		most = m.Most()
	}
	waiting, end := c.idle(ctx)
	defer end()
	if err := hold(waiting, purses, most); err != nil {
		return answer, err
	}
	defer func() { settle(purses, most, used) }() // also where asking panics
	passage, err := lane.enter(waiting, most.Tokens())
	if err != nil {
		return answer, err
	}
	defer func() {
		used = m.Used()
		c.use(m.Agent, used)
		tokens, _ := used.drawn()
		lane.settle(passage, tokens, pauseIn(err))
	}()
	return r.Do(ctx)
}

// pauseIn is how long an error asks to wait.
func pauseIn(err error) time.Duration {
	if e := (*Error)(nil); errors.As(err, &e) {
		return e.RetryAfter
	}
	return 0
}

// purses are those that a call draws from: the run's, those of the files around, and the agent's.
func (c *Call) purses(m *Asked) []*purse {
	purses := c.visit.file.purses
	if limit := c.visit.vx.body.Allowance; limit != (Allowance{}) {
		purses = append(slices.Clip(purses), c.visit.run.purse(m.Agent, limit))
	}
	return purses
}

// use counts what an agent used.
func (c *Call) use(agent string, u Usage) {
	if sub := c.visit.own().sub; sub != nil {
		sub.used.Add(u)
	}
	used := ByAgent{agent: u}
	c.usage = c.usage.with(used)
	c.visit.run.spend(Tally{Usage: used})
}
