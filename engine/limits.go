package engine

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
)

// realm is what a limit ends as a whole: the run, or what runs finally.
type realm struct {
	run   *run
	outer Scope // of the caller
	scope Scope
	late  *Error          // at its deadline
	drain context.Context // done when nothing new begins in it; nil: that never is

	// passing is set where nothing of what runs is kept: it runs finally because the run was stopped, and will run
	// again when the run goes on and ends.
	passing bool

	mu    sync.Mutex
	fatal *Error
}

// refuse ends the realm at a limit, in the name of the visit that would have passed it.
func (m *realm) refuse(v *Visit, message string) *Error {
	return m.end(v.place(&Error{Kind: Limit, Message: message}))
}

// end stops everything; the first reason counts.
func (m *realm) end(err *Error) *Error {
	m.mu.Lock()
	if m.fatal == nil {
		m.fatal = m.run.arise(err)
	}
	err = m.fatal
	m.mu.Unlock()
	m.scope.Stop(err)
	return err
}

// ended is the reason why the realm as a whole came to an end early, or else what its root failed with: a limit goes
// before the realm's own deadline and the caller's cancellation, whatever nodes made of them, unless the root had failed
// before.
func (m *realm) ended(root *Visit, err *Error) *Error {
	if fatal := m.over(); fatal != nil && !err.before(fatal) {
		return fatal
	}
	if err.settled() {
		return err
	}
	if reached(m.scope, m.outer) {
		return root.place(m.late)
	}
	if cause := m.outer.Cause(); cause != nil {
		if errors.Is(cause, context.DeadlineExceeded) {
			return root.place(&Error{Kind: Timeout, Message: "the caller's time for the run is up", cause: cause, ofRun: true})
		}
		return &Error{Kind: Cancelled, Message: "the run was " + stopping(cause), cause: cause}
	}
	if cause := m.draining(); cause != nil && err.suspended() {
		return &Error{Kind: Cancelled, Message: "the run was " + stopping(cause), cause: cause, drained: true}
	}
	return err
}

// over is the limit that ended the realm, nil where none did.
func (m *realm) over() *Error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.fatal
}

// stopping words the cause of a cancellation.
func stopping(cause error) string {
	var failed *Error
	var late *timedOut
	switch {
	case errors.Is(cause, ErrEnough):
		return "stopped: enough others succeeded"
	case errors.As(cause, &failed) && failed.Node != "":
		return fmt.Sprintf("stopped because %s failed", failed.Node)
	case errors.As(cause, &late):
		return "stopped: the time is up"
	case cause == nil || errors.Is(cause, context.Canceled):
		return "cancelled"
	}
	return "cancelled: " + cause.Error()
}

// budget counts steps against a limit and those of the files around.
type budget struct {
	name  string // of the limit
	limit int    // 0: none
	free  bool   // its steps count nowhere else
	up    *budget
	used  atomic.Int64
}

func newBudget(name string, limit, used int, up *budget) *budget {
	b := &budget{name: name, limit: limit, up: up}
	b.used.Store(int64(used))
	return b
}

// take counts a step, or gives the budget that has none left.
func (b *budget) take() (exhausted *budget) {
	for at := b; at != nil; at = at.up {
		if n := at.used.Add(1); at.limit > 0 && n > int64(at.limit) {
			at.used.Add(-1)
			return at
		}
	}
	return nil
}

func (b *budget) reached() string {
	return b.advise(fmt.Sprintf("reached %s=%d", b.name, b.limit), ", or find what runs more often than it should")
}

// short says that what needs so many steps has fewer left.
func (b *budget) short(steps, left int) string {
	return b.advise(fmt.Sprintf("needs at least %d steps, and of %s=%d only %d are left", steps, b.name, b.limit, left), "")
}

// advise adds what to do: nothing gives finally more steps.
func (b *budget) advise(problem, or string) string {
	if b.free {
		return problem
	}
	return problem + " (raise limits.max_steps" + or + ")"
}

// lacks gives the budget that has fewer than so many steps left.
func (b *budget) lacks(steps int) (short *budget, left int) {
	for at := b; at != nil; at = at.up {
		left := at.limit - int(at.used.Load())
		if at.limit > 0 && left < steps {
			return at, max(left, 0)
		}
	}
	return nil, 0
}
