package engine

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Approval is a question to people on which a run waits.
type Approval struct {
	Turn      string    `json:"turn"` // the execution that asks
	Node      string    `json:"node"` // its name, else its path
	Message   string    `json:"message"`
	Options   []string  `json:"options"`              // the answers that may be given
	Deadline  time.Time `json:"deadline,omitzero"`    // after which an answer comes too late; zero: never
	OnTimeout string    `json:"on_timeout,omitempty"` // the answer that counts then; empty: none, and the node fails
}

// The answers that are not a choice of the author's: every question may be rejected, and approved where there is nothing
// else to choose.
const (
	Approve = "approve"
	Reject  = "reject"
)

// late tells whether a time is too late for an answer.
func (a *Approval) late(t time.Time) bool { return !a.Deadline.IsZero() && t.After(a.Deadline) }

// Key is the same for the same question by the same execution: an answer that was given to another, such as a message
// that has changed since, is none to this one.
func (a *Approval) Key() string {
	return (&Content{Kind: "approval", Value: map[string]any{"turn": a.Turn, "message": a.Message, "options": listed(a.Options)}}).Portable()
}

func listed(texts []string) []any {
	list := make([]any, len(texts))
	for i, s := range texts {
		list[i] = s
	}
	return list
}

// Answer is what somebody said to an [Approval].
type Answer struct {
	Value string    `json:"value"` // one of the approval's options
	By    string    `json:"by,omitempty"`
	At    time.Time `json:"at,omitzero"` // zero: in time
}

// Approvals ask people. Several nodes may ask at once.
type Approvals interface {
	// Given is the answer that was given to this very question, known by its [Approval.Key], before the run got there;
	// nil where none was.
	Given(Approval) (*Answer, error)
	// Ask asks, and waits for an answer as long as somebody is there to give one and the context lasts. It gives nil where
	// nobody has answered: the node waits then, and so does the run, when nothing else is left to do.
	Ask(context.Context, Approval) (*Answer, error)
}

// WaitingError says that a run waits for people: it has not ended.
type WaitingError struct{ Approvals []Approval }

func (e *WaitingError) Error() string {
	const most = 10
	var turns []string
	for _, a := range e.Approvals[:min(len(e.Approvals), most)] {
		turns = append(turns, a.Turn)
	}
	s := "the run waits for an answer to " + strings.Join(turns, ", ")
	if more := len(e.Approvals) - most; more > 0 {
		s += fmt.Sprintf(" and %d more", more)
	}
	return s
}

// Approve asks people, and gives their answer, or that which counts where they do not answer in time. The time is the
// node's own timeout, which counts from when it first asked. The kind says the message, the options and what counts when
// the time is up; where ask is not nil it is asked in place of people.
func (v *Visit) Approve(q Approval, ask func(context.Context, *Call) (*Answer, error)) (*Answer, error) {
	r := v.run
	c, err := v.patience()
	if err != nil {
		return nil, err
	}
	q.Turn, q.Node, q.Message, q.Deadline = v.Turn(), v.label(), r.stream.mask.text(q.Message), c.Deadline.UTC()
	given, err := v.given(q, ask == nil)
	if err != nil {
		return nil, err
	}
	deadline := noDeadline // an answer that was given in time counts, also where the run goes on later
	if given == nil {
		deadline = q.Deadline
		v.tell(&Event{Type: ApprovalRequested, Approvals: []Approval{q}})
	}
	if ask == nil {
		ask = func(ctx context.Context, _ *Call) (*Answer, error) {
			if given != nil || r.approvals == nil {
				return given, nil
			}
			return r.approvals.Ask(ctx, q)
		}
	}
	out, failed := v.within(deadline, func() (any, *Error) { return v.put(q, ask) })
	switch {
	case failed != nil && failed.Kind == Timeout && q.OnTimeout != "":
		out = &Answer{Value: q.OnTimeout, By: "on_timeout"}
	case failed != nil:
		return nil, failed
	}
	answer, _ := out.(*Answer)
	if answer == nil {
		answer = &Answer{}
	}
	if !slices.Contains(q.Options, answer.Value) {
		return nil, Errorf(BadRequest, "the answer %q is none of %q", answer.Value, q.Options)
	}
	v.tell(&Event{Type: ApprovalGiven, Value: answer.Value, By: answer.By})
	return answer, nil
}

// patience is the cursor with the time by which people must have answered, kept from the first asking on.
func (v *Visit) patience() (*Cursor, error) {
	c := v.cursor()
	if c != nil && (v.vx.timeout == 0 || !c.Deadline.IsZero()) {
		return c, nil
	}
	c = &Cursor{}
	if v.vx.timeout > 0 {
		c.Deadline = v.run.rt.Now().Add(v.vx.timeout)
		if err := v.save(c, true); err != nil {
			return nil, err
		}
	}
	v.own().kept.Cursor = c
	return c, nil
}

// given is the answer that was given before, in time.
func (v *Visit) given(q Approval, people bool) (*Answer, error) {
	r := v.run
	if r.approvals == nil || r.replay != nil || !people {
		return nil, nil
	}
	answer, err := r.approvals.Given(q)
	if err != nil || answer == nil || q.late(answer.At) {
		return nil, err
	}
	return answer, nil
}

// put puts the question through the one door out, so that a recording has the answer. Where there is none, the visit is
// suspended, unless nothing waits for it.
func (v *Visit) put(q Approval, ask func(context.Context, *Call) (*Answer, error)) (any, *Error) {
	out, err := v.run.rt.Act(v.scope, func(ctx context.Context, c *Call) (any, error) {
		ctx, end := c.idle(ctx)
		defer end()
		answer, err := Ask(ctx, c, Request[*Answer]{
			Content: func() *Content {
				return &Content{Kind: "approve", Label: q.Message, Value: map[string]any{"message": q.Message, "options": listed(q.Options)}}
			},
			Do: func(ctx context.Context) (*Answer, error) {
				answer, err := ask(ctx, c)
				if err == nil && (answer == nil || q.late(answer.At)) {
					answer, err = nil, v.unanswered(q)
				}
				if cause := context.Cause(ctx); cause != nil && err != nil {
					err = cause
				}
				return answer, err
			},
		})
		return answer, err
	}, newCall(v, 1))
	if err != nil {
		return nil, v.failure(err)
	}
	return out, nil
}

// unanswered is the error of a visit that waits for people, or ends it where they have no time left.
func (v *Visit) unanswered(q Approval) *Error {
	if q.late(v.run.rt.Now()) {
		v.scope.Stop(&timedOut{q.Deadline})
	}
	if v.realm.passing {
		return Errorf(Rejected, "nobody answered while the run was being stopped")
	}
	return v.place(&Error{Kind: Cancelled, Message: "waiting for an approval", waits: []Approval{q}})
}

// waiting are the questions on which a run waits, in the order of their turns.
func (e *Error) waiting() []Approval {
	return slices.SortedFunc(slices.Values(e.waits), func(a, b Approval) int { return CompareTurns(a.Turn, b.Turn) })
}

// unanswerable are the nodes that ask people where nobody is there to answer and the run cannot wait.
func (r *run) unanswerable() []string {
	if r.approvals != nil || r.replay != nil {
		return nil
	}
	var problems []string
	for _, u := range r.graph.units {
		for _, vx := range u.vertices {
			if vx.kind.People {
				problems = append(problems, vx.node.Pos.String()+": "+cmp.Or(vx.node.Name, vx.node.Kind.Name)+" asks for an approval, and nobody can give it: there is no terminal to ask on, and the run is not kept, so it cannot wait")
			}
		}
	}
	slices.Sort(problems)
	return problems
}
