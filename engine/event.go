package engine

import (
	"strconv"
	"sync"
	"time"

	"github.com/flowrun/flowrun/spec"
)

// EventType says what happened.
type EventType string

// The events of a run. Step events come for every node, containers too: each started has one completed or failed, a
// skipped node has that alone, a refused one nothing.
const (
	WorkflowStarted   EventType = "workflow_started"
	StepStarted       EventType = "step_started"
	StepCompleted     EventType = "step_completed"
	StepFailed        EventType = "step_failed"
	StepSkipped       EventType = "step_skipped"
	StepRetried       EventType = "step_retried"
	RunStarted        EventType = "run_started" // of an agent, under an id of its own
	RunCompleted      EventType = "run_completed"
	ModelDelta        EventType = "model_delta"
	ToolCalled        EventType = "tool_called" // by an agent
	ToolReturned      EventType = "tool_returned"
	ApprovalRequested EventType = "approval_requested" // of people
	ApprovalGiven     EventType = "approval_given"
	WorkflowCompleted EventType = "workflow_completed"
	WorkflowFailed    EventType = "workflow_failed"
	WorkflowCancelled EventType = "workflow_cancelled"
	WorkflowWaiting   EventType = "workflow_waiting" // it goes on when it is resumed
)

// EventTypes lists them all.
func EventTypes() []EventType {
	return []EventType{WorkflowStarted, StepStarted, StepCompleted, StepFailed, StepSkipped, StepRetried, RunStarted, RunCompleted, ModelDelta, ToolCalled,
		ToolReturned, ApprovalRequested, ApprovalGiven, WorkflowCompleted, WorkflowFailed, WorkflowCancelled, WorkflowWaiting}
}

// Event is something that happened in a run. Which fields an event has beyond the first ones depends on its type.
type Event struct {
	Seq       int // from 1 without gaps; a ModelDelta carries that of the event before it
	Time      time.Time
	RunID     string
	UserID    string
	SessionID string
	Type      EventType

	Workflow string   // of workflow events: the pipeline's name
	Node     string   // its name, else its path; of all other events
	Path     string   // static: the same in every visit
	Turn     string   // this execution
	Visit    int      // from 1 within one visit of the parent
	Item     *int     // the number of the item within which it runs; nil where there is none
	Kind     string   // of node
	Pos      spec.Pos // of the node
	Label    string   // for people: its name, or what its kind calls it, else its turn

	Input    any           // WorkflowStarted
	Output   any           // StepCompleted, WorkflowCompleted; ToolReturned, what the model is told
	Error    *Error        // StepFailed, StepRetried, WorkflowFailed, WorkflowCancelled; also RunCompleted, ToolReturned, and StepCompleted of a node that was caught
	Duration time.Duration // of what ended
	Attempt  int           // StepRetried: the one that failed, from 1
	Delay    time.Duration // StepRetried: before the next
	SubRunID string        // RunStarted, RunCompleted, ModelDelta, ToolCalled, ToolReturned
	Model    string        // RunStarted, RunCompleted
	Usage    Usage         // RunCompleted: of the work with that model
	Text     string        // ModelDelta

	Tool      string // ToolCalled, ToolReturned
	CallID    string // ToolCalled, ToolReturned: as the model named the call
	Arguments any    // ToolCalled

	Approvals []Approval // ApprovalRequested, the one; WorkflowWaiting, all on which it waits
	Value     string     // ApprovalGiven
	By        string     // ApprovalGiven: who said so, as far as that is known

	More bool // another event waits to be heard: what is written of this one may wait for it
}

// MarshalJSON writes the event as a line of an event file, with the fields that its type has.
func (e Event) MarshalJSON() ([]byte, error) { return e.AppendJSON(nil), nil }

// AppendJSON adds what MarshalJSON writes.
func (e Event) AppendJSON(b []byte) []byte {
	l := line{append(b, '{')}
	l.number("seq", int64(e.Seq))
	l.key("time")
	l.json = append(e.Time.AppendFormat(append(l.json, '"'), time.RFC3339Nano), '"')
	l.value("run_id", e.RunID)
	l.value("user_id", e.UserID)
	l.text("session_id", e.SessionID)
	l.text("event", string(e.Type))
	l.text("workflow", e.Workflow)
	l.text("node", e.Node)
	l.text("path", e.Path)
	l.text("turn", e.Turn)
	if e.Visit != 0 {
		l.number("visit", int64(e.Visit))
	}
	l.text("kind", e.Kind)
	switch e.Type {
	case WorkflowStarted:
		l.value("input", e.Input)
	case StepCompleted, WorkflowCompleted:
		l.value("output", e.Output)
	}
	if e.Error != nil {
		l.value("error", e.Error.data())
	}
	if e.Attempt != 0 {
		l.number("attempt", int64(e.Attempt))
	}
	if e.Type == StepRetried {
		l.number("delay_ms", e.Delay.Milliseconds())
	}
	l.text("sub_run_id", e.SubRunID)
	l.text("model", e.Model)
	if e.Type == RunCompleted {
		l.value("usage", e.Usage.shown())
	}
	l.text("text", e.Text)
	switch e.Type {
	case ApprovalRequested:
		l.value("message", e.Approvals[0].Message)
		l.value("options", e.Approvals[0].Options)
		l.deadline(e.Approvals[0].Deadline)
	case WorkflowWaiting:
		l.value("approvals", e.Approvals)
	case ApprovalGiven:
		l.value("value", e.Value)
		l.text("by", e.By)
	}
	l.text("tool", e.Tool)
	l.text("call_id", e.CallID)
	switch {
	case e.Type == ToolCalled:
		l.value("arguments", e.Arguments)
	case e.Type == ToolReturned && e.Error == nil:
		l.value("output", e.Output)
	}
	switch e.Type {
	case StepCompleted, StepFailed, RunCompleted, ToolReturned, WorkflowCompleted, WorkflowFailed, WorkflowCancelled, WorkflowWaiting:
		l.number("duration_ms", e.Duration.Milliseconds())
	}
	return append(l.json, '}')
}

// line is a JSON object that is being written, member by member.
type line struct{ json []byte }

func (l *line) key(name string) {
	if l.json[len(l.json)-1] != '{' {
		l.json = append(l.json, ',')
	}
	l.json = append(append(append(l.json, '"'), name...), `":`...)
}

func (l *line) number(name string, n int64) {
	l.key(name)
	l.json = strconv.AppendInt(l.json, n, 10)
}

// text leaves out an empty one.
func (l *line) text(name, s string) {
	if s != "" {
		l.value(name, s)
	}
}

// deadline leaves out none.
func (l *line) deadline(t time.Time) {
	if !t.IsZero() {
		l.value("deadline", t.UTC().Format(time.RFC3339Nano))
	}
}

func (l *line) value(name string, v any) {
	l.key(name)
	l.json = spec.AppendJSON(l.json, v)
}

// Listener hears every event of a run, in order and one at a time. It cannot change the run, for an event holds copies
// that all listeners share, and must not keep it waiting for long.
type Listener func(Event)

// stream numbers the events of a run and hands them on.
type stream struct {
	mu     sync.Mutex
	seq    int
	events chan<- Event // nil where nobody listens
	pieces bool         // somebody wants to hear answers piece by piece
	mask   *mask
}

// listen starts to tell the listeners. The function returned ends that when all were told.
func listen(listeners []Listener) (events chan<- Event, done func()) {
	if len(listeners) == 0 {
		return nil, func() {}
	}
	const ahead = 256 // how far listeners may fall behind before the run waits for them
	ch := make(chan Event, ahead)
	told := make(chan struct{})
	go func() {
		defer close(told)
		for e := range ch {
			e.More = len(ch) > 0
			for _, l := range listeners {
				l(e)
			}
		}
	}()
	return ch, func() { close(ch); <-told }
}

func (s *stream) emit(e *Event) {
	masked := s.mask.event(*e)
	s.mu.Lock()
	defer s.mu.Unlock()
	if e.Type != ModelDelta {
		s.seq++
	}
	masked.Seq = s.seq
	s.events <- masked
}
