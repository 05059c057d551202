package engine

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"io"
	"sync"
	"time"
)

// Info identifies a run; it is the same in every event, included file and agent.
type Info struct {
	ID        string
	UserID    string
	SessionID string
	StartedAt time.Time
}

// Run runs a graph on an input and returns when all that it started has ended. The result is nil where the run could
// not begin: the error is an [*InvalidError] or a [*PermissionError] then. Otherwise it is the result's [*Error], a
// [*WaitingError] for a run that waits, or nil for one that completed.
func Run(ctx context.Context, g *Graph, input any, opts ...Option) (*Result, error) {
	r := newRun(g, opts)
	if err := r.prepare(input); err != nil {
		return nil, err
	}
	r.rt = newLocal(r.limits.concurrency, g.widest())
	events, told := listen(r.listeners)
	r.stream.events = events
	outer := scopeIn(ctx, noDeadline)
	defer outer.Stop(nil) // else the caller's context keeps it
	result := r.start(outer)
	r.release()
	told()
	switch {
	case result.Status == Waiting:
		return result, &WaitingError{result.Waiting}
	case result.Error != nil:
		return result, result.Error
	}
	return result, nil
}

// run is one run of a graph.
type run struct {
	graph     *Graph
	info      Info
	began     time.Time // this time
	limits    limits
	grants    Grants
	params    map[string]any
	input     any
	anyInput  bool // only what does not depend on the input is checked
	turns     Turns
	reuse     func(turn, basis string) (*Finished, bool)
	cache     *Cache
	recorder  Recorder
	replay    Replay
	memories  memories
	lanes     *lanes // of the models
	pool      *Pool  // nil where it shares nothing with other runs
	approvals Approvals
	drain     context.Context // nil: never
	listeners []Listener
	secrets   []string
	environ   func(string) (string, bool)
	env       map[string]any // declared variables with their values, secrets among them
	stream    stream
	rt        Runtime

	mu     sync.Mutex // never held while waiting
	total  Tally
	number int                  // of the turn that finished last
	rows   []*Named             // of the named nodes that the result lists
	purses map[string]*purse    // of agents that have an allowance
	shared map[string]io.Closer // by nodes, until the run ends
}

// widest is the largest number of branches that the files allow at once.
func (g *Graph) widest() int {
	n := 0
	for _, u := range g.units {
		n = max(n, u.limits.concurrency)
		for _, vx := range u.vertices {
			if ownField(vx.node.Kind, "max_concurrency") {
				n = max(n, vx.node.Int("max_concurrency"))
			}
		}
	}
	return n
}

// NewRunID makes an id that sorts by time.
func NewRunID(t time.Time) string {
	b := make([]byte, 4)
	rand.Read(b) // never fails
	return t.Format("20060102-150405-") + hex.EncodeToString(b)
}

func newRun(g *Graph, opts []Option) *run {
	r := &run{graph: g, lanes: &lanes{rates: g.rates}}
	r.defaults(g.root.limits)
	for _, o := range opts {
		o(r)
	}
	return r
}

// start runs the root file from its beginning, or from where it was.
func (r *run) start(outer Scope) *Result {
	r.began = r.rt.Now()
	if r.info.StartedAt.IsZero() {
		r.info.StartedAt = r.began.UTC()
	}
	if r.info.ID == "" {
		r.info.ID = NewRunID(r.info.StartedAt)
	}
	if r.info.SessionID == "" {
		r.info.SessionID = r.info.ID
	}
	root := &realm{run: r, outer: outer, drain: r.drain, scope: r.rt.Scope(outer, r.resume()),
		late: &Error{Kind: Timeout, Message: fmt.Sprintf("the run did not end within its timeout of %s", r.limits.timeout),
			cause: context.DeadlineExceeded, ofRun: true}}
	defer root.scope.Stop(nil)
	steps := newBudget("max_steps", r.limits.steps, r.total.counted(), nil)
	main := &file{unit: r.graph.root, input: r.input, params: r.params, visits: r.limits.visits}
	if r.pool != nil {
		main.purses = []*purse{&r.pool.purse}
	}
	main.open(r.limits.budget, r.total.Usage.Total())
	name := main.unit.pipeline.Name
	if r.recorder != nil {
		r.recorder.Begin(name, r.info)
	}

	r.emit(&Event{Type: WorkflowStarted, Workflow: name, Input: r.input})
	out, err := main.run(&Visit{run: r, file: main, realm: root, scope: root.scope, steps: steps, prev: r.input, item: none, count: 1}, root.ended)
	result := &Result{RunID: r.info.ID, Workflow: name, Status: Completed, Output: out, Steps: r.total.Steps, Failures: r.total.Failures,
		Usage: r.total.Usage, StartedAt: r.info.StartedAt, Duration: r.elapsed()}
	last := &Event{Type: WorkflowCompleted, Workflow: name, Output: out, Duration: result.Duration}
	switch {
	case root.waits(err):
		result.Status, result.Output, result.Waiting = Waiting, nil, err.waiting()
		last.Type, last.Approvals = WorkflowWaiting, result.Waiting
	case err != nil:
		result.Status, result.Output, result.Error = Failed, nil, r.stream.mask.error(err)
		last.Type, last.Error = WorkflowFailed, err
		if err.Kind == Cancelled {
			result.Status, last.Type = Stopped, WorkflowCancelled
		}
	}
	result.Nodes = r.nodes(result.Status)
	r.emit(last)
	return result
}

// nodes are the results that the run's result lists, with secrets hidden in their errors.
func (r *run) nodes(ended Status) map[string]Named {
	nodes := map[string]Named{}
	for row, n := range r.rows {
		if n != nil {
			shown := *n
			if ended != Waiting && n.Status == string(Waiting) {
				shown = n.stopped()
			}
			shown.Error = r.stream.mask.error(n.Error)
			nodes[r.graph.root.listed[row].node.Name] = shown
		}
	}
	return nodes
}

// resume takes up what turns kept have used, and gives the run's deadline, which counts from its first beginning.
func (r *run) resume() (deadline time.Time) {
	began := r.began
	if r.turns != nil {
		kept := r.turns.Find("/")
		r.total, r.number = kept.Spent, kept.Last
		listed := r.turns.Listed()
		for row, vx := range r.graph.root.listed {
			if n, ok := listed[vx.node.Name]; ok {
				r.rows[row] = &n
			}
		}
		if c := kept.Cursor; c != nil && !c.Started.IsZero() {
			began = c.Started
		}
	}
	if r.limits.timeout == 0 {
		return noDeadline
	}
	return began.Add(r.limits.timeout)
}

// heard tells whether anybody listens.
func (r *run) heard() bool { return r.stream.events != nil }

// elapsed is how long the run has gone on for.
func (r *run) elapsed() time.Duration { return r.rt.Now().Sub(r.began) }

func (r *run) emit(e *Event) {
	if !r.heard() {
		return
	}
	e.Time, e.RunID, e.UserID, e.SessionID = r.rt.Now().UTC(), r.info.ID, r.info.UserID, r.info.SessionID
	r.stream.emit(e)
}

// arise says when an error arose, once.
func (r *run) arise(e *Error) *Error {
	if e.settled() {
		return e
	}
	arisen := *e
	arisen.arose = r.rt.Now()
	return &arisen
}

// purse is that of an agent for all its calls, after what it used before the run was cut.
func (r *run) purse(agent string, limit Allowance) *purse {
	r.mu.Lock()
	defer r.mu.Unlock()
	p := r.purses[agent]
	if p == nil {
		p = &purse{limit: limit, used: r.total.Usage[agent]}
		if r.purses == nil {
			r.purses = map[string]*purse{}
		}
		r.purses[agent] = p
	}
	return p
}

// spend adds to what the run has used.
func (r *run) spend(t Tally) {
	r.mu.Lock()
	r.total.add(t)
	r.mu.Unlock()
}
