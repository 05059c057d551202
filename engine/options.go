package engine

import (
	"context"
	"os"
	"time"
)

// Option changes how a graph is run.
type Option func(*run)

// WithListener tells l every event of the run, in order, as well as the listeners set before.
func WithListener(l Listener) Option {
	return func(r *run) { r.listeners, r.stream.pieces = append(r.listeners, l), true }
}

// WithStepListener tells l every event but the pieces of answers as they come: where nobody else listens no model is
// asked to give them.
func WithStepListener(l Listener) Option {
	return func(r *run) {
		r.listeners = append(r.listeners, func(e Event) {
			if e.Type != ModelDelta {
				l(e)
			}
		})
	}
}

// WithParams gives values for the pipeline's parameters.
func WithParams(params map[string]any) Option { return func(r *run) { r.params = params } }

// WithGrants allows what a pipeline may reach for outside; without it nothing but its models.
func WithGrants(g Grants) Option { return func(r *run) { r.grants = g } }

// WithTurns keeps the position of the run in t and goes on from what is kept there. Without it nothing is kept.
func WithTurns(t Turns) Option { return func(r *run) { r.turns = t } }

// WithMemory lets agents recall from m what was said in earlier runs. Without it they remember what is said in this one.
func WithMemory(m Recaller) Option { return func(r *run) { r.memories.from = m } }

// WithReuse asks reuse, before a leaf does its work, how the same work ended before: a leaf whose turn and basis
// ([Finished].Basis) it knows has that outcome. It counts as a step and is kept as the run's own; what it used then is not
// used again. Nothing is asked where no turns are kept. It may be called at once.
func WithReuse(reuse func(turn, basis string) (*Finished, bool)) Option {
	return func(r *run) { r.reuse = reuse }
}

// WithCache answers from c the questions of nodes that want it. Without it they are asked.
func WithCache(c *Cache) Option { return func(r *run) { r.cache = c } }

// WithRecorder keeps in r what the run asks of the world and what comes of it. No cache is used then.
func WithRecorder(r Recorder) Option { return func(run *run) { run.recorder = r } }

// WithReplay answers from r alone what was recorded: nothing goes out, and what was not recorded is an error of kind
// recording. The run has the id, the user, the session and the start of the one that was recorded, where nothing else is
// given.
func WithReplay(r Replay) Option { return func(run *run) { run.replay = r } }

// WithApprovals asks a what nodes ask people. Without it a pipeline that may ask them does not begin.
func WithApprovals(a Approvals) Option { return func(r *run) { r.approvals = a } }

// WithDrain lets nothing new begin once ctx is done: no step, no attempt, no pause. What runs goes on, and then the run is
// cancelled for the cause of ctx, unless it has come to its end.
func WithDrain(ctx context.Context) Option { return func(r *run) { r.drain = ctx } }

// WithRunID names the run; without it a new id is made.
func WithRunID(id string) Option { return func(r *run) { r.info.ID = id } }

// WithStartedAt says when the run began that goes on; without it it begins now.
func WithStartedAt(t time.Time) Option { return func(r *run) { r.info.StartedAt = t.UTC() } }

// WithSeq numbers the run's events from behind seq, which is that of the last one told before the run was cut.
func WithSeq(seq int) Option { return func(r *run) { r.stream.seq = seq } }

// WithIdentity names on whose behalf, and in which session, the pipeline runs.
func WithIdentity(user, session string) Option {
	return func(r *run) { r.info.UserID, r.info.SessionID = user, session }
}

// WithMaxSteps, WithMaxVisits, WithMaxConcurrency and WithTimeout take the place of the limits in the file; 0 leaves
// those.
func WithMaxSteps(n int) Option { return func(r *run) { override(&r.limits.steps, n) } }

// WithMaxVisits bounds the visits of a node within one visit of its parent.
func WithMaxVisits(n int) Option { return func(r *run) { override(&r.limits.visits, n) } }

// WithMaxConcurrency bounds how many leaves ask something of the world at once.
func WithMaxConcurrency(n int) Option { return func(r *run) { override(&r.limits.concurrency, n) } }

// WithTimeout ends the run after a time.
func WithTimeout(d time.Duration) Option { return func(r *run) { override(&r.limits.timeout, d) } }

func override[T int | time.Duration](to *T, v T) {
	if v > 0 {
		*to = v
	}
}

// WithSecrets masks texts, such as keys, in events and errors. The values of the pipeline's declared secrets are
// masked without it.
func WithSecrets(secrets ...string) Option {
	return func(r *run) { r.secrets = append(r.secrets, secrets...) }
}

// WithEnviron is where declared environment variables are looked up; without it the process's own.
func WithEnviron(lookup func(name string) (value string, ok bool)) Option {
	return func(r *run) { r.environ = lookup }
}

func (r *run) defaults(l limits) {
	r.limits = limits{steps: defaultSteps, visits: defaultVisits, concurrency: defaultConcurrency, budget: l.budget}
	override(&r.limits.steps, l.steps)
	override(&r.limits.visits, l.visits)
	override(&r.limits.concurrency, l.concurrency)
	override(&r.limits.timeout, l.timeout)
	r.environ = os.LookupEnv
}
