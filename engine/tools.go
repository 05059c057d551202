package engine

import (
	"cmp"
	"context"
	"errors"
	"io"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/flowrun/flowrun/spec"
)

// What a leaf does by way of tools: several at once, with names of their own, and pipelines below it.

// Beside is the call for what the leaf asks beside what is its own: that is asked anew, also where the node's answers
// are kept. A recording tells by apart what is asked at once.
func (c *Call) Beside(apart string) *Call {
	own := *c
	own.beside, own.apart = true, apart
	return &own
}

// With is the call with some more names for its expressions.
func (c *Call) With(more ...Local) *Call {
	own := *c
	if own.env = maps.Clone(c.env); own.env == nil {
		own.env = spec.Values{}
	}
	for _, l := range more {
		own.env[l.Name] = l.Value
	}
	return &own
}

// Each runs f for the numbers below n, several at once as far as the run has slots beside the leaf's own, and returns
// when all have ended. An error stops the rest; of several that of the lowest number is returned. Each f gets a call of
// its own.
func (c *Call) Each(ctx context.Context, n int, f func(ctx context.Context, c *Call, i int) error) error {
	v, rt := c.visit, c.visit.run.rt
	v.own() // made before several want it
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	var next atomic.Int64
	errs := make([]error, n)
	waiting := rt.Around(ctx)
	work := func(slot *bool) {
		own := c.Beside("")
		own.slot, own.several = slot, n > 1
		for ctx.Err() == nil {
			if !*slot { // at first, and after a pipeline
				if *slot = v.run.slot(waiting); !*slot {
					return
				}
			}
			i := int(next.Add(1)) - 1
			if i >= n {
				return
			}
			errs[i] = guarded(func() error { return f(ctx, own, i) })
			if errs[i] != nil && echo(errs[i]) < missed {
				stop(errs[i])
			}
		}
	}
	group := rt.Group()
	for range min(n, v.run.limits.concurrency) - 1 {
		if !group.Go(func() {
			held := false
			if work(&held); held {
				v.run.free()
			}
		}) {
			break
		}
	}
	work(c.slot)
	waiting.Stop(nil) // nothing is left for those that still wait for a slot
	v.leave()         // what still runs may need it
	group.Wait()
	if v.seated = v.run.slot(v.scope); !v.seated {
		return v.stopped()
	}
	failed := context.Cause(ctx)
	if errs = slices.DeleteFunc(errs, func(err error) bool { return err == nil }); len(errs) > 0 {
		failed = slices.MinFunc(errs, func(a, b error) int { return cmp.Compare(echo(a), echo(b)) }) // the first of them
	}
	return failed
}

// How much an error may be an echo of another's.
const (
	original = iota
	missed   // what was stopped when it was recorded is not in the recording: it must not hide why it was
	stopped  // because another failed
)

func echo(err error) int {
	var e *Error
	switch errors.As(err, &e); {
	case e != nil && e.Kind == Recording:
		return missed
	case e != nil && e.Kind == Cancelled, errors.Is(err, context.Canceled):
		return stopped
	}
	return original
}

// Called tells that the leaf's model calls a tool; the function returned tells what came of it.
func (c *Call) Called(tool, id string, arguments any) (returned func(output any, err error)) {
	v := c.visit
	if !v.run.heard() {
		return func(any, error) {}
	}
	began := v.run.elapsed()
	v.tell(&Event{Type: ToolCalled, SubRunID: c.Key(), Tool: tool, CallID: id, Arguments: arguments})
	return func(output any, err error) {
		e := &Event{Type: ToolReturned, SubRunID: c.Key(), Tool: tool, CallID: id, Duration: v.run.elapsed() - began}
		if err != nil {
			e.Error = v.place(asError(err, Tool))
		} else {
			e.Output = output
		}
		v.tell(e)
	}
}

// Nth counts the runs of a file below this execution of the leaf, for [Call.File].
func (c *Call) Nth(p *spec.Pipeline) int {
	own := c.visit.own()
	if own.runs == nil {
		own.runs = map[*spec.Pipeline]int{}
	}
	own.runs[p]++
	return own.runs[p]
}

// Below is a run of an included file below a leaf.
type Below struct {
	File    *spec.Pipeline
	Nth     int // which run of the file it is there: see [Call.Nth]
	Input   any
	Params  map[string]any
	Timeout time.Duration // beside the file's own; 0: none
}

// ErrLate is the error of a run that did not end within [Below.Timeout].
var ErrLate = errors.New("it did not end in time")

// File runs an included file below the leaf, which gives its slot back for it. It shares the run's limits and identity, as
// [Visit.File] does, and is told of like any node. Nothing of it is kept: where the run is cut, the leaf begins anew.
func (c *Call) File(ctx context.Context, b Below) (any, error) {
	v, rt := c.visit, c.visit.run.rt
	scope := rt.Around(ctx)
	defer scope.Stop(nil)
	if *c.slot {
		v.run.free()
		*c.slot = false
	}
	passing := *v.file
	passing.passing, passing.timed = true, b.Timeout > 0
	within := scope
	if passing.timed {
		within = rt.Scope(scope, rt.Now().Add(b.Timeout))
		defer within.Stop(nil)
	}
	around := v.realm
	if v.run.replay != nil { // what it misses may be what was stopped: that is for Each to tell, and ends no more than this
		around = &realm{run: v.run, outer: around.outer, scope: within, late: around.late, passing: around.passing}
	}
	below := &Visit{run: v.run, file: &passing, vx: v.vx, up: v.up, item: v.item, count: v.count, scope: within, realm: around,
		steps: v.steps, way: v.way, held: v.held, frame: v.frame, locals: v.locals, prev: v.prev, turn: v.turn}
	own := v.own()
	out, err := below.include(b.File, b.Input, b.Params, b.Nth)
	v.run.mu.Lock()
	own.lost.add(below.used())
	v.run.mu.Unlock()
	if err != nil && reached(within, scope) && around.over() == nil && !asError(err, Internal).settled() {
		return nil, ErrLate
	}
	return out, err
}

// Shared gives what lives as long as the run and is one for all that ask by the same key: open makes it for the first.
// It is closed when the run has ended.
func Shared[T io.Closer](c *Call, key string, open func() T) T {
	r := c.visit.run
	r.mu.Lock()
	defer r.mu.Unlock()
	if have, ok := r.shared[key].(T); ok {
		return have
	}
	made := open()
	if r.shared == nil {
		r.shared = map[string]io.Closer{}
	}
	r.shared[key] = made
	return made
}

// release closes what the run's nodes shared, all at once.
func (r *run) release() {
	var closing sync.WaitGroup
	for _, c := range r.shared {
		closing.Go(func() { _ = c.Close() }) // what it was for is over
	}
	closing.Wait()
}
