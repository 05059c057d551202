package engine

import (
	"encoding/json"
	"time"
)

// Status is how a run ended.
type Status string

// The ways in which a run ends.
const (
	Completed Status = "completed"
	Failed    Status = "failed"
	Stopped   Status = "cancelled"
	Waiting   Status = "waiting" // it has not ended: people must answer first
)

// Result is what a run came to, also when it failed or was cancelled: with what was finished by then.
type Result struct {
	RunID     string
	Workflow  string
	Status    Status
	Output    any        // nil unless it completed
	Error     *Error     // nil where it completed or waits
	Waiting   []Approval // what it waits for
	Steps     int
	Failures  int // that the run went on past
	Usage     ByAgent
	StartedAt time.Time
	Duration  time.Duration
	Nodes     map[string]Named // the root file's named nodes that do not stand for items
}

// MarshalJSON writes the result as the command line shows it.
func (r *Result) MarshalJSON() ([]byte, error) {
	type node struct {
		Status string `json:"status"`
		Visits int    `json:"visits"`
		Output Value  `json:"output"`
		Error  *Error `json:"error"`
	}
	nodes := make(map[string]node, len(r.Nodes))
	for name, n := range r.Nodes {
		nodes[name] = node{n.Status, n.Visits, n.Output, n.Error}
	}
	return json.Marshal(struct {
		RunID     string          `json:"run_id"`
		Workflow  string          `json:"workflow"`
		Status    Status          `json:"status"`
		Output    Value           `json:"output"`
		Error     *Error          `json:"error"`
		Waiting   []Approval      `json:"waiting,omitempty"`
		Steps     int             `json:"steps"`
		Failures  int             `json:"failures"`
		Usage     any             `json:"usage"`
		StartedAt time.Time       `json:"started_at"`
		Duration  int64           `json:"duration_ms"`
		Nodes     map[string]node `json:"nodes"`
	}{r.RunID, r.Workflow, r.Status, Value{r.Output}, r.Error, r.Waiting, r.Steps, r.Failures, r.Usage.shown(), r.StartedAt,
		r.Duration.Milliseconds(), nodes})
}
