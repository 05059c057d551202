package engine

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"
)

// Runtime is all that differs between a run on goroutines and one on a durable engine's coroutines.
type Runtime interface {
	Now() time.Time
	// Scope is a place within another where work can be stopped; it ends with the outer one, when it is stopped, or
	// at its deadline, if that is not zero.
	Scope(outer Scope, deadline time.Time) Scope
	// Detached is a scope that does not end with the outer one.
	Detached(outer Scope, deadline time.Time) Scope
	// Around is the scope of what a leaf does within a context that it has from Act.
	Around(ctx context.Context) Scope
	// Sleep returns at a time, or before it when the scope ends.
	Sleep(s Scope, until time.Time)
	// Slot waits for one of the run's slots and reports whether it got one before the scope ended.
	Slot(s Scope) bool
	// Free gives a slot back.
	Free()
	// Group runs functions at once.
	Group() Group
	// Act runs a leaf.
	Act(s Scope, act func(context.Context, *Call) (any, error), c *Call) (any, error)
}

// noDeadline is that of a scope that ends only with another.
var noDeadline time.Time

// Scope is a place where work can be stopped.
type Scope interface {
	// Stop ends the scope and those within it. Only the first cause counts.
	Stop(cause error)
	// Cause is why the scope ended, nil while it goes on.
	Cause() error
}

// Group runs functions at once.
type Group interface {
	// Go runs f beside the caller, and reports whether it did: the run may have as many at once as it can bear.
	Go(f func()) bool
	// Wait returns when all that Go started have ended.
	Wait()
}

// timedOut is the cause of a scope that reached its own deadline. Each scope has one of its own, so that the node to
// which the deadline belongs can tell it from another's.
type timedOut struct{ deadline time.Time }

func (*timedOut) Error() string { return "the time is up" }

// reached tells whether a scope ended at its own deadline, not that of the one around it.
func reached(s, outer Scope) bool {
	late := (*timedOut)(nil)
	return errors.As(s.Cause(), &late) && s.Cause() != outer.Cause()
}

// local runs on goroutines.
type local struct {
	slots chan struct{}
	spare atomic.Int64 // goroutines that may still be started
}

// minGoroutines is how many goroutines a run may have even where less is written: nested fan-outs multiply, and a
// container whose children find none free runs them itself.
const minGoroutines = 1024

func newLocal(slots, goroutines int) *local {
	l := &local{slots: make(chan struct{}, slots)}
	l.spare.Store(int64(max(goroutines, minGoroutines)))
	return l
}

type localScope struct {
	context.Context
	cancel context.CancelCauseFunc
	timer  *time.Timer
}

func (l *local) Now() time.Time { return time.Now() }

func (l *local) Scope(outer Scope, deadline time.Time) Scope {
	return scopeIn(outer.(*localScope).Context, deadline)
}

func (l *local) Detached(outer Scope, deadline time.Time) Scope {
	return scopeIn(context.WithoutCancel(outer.(*localScope).Context), deadline)
}

func (l *local) Around(ctx context.Context) Scope { return scopeIn(ctx, noDeadline) }

func scopeIn(ctx context.Context, deadline time.Time) *localScope {
	s := &localScope{}
	s.Context, s.cancel = context.WithCancelCause(ctx)
	if !deadline.IsZero() {
		s.timer = time.AfterFunc(time.Until(deadline), func() { s.cancel(&timedOut{deadline}) })
	}
	return s
}

func (s *localScope) Stop(cause error) {
	if s.timer != nil {
		s.timer.Stop()
	}
	s.cancel(cause)
}

func (s *localScope) Cause() error {
	if s.Err() == nil { // without the lock that Cause takes
		return nil
	}
	return context.Cause(s.Context)
}

func (l *local) Sleep(s Scope, until time.Time) {
	t := time.NewTimer(time.Until(until))
	defer t.Stop()
	select {
	case <-t.C:
	case <-s.(*localScope).Done():
	}
}

func (l *local) Slot(s Scope) bool {
	select {
	case l.slots <- struct{}{}:
		return true
	default:
	}
	select {
	case l.slots <- struct{}{}:
		return true
	case <-s.(*localScope).Done():
		return false
	}
}

func (l *local) Free() { <-l.slots }

func (l *local) Act(s Scope, act func(context.Context, *Call) (any, error), c *Call) (any, error) {
	return act(s.(*localScope).Context, c)
}

type localGroup struct {
	l  *local
	wg sync.WaitGroup
}

func (l *local) Group() Group { return &localGroup{l: l} }

func (g *localGroup) Go(f func()) bool {
	if g.l.spare.Add(-1) < 0 {
		g.l.spare.Add(1)
		return false
	}
	g.wg.Add(1)
	go g.run(f)
	return true
}

func (g *localGroup) run(f func()) {
	defer g.wg.Done()
	defer g.l.spare.Add(1)
	f()
}

func (g *localGroup) Wait() { g.wg.Wait() }
