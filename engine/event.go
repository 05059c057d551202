package engine

import (
	"encoding/json"
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
	WorkflowCompleted EventType = "workflow_completed"
	WorkflowFailed    EventType = "workflow_failed"
	WorkflowCancelled EventType = "workflow_cancelled"
)

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
	Output   any           // StepCompleted, WorkflowCompleted
	Error    *Error        // StepFailed, StepRetried, WorkflowFailed, WorkflowCancelled; also RunCompleted, and StepCompleted of a node that was caught
	Duration time.Duration // of what ended
	Attempt  int           // StepRetried: the one that failed, from 1
	Delay    time.Duration // StepRetried: before the next
	SubRunID string        // RunStarted, RunCompleted, ModelDelta
	Model    string        // RunStarted, RunCompleted
	Usage    Usage         // RunCompleted: of the work with that model
	Text     string        // ModelDelta
}

// MarshalJSON writes the event as a line of an event file, with the fields that its type has.
func (e Event) MarshalJSON() ([]byte, error) {
	line := struct {
		Seq       int         `json:"seq"`
		Time      time.Time   `json:"time"`
		RunID     string      `json:"run_id"`
		UserID    string      `json:"user_id"`
		SessionID string      `json:"session_id,omitempty"`
		Type      EventType   `json:"event"`
		Workflow  string      `json:"workflow,omitempty"`
		Node      string      `json:"node,omitempty"`
		Path      string      `json:"path,omitempty"`
		Turn      string      `json:"turn,omitempty"`
		Visit     int         `json:"visit,omitempty"`
		Kind      string      `json:"kind,omitempty"`
		Input     *Value      `json:"input,omitempty"`
		Output    *Value      `json:"output,omitempty"`
		Error     *Error      `json:"error,omitempty"`
		Attempt   int         `json:"attempt,omitempty"`
		Delay     *int64      `json:"delay_ms,omitempty"`
		SubRunID  string      `json:"sub_run_id,omitempty"`
		Model     string      `json:"model,omitempty"`
		Usage     *shownUsage `json:"usage,omitempty"`
		Text      string      `json:"text,omitempty"`
		Duration  *int64      `json:"duration_ms,omitempty"`
	}{Seq: e.Seq, Time: e.Time, RunID: e.RunID, UserID: e.UserID, SessionID: e.SessionID, Type: e.Type, Workflow: e.Workflow,
		Node: e.Node, Path: e.Path, Turn: e.Turn, Visit: e.Visit, Kind: e.Kind, Error: e.Error, Attempt: e.Attempt,
		SubRunID: e.SubRunID, Model: e.Model, Text: e.Text}
	switch e.Type {
	case WorkflowStarted:
		line.Input = &Value{e.Input}
	case StepCompleted, WorkflowCompleted:
		line.Output, line.Duration = &Value{e.Output}, milliseconds(e.Duration)
	case StepFailed, WorkflowFailed, WorkflowCancelled:
		line.Duration = milliseconds(e.Duration)
	case StepRetried:
		line.Delay = milliseconds(e.Delay)
	case RunCompleted:
		usage := e.Usage.shown()
		line.Usage, line.Duration = &usage, milliseconds(e.Duration)
	}
	return json.Marshal(line)
}

func milliseconds(d time.Duration) *int64 {
	ms := d.Milliseconds()
	return &ms
}

// Listener hears every event of a run, in order and one at a time. It cannot change the run, for an event holds copies
// that all listeners share, and must not keep it waiting for long.
type Listener func(Event)

// stream numbers the events of a run and hands them on.
type stream struct {
	mu     sync.Mutex
	seq    int
	events chan<- Event // nil where nobody listens
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
