package engine

import "sync"

// frame holds the latest results of named nodes: those of a file, of an item, or of one way through a graph. Branches
// of a fan-out write to different places of one frame, and none reads what another writes.
type frame struct {
	up    *frame
	slots span
	named []*Named       // by slot from the first on; or, where only few of the slots are in use:
	few   map[int]*Named // by slot
	mu    sync.Mutex     // for few: a map is one place
}

func newFrame(up *frame, slots span) *frame {
	if slots.low == slots.high {
		return up
	}
	return &frame{up: up, slots: slots, named: make([]*Named, slots.high-slots.low)}
}

// newLane is a frame that begins with some results, of one way through a graph.
func newLane(up *frame, u *unit, slots span, names map[string]Named) *frame {
	f := &frame{up: up, slots: slots, few: make(map[int]*Named, len(names))}
	f.restore(u, names)
	return f
}

func (f *frame) holding(slot int) *frame {
	for ; f != nil; f = f.up {
		if slot >= f.slots.low && slot < f.slots.high {
			return f
		}
	}
	return nil
}

func (f *frame) get(slot int) *Named {
	f = f.holding(slot)
	switch {
	case f == nil:
		return nil
	case f.few != nil:
		f.mu.Lock()
		defer f.mu.Unlock()
		return f.few[slot]
	}
	return f.named[slot-f.slots.low]
}

func (f *frame) set(slot int, n *Named) {
	f = f.holding(slot)
	switch {
	case f == nil:
	case f.few != nil:
		f.mu.Lock()
		defer f.mu.Unlock()
		if n == nil {
			delete(f.few, slot)
		} else {
			f.few[slot] = n
		}
	default:
		f.named[slot-f.slots.low] = n
	}
}

// forget drops results.
func (f *frame) forget(slots span) {
	for slot := slots.low; slot < slots.high; slot++ {
		f.set(slot, nil)
	}
}

// names gathers results.
func (f *frame) names(u *unit, slots span) map[string]Named {
	if slots.low == slots.high {
		return nil
	}
	out := map[string]Named{}
	if f.few != nil && f.slots == slots {
		f.mu.Lock()
		defer f.mu.Unlock()
		for slot, n := range f.few {
			out[u.named[slot].node.Name] = *n
		}
		return out
	}
	for slot := slots.low; slot < slots.high; slot++ {
		if n := f.get(slot); n != nil {
			out[u.named[slot].node.Name] = *n
		}
	}
	return out
}

// restore puts results into the frame.
func (f *frame) restore(u *unit, names map[string]Named) {
	for name, n := range names {
		if slot, ok := u.slots[name]; ok {
			f.set(slot, &n)
		}
	}
}

// value is a result as steps.NAME shows it.
func (n *Named) value() any {
	if n == nil {
		return nil
	}
	v := map[string]any{"output": n.Output.V, "status": n.Status, "error": nil, "visits": int64(n.Visits)}
	if n.Error != nil {
		v["error"] = n.Error.value()
	}
	return v
}
