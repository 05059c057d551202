package engine

import (
	"context"
	"maps"
	"slices"
	"strings"
)

// script is the order in which a fan-out that was decided early heard its branches when it was recorded. Replayed, it
// hears them in that order, whichever ends first, and so it is decided as it was. A branch without which it was decided
// may ask what was not recorded: it waits then to be stopped, as it was.
type script struct {
	order    []string         // of those that are still to be heard
	known    map[string]bool  // those that were heard
	early    map[string]*task // ended before it was their turn
	running  int              // branches
	waiting  map[*Visit]bool  // branches of which a leaf waits to be stopped
	released chan struct{}    // closed when nobody will stop them
	over     bool             // it is closed
}

// held is a branch without which a fan-out was decided.
type held struct {
	by     *pool
	branch *Visit
}

// branch names a branch by the end of its turn.
func (p *pool) branch(child *Visit) string {
	return strings.TrimPrefix(child.Turn(), strings.TrimSuffix(p.v.Turn(), "/"))
}

// newScript is that of a pool; nil where there is none. Where one branch waits for the other they need none.
func (p *pool) newScript() *script {
	replay := p.v.run.replay
	if replay == nil || p.jobs.AtOnce == 1 {
		return nil
	}
	order, ok := replay.Order(p.v.Turn())
	if !ok {
		return nil
	}
	s := &script{order: order, known: map[string]bool{}, early: map[string]*task{}, waiting: map[*Visit]bool{}, released: make(chan struct{})}
	for _, branch := range order {
		s.known[branch] = true
	}
	return s
}

// begin counts a branch that begins. The lock is held.
func (p *pool) begin(t *task) {
	if p.script == nil {
		return
	}
	p.script.running++
	if !p.script.known[p.branch(t.visit)] {
		t.visit.held = &held{p, t.visit}
	}
}

// inOrder takes a branch that has ended and hears those whose turn it is. The lock is held.
func (p *pool) inOrder(t *task) {
	s := p.script
	s.running--
	delete(s.waiting, t.visit)
	ended := *t // the worker goes on with another
	s.early[p.branch(t.visit)] = &ended
	for len(s.order) > 0 && s.early[s.order[0]] != nil {
		branch := s.order[0]
		s.order = s.order[1:]
		p.hearEarly(branch)
	}
}

func (p *pool) hearEarly(branch string) {
	t := p.script.early[branch]
	delete(p.script.early, branch)
	p.waiting = append(p.waiting, t)
	p.hear(t)
}

// settle hears, where nothing goes on any more but branches that wait, those that the recording does not know; where
// that does not decide the whole, it releases those that wait. It tells whether it heard any. The lock is held.
func (p *pool) settle() (heard bool) {
	s := p.script
	if s == nil || p.sent || s.running > len(s.waiting) {
		return false
	}
	for _, branch := range slices.SortedFunc(maps.Keys(s.early), CompareTurns) {
		p.hearEarly(branch)
		heard = true
	}
	if p.verdict == nil && len(s.waiting) > 0 && !s.over {
		s.over = true
		close(s.released)
	}
	return heard
}

// missed waits until the branch is stopped, or until nothing is left that could stop it: then it tells that what it asks
// was not recorded.
func (h *held) missed(ctx context.Context) bool {
	p := h.by
	p.mu.Lock()
	p.script.waiting[h.branch] = true
	p.settle()
	p.mu.Unlock()
	select {
	case <-p.script.released:
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}

// What a recording keeps of a fan-out: a branch is counted where it was heard in time, and lost where it was stopped or
// came too late.

func (p *pool) count(t *task) {
	if p.decision != nil {
		p.decision.Order = append(p.decision.Order, p.branch(t.visit))
	}
}

func (p *pool) lose(t *task) {
	if p.decision != nil {
		p.decision.Lost = append(p.decision.Lost, p.branch(t.visit))
	}
}

// swap makes the branch that was lost last the one that decided.
func (p *pool) swap() {
	if d := p.decision; d != nil {
		order, lost := len(d.Order)-1, len(d.Lost)-1
		d.Order[order], d.Lost[lost] = d.Lost[lost], d.Order[order]
	}
}

// keep tells how the fan-out was decided, if it was before all branches had ended by themselves. Where a limit ended the
// run, what the branches did until then led to it.
func (p *pool) keep() {
	d := p.decision
	switch {
	case d == nil, p.verdict == nil && (p.stopped == nil || p.v.realm.over() == nil):
		return
	case p.verdict == nil:
		d.Lost = nil
	}
	p.v.run.recorder.Decide(*d)
}

// CompareTurns orders turns as people count: the 2nd before the 10th.
func CompareTurns(a, b string) int {
	for a != "" && b != "" {
		x, restA := cutNumber(a)
		y, restB := cutNumber(b)
		if c := strings.Compare(x, y); c != 0 {
			if digit(x) && digit(y) && len(x) != len(y) {
				return len(x) - len(y)
			}
			return c
		}
		a, b = restA, restB
	}
	return len(a) - len(b)
}

// cutNumber cuts off what is a number in front, or what is none.
func cutNumber(s string) (part, rest string) {
	n := 1
	for n < len(s) && digit(s[n:]) == digit(s) {
		n++
	}
	return s[:n], s[n:]
}

func digit(s string) bool { return s[0] >= '0' && s[0] <= '9' }
