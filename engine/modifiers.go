package engine

import (
	"slices"
	"time"

	"github.com/flowrun/flowrun/spec"
)

// Modifiers are the fields that every node takes. From the outside in they mean: when, catch or on_error, retry,
// timeout, body.
func Modifiers() []spec.Field {
	return []spec.Field{
		{Name: "name", Form: spec.NameForm{}, Summary: "what steps.NAME, events and messages call the node; unique in the file"},
		{Name: "description", Form: spec.Text{}, Summary: "a note for people"},
		{Name: "when", Form: spec.Code{Want: spec.Bool}, Summary: "the node is skipped where this is false"},
		{Name: "timeout", Form: spec.Duration{Positive: true}, Summary: "bounds one attempt, from the moment it has its slot"},
		{Name: "retry", Form: RetryForm(), Leaves: true, Summary: "how often and when a failed attempt is made again; false: never"},
		{Name: "on_error", Form: spec.Word{Of: []string{"fail", "continue"}}, Default: "fail", Summary: "with continue a failure leaves nil as the output and the run goes on"},
		{Name: "catch", Form: spec.NodeForm{Stand: spec.Aside}, Summary: "a node that runs where this one fails; its output stands in",
			Locals: []spec.Local{{Name: "error", Summary: "why the node failed: {message, kind, node}"}}},
	}
}

func modifierRules() []spec.Rule {
	return []spec.Rule{{NotBoth: []string{"on_error", "catch"}, Message: "a node has on_error or catch, not both"}}
}

// RetryForm is how a retry is written, on a node, an agent or in defaults.
func RetryForm() spec.Form {
	return spec.OneOf{
		spec.Record{Fields: []spec.Field{
			{Name: "max_attempts", Form: spec.Whole{Min: 1}, Summary: "attempts in all, the first counted"},
			{Name: "delay", Form: spec.Duration{}, Summary: "pause before the second attempt"},
			{Name: "backoff", Form: spec.Real{Min: 1, Max: 100}, Summary: "factor from one pause to the next"},
			{Name: "max_delay", Form: spec.Duration{Positive: true}, Summary: "longest pause"},
			{Name: "jitter", Form: spec.Duration{}, Summary: "up to so much is added to each pause"},
			{Name: "kinds", Form: spec.List{Of: spec.Word{Of: retryableNames()}, Min: 1}, Summary: "only errors of these kinds are tried again"},
		}},
		spec.Only{Value: false},
	}
}

// Retry says when a failed attempt is made again. The zero Retry makes one attempt.
type Retry struct {
	MaxAttempts int
	Delay       time.Duration
	Backoff     float64
	MaxDelay    time.Duration
	Jitter      time.Duration
	Kinds       []ErrorKind
	// Requests leaves out timeouts of the node's own: only a request's own timeout is tried again.
	Requests bool
}

// What a written retry says nothing of.
const (
	defaultAttempts = 3
	defaultDelay    = 500 * time.Millisecond
	defaultBackoff  = 2
	defaultMaxDelay = 30 * time.Second
)

// maxRetryAfter bounds how long another side may ask flowrun to wait: past it the error stands.
const maxRetryAfter = 10 * time.Minute

// never are the kinds that no attempt mends.
var never = map[ErrorKind]bool{Auth: true, BadRequest: true, Permission: true, Limit: true, Budget: true,
	Expression: true, Cancelled: true, Panic: true, Internal: true, Recording: true}

// retryable are the kinds that a written retry takes where it names none.
func retryable() []ErrorKind {
	var kinds []ErrorKind
	for _, k := range ErrorKinds() {
		if !never[k] {
			kinds = append(kinds, k)
		}
	}
	return kinds
}

// retryableNames are the kinds that a file may name: all but those that end a run.
func retryableNames() []string {
	var names []string
	for _, k := range ErrorKinds() {
		if !(&Error{Kind: k}).stops() {
			names = append(names, string(k))
		}
	}
	return names
}

// retryOf resolves key by key what applies to a node from the places where it may be written, nearest first, over
// what its kind does by itself.
func retryOf(places []*spec.Object, kind Retry) Retry {
	r := kind
	written := false
	for _, o := range slices.Backward(places) { // the nearest has the last word
		if o == nil || !o.Has("retry") {
			continue
		}
		w := o.Record("retry")
		if w == nil { // false
			r, written = Retry{}, false
			continue
		}
		if !written {
			written = true
			r = r.complete()
		}
		r = r.with(w)
	}
	return r
}

// complete fills in what a written retry leaves out.
func (r Retry) complete() Retry {
	if r.MaxAttempts == 0 {
		r = Retry{MaxAttempts: defaultAttempts, Delay: defaultDelay, Backoff: defaultBackoff, MaxDelay: defaultMaxDelay}
	}
	r.Kinds, r.Requests = retryable(), false
	return r
}

func (r Retry) with(w *spec.Object) Retry {
	if w.Has("max_attempts") {
		r.MaxAttempts = w.Int("max_attempts")
	}
	if w.Has("delay") {
		r.Delay = w.Duration("delay")
		r.Jitter = min(r.Jitter, r.Delay) // of the kind: a short pause stays short
	}
	if w.Has("backoff") {
		r.Backoff = w.Float("backoff")
	}
	if w.Has("max_delay") {
		r.MaxDelay = w.Duration("max_delay")
	}
	if w.Has("jitter") {
		r.Jitter = w.Duration("jitter")
	}
	if w.Has("kinds") {
		r.Kinds = nil
		for _, k := range w.Texts("kinds") {
			r.Kinds = append(r.Kinds, ErrorKind(k))
		}
	}
	return r
}
