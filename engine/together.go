package engine

import (
	"cmp"
	"errors"
	"slices"
	"sync"

	"github.com/flowrun/flowrun/spec"
)

// ErrEnough, from Ended, stops the rest: all is well.
var ErrEnough = errors.New("enough")

// Jobs are children to run at once.
type Jobs struct {
	// AtOnce is how many may run at the same time; at least 1.
	AtOnce int
	// Strict: a job that waits for people keeps its place among them; else others may run in the meantime.
	Strict bool
	// Next gives one job more, false while there is none. It is called again after Ended.
	Next func() (Job, bool)
	// InOrder says that one runs after another, in an order that is always the same: each may recall those before it.
	InOrder bool
	// Ended hears how a job ended. Its error, if it is not [ErrEnough], is that of the whole, and stops the rest.
	// Next and Ended are called one at a time. After a cut, what had ended before is heard first, in that order.
	Ended func(Job, Outcome) error
}

// Job is one child to run.
type Job struct {
	Node   *spec.Node
	Key    int // for Ended to know it by
	Item   int // where IsItem: the number of the item that it stands for
	IsItem bool
	Visit  int // where not 0: which visit of the node this is
	Prev   any
	Locals []Local
	// Past are the visits of jobs, by their keys, that are before it though others are not: what agents said there, they
	// may recall in it. Without it, that is none of them.
	Past map[int]int
	// Names, where not nil, are the named results that the job reads, in place of those of its parent; its outcome
	// has them with its own added.
	Names map[string]Named
}

// Together runs jobs at once and returns when all have ended, or wait. The error is that of Ended, or says why the visit
// was stopped, or is suspended: a job that waits is not heard.
func (v *Visit) Together(jobs Jobs) error {
	p := &pool{v: v, jobs: jobs, scope: v.run.rt.Scope(v.scope, noDeadline), group: v.run.rt.Group(), workers: 1}
	defer p.scope.Stop(nil)
	p.script = p.newScript()
	if v.run.recorder != nil && jobs.AtOnce > 1 {
		p.decision = &Decision{Turn: v.Turn()}
	}
	if v.begun() {
		p.replay()
	}
	p.mu.Lock()
	p.work()
	p.group.Wait()
	return p.result()
}

// pool runs jobs with as many workers as may run at once. The visit's own coroutine is one of them, so that a fan-out
// goes on even where no other is to be had.
type pool struct {
	v     *Visit
	jobs  Jobs
	scope Scope
	group Group

	mu        sync.Mutex // never held while waiting
	workers   int
	sent      bool    // for a worker that has not come yet
	ready     []task  // given by Next, not started
	waiting   []*task // ended and on their way to being kept, in the order of their numbers
	losers    []span  // results that nobody may see: of jobs that were stopped, or heard too late
	failed    []span  // of those that failed or were skipped: losers where others were enough
	lostWays  []*way  // of the same
	verdict   error   // of Ended
	first     *Error  // the verdict, where it is a job's failure and no more
	stopped   *Error  // of a job that was stopped
	asleep    int     // jobs that have not ended, and will not in this run
	suspended *Error  // theirs

	script   *script   // where a recorded run is replayed, and it was decided early
	decision *Decision // where the run is recorded
}

type task struct {
	job     Job
	visit   *Visit
	outcome Outcome
}

// addTo adds the slots of the named results, unless they are the task's own.
func (t *task) addTo(slots []span) []span {
	if t.job.IsItem || t.job.Names != nil {
		return slots
	}
	return append(slots, t.visit.vx.slots)
}

// work runs one job after another until there is none left to start. The lock is held, and given back.
func (p *pool) work() {
	var t task
	for again := true; again; again = p.settle() {
		for p.take(&t) {
			p.run(&t)
			p.mu.Lock()
			p.end(&t)
		}
	}
	p.workers--
	p.mu.Unlock()
}

func (p *pool) run(t *task) {
	t.outcome = t.visit.visit()
	t.outcome.turn = t.visit.turn
}

// take gives the next job, and the lock back. A job that may run beside it waits for no other to end: a worker is sent
// for, and sends for the next when it has come. Until then it may turn out that the jobs are too short for another.
func (p *pool) take(t *task) bool {
	if !p.peek() {
		return false
	}
	*t = p.pop()
	p.begin(t)
	if p.sent || p.workers >= p.places() || !p.peek() {
		p.mu.Unlock()
		return true
	}
	p.sent = true
	p.workers++
	p.mu.Unlock()
	if !p.group.Go(p.come) {
		p.mu.Lock()
		p.sent = false
		p.workers--
		p.mu.Unlock()
	}
	return true
}

// pop takes the first that is ready. Where a run goes on there may be as many behind it as there are items: they stay
// where they are.
func (p *pool) pop() task {
	first, rest := p.ready[0], p.ready[1:]
	p.ready[0] = task{}
	if p.ready = p.ready[:0]; len(rest) > 0 {
		p.ready = rest
	}
	return first
}

// come is the life of a worker that was sent for.
func (p *pool) come() {
	p.mu.Lock()
	p.sent = false
	p.work()
}

// peek tells whether there is a job to start.
func (p *pool) peek() bool {
	if p.verdict != nil || p.stopped != nil || p.scope.Cause() != nil {
		return false
	}
	if p.workers > p.places() {
		return false
	}
	if len(p.ready) == 0 {
		p.fetch()
	}
	return len(p.ready) > 0
}

// places is how many may run now.
func (p *pool) places() int {
	switch {
	case p.suspended != nil && p.suspended.drained:
		return 0
	case p.jobs.Strict:
		return p.jobs.AtOnce - p.asleep
	}
	return p.jobs.AtOnce
}

// fetch asks for one job more.
func (p *pool) fetch() bool {
	var job Job
	ok := false
	if err := guarded(func() error { job, ok = p.jobs.Next(); return nil }); err != nil {
		p.decide(err)
		return false
	}
	if ok {
		p.ready = append(p.ready, task{job: job, visit: p.visit(job)})
	}
	return ok
}

// visit prepares the visit of a job.
func (p *pool) visit(j Job) *Visit {
	v := p.v
	vx := v.file.unit.vertices[j.Node.Order]
	var child *Visit
	if j.IsItem {
		child = &Visit{run: v.run, file: v.file, vx: vx, up: v, item: j.Item, count: 1, realm: v.realm, steps: v.steps,
			frame: newFrame(v.frame, vx.slots), locals: locals(v.locals, j.Locals), prev: j.Prev}
	} else {
		child = v.child(vx, j.Prev, j.Locals)
		if j.Visit > 0 {
			child.count = j.Visit
			v.counts[vx.ordinal] = max(v.counts[vx.ordinal]-1, j.Visit)
		}
	}
	if j.Names != nil {
		child.frame = newLane(v.frame, v.file.unit, v.vx.below(), j.Names)
	}
	child.scope, child.way = p.scope, p.wayOf(j, child)
	return child
}

// end numbers what ended and hears it, and all that ended before, once it is kept. The lock is held.
func (p *pool) end(t *task) {
	kept := t.visit.record(t.outcome)
	if p.script == nil {
		p.waiting = append(p.waiting, t)
	}
	if kept != nil {
		p.mu.Unlock()
		err := kept()
		p.mu.Lock()
		if err != nil {
			t.outcome = Outcome{Err: t.visit.unkept(err)}
		}
	}
	if p.script != nil {
		p.inOrder(t)
		return
	}
	p.hear(t)
}

// hear takes what ended, in order, up to and with a task: all before it are kept when it is.
func (p *pool) hear(until *task) {
	for len(p.waiting) > 0 && slices.Contains(p.waiting, until) {
		t := p.waiting[0]
		p.waiting = slices.Delete(p.waiting, 0, 1)
		t.visit.settle(&t.outcome)
		if t.job.Names != nil {
			t.outcome.Names = t.visit.frame.names(p.v.file.unit, p.v.vx.below())
		}
		p.v.account(t.visit, t.outcome.Err)
		switch {
		case t.outcome.Err.suspended():
			p.suspended = p.suspended.beside(t.outcome.Err)
			p.asleep++
			p.losers = t.addTo(p.losers)
			p.lose(t)
		case t.outcome.Err != nil && t.outcome.Err.stops():
			if p.stopped == nil {
				p.stopped = t.outcome.Err
			}
			p.losers = t.addTo(p.losers)
			p.lose(t)
		case p.verdict != nil:
			p.losers = t.addTo(p.losers)
			p.lose(t)
			if failed := t.outcome.Err; p.script == nil && p.first != nil && failed.before(p.first) { // its siblings took long to stop
				p.first, p.verdict = failed, failed
				p.swap()
			}
		default:
			p.count(t)
			p.v.takeSaid(t.visit)
			if t.outcome.Err != nil || t.outcome.Skipped {
				p.failed = t.addTo(p.failed)
				p.lostWays = append(p.lostWays, t.visit.way)
			}
			if err := guarded(func() error { return p.jobs.Ended(t.job, t.outcome) }); err != nil {
				p.decide(err)
				if failed := t.outcome.Err; failed != nil && p.verdict == error(failed) {
					p.first = failed
				}
			}
		}
	}
}

// decide stops the rest. What fails the whole does so now, whatever stops it while the rest ends.
func (p *pool) decide(err error) {
	if !errors.Is(err, ErrEnough) {
		failed := p.v.failure(err)
		if failed.Node == "" { // it is not that of one of them
			failed.together = true
		}
		err = failed
	}
	p.verdict = err
	p.scope.Stop(err)
}

// replay hears, before anything starts, the jobs that had ended before the run was cut.
func (p *pool) replay() {
	for p.verdict == nil {
		for p.fetch() {
		}
		var ended []task
		for _, t := range p.ready {
			if t.visit.find() != nil {
				ended = append(ended, t)
			}
		}
		if len(ended) == 0 {
			return
		}
		p.ready = slices.DeleteFunc(p.ready, func(t task) bool { return t.visit.rare.kept.Finished != nil })
		slices.SortFunc(ended, func(a, b task) int {
			return cmp.Compare(a.visit.rare.kept.Finished.Number, b.visit.rare.kept.Finished.Number)
		})
		for i := range ended {
			if p.verdict != nil {
				break
			}
			t := &ended[i]
			p.run(t)
			p.waiting = append(p.waiting, t)
			p.hear(t)
		}
	}
}

// result is what the whole came to. Results of what lost are forgotten: which they are depends on time.
func (p *pool) result() error {
	v := p.v
	p.keep()
	if p.verdict != nil && !errors.Is(p.verdict, ErrEnough) {
		return p.verdict
	}
	if stopped := v.stopped(); stopped != nil {
		return stopped
	}
	if p.verdict != nil {
		p.losers = append(p.losers, p.failed...)
		v.forgetSaid(p.lostWays)
	}
	for _, slots := range p.losers {
		v.frame.forget(slots)
	}
	switch {
	case p.verdict != nil:
		return nil
	case p.stopped != nil:
		return p.stopped
	case p.suspended != nil:
		return p.suspended
	}
	return nil
}
