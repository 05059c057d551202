package cli_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// events checks that a file holds all the events of one run, in order and in the form that readers rely on: events FILE
func events(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: events FILE")
	}
	run := eventRun{open: map[string]int{}}
	for i, line := range strings.Split(strings.TrimSuffix(ts.ReadFile(args[0]), "\n"), "\n") {
		if err := run.check(line); err != nil {
			ts.Fatalf("%s:%d: %v\n%s", args[0], i+1, err, line)
		}
	}
	ts.Check(run.ended())
}

// eventRun follows the events of one run.
type eventRun struct {
	identity
	seq  int
	last string         // the latest event
	open map[string]int // how often a step began and did not end, by turn
}

// identity is what all events of a run have in common.
type identity struct {
	Run     string `json:"run_id"`
	User    string `json:"user_id"`
	Session string `json:"session_id"`
}

func (r *eventRun) check(line string) error {
	var e struct {
		identity
		Seq   int
		Time  time.Time
		Event string
		Turn  string
	}
	if err := json.Unmarshal([]byte(line), &e); err != nil {
		return err
	}
	if err := inOrder(line); err != nil {
		return err
	}
	if r.seq == 0 {
		r.identity = e.identity
		if e.Event != "workflow_started" {
			return fmt.Errorf("the first event is %s", e.Event)
		}
	}
	if e.identity != r.identity || e.Time.IsZero() {
		return fmt.Errorf("the identity is %v and the time %v, want %v and any", e.identity, e.Time, r.identity)
	}
	if e.Event != "model_delta" {
		r.seq++
	}
	if e.Seq != r.seq {
		return fmt.Errorf("seq %d, want %d", e.Seq, r.seq)
	}
	r.last = e.Event
	return r.step(e.Event, e.Turn)
}

// step pairs the beginnings of steps with their ends.
func (r *eventRun) step(event, turn string) error {
	switch event {
	case "step_started":
		r.open[turn]++
	case "step_completed", "step_failed":
		if r.open[turn]--; r.open[turn] < 0 {
			return fmt.Errorf("%s ends and never began", turn)
		}
	}
	return nil
}

func (r *eventRun) ended() error {
	for turn, n := range r.open {
		if n != 0 {
			return fmt.Errorf("%s began and never ended", turn)
		}
	}
	if !slices.Contains([]string{"workflow_completed", "workflow_failed", "workflow_cancelled"}, r.last) {
		return fmt.Errorf("the last event is %s", r.last)
	}
	return nil
}

// inOrder checks that the fields that every event has are there, first and in order, and those of steps behind them.
func inOrder(line string) error {
	first := []string{"seq", "time", "run_id", "user_id", "session_id", "event", "workflow", "node", "path", "turn", "visit", "kind"}
	keys := keysOf(line)
	if always := first[:6]; len(keys) < len(always) || !slices.Equal(keys[:len(always)], always) {
		return fmt.Errorf("the first keys are not %s", strings.Join(always, ", "))
	}
	at, others := 0, false
	for _, key := range keys {
		place := slices.Index(first, key)
		if place >= 0 && (others || place < at) {
			return fmt.Errorf("the key %s stands too late", key)
		}
		at, others = max(at, place), place < 0
	}
	return nil
}

// keysOf lists the keys of a JSON object as they are written.
func keysOf(object string) []string {
	d := json.NewDecoder(strings.NewReader(object))
	var keys []string
	depth, key := 0, false // key: a key of the outermost object comes next
	for token, err := d.Token(); err == nil; token, err = d.Token() {
		switch token {
		case json.Delim('{'), json.Delim('['):
			depth++
			key = depth == 1
			continue
		case json.Delim('}'), json.Delim(']'):
			depth--
		}
		if depth == 1 && key {
			keys = append(keys, token.(string))
		}
		key = depth == 1 && !key
	}
	return keys
}
