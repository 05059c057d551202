package engine

import (
	"cmp"
	"slices"
	"time"
)

// What a visit keeps, and what it tells.

// record keeps how a visit ended. What was stopped is not kept: it may go on another time.
func (v *Visit) record(o Outcome) (kept func() error) {
	r := v.run
	if r.turns == nil || v.passing() || o.again || o.Err != nil && o.Err.stops() {
		return nil
	}
	f := &Finished{Named: *v.named(&o), Caught: v.caught != nil && o.Err == nil, Tally: v.used(), Names: v.frame.names(v.file.unit, v.vx.below())}
	if v.rare != nil {
		f.Basis = v.rare.basis
	}
	e := Entry{Turn: v.Turn(), Finished: f}
	if v.vx.row != none {
		e.Name = v.vx.node.Name
	}
	if f.Said = v.said; o.Err == nil && v.rare != nil {
		e.Memory = v.rare.memory
	}
	f.Together = o.Err != nil && o.Err.together
	r.mu.Lock()
	defer r.mu.Unlock()
	f.Stopped = v.stoppedBelow()
	r.number++
	f.Number = r.number
	return r.turns.Record(e)
}

// unkept ends the run because its position could not be kept: what is not kept must not be used.
func (v *Visit) unkept(err error) *Error {
	return v.realm.end(v.place(Errorf(Internal, "keeping the run's position: %w", err)))
}

// keeps is why nothing must be asked of the world any more; nil while what comes of it can be kept.
func (v *Visit) keeps() error {
	if v.run.turns == nil {
		return nil
	}
	if err := v.run.turns.Err(); err != nil {
		return v.unkept(err)
	}
	return nil
}

// passing tells whether nothing of the visit is kept.
func (v *Visit) passing() bool { return v.realm.passing || v.file.passing }

// save keeps where an unfinished visit is; the turns below it are forgotten, unless the cursor says otherwise. It waits
// where something may only happen once it is kept.
func (v *Visit) save(c *Cursor, wait bool) *Error {
	r := v.run
	if r.turns == nil || v.passing() {
		return nil
	}
	if c.Folded == "" && !c.Beside {
		v.used()
	}
	own := v.own()
	c.State, c.Started, c.Tally, c.Asked = own.state, own.began, v.tally.clone(), own.asked
	if v.vx.forgets { // others visit each child once
		c.Counts = append([]int(nil), v.counts...)
	}
	c.Names = v.frame.names(v.file.unit, v.vx.below())
	c.Said = slices.Clone(v.said)
	r.mu.Lock()
	kept := r.turns.Record(Entry{Turn: v.Turn(), Cursor: c})
	r.mu.Unlock()
	if !wait || kept == nil {
		return nil
	}
	if err := kept(); err != nil {
		return v.unkept(err)
	}
	return nil
}

// Save keeps where a container is, so that it goes on from there: what ran below it before stands in the state, which
// is asked for only where something is kept. After a cut, State gives it back.
func (v *Visit) Save(state func() any) { v.SaveAfter(Outcome{}, state) }

// SaveAfter is Save for a container with several children on the way: the state stands for the one that ended so, and
// what is kept of the others stays as it is.
func (v *Visit) SaveAfter(o Outcome, state func() any) {
	if v.run.turns == nil {
		return
	}
	v.own().state = Value{state()}
	v.save(&Cursor{Folded: o.turn}, false)
}

// State is what Save kept before the run was cut; ok tells whether it did.
func (v *Visit) State() (state any, ok bool) {
	c := v.cursor()
	if c == nil || c.State.V == nil {
		return nil, false
	}
	return c.State.V, true
}

// settle makes how a visit ended known: to expressions, in the run's result, and to listeners.
func (v *Visit) settle(o *Outcome) {
	if v.vx.slot != none || v.vx.row != none {
		n := v.named(o)
		if o.Err == nil || !o.Err.stops() {
			v.frame.set(v.vx.slot, n)
		}
		if v.vx.row != none && (v.shown || o.Skipped) {
			v.run.mu.Lock()
			v.run.rows[v.vx.row] = n
			v.run.mu.Unlock()
		}
	}
	if v.run.heard() {
		v.tellEnd(o)
	}
}

const skipped = "skipped"

func (v *Visit) named(o *Outcome) *Named {
	n := &Named{Output: Value{o.Result()}, Status: string(Completed), Visits: v.count}
	switch {
	case o.Skipped:
		n.Status = skipped
	case o.Err != nil && o.Err.Kind == Cancelled:
		n.Status, n.Error = string(Stopped), o.Err
		if len(o.Err.waits) > 0 {
			n.Status = string(Waiting)
		}
	case o.Err != nil:
		n.Status, n.Error = string(Failed), o.Err
	case v.caught != nil:
		n.Error = v.caught
		if v.vx.continues {
			n.Status = string(Failed)
		}
	}
	return n
}

// stoppedBelow are the listed nodes below that were stopped. The run's lock is held.
func (v *Visit) stoppedBelow() map[string]Named {
	var out map[string]Named
	for row := v.vx.rows.low; row < v.vx.rows.high; row++ {
		if n := v.run.rows[row]; n != nil && row != v.vx.row && (n.Status == string(Stopped) || n.Status == string(Waiting)) {
			if out == nil {
				out = map[string]Named{}
			}
			out[v.file.unit.listed[row].node.Name] = n.stopped()
		}
	}
	return out
}

// stopped is the result of a node that waits no more.
func (n *Named) stopped() Named {
	gone := *n
	gone.Status = string(Stopped)
	return gone
}

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

// What is told of a visit. Events are large, and made where somebody hears them: in functions of their own, so that
// they take no place on the stacks of a run that nobody listens to.

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
