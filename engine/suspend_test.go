package engine_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/flowrun/flowrun/engine"
)

// busy takes a second, unless it is stopped before.
func busy(ctx context.Context, c *engine.Call) (any, error) {
	select {
	case <-time.After(time.Second):
		return c.Node().Name, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// Once nothing new begins, what runs ends by itself and is kept; the run is cancelled, and goes on later.
func TestDrain(t *testing.T) {
	tests := map[string]struct {
		src   string
		took  time.Duration // from the drain on
		kept  string        // turns that are finished
		again string        // events when it goes on
	}{
		"a sequence":             {"seq: [{name: a, do: busy}, {name: b, do: quick}]", time.Second / 2, "/a", "b"},
		"a fan-out":              {"at_once: 2\nall: [{name: a, do: busy}, {name: b, do: busy}, {name: c, do: quick}]", time.Second / 2, "/a /b", "c"},
		"what waits for a slot":  {"all: [{name: a, do: busy}, {name: b, do: busy}]\nlimits: {max_concurrency: 1}", time.Second / 2, "", ""},
		"a pause before a retry": {"name: p\ndo: broken\nretry: {max_attempts: 2, delay: 1h}", 0, "", "p"},
		"one of two":             {"all: [{name: a, do: busy}, {name: b, do: broken, retry: {max_attempts: 2, delay: 1h}}]", time.Second / 2, "/a", "b"},
		"within finally":         {"seq: [{name: a, set: 1}]\nfinally: {seq: [{name: y, do: busy}, {name: z, do: quick}]}", time.Second / 2, "/ /a /finally/y", "z"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				drain, stop := context.WithCancelCause(t.Context())
				s := newStore(0)
				g := compile(t, acts{"busy": busy, "broken": failing(engine.Server)}, tt.src)
				time.AfterFunc(time.Second/2, func() { stop(errors.New("lunch")) })
				result, err := engine.Run(t.Context(), g, nil, engine.WithTurns(s), engine.WithDrain(drain))
				if result.Status != engine.Stopped || err == nil || err.Error() != "the run was cancelled: lunch" {
					t.Errorf("%s, %v", result.Status, err)
				}
				if took := result.Duration - time.Second/2; took != tt.took {
					t.Errorf("it took %s to end, want %s", took, tt.took)
				}
				var kept []string
				for _, e := range s.entries {
					if e.Finished != nil {
						kept = append(kept, e.Turn)
					}
				}
				slices.Sort(kept) // they end at once
				if got := strings.Join(kept, " "); tt.kept != "" && got != tt.kept {
					t.Errorf("finished: %s, want %s", got, tt.kept)
				}
				var again []string
				hear := func(e engine.Event) {
					if e.Type == engine.StepStarted && e.Kind == "do" {
						again = append(again, e.Node)
					}
				}
				result, err = engine.Run(t.Context(), g, nil, engine.WithTurns(s), engine.WithListener(hear))
				if got := strings.Join(again, " "); tt.again != "" && got != tt.again {
					t.Errorf("going on: %s, want %s (%s, %v)", got, tt.again, result.Status, err)
				}
			})
		})
	}
}

// What runs finally because the run was stopped has its own time; a run that ends in the grace has completed, and one
// whose time was up, or whose caller would wait no longer, says so.
func TestDrainEnds(t *testing.T) {
	tests := map[string]struct {
		src, want string
		grace     time.Duration
	}{
		"finally runs":            {"seq: [{do: busy}, {do: never}]\nfinally: {name: z, seq: [{do: busy}, {set: status + error.message}]}", "cancelled: the run was cancelled: lunch; z cancelledthe run was cancelled: lunch", time.Hour},
		"finally outlives":        {"seq: [{do: busy}, {do: never}]\nfinally: {name: z, seq: [{do: busy}, {set: status}]}", "cancelled: the run was cancelled: lunch; z cancelled", 100 * time.Millisecond},
		"it completes":            {"do: busy", "completed", time.Hour},
		"it fails":                {"seq: [{do: busy}, {do: never}]\nlimits: {timeout: 700ms}", "failed: p.yaml:1:1: p: the run did not end within its timeout of 700ms", time.Hour},
		"what clings is stopped":  {"do: clings", "cancelled: the run was cancelled: lunch", 100 * time.Millisecond},
		"finally has yet to come": {"do: busy\nfinally: {name: z, set: 1}", "cancelled: the run was cancelled: lunch", time.Hour},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				drain, stop := context.WithCancelCause(t.Context())
				ctx, cancel := context.WithCancelCause(t.Context())
				cause := errors.New("lunch")
				time.AfterFunc(time.Second/2, func() {
					stop(cause)
					time.AfterFunc(tt.grace, func() { cancel(cause) })
				})
				clings := func(ctx context.Context, _ *engine.Call) (any, error) { <-ctx.Done(); return nil, ctx.Err() }
				result, err := engine.Run(ctx, compile(t, acts{"busy": busy, "clings": clings}, tt.src), nil, engine.WithDrain(drain))
				got := string(result.Status)
				if err != nil {
					got += ": " + err.Error()
				}
				if z, ok := result.Nodes["z"]; ok {
					got += fmt.Sprintf("; z %v", z.Output.V)
				}
				if got != tt.want {
					t.Errorf("\n got %s\nwant %s", got, tt.want)
				}
			})
		})
	}
}
