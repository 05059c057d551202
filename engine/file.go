package engine

import (
	"fmt"
	"slices"

	"github.com/flowrun/flowrun/spec"
)

// file is one execution of a pipeline file: the run's own, or one that a node includes.
type file struct {
	unit   *unit
	input  any
	params map[string]any
	visits int      // max_visits_per_node
	purses []*purse // of the budgets that hold for its models: its own and those of the files around

	// passing is set for what runs below a leaf: nothing of it is kept, for the leaf begins anew where it had not ended.
	passing bool
	timed   bool // what runs below the leaf has a time of its own
	nth     int  // which run of the file it is below one execution of that leaf, from 1; else 0
}

// open opens the purse of the file's own budget, of which so much is used.
func (f *file) open(budget Allowance, used Usage) {
	if budget != (Allowance{}) {
		f.purses = append(slices.Clip(f.purses), &purse{limit: budget, used: used})
	}
}

// run runs the file's root, works out its output, and runs what is to run finally. ended says what the error of the
// root means.
func (f *file) run(up *Visit, ended func(root *Visit, err *Error) *Error) (any, *Error) {
	frame := newFrame(nil, span{0, len(f.unit.named)})
	root := &Visit{run: up.run, file: f, vx: f.unit.root, up: up, item: none, count: max(f.nth, 1), scope: up.scope, realm: up.realm, steps: up.steps,
		frame: frame, prev: f.input}
	o := up.enter(root)
	out, err := o.Value, ended(root, o.Err)
	if err == nil && f.unit.output != nil {
		var failed error
		if out, failed = root.Eval(f.unit.output, out); failed != nil {
			err = root.place(asError(failed, Expression))
		}
	}
	if f.unit.finally != nil && !up.realm.waits(err) {
		late := f.finally(up, frame, out, err)
		switch {
		case late == nil:
		case err == nil, up.realm.waits(late), late.Kind == Cancelled && !f.unit.main: // it has not run yet
			err = late.unsettled()
		}
	}
	if err != nil {
		return nil, err
	}
	return out, nil
}

// finally runs the node that is to run last whatever happened, within bounds of its own: only the caller can stop it, and
// one who had stopped the run before leaves it its time.
func (f *file) finally(up *Visit, frame *frame, out any, err *Error) *Error {
	r, outer := up.run, up.realm.outer
	drain := up.realm.drain
	if err != nil && (outer.Cause() != nil || up.realm.draining() != nil) {
		outer, drain = r.rt.Detached(outer, noDeadline), nil
	}
	m := &realm{run: r, outer: outer, drain: drain, scope: r.rt.Scope(outer, r.rt.Now().Add(finallyTime)),
		late:    Errorf(Timeout, "it did not end within the %s that finally has", finallyTime),
		passing: up.realm.passing || err != nil && err.stops()}
	defer m.scope.Stop(nil)
	status, why := string(Completed), any(nil)
	if err != nil {
		out, why = nil, err.value()
		if status = string(Failed); err.Kind == Cancelled {
			status = string(Stopped)
		}
	}
	v := &Visit{run: r, file: f, vx: f.unit.finally, up: up, item: none, count: max(f.nth, 1), scope: m.scope, realm: m, frame: frame, prev: out,
		steps:  &budget{limit: finallySteps, name: "the steps of finally", free: true},
		locals: locals(nil, []Local{{"status", status}, {"error", why}})}
	return m.ended(v, up.enter(v).Err)
}

// File runs an included file in place of the node: it shares the run's limits and identity and has its own as well.
// The error is of kind schema where the input or a parameter does not fit.
func (v *Visit) File(p *spec.Pipeline, input any, params map[string]any) (any, error) {
	return v.include(p, input, params, 0)
}

func (v *Visit) include(p *spec.Pipeline, input any, params map[string]any, nth int) (any, error) {
	u := v.run.graph.units[p]
	input, err := taken(p, input)
	if err != nil {
		return nil, Errorf(Schema, "what %s receives does not fit its input: %w", p.File, err)
	}
	f := &file{unit: u, input: input, visits: v.file.visits, purses: v.file.purses, passing: v.file.passing, nth: nth}
	f.open(u.limits.budget, v.own().kept.Spent.Usage.Total())
	if u.limits.visits > 0 {
		f.visits = min(f.visits, u.limits.visits)
	}
	invalid := &InvalidError{}
	f.params = complete(p, params, invalid)
	if err := invalid.orNil(); err != nil {
		return nil, Errorf(Schema, "%v", err)
	}
	scope, steps := v.scope, v.steps
	defer func() { v.scope, v.steps = scope, steps }()
	if u.limits.steps > 0 {
		v.steps = newBudget("max_steps", u.limits.steps, v.own().kept.Spent.counted(), steps)
	}
	deadline := noDeadline
	if u.limits.timeout > 0 {
		deadline = v.since().Add(u.limits.timeout)
		v.scope = v.run.rt.Scope(scope, deadline)
		defer v.scope.Stop(nil)
	}
	out, failed := f.run(v, func(_ *Visit, err *Error) *Error {
		if reached(v.scope, scope) && v.realm.over() == nil && !err.settled() {
			return v.place(&Error{Kind: Timeout, Message: fmt.Sprintf("%s did not end within its timeout of %s", p.File, u.limits.timeout), arose: deadline})
		}
		return err
	})
	if failed != nil {
		return nil, failed
	}
	return out, nil
}
