package engine

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/flowrun/flowrun/spec"
)

// Recorder keeps what a run asks of the world and what comes of it. Its methods may be called at once.
type Recorder interface {
	// Begin hears which pipeline runs, and as which run.
	Begin(pipeline string, run Info)
	// Keep takes what came of a question. The questions of one execution that are not apart come in their order.
	Keep(Exchange)
	// Decide hears how a fan-out was decided before all its branches had ended by themselves.
	Decide(Decision)
}

// Replay answers in the world's place. Its methods may be called at once.
type Replay interface {
	// Begin gives the run that was recorded. The error says why it is none of this pipeline.
	Begin(pipeline string) (Info, error)
	// Answer gives what came of a question when this execution asked it, or, where it may come from anywhere, when another
	// did: that one, which does not depend on who asked before. The error says that it was not recorded.
	Answer(turn, apart string, q *Content, anywhere bool) (*Exchange, error)
	// Order is that in which the branches of a fan-out were heard when it was decided early; ok tells whether it was.
	Order(turn string) (branches []string, ok bool)
}

// Exchange is a question that a leaf put to the world and what came of it: an answer, an error, or that its time was up.
// In what it says secrets are hidden.
type Exchange struct {
	Turn    string   // the execution that asked
	Apart   string   // tells apart what it asked at once
	Content *Content // without what binds it to this machine
	Answer  any      // canonical
	Error   *Error   // with kind, message, whether another model may answer, and how long to wait
	Late    Lateness
	Usage   Usage
	Said    string // what was heard of it while it came, in pieces of so many bytes
	Pieces  []int
}

// Lateness says whose time was up before a question was answered.
type Lateness string

// The node's own, or that of something around it.
const (
	InTime     Lateness = ""
	LateNode   Lateness = "node"
	LateAround Lateness = "around"
)

// Decision is how a fan-out was decided before all its branches had ended by themselves. A branch is known by the end of
// its turn.
type Decision struct {
	Turn string
	// Order is that in which branches were heard.
	Order []string
	// Lost are those that were stopped or came too late. What they asked has no part in what the fan-out came to.
	Lost []string
}

// hear takes note of a piece of an answer, with secrets hidden.
func (x *Exchange) hear(piece string) {
	x.Said += piece
	x.Pieces = append(x.Pieces, len(piece))
}

// recorded asks the world, and keeps what comes of it.
func recorded[T any](ctx context.Context, c *Call, r Request[T]) (answer T, err error) {
	v, mask := c.visit, c.visit.run.stream.mask
	x := &Exchange{Turn: v.Turn(), Apart: c.apart}
	if x.Content = mask.content(r.content()); x.Content == nil {
		return out(ctx, c, r)
	}
	if r.Model != nil {
		c.exchange = x
		defer func() { c.exchange = nil }()
	}
	answer, err = out(ctx, c, r)
	c.flush()
	if r.Model != nil {
		x.Usage = r.Model.Used()
	}
	switch cause := v.scope.Cause(); {
	case err != nil && asError(err, v.vx.kind.fails()).suspended():
		return answer, err
	case ctx.Err() == nil && err != nil:
		x.Error = mask.error(asError(err, v.vx.kind.fails()))
		x.Error.Message = mask.text(mask.shorten(x.Error.Message))
	case ctx.Err() == nil:
		if x.Answer, err = answered(answer, mask); err != nil {
			return answer, err
		}
	case errors.As(cause, new(*timedOut)):
		if x.Late = LateAround; v.vx.timeout > 0 && cause != v.up.scope.Cause() {
			x.Late = LateNode
		}
	default: // what was stopped may go on another time
		return answer, err
	}
	v.run.recorder.Keep(*x)
	return answer, err
}

// answered is an answer as it is kept.
func answered(answer any, mask *mask) (any, error) {
	b, err := json.Marshal(answer)
	if err != nil {
		return nil, Errorf(Internal, "keeping the answer: %w", err)
	}
	v, err := spec.ParseJSON(string(b))
	if err != nil {
		return nil, Errorf(Internal, "keeping the answer: %w", err)
	}
	return mask.value(v), nil
}

// replayed answers in the world's place.
func replayed[T any](ctx context.Context, c *Call, r Request[T]) (answer T, err error) {
	v := c.visit
	x, err := v.lookup(ctx, c.apart, r.content())
	if err != nil {
		return answer, err
	}
	if r.Model != nil {
		c.use(r.Model.Agent, x.Usage)
	}
	c.say(x.Said, x.Pieces)
	switch {
	case x.Error != nil:
		again := *x.Error
		return answer, &again
	case x.Late != InTime:
		return answer, v.late(ctx, x.Late, c.several)
	}
	b := spec.AppendJSON(nil, x.Answer)
	if err := json.Unmarshal(b, &answer); err != nil {
		return answer, Errorf(Recording, "the answer that was recorded at %s has another form: %w", x.Turn, err)
	}
	if r.Text != nil && len(x.Pieces) == 0 {
		c.say(r.Text(answer), nil)
	}
	return answer, nil
}

// say lets a text be heard in pieces of so many bytes; at once where these are not those of the text.
func (c *Call) say(text string, pieces []int) {
	hear, sum := c.Listener(), 0
	for _, n := range pieces {
		sum += max(n, 0)
	}
	switch {
	case hear == nil || text == "":
		return
	case sum != len(text):
		pieces = []int{len(text)}
	}
	for _, n := range pieces {
		hear(text[:max(n, 0)])
		text = text[max(n, 0):]
	}
}

// lookup finds what came of a question. Where a branch of a fan-out misses one that was decided without it, it waits to
// be stopped, as it was then.
func (v *Visit) lookup(ctx context.Context, apart string, q *Content) (*Exchange, error) {
	if q == nil {
		return nil, Errorf(Recording, "what it asks has no form that could be found in a recording")
	}
	for at := v; at != nil; at = at.up {
		if at.held == nil {
			continue
		}
		if x, err := v.played(apart, q, false); err == nil {
			return x, nil
		}
		if !at.held.missed(ctx) {
			return nil, context.Cause(ctx)
		}
	}
	return v.played(apart, q, true)
}

// played gives what a recording has, also where it was made when other secrets were known than now.
func (v *Visit) played(apart string, q *Content, anywhere bool) (*Exchange, error) {
	x, err := v.run.replay.Answer(v.Turn(), apart, q, anywhere)
	if err == nil {
		return x, nil
	}
	masked := v.run.stream.mask.content(q)
	if masked.Portable() == q.Portable() {
		return nil, err
	}
	return v.run.replay.Answer(v.Turn(), apart, masked, anywhere)
}

// late ends a question as it ended when it was recorded: with the time of the node, or of what is around it. What others
// of the node's tools do until then is waited for.
func (v *Visit) late(ctx context.Context, whose Lateness, several bool) error {
	switch c := v.cursor(); {
	case whose == LateNode && v.vx.timeout > 0 && several:
		<-ctx.Done()
	case whose == LateNode && v.vx.timeout > 0:
		v.scope.Stop(&timedOut{c.Deadline})
	case whose == LateAround && v.timedAround():
		<-ctx.Done()
	default:
		return Errorf(Recording, "when it was recorded a timeout ended it, and there is none any more")
	}
	return context.Cause(ctx)
}

// timedAround tells whether something around a visit has a time limit.
func (v *Visit) timedAround() bool {
	for file, at := v.file, v.up; at != nil; file, at = at.file, at.up {
		switch {
		case at.vx == nil:
			return v.run.limits.timeout > 0
		case at.vx.timeout > 0, at.file.timed, !file.unit.main && file.unit.limits.timeout > 0:
			return true
		}
	}
	return false
}

// content is the question's, nil where it has none.
func (r *Request[T]) content() *Content {
	if r.Content == nil {
		return nil
	}
	return r.Content()
}

// content is a copy of a content in which secrets are hidden, and which is bound to nothing.
func (m *mask) content(q *Content) *Content {
	if q == nil {
		return nil
	}
	return &Content{Kind: q.Kind, Label: m.line(q.Label), Value: m.value(any(q.Value)).(map[string]any)}
}

// outside tells whether a need is of something that a replay does not reach for.
func outside(n spec.Need) bool { return n.Grant != "read" && n.Grant != "env" }
