package engine

import (
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/flowrun/flowrun/spec"
)

// ErrorKind says what sort of failure ended a node or a run.
type ErrorKind string

// The kinds of errors. Limits, budgets, permissions, cancellation and what was not recorded are never caught, retried or
// continued past.
const (
	RateLimit  ErrorKind = "rate_limit"
	Timeout    ErrorKind = "timeout"
	Auth       ErrorKind = "auth"
	Server     ErrorKind = "server"
	Network    ErrorKind = "network"
	BadRequest ErrorKind = "bad_request"
	Model      ErrorKind = "model"          // an answer that is no answer
	Refusal    ErrorKind = "refusal"        // the model does not want to
	Filtered   ErrorKind = "content_filter" // the provider does not let it
	Length     ErrorKind = "length"         // an answer that was cut off at its limit of tokens
	Limit      ErrorKind = "limit"
	Budget     ErrorKind = "budget"
	Expression ErrorKind = "expression"
	Schema     ErrorKind = "schema"
	Permission ErrorKind = "permission"
	Tool       ErrorKind = "tool"
	Exec       ErrorKind = "exec"
	HTTP       ErrorKind = "http"
	Fail       ErrorKind = "fail" // the author's own
	Rejected   ErrorKind = "rejected"
	Recording  ErrorKind = "recording"
	Cancelled  ErrorKind = "cancelled"
	Panic      ErrorKind = "panic"
	Internal   ErrorKind = "internal"
)

// ErrorKinds lists them all, in the order of the documentation.
func ErrorKinds() []ErrorKind {
	return []ErrorKind{RateLimit, Timeout, Auth, Server, Network, BadRequest, Model, Refusal, Filtered, Length, Limit, Budget, Expression, Schema, Permission,
		Tool, Exec, HTTP, Fail, Rejected, Recording, Cancelled, Panic, Internal}
}

// Error is why a node or a run failed. A node says the kind and the message; who and where is added once, where the
// engine enters nodes.
type Error struct {
	Kind    ErrorKind
	Message string
	Node    string   // its name, else its path; empty where the run was cancelled
	Path    string   // of the node
	Pos     spec.Pos // of the node, or of the expression that failed
	Item    *int     // the number of the item within which the node ran; nil where there was none

	Elsewhere  bool          // of a model: another may answer the question all the same
	RetryAfter time.Duration // how long the other side asked to wait before the next attempt

	cause    error
	stack    []byte
	own      bool      // of a timeout: the node's own
	ofRun    bool      // of a timeout: the run's own
	together bool      // of a fan-out: what its branches came to together made it fail
	arose    time.Time // zero for an echo of what stopped its node

	waits   []Approval // of a visit that is suspended: the questions on which it waits
	drained bool       // it is suspended because nothing new begins
}

// Errorf is an error of a kind. A cause given with %w can be found with [errors.Is] and [errors.As].
func Errorf(kind ErrorKind, format string, args ...any) *Error {
	err := fmt.Errorf(format, args...)
	return &Error{Kind: kind, Message: err.Error(), cause: errors.Unwrap(err)}
}

// Error is the place, the node and the message.
func (e *Error) Error() string {
	s := e.Message
	if e.Node != "" {
		s = e.Who() + ": " + s
	}
	if e.Pos.File != "" {
		s = e.Pos.String() + ": " + s
	}
	return s
}

// Who is the node, with the item that it stands for.
func (e *Error) Who() string {
	if e.Item == nil {
		return e.Node
	}
	return fmt.Sprintf("%s (item %d)", e.Node, *e.Item)
}

// Unwrap is what caused the error, if that is known.
func (e *Error) Unwrap() error { return e.cause }

// Stack is where a node panicked; nil for other errors.
func (e *Error) Stack() []byte { return e.stack }

// OutOfTime tells whether it was the run as a whole whose time was up, and not a node.
func (e *Error) OutOfTime() bool { return e.ofRun }

// stops tells whether the error ends more than its node: it is never recorded, retried, caught or continued past.
func (e *Error) stops() bool {
	switch e.Kind {
	case Cancelled, Limit, Budget, Permission, Recording:
		return true
	}
	return false
}

// before tells whether the error arose before another.
func (e *Error) before(o *Error) bool { return e.settled() && e.arose.Before(o.arose) }

// settled tells whether the error arose while nothing stopped its node: whatever stops the nodes around it while they
// wait for others came later.
func (e *Error) settled() bool { return e != nil && !e.arose.IsZero() }

// unsettled is the error of what goes on though the node around it may be stopped.
func (e *Error) unsettled() *Error {
	late := *e
	late.arose = time.Time{}
	return &late
}

// value is the error as expressions and events see it.
func (e *Error) value() map[string]any {
	return map[string]any{"kind": string(e.Kind), "message": e.Message, "node": e.Node}
}

// guarded calls a kind's code: a panic is an error of its node, whichever worker it struck.
func guarded(f func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = panicked(p)
		}
	}()
	return f()
}

// panicked is the error of a panic, for the function that recovers from it.
func panicked(p any) *Error {
	return &Error{Kind: Panic, Message: fmt.Sprintf("panic: %v", p), stack: debug.Stack()}
}

// asError makes any error one of a kind, without a place.
func asError(err error, otherwise ErrorKind) *Error {
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	var x *spec.EvalError
	if errors.As(err, &x) {
		kind := Expression
		if x.Limit {
			kind = Limit
		}
		return &Error{Kind: kind, Message: x.Message, Pos: x.Pos}
	}
	return &Error{Kind: otherwise, Message: err.Error(), cause: err}
}
