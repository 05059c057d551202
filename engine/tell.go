package engine

import (
	"cmp"
	"time"
)

// What is told of a visit. Events are large, and made where somebody hears them: in functions of their own, so that
// they take no place on the stacks of a run that nobody listens to.

// show tells that the visit starts, once.
func (v *Visit) show() {
	if v.shown {
		return
	}
	v.shown = true
	if v.run.heard() {
		v.tellStart()
	}
}

func (v *Visit) tellStart() {
	v.start = v.run.elapsed()
	v.tell(&Event{Type: StepStarted})
}

func (v *Visit) tellRetry(attempt int, delay time.Duration, err *Error) {
	v.tell(&Event{Type: StepRetried, Attempt: attempt, Delay: delay, Error: v.place(err)})
}

func (v *Visit) tellEnd(o *Outcome) {
	v.tellModel(cmp.Or(v.caught, o.Err))
	e := &Event{Type: StepFailed}
	switch {
	case o.again || !v.shown && !o.Skipped:
		return
	case o.Skipped:
		e.Type = StepSkipped
	case o.Err != nil:
		e.Error = o.Err
	case v.caught != nil && v.vx.continues:
		e.Error = v.caught
	default:
		e.Type, e.Output, e.Error = StepCompleted, o.Value, v.caught
	}
	v.tell(e)
}

// tell sends an event of the visit, where somebody listens.
func (v *Visit) tell(e *Event) {
	if !v.run.heard() {
		return
	}
	if e.Type == StepCompleted || e.Type == StepFailed {
		e.Duration = v.run.elapsed() - v.start
	}
	e.Node, e.Path, e.Turn, e.Visit, e.Kind, e.Pos = v.label(), v.Path(), v.Turn(), v.count, v.vx.node.Kind.Name, v.vx.node.Pos
	if e.Label = v.vx.body.Label; e.Node != e.Path {
		e.Label = e.Node
	}
	if e.Label == "" {
		e.Label = e.Turn
	}
	e.Item = v.nearestItem()
	v.run.emit(e)
}
