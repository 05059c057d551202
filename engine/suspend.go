package engine

import (
	"context"
	"slices"
	"time"
)

// A visit that is suspended has not ended: it waits for people, or the run is being stopped and nothing new begins.
// Those who wait for it see an error that stops, of kind cancelled. Nothing of it is kept, so a run that goes on does so
// there. A fan-out is not told of a suspended branch: it goes on with the others, and is suspended where it needs it.

// suspended tells whether the error is none, but that of a visit that is suspended.
func (e *Error) suspended() bool { return e != nil && (e.drained || len(e.waits) > 0) }

// beside is the suspension of a visit of which several children are suspended.
func (e *Error) beside(o *Error) *Error {
	if e == nil {
		return o
	}
	both := *e
	both.waits, both.drained = slices.Concat(e.waits, o.waits), e.drained || o.drained
	return &both
}

// draining is why nothing new begins in the realm, nil while it may.
func (m *realm) draining() error {
	if m.drain == nil || m.drain.Err() == nil {
		return nil
	}
	return context.Cause(m.drain)
}

// waits tells whether an error is of what waits for people, and does not end because the run is being stopped.
func (m *realm) waits(err *Error) bool { return err.suspended() && m.draining() == nil }

// drain is done when nothing new begins; nil where that never is. What runs below a leaf belongs to it, and the leaf has
// begun.
func (v *Visit) drain() context.Context {
	if v.file.passing {
		return nil
	}
	return v.realm.drain
}

// halted is why the visit must not begin, or begin anew, nil while it may: it was stopped, or the run is being stopped.
func (v *Visit) halted() *Error {
	if err := v.stopped(); err != nil || v.drain() == nil {
		return err
	}
	return v.drained()
}

// drained is why nothing new begins, nil while it may. It does not look at the scope, which is the visit's own: others
// may ask.
func (v *Visit) drained() *Error {
	cause := v.realm.draining()
	if cause == nil {
		return nil
	}
	return v.place(&Error{Kind: Cancelled, Message: stopping(cause), cause: cause, drained: true})
}

// idle is a scope in which the visit does nothing but wait. It ends when nothing new begins, too.
func (v *Visit) idle() (s Scope, end func()) {
	if drain := v.drain(); drain != nil {
		return v.until(drain)
	}
	return v.scope, func() {}
}

// until is a scope within the visit's that ends when nothing new begins.
func (v *Visit) until(drain context.Context) (s Scope, end func()) {
	s = v.run.rt.Scope(v.scope, noDeadline)
	stop := context.AfterFunc(drain, func() { s.Stop(context.Cause(drain)) })
	return s, func() { stop(); s.Stop(nil) }
}

// sleep returns at a time, or before it where the visit must not go on.
func (v *Visit) sleep(until time.Time) {
	s, end := v.idle()
	defer end()
	v.run.rt.Sleep(s, until)
}

// slot waits for one of the run's slots and reports whether it got one before it had to end.
func (v *Visit) slot() bool {
	s, end := v.idle()
	defer end()
	return v.run.slot(s)
}

// idle is the context in which a leaf does nothing but wait for its turn. It ends when nothing new begins, too: the cause
// suspends the leaf.
func (c *Call) idle(ctx context.Context) (waiting context.Context, end func()) {
	drain := c.visit.drain()
	if drain == nil {
		return ctx, func() {}
	}
	ctx, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(drain, func() { cancel(c.visit.drained()) })
	return ctx, func() { stop(); cancel(nil) }
}
