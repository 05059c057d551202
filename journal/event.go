package journal

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/flowrun/flowrun/engine"
)

// eventRow is an event as [engine.Event] writes it, with what progress calls its node.
type eventRow struct {
	Seq       int               `json:"seq"`
	Time      time.Time         `json:"time"`
	RunID     string            `json:"run_id"`
	UserID    string            `json:"user_id"`
	SessionID string            `json:"session_id"`
	Type      engine.EventType  `json:"event"`
	Workflow  string            `json:"workflow"`
	Node      string            `json:"node"`
	Path      string            `json:"path"`
	Turn      string            `json:"turn"`
	Visit     int               `json:"visit"`
	Kind      string            `json:"kind"`
	Input     engine.Value      `json:"input"`
	Output    engine.Value      `json:"output"`
	Error     *engine.Error     `json:"error"`
	Attempt   int               `json:"attempt"`
	Delay     int64             `json:"delay_ms"`
	SubRunID  string            `json:"sub_run_id"`
	Model     string            `json:"model"`
	Usage     *usageRow         `json:"usage"`
	Text      string            `json:"text"`
	Tool      string            `json:"tool"`
	CallID    string            `json:"call_id"`
	Arguments engine.Value      `json:"arguments"`
	Message   string            `json:"message"`
	Options   []string          `json:"options"`
	Deadline  time.Time         `json:"deadline"`
	Approvals []engine.Approval `json:"approvals"`
	Value     string            `json:"value"`
	By        string            `json:"by"`
	Duration  int64             `json:"duration_ms"`
	Item      *int              `json:"item"`
	Label     string            `json:"label"` // where it is neither the node's name nor the turn
}

// usageRow is a usage as events show it.
type usageRow struct {
	InputTokens     int      `json:"input_tokens"`
	CachedTokens    int      `json:"cached_tokens"`
	OutputTokens    int      `json:"output_tokens"`
	ReasoningTokens int      `json:"reasoning_tokens"`
	CostUSD         *float64 `json:"cost_usd"`
	Calls           int      `json:"calls"`
	CacheHits       int      `json:"cache_hits"`
}

func (u *usageRow) usage() (used engine.Usage) {
	if u == nil {
		return used
	}
	used = engine.Usage{InputTokens: u.InputTokens, CachedTokens: u.CachedTokens, OutputTokens: u.OutputTokens, ReasoningTokens: u.ReasoningTokens,
		Calls: u.Calls, CacheHits: u.CacheHits}
	if u.CostUSD == nil {
		used.Unpriced = 1
	} else {
		used.Cost = engine.Cost(math.Round(*u.CostUSD * 1e12))
	}
	return used
}

func encodeEvent(e engine.Event) *row {
	r := &row{}
	b := e.AppendJSON(nil)
	if len(b) > inline {
		b = eventValues(e, r.large.take).AppendJSON(b[:0])
	}
	r.json = string(appendNames(b, e))
	return r
}

// appendNames puts what progress calls the node of an event behind what is told of it.
func appendNames(b []byte, e engine.Event) []byte {
	b = b[:len(b)-1]
	if e.Item != nil {
		b = strconv.AppendInt(append(b, `,"item":`...), int64(*e.Item), 10)
	}
	if e.Label != "" && e.Label != label(e) {
		quoted, err := json.Marshal(e.Label)
		if err != nil {
			panic(err) // a text always is JSON
		}
		b = append(append(b, `,"label":`...), quoted...)
	}
	return append(b, '}')
}

// eventValues changes the values of an event, in a copy.
func eventValues(e engine.Event, change func(what string, v engine.Value) engine.Value) engine.Event {
	e.Input = change("input", engine.Value{V: e.Input}).V
	e.Output = change("output", engine.Value{V: e.Output}).V
	e.Arguments = change("arguments", engine.Value{V: e.Arguments}).V
	return e
}

// decodeEvent reads an event back, and refuses one that no run tells.
func decodeEvent(f folder, text, names string) (engine.Event, error) {
	var r eventRow
	if err := strictly(text, &r); err != nil {
		return engine.Event{}, err
	}
	if err := r.check(); err != nil {
		return engine.Event{}, err
	}
	e := engine.Event{Seq: r.Seq, Time: r.Time, RunID: r.RunID, UserID: r.UserID, SessionID: r.SessionID, Type: r.Type, Workflow: r.Workflow, Node: r.Node, Path: r.Path,
		Turn: r.Turn, Visit: r.Visit, Kind: r.Kind, Input: r.Input.V, Output: r.Output.V, Error: r.Error, Attempt: r.Attempt, Delay: time.Duration(r.Delay) * time.Millisecond,
		SubRunID: r.SubRunID, Model: r.Model, Usage: r.Usage.usage(), Text: r.Text, Tool: r.Tool, CallID: r.CallID, Arguments: r.Arguments.V,
		Duration: time.Duration(r.Duration) * time.Millisecond, Approvals: r.Approvals, Value: r.Value, By: r.By, Item: r.Item, Label: r.Label}
	if e.Type == engine.ApprovalRequested {
		e.Approvals = []engine.Approval{{Turn: e.Turn, Node: e.Node, Message: r.Message, Options: r.Options, Deadline: r.Deadline}}
	}
	if e.Error != nil {
		e.Pos = e.Error.Pos
	}
	if e.Label == "" {
		e.Label = label(e)
	}
	if names == "" {
		return e, nil
	}
	fill, err := f.filler(names)
	if err != nil {
		return e, err
	}
	e = eventValues(e, fill.fill)
	return e, fill.done()
}

// check refuses what the engine would not have told.
func (r *eventRow) check() error {
	switch {
	case !slices.Contains(engine.EventTypes(), r.Type):
		return fmt.Errorf("%s is no event", quoted(string(r.Type)))
	case r.Turn != "" && !isTurn(r.Turn):
		return fmt.Errorf("%s is no turn", quoted(r.Turn))
	case r.Error == nil && (r.Type == engine.StepFailed || r.Type == engine.StepRetried):
		return errors.New("a step failed, and there is no error")
	}
	return checkError(r.Error)
}

// label is what people call a node of which its kind says nothing: its name, or else its turn.
func label(e engine.Event) string {
	if e.Node != e.Path {
		return e.Node
	}
	return e.Turn
}
