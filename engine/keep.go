package engine

import (
	"maps"
	"slices"
	"time"
)

// What a visit keeps, and how one goes on from what an earlier run kept.

// find looks up the turn, and gives how an earlier run finished it; nil where it goes on or begins.
func (v *Visit) find() *Finished {
	kept := v.run.turns.Find(v.Turn())
	if kept.Finished != nil { // what ran finally is kept below the root of its file, and counts beside it
		kept.Spent = kept.Finished.Tally
	}
	own := v.own()
	own.kept, own.unmet = kept, kept.Spent.clone()
	return kept.Finished
}

// finished answers for a turn that an earlier run finished.
func (v *Visit) finished(f *Finished) Outcome {
	v.recall(f.Names)
	v.tally, v.said = f.Tally, f.Said
	v.rare.unmet = Tally{}
	o := Outcome{Value: f.Output.V, again: true}
	switch {
	case f.Status == skipped:
		o.Value, o.Skipped = v.prev, true
	case f.Caught:
		v.caught = f.Error
	case f.Error != nil:
		o.Err = v.run.arise(f.Error)
	}
	return o
}

// restore takes up the cursor of an earlier run.
func (v *Visit) restore() {
	if v.vx.forgets {
		v.frame.forget(v.vx.below())
	}
	if v.rare != nil {
		v.tally.Usage = maps.Clone(v.rare.kept.Failed)
		v.rare.unmet.sub(v.tally)
	}
	c := v.cursor()
	if c == nil {
		return
	}
	if len(c.Counts) > 0 {
		v.counts = make([]int, len(v.vx.children))
		copy(v.counts, c.Counts) // from a store, which may hold anything
	}
	v.tally.add(c.Tally)
	v.rare.unmet.sub(c.Tally)
	v.said = slices.Clone(c.Said)
	v.rare.state, v.rare.began, v.rare.asked = c.State, c.Started, c.Asked
	v.recall(c.Names)
}

// recall makes the names below what they were when these were kept: others, which the node around it still knew from
// an earlier round, had been forgotten.
func (v *Visit) recall(names map[string]Named) {
	v.frame.forget(v.vx.below())
	v.frame.restore(v.file.unit, names)
}

// account adds what a child used: what was stopped is counted only when this visit finishes.
func (v *Visit) account(child *Visit, err *Error) {
	if child.rare != nil && v.rare != nil {
		v.rare.unmet.sub(child.rare.kept.Spent)
	}
	if err != nil && err.stops() {
		v.own().lost.add(child.used())
	} else {
		v.tally.add(child.used())
	}
}

// used is all that the visit used: what was stopped below it counts with it from now on, and what an earlier run used
// there and this one did not come to.
func (v *Visit) used() Tally {
	if v.rare != nil {
		v.tally.add(v.rare.lost)
		v.tally.add(v.rare.unmet)
		v.rare.lost, v.rare.unmet = Tally{}, Tally{}
	}
	return v.tally
}

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
	e := Entry{Turn: v.Turn(), Finished: f, Item: v.item != none}
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

// since is when the visit began, in this run or an earlier one.
func (v *Visit) since() time.Time {
	own := v.own()
	if own.began.IsZero() {
		own.began = v.run.rt.Now()
		c := Cursor{}
		if at := v.cursor(); at != nil { // it goes on, and had no limit of time, or has its time again
			c = *at
		}
		c.Folded, c.Beside = "", true
		v.save(&c, false)
	}
	return own.began
}
