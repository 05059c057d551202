package engine

import (
	"maps"
	"reflect"
)

// How a run that failed goes on: the failed turns on the way from its root to its error did not happen. What their agents
// used stays used; their steps are counted when they run again.

// failed tells whether the turn ended with an error that nothing took.
func (f *Finished) failed() bool { return f.Status == string(Failed) && f.Error != nil && !f.Caught }

// reopen drops the failed turns that lead from the root to the run's error: what had been kept below them is there
// again. Failures that the run went on past stay, and so does all that completed.
func (p *Position) reopen() {
	root := &p.root
	switch {
	case root.finished == nil: // it was stopped
	case root.finished.failed():
		root.reopen()
		maps.DeleteFunc(p.listed, func(_ string, l listing) bool { return l.last }) // it runs again
	default: // what runs finally failed
		root.reopenBelow()
	}
}

// reopen is for a turn that failed.
func (pl *place) reopen() {
	failed, before := pl.finished, pl.before
	all, _ := pl.spent()
	*pl = place{}
	if before != nil && (failed.Basis == "" || before.cursor != nil && before.cursor.Caught != nil) {
		*pl = *before
		if pl.cursor != nil && failed.Error.Kind == Timeout { // it has its time again
			c := *pl.cursor
			c.Started = noDeadline
			pl.cursor = &c
		}
		if failed.Together || pl.failedBelow(failed.Error) {
			pl.reopenBelow()
		}
	} // else a leaf begins anew, with all its attempts
	kept, _ := pl.spent()
	all.Usage.sub(kept.Usage)
	pl.failed = pl.failed.with(all.Usage)
}

// failedBelow tells whether one of those below ended with an error: it is not the place's own then.
func (pl *place) failedBelow(with *Error) (some bool) {
	pl.eachFailed(false, func(below *place) {
		some = some || reflect.DeepEqual(below.finished.Error.data(), with.data())
	})
	return some
}

// reopenBelow is for those below that failed, also those that did so while the first of them stopped the rest.
func (pl *place) reopenBelow() { pl.eachFailed(false, (*place).reopen) }

// eachFailed goes through the failed turns one node further down, on the way to which the place may stand, and what ran
// finally below the root of a file that stands there.
func (pl *place) eachFailed(onTheWay bool, do func(*place)) {
	for segment, below := range pl.places {
		node := segment[0] == '/' && segment != "/" // else a number, of an item or of a node; the root has no name
		switch f := below.finished; {
		case onTheWay && node: // of a node that has not ended
		case f == nil:
			below.eachFailed(onTheWay || node, do)
		case f.failed():
			do(below)
		default:
			below.eachFailed(false, do)
		}
		if below.empty() {
			delete(pl.places, segment)
		}
	}
}
