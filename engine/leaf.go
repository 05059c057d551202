package engine

import (
	"hash/fnv"
	"slices"
	"time"
)

// leaf runs a leaf: attempts, one after another, that count as one step.
func (v *Visit) leaf() (any, *Error) {
	attempt := 1
	if c := v.cursor(); c != nil {
		attempt += c.Attempt
		if !c.Pause.IsZero() {
			v.sleep(c.Pause)
		}
	}
	for ; ; attempt++ {
		out, err := v.attempt(attempt)
		if err == nil || !v.again(err, attempt) {
			return out, err
		}
		if err := v.pause(err, attempt); err != nil {
			return nil, err
		}
	}
}

// again tells whether a failed attempt is made again.
func (v *Visit) again(err *Error, attempt int) bool {
	return !err.stops() && !(v.rare != nil && v.rare.failed) && v.vx.retry.again(err, attempt)
}

// pause waits for the next attempt to be due.
func (v *Visit) pause(failed *Error, attempt int) *Error {
	delay := v.vx.retry.pause(attempt, failed.RetryAfter, v.Key())
	v.tellRetry(attempt, delay, failed)
	c := &Cursor{Attempt: attempt, Pause: v.run.rt.Now().Add(delay)}
	if err := v.save(c, true); err != nil {
		return err
	}
	v.own().kept.Cursor = c
	if v.run.replay == nil || v.timedAround() { // else nobody asks for the pause, or sees it
		v.sleep(c.Pause)
	}
	return v.halted()
}

// attempt makes one attempt: a slot, stopped meanwhile? the step counted, then the body within its timeout.
func (v *Visit) attempt(n int) (any, *Error) {
	if v.vx.kind.Slot {
		if !v.slot() {
			return nil, v.halted()
		}
		v.seated = true
		defer v.leave()
	}
	if err := v.halted(); err != nil {
		return nil, err
	}
	if v.tally.Steps == 0 {
		if full := v.step(); full != nil {
			return nil, v.realm.refuse(v, full.reached())
		}
	}
	v.show()
	if f := v.known(); f != nil {
		if f.Error != nil {
			v.own().failed = true
			return nil, v.run.arise(f.Error)
		}
		return f.Output.V, nil
	}
	body := v.decide
	if v.vx.body.Act != nil {
		body = func() (any, *Error) { return v.act(n) }
	}
	if v.vx.timeout == 0 || v.vx.kind.People {
		return body()
	}
	return v.timed(n, body)
}

// leave gives the slot back, if the visit still holds it.
func (v *Visit) leave() {
	if v.seated {
		v.run.free()
		v.seated = false
	}
}

// slot waits for one of the run's slots and reports whether it got one. A replay asks nothing of the world and has as
// many as it wants: a branch that waits there to be stopped must not keep one from others.
func (r *run) slot(s Scope) bool { return r.replay != nil || r.rt.Slot(s) }

// free gives a slot back.
func (r *run) free() {
	if r.replay == nil {
		r.rt.Free()
	}
}

// step counts a step, or gives the budget that has none left.
func (v *Visit) step() (exhausted *budget) {
	if full := v.steps.take(); full != nil {
		return full
	}
	step := Tally{Steps: 1}
	if v.steps.free {
		step.Free = 1
	}
	v.tally.add(step)
	v.run.spend(step)
	return nil
}

// timed makes an attempt within the node's timeout.
func (v *Visit) timed(n int, body func() (any, *Error)) (any, *Error) {
	c := v.cursor()
	if c == nil || c.Deadline.IsZero() {
		c = &Cursor{Attempt: n - 1, Deadline: v.run.rt.Now().Add(v.vx.timeout)}
		v.own().kept.Cursor = c // for the sleep
	} else if c.Wake.Before(c.Deadline) {
		return body() // it sleeps, and wakes in time, even where the run goes on later than that
	}
	return v.within(c.Deadline, body)
}

// Sleep waits for so long, counted from the first time the attempt asked for it. The error says why it was cut short.
func (v *Visit) Sleep(d time.Duration) error {
	c := v.cursor()
	if c == nil || c.Wake.IsZero() {
		asleep := &Cursor{Wake: v.run.rt.Now().Add(d)}
		if c != nil {
			asleep.Attempt, asleep.Deadline = c.Attempt, c.Deadline
		}
		if err := v.save(asleep, true); err != nil {
			return err
		}
		c = asleep
	}
	if c.Deadline.IsZero() || c.Wake.Before(c.Deadline) {
		v.sleep(c.Wake)
	} else { // what comes first counts, even where the run goes on later than both
		v.sleep(c.Deadline)
		if v.halted() == nil {
			v.scope.Stop(&timedOut{c.Deadline})
		}
	}
	if err := v.halted(); err != nil {
		return err
	}
	return nil
}

// act runs a leaf that asks something of the world.
func (v *Visit) act(attempt int) (any, *Error) {
	return v.safely(func() (any, error) {
		if err := v.keeps(); err != nil {
			return nil, err
		}
		c := newCall(v, attempt)
		out, err := v.run.rt.Act(v.scope, v.vx.body.Act, c)
		v.tally.Usage = v.tally.Usage.with(c.usage)
		if v.rare != nil && v.rare.sub != nil {
			v.rare.sub.err = err
		}
		if err == nil { // a leaf that did not hear that it was stopped has not succeeded
			if cause := v.scope.Cause(); cause != nil {
				return nil, cause
			}
			if c.said != nil {
				v.own().memory = c.said
			}
		}
		return out, err
	})
}

// again tells whether a failed attempt is made again.
func (r *Retry) again(err *Error, attempt int) bool {
	if attempt >= r.MaxAttempts || err.RetryAfter > maxRetryAfter || err.own && r.Requests {
		return false
	}
	return slices.Contains(r.Kinds, err.Kind)
}

// pause is how long to wait after an attempt. The jitter comes from the execution's key: it spreads the branches of a
// run and is the same when the run goes on after a crash.
func (r *Retry) pause(attempt int, after time.Duration, key string) time.Duration {
	d := float64(r.Delay)
	for range attempt - 1 {
		d *= max(r.Backoff, 1)
		if r.MaxDelay > 0 && d > float64(r.MaxDelay) {
			break
		}
	}
	pause := time.Duration(min(d, float64(24*time.Hour)))
	if r.MaxDelay > 0 {
		pause = min(pause, r.MaxDelay)
	}
	if r.Jitter > 0 {
		h := fnv.New64a()
		h.Write([]byte(key))
		h.Write([]byte{byte(attempt)})
		pause += time.Duration(h.Sum64() % uint64(r.Jitter))
	}
	return max(pause, after)
}
