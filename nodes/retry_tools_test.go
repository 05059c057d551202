package nodes_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/flowrun/flowrun/agents"
	"github.com/flowrun/flowrun/engine"
	"github.com/flowrun/flowrun/nodes"
)

// halting is a model that calls t for each letter of its name, turn by turn; a capital is a request that it fails for its
// rate first. Then it says what it was told.
type halting struct {
	name   string
	mu     *sync.Mutex
	failed map[string]bool // by model and place
}

func (h halting) Answer(_ context.Context, q agents.Question, _ func(string)) (agents.Answer, error) {
	a := agents.Answer{Usage: agents.Usage{Input: 1, Output: 1, Calls: 1}}
	var said []string
	for _, m := range q.Messages {
		for _, r := range m.Results {
			said = append(said, r.Text)
		}
	}
	n := len(said)
	if n == len(h.name) {
		a.Text = strings.Join(said, " ")
		return a, nil
	}
	letter, key := h.name[n:n+1], fmt.Sprint(h.name, n)
	h.mu.Lock()
	defer h.mu.Unlock()
	if strings.ToLower(letter) != letter && !h.failed[key] {
		h.failed[key] = true
		return a, &agents.Error{Kind: agents.RateLimit, Message: "slow down"}
	}
	a.Calls = []agents.ToolCall{{Name: "t", Arguments: json.RawMessage(`{"b":1.0,"a":"` + strings.ToLower(letter) + `"}`)}}
	return a, nil
}

func halts() nodes.Option {
	mu, failed := &sync.Mutex{}, map[string]bool{}
	return nodes.WithAgents(agents.NewSet(agents.WithProvider("halting", func(name string) (agents.Model, error) {
		return halting{name, mu, failed}, nil
	})))
}

// TestRetryWithinTools holds that an attempt goes on from the conversation of the one before: no tool is called twice.
// Another model begins its own.
func TestRetryWithinTools(t *testing.T) {
	t.Parallel()
	const header = "tools: {t: {exec: [echo, '${{ params.a }}'], params: {a: string, b: number}}}\n"
	tests := map[string]struct {
		node, want, called string
		requests           int
	}{
		"no failure":         {"agent: {model: halting/abc, tools: [t]}", "a b c", "a b c", 4},
		"in the middle":      {"agent: {model: halting/abCd, tools: [t]}", "a b c d", "a b c d", 6},
		"at first and later": {"agent: {model: halting/AbC, tools: [t]}", "a b c", "a b c", 6},
		"not tried again":    {"agent: {model: halting/abC, tools: [t], retry: false}\ncatch: {set: error.kind}", "rate_limit", "a b", 3},
		"another model":      {"agent: {model: halting/abC, fallback: [halting/xY], tools: [t], retry: {max_attempts: 2, delay: 1ms, kinds: [rate_limit]}}", "a b c", "a b x c", 7},
		"the turns add up":   {"agent: {model: halting/abC, tools: [t], max_turns: 2}\ncatch: {set: error.message}", "the model called tools 3 times and gave no answer; raise max_turns", "a b", 4},
		"another execution":  {"loop: [{agent: {model: halting/aB, tools: [t]}}]\nmax_iterations: 2", "a b", "a b a b", 7},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var called []string
			heard := engine.WithListener(func(e engine.Event) {
				if e.Type == engine.ToolCalled {
					called = append(called, text(e.Arguments.(map[string]any)["a"]))
				}
			})
			result, err := engine.Run(t.Context(), graphOf(t, header+tt.node, halts()), nil, everything, heard)
			if err != nil || result.Output != tt.want {
				t.Fatalf("got %v, %v, want %s", result.Output, err, tt.want)
			}
			if got := strings.Join(called, " "); got != tt.called {
				t.Errorf("called %s, want %s", got, tt.called)
			}
			if got := result.Usage.Total().Calls; got != tt.requests {
				t.Errorf("%d requests, want %d", got, tt.requests)
			}
		})
	}
}

// TestCutWithinTools cuts a run between the attempts of an agent: it goes on with what its tools had said.
func TestCutWithinTools(t *testing.T) {
	t.Parallel()
	src := "tools: {t: {flow: ./echo.yaml}}\nagent: {model: halting/abC, tools: [t]}\n"
	synctest.Test(t, func(t *testing.T) {
		g := filesOf(t, src, map[string]string{"echo.yaml": "input: {type: string, default: none}\nparams: {a: string, b: number}\nset: params.a"}, halts())
		whole := &journal{Position: &engine.Position{}}
		var called []string
		heard := engine.WithListener(func(e engine.Event) {
			if e.Type == engine.ToolCalled {
				called = append(called, text(e.Arguments.(map[string]any)["a"]))
			}
		})
		if result, err := engine.Run(t.Context(), g, nil, engine.WithTurns(whole), heard); err != nil || result.Output != "a b c" {
			t.Fatalf("got %v, %v", result, err)
		}
		if got := strings.Join(called, " "); got != "a b c" {
			t.Fatalf("called %s", got)
		}
		for n, line := range whole.lines {
			if !strings.Contains(string(line), `"pause"`) {
				continue
			}
			called = nil
			result, err := engine.Run(t.Context(), g, nil, engine.WithTurns(reopen(t, whole.lines[:n+1])), heard)
			if err != nil || result.Output != "a b c" || strings.Join(called, " ") != "c" {
				t.Errorf("cut after entry %d: got %v, %v after %v", n, result, err, called)
			}
			return
		}
		t.Error("no entry keeps the pause")
	})
}
