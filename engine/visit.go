package engine

import (
	"errors"
	"fmt"
	"time"

	"github.com/flowrun/flowrun/spec"
)

// Visit is one execution of a node: what its kind sees.
type Visit struct {
	run    *run
	file   *file
	vx     *vertex
	up     *Visit // of the parent; above a file's root, of the node that includes it
	item   int    // none, or the number of the item that it stands for
	count  int    // which visit of the node this is within the parent's, from 1
	scope  Scope
	realm  *realm
	steps  *budget
	frame  *frame
	locals *localList
	prev   any

	way    *way   // as a job of a fan-out, where agents remember
	said   []Said // below it, that agents remember; for others to read under the run's lock
	held   *held  // where a replayed fan-out was decided without it
	turn   string // where somebody asks for it
	counts []int  // visits of the children
	tally  Tally  // of what finished below, and its own
	caught *Error // the failure that catch or on_error took
	shown  bool   // its start was told
	seated bool   // it holds a slot
	start  time.Duration
	rare   *rare
}

const none = -1

// rare is what few visits have, and no other need pay for.
type rare struct {
	kept   Kept                   // what an earlier run of the same turn left
	unmet  Tally                  // what that used, as far as it was not met again
	state  Value                  // of the container, for its cursor; of a leaf, what it noted
	lost   Tally                  // of what was stopped below
	basis  string                 // of a leaf, where turns are kept
	failed bool                   // of a leaf: so its work is known to have ended, with all its attempts
	asked  int                    // questions that its leaf has put to the world, tools aside
	began  time.Time              // for its time limits: in this run or the one that first began it
	sub    *subRun                // of its leaf as an agent
	runs   map[*spec.Pipeline]int // of files below its leaf

	memory   *Memory   // of its leaf, which ended well
	recalled *[]Memory // by its leaf
}

// own is what the visit has of what is rare, made when it first needs it.
func (v *Visit) own() *rare {
	if v.rare == nil {
		v.rare = &rare{}
	}
	return v.rare
}

// cursor is where an earlier run, or the attempt that goes on, left the visit; nil where it begins.
func (v *Visit) cursor() *Cursor {
	if v.rare == nil {
		return nil
	}
	return v.rare.kept.Cursor
}

// begun tells whether an earlier run finished something below.
func (v *Visit) begun() bool { return v.rare != nil && v.rare.kept.Begun }

// Outcome is how a visit ended.
type Outcome struct {
	Value   any // what the next in a sequence receives: where it was skipped, what the node itself received
	Err     *Error
	Skipped bool
	// Names are the results of the named nodes on the way that led through the visit, where its job asked for them.
	Names map[string]Named

	again bool   // it had finished in an earlier run
	turn  string // where turns are kept
}

// Result is the node's output, nil where it was skipped.
func (o Outcome) Result() any {
	if o.Skipped {
		return nil
	}
	return o.Value
}

// enter is the one way into a node for those who wait for it: it runs the visit, keeps how it ended, and tells.
func (v *Visit) enter(child *Visit) Outcome {
	o := child.visit()
	if kept := child.record(o); kept != nil {
		if err := kept(); err != nil {
			o = Outcome{Err: child.unkept(err)}
		}
	}
	child.settle(&o)
	v.account(child, o.Err)
	if o.Err == nil || !o.Err.stops() {
		v.takeSaid(child)
	}
	return o
}

// visit runs a node: finished before? stopped? count, when, then its body.
func (v *Visit) visit() Outcome {
	r := v.run
	if r.turns != nil || r.heard() || r.recorder != nil || r.replay != nil {
		v.turn = v.trace(true)
	}
	if r.turns != nil && !v.file.passing {
		if f := v.find(); f != nil {
			return v.finished(f)
		}
	}
	if err := v.halted(); err != nil {
		return Outcome{Err: err}
	}
	if v.count > v.file.visits {
		return Outcome{Err: v.tooOften()}
	}
	if v.vx.when != nil {
		if ok, err := v.Test(v.vx.when, v.prev); err != nil {
			v.show()
			return Outcome{Err: v.run.arise(v.place(asError(err, Expression)))}
		} else if !ok {
			return Outcome{Value: v.prev, Skipped: true}
		}
	}
	v.restore()
	if v.vx == r.graph.root.root && r.limits.timeout > 0 {
		v.since() // the run's own time counts from here
	}
	out, err := v.perform()
	if err != nil {
		err = v.place(err)
		out = nil
	}
	v.conclude(err)
	return Outcome{Value: out, Err: err}
}

// tooOften refuses a visit more than the file allows.
func (v *Visit) tooOften() *Error {
	return v.realm.refuse(v, fmt.Sprintf(
		"reached max_visits_per_node=%d; the loop's exit condition never held (raise limits.max_visits_per_node or fix it)", v.file.visits))
}

// perform runs the body with what stands around it: catch or on_error.
func (v *Visit) perform() (any, *Error) {
	if c := v.cursor(); c != nil && c.Caught != nil {
		v.show()
		v.caught = c.Caught
		return v.catch()
	}
	out, err := v.body()
	if err != nil {
		return v.mend(err)
	}
	return out, nil
}

// mend gives what stands in for a body that failed, or else its error.
func (v *Visit) mend(err *Error) (any, *Error) {
	if v.vx.forks { // which branches had ended by then depends on time
		v.frame.forget(v.vx.below())
	}
	if v.vx.forks || v.vx.ways {
		v.said = nil
	}
	if err.stops() || v.vx.catch == nil && !v.vx.continues {
		return nil, err
	}
	v.caught = v.place(err)
	if v.vx.catch == nil {
		v.Forgive()
		return nil, nil
	}
	if err := v.save(&Cursor{Caught: v.caught}, true); err != nil {
		return nil, err
	}
	v.tellModel(v.caught) // before the catch: what that uses is its own
	return v.catch()
}

func (v *Visit) catch() (any, *Error) {
	o := v.enter(v.child(v.vx.catch, v.prev, []Local{{"error", v.caught.value()}}))
	return o.Result(), o.Err
}

// Forgive counts a failure that the run goes on past.
func (v *Visit) Forgive() {
	v.tally.Failures++
	v.run.spend(Tally{Failures: 1})
}

func (v *Visit) body() (any, *Error) {
	if v.vx.kind.Leaf {
		return v.leaf()
	}
	v.show()
	if v.vx.timeout == 0 {
		return v.decide()
	}
	return v.within(v.since().Add(v.vx.timeout), v.decide)
}

// within runs a body that must end by a time. Only here is the end of that time called a timeout: what runs within
// sees itself cancelled.
func (v *Visit) within(deadline time.Time, body func() (any, *Error)) (any, *Error) {
	outer := v.scope
	v.scope = v.run.rt.Scope(outer, deadline)
	out, err := body()
	over := reached(v.scope, outer)
	v.scope.Stop(nil)
	v.scope = outer
	if over && v.realm.over() == nil && !err.settled() {
		return nil, &Error{Kind: Timeout, Message: fmt.Sprintf("it did not end within its timeout of %s", v.vx.timeout), own: true, arose: deadline}
	}
	return out, err
}

// decide runs the code of a kind that asks nothing of the world.
func (v *Visit) decide() (any, *Error) {
	return v.safely(func() (any, error) { return v.vx.body.Decide(v) })
}

// safely runs a kind's code: a panic becomes an error of the node, and what it gives is made canonical.
func (v *Visit) safely(f func() (any, error)) (out any, err *Error) {
	defer func() {
		if p := recover(); p != nil {
			out, err = nil, v.run.arise(panicked(p))
		}
	}()
	value, failed := f()
	if failed != nil {
		return nil, v.failure(failed)
	}
	value, failed = spec.CanonicalWithin(value, maxOutput)
	switch {
	case failed == spec.ErrTooLarge:
		return nil, v.realm.refuse(v, fmt.Sprintf("its output is larger than %d MiB (keep less of it, or put it into a file and pass on the name)", maxOutput>>20))
	case failed != nil:
		return nil, v.run.arise(&Error{Kind: Internal, Message: "its output is no JSON value: " + failed.Error()})
	}
	return value, nil
}

// maxOutput is how many bytes the output of a node takes, about as JSON.
const maxOutput = 16 << 20

// failure is what a body's error means: where the visit was stopped, whatever it says is an echo of that, unless it is
// the failure of a child that came before.
func (v *Visit) failure(err error) *Error {
	e := asError(err, v.vx.kind.fails())
	if e.settled() && !v.echoes(e) {
		return e
	}
	if stopped := v.stopped(); stopped != nil {
		return stopped
	}
	switch {
	case e.suspended():
		return v.place(e)
	case e.Kind == Cancelled: // of something within the leaf
		e = &Error{Kind: v.vx.kind.fails(), Message: e.Message, cause: e}
	case e.stops():
		return v.realm.end(v.place(e))
	}
	return v.run.arise(e)
}

// echoes tells whether an error is that of another node, which a leaf gives back because it was stopped by it.
func (v *Visit) echoes(e *Error) bool {
	var cause *Error
	return v.vx.kind.Leaf && errors.As(v.scope.Cause(), &cause) && cause == e
}

func (k *Kind) fails() ErrorKind {
	if k.Fails == "" {
		return Internal
	}
	return k.Fails
}

// stopped is why the visit must not go on, nil while it may.
func (v *Visit) stopped() *Error {
	cause := v.scope.Cause()
	if cause == nil {
		return nil
	}
	if fatal := v.realm.over(); fatal != nil {
		return fatal
	}
	return v.place(&Error{Kind: Cancelled, Message: stopping(cause), cause: cause})
}

// Prev is what the node received. It is shared and must not be changed.
func (v *Visit) Prev() any { return v.prev }

// Child runs a child and waits for it. The error is the child's.
func (v *Visit) Child(n *spec.Node, prev any, more ...Local) (Outcome, error) {
	o := v.enter(v.child(v.file.unit.vertices[n.Order], prev, more))
	if o.Err != nil {
		return o, o.Err
	}
	return o, nil
}

// child prepares the next visit of a child.
func (v *Visit) child(vx *vertex, prev any, more []Local) *Visit {
	if v.counts == nil {
		v.counts = make([]int, len(v.vx.children))
	}
	v.counts[vx.ordinal]++
	return &Visit{run: v.run, file: v.file, vx: vx, up: v, item: none, count: v.counts[vx.ordinal], scope: v.scope, realm: v.realm,
		steps: v.steps, frame: v.frame, locals: locals(v.locals, more), prev: prev}
}

// Least is the least number of steps that a visit of a child needs.
func (v *Visit) Least(n *spec.Node) int { return v.file.unit.vertices[n.Order].least }

// Require refuses what certainly needs more steps than are left, before any is spent. What was let in once may go on.
func (v *Visit) Require(steps int) error {
	if v.begun() || v.cursor() != nil {
		return nil
	}
	b, left := v.steps.lacks(steps)
	if b == nil {
		return nil
	}
	return v.realm.refuse(v, b.short(steps, left))
}

// Remembers tells whether agents at or below a child remember what they say.
func (v *Visit) Remembers(n *spec.Node) bool { return v.file.unit.vertices[n.Order].remembers }

// Concurrency is how many branches run at once where nothing else is written.
func (v *Visit) Concurrency() int { return v.run.limits.concurrency }
