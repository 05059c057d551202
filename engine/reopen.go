package engine

import (
	"maps"
	"reflect"
)

// How a run that failed goes on: the failed turns on the way from its root to its error did not happen. What they used
// stays used.

// failed tells whether the turn ended with an error that nothing took.
func (f *Finished) failed() bool { return f.Status == string(Failed) && f.Error != nil && !f.Caught }

// reopen drops the failed turns that lead from the root to the run's error: what had been kept below them is there
// again. Failures that the run went on past stay, and so does all that completed.
func (p *Position) reopen() {
	root := &p.root
	if root.finished == nil { // it was stopped
		return
	}
	all, _ := root.spent()
	if root.finished.failed() {
		root.reopen()
		p.forgetFinally()
	} else { // what runs finally failed
		root.reopenBelow(nil)
	}
	kept, _ := root.spent()
	lost := all.Usage.without(kept.Usage)
	switch {
	case len(lost) == 0:
	case root.finished != nil:
		f := *root.finished
		f.Tally = f.Tally.clone()
		f.Tally.Usage = f.Tally.Usage.with(lost)
		root.finished = &f
	default:
		c := Cursor{}
		if root.cursor != nil {
			c = *root.cursor
			c.Tally = c.Tally.clone()
		}
		c.Tally.Usage = c.Tally.Usage.with(lost)
		root.cursor = &c
	}
}

// forgetFinally drops the results of what ran finally, which runs again.
func (p *Position) forgetFinally() {
	maps.DeleteFunc(p.listed, func(_ string, l listing) bool {
		first, _ := cutSegment(l.turn)
		return first == "/finally"
	})
}

// reopen is for a turn that failed.
func (pl *place) reopen() {
	failed, before := pl.finished, pl.before
	*pl = place{}
	if before == nil || failed.Basis != "" && (before.cursor == nil || before.cursor.Caught == nil) {
		return // a leaf begins anew, with all its attempts
	}
	*pl = *before
	if pl.cursor != nil && failed.Error.Kind == Timeout { // it has its time again
		c := *pl.cursor
		c.Started = noDeadline
		pl.cursor = &c
	}
	if !pl.reopenBelow(failed.Error) && failed.Error.Kind != Expression {
		pl.reopenBelow(nil) // of too many failures each is a cause
	}
}

// reopenBelow is for the turns below that failed with an error, any where it is nil. It tells whether there were some.
func (pl *place) reopenBelow(with *Error) (some bool) {
	for segment, below := range pl.places {
		switch f := below.finished; {
		case f != nil && f.failed():
			if with != nil && !reflect.DeepEqual(f.Error.data(), with.data()) {
				continue
			}
			some = true
			if below.reopen(); len(below.places) == 0 && below.cursor == nil {
				delete(pl.places, segment)
			}
		case f != nil, below.cursor == nil: // what ran finally, or items
			some = below.reopenBelow(with) || some
		}
	}
	return some
}

// without is what a usage is more than another.
func (b ByAgent) without(o ByAgent) ByAgent {
	more := ByAgent{}
	for agent, u := range b {
		if u.sub(o[agent]); u != (Usage{}) {
			more[agent] = u
		}
	}
	return more
}
