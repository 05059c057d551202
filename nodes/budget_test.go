package nodes_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/flowrun/flowrun/agents"
	"github.com/flowrun/flowrun/engine"
	"github.com/flowrun/flowrun/nodes"
)

// wide is 200 branches that ask at once; each call of critic uses 10 tokens of input, 10 of output, and 40 microdollars.
func wide(header string) string {
	return header + `
models: {cheap: {model: mock, price: {input: 1, output: 3}}}
agents: {critic: {model: cheap, mock: {latency: 10ms, tokens: {in: 10, out: 10}}AGENT}}
for_each: 1..200
max_concurrency: 64
do: {agent: critic, prompt: hello}
`
}

// parrots have a model of the provider parrot for tests: it answers what it is asked.
func parrots() nodes.Option {
	return nodes.WithAgents(agents.NewSet(agents.WithProvider("parrot", func(model string) (agents.Model, error) { return bird(model), nil })))
}

type bird string

func (m bird) Answer(_ context.Context, q agents.Question, _ func(string)) (agents.Answer, error) {
	used := agents.Answer{Usage: agents.Usage{Calls: 1}}
	switch {
	case m == "silent":
		used.Usage.Untold = true
		if q.Prompt() == "half" {
			return used, &agents.Error{Kind: agents.Network, Message: "the answer broke off"}
		}
		used.Text = q.Prompt()
		return used, nil
	case q.Prompt() == "slowly":
		time.Sleep(time.Second) // by the clock of the test
	case m == "none":
		return used, &agents.Error{Kind: agents.BadRequest, Elsewhere: true, Message: "no such model"}
	case m == "limited" && q.Prompt() == "first":
		return used, &agents.Error{Kind: agents.RateLimit, RetryAfter: 30 * time.Second, Message: "too fast"}
	}
	used.Text, used.Usage.Output = q.Prompt(), 7
	return used, nil
}

func TestBudgets(t *testing.T) {
	tests := map[string]struct {
		src   string
		want  string
		calls int
	}{
		"of the run, in tokens": {
			strings.Replace(wide("limits: {max_steps: 300, max_concurrency: 64, budget: {tokens: 1000}}"), "AGENT", "", 1),
			"reached limits.budget.tokens=1000: 1000 used, and this call may use 20 (raise limits.budget.tokens)", 50,
		},
		"of the run, in dollars": {
			strings.Replace(wide("limits: {max_steps: 300, max_concurrency: 64, budget: {usd: 0.002}}"), "AGENT", "", 1),
			"reached limits.budget.usd=0.002: 0.002 used, and this call may use 4e-05 (raise limits.budget.usd)", 50,
		},
		"of an agent": {
			strings.Replace(wide("limits: {max_steps: 300, budget: {tokens: 100000}}"), "AGENT", ", budget: {tokens: 1010}", 1),
			"reached agents.critic.budget.tokens=1010: 1000 used, and this call may use 20 (raise agents.critic.budget.tokens)", 50,
		},
		// 16 + 16 + 5 of the question, and 5 of the answer for want of another bound
		"of a model that does not tell what it used": {
			"limits: {budget: {tokens: 200}}\nfor_each: 1..9\nin_order: true\ndo: {agent: {model: parrot/silent}, prompt: hello}",
			"reached limits.budget.tokens=200: 168 used, and this call may use 37 (raise limits.budget.tokens)", 4,
		},
		"of one with a bound": {
			"limits: {budget: {tokens: 100}}\nfor_each: 1..9\nin_order: true\ndo: {agent: {model: parrot/silent, max_tokens: 3}, prompt: hello}",
			"reached limits.budget.tokens=100: 80 used, and this call may use 40 (raise limits.budget.tokens)", 2,
		},
		"of one that breaks off": {
			"limits: {budget: {tokens: 500}}\nfor_each: 1..9\nin_order: true\non_error: continue\n" +
				"do: {agent: {model: parrot/silent, max_tokens: 100}, prompt: half, retry: {max_attempts: 2}}",
			"reached limits.budget.tokens=500: 408 used, and this call may use 136 (raise limits.budget.tokens)", 3,
		},
		"that numbers run over": {
			"limits: {budget: {tokens: 100}}\nagent: {model: mock, mock: {tokens: {in: 9223372036854775807, out: 9223372036854775807}}}",
			"reached limits.budget.tokens=100: 0 used, and this call may use 9223372036854775807 (raise limits.budget.tokens)", 0,
		},
		"of one on the node": {
			"agent: {model: mock, mock: {tokens: {in: 3, out: 4}}, budget: {tokens: 6}}",
			"reached budget.tokens=6: 0 used, and this call may use 7 (raise budget.tokens)", 0,
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := try(t, graphOf(t, tt.src, parrots()), nil)
				if r.Error == nil || r.Error.Kind != engine.Budget || !strings.HasSuffix(r.Error.Message, tt.want) {
					t.Errorf("it ended with %v, want %s", r.Error, tt.want)
				}
				if got := r.Usage.Total().Calls; got != tt.calls {
					t.Errorf("%d calls were made, want %d", got, tt.calls)
				}
			})
		})
	}
}

// What fits is not refused because calls in flight hold more than they use in the end.
func TestBudgetWaitsForCallsInFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := try(t, graphOf(t, `
limits: {budget: {tokens: 100}}
parallel:
  - agent: {model: mock, max_tokens: 60, mock: {latency: 10ms, tokens: {in: 20, out: 20}}}
  - agent: {model: mock, max_tokens: 60, mock: {latency: 10ms, tokens: {in: 20, out: 20}}}
`), nil)
		if r.Error != nil || r.Usage.Total().Tokens() != 80 {
			t.Errorf("it ended with %v after %d tokens", r.Error, r.Usage.Total().Tokens())
		}
	})
}

// Agents of one name, on a node and in the header or in several files, have each a budget of its own.
func TestBudgetsOfOneName(t *testing.T) {
	const bounded = "agents: {critic: {model: mock, mock: {tokens: {in: 10, out: 10}}, budget: {tokens: %d}}}\n"
	tests := map[string]struct{ src, want string }{
		"on a node": {fmt.Sprintf(bounded, 1000) + `
chain:
  - {agent: critic, prompt: one}
  - {name: critic, agent: {use: critic, budget: {tokens: 5}}, prompt: two}
`, "reached budget.tokens=5: 0 used, and this call may use 20 (raise budget.tokens)"},
		"in files": {"chain: [{flow: ./large/sub.yaml}, {flow: ./small/sub.yaml}]",
			"reached agents.critic.budget.tokens=5: 0 used, and this call may use 20 (raise agents.critic.budget.tokens)"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			for folder, tokens := range map[string]int{"large": 1000, "small": 5} {
				file := filepath.Join(dir, folder, "sub.yaml")
				if err := errors.Join(os.Mkdir(filepath.Dir(file), 0o755), os.WriteFile(file, fmt.Appendf(nil, bounded+"agent: critic\nprompt: hello", tokens), 0o644)); err != nil {
					t.Fatal(err)
				}
			}
			g, problems := nodes.Language().Parse("p.yaml", dir, []byte(tt.src))
			if g == nil {
				t.Fatal(problems)
			}
			_, err := engine.Run(t.Context(), g, nil)
			if err == nil || !strings.HasSuffix(err.Error(), tt.want) {
				t.Errorf("it ended with %v, want %s", err, tt.want)
			}
		})
	}
}

// A budget is neither caught nor continued past, and what was used before a cut counts after it.
func TestBudgetOutlivesCuts(t *testing.T) {
	const src = `
limits: {budget: {tokens: 250}}
on_error: continue
chain:
  - {agent: {model: parrot/silent, max_tokens: 163}, prompt: hello}
  - {name: a, agent: {model: mock, mock: {tokens: {in: 20, out: 0}}}, prompt: "x"}
  - {name: b, agent: {model: mock, mock: {tokens: {in: 20, out: 1}}}, prompt: "x", catch: {set: '"caught"'}}
  - {name: c, agent: {model: mock, mock: {tokens: {in: 20, out: 1}}}, prompt: "x", catch: {set: '"caught"'}}
`
	graph := graphOf(t, src, parrots())
	whole := reopen(t, nil)
	r := try(t, graph, nil, engine.WithTurns(whole))
	want := outcomeOf(r.Result)
	if r.Error == nil || r.Error.Kind != engine.Budget {
		t.Fatalf("it ended with %v", r.Error)
	}
	for cut := range whole.lines {
		again := try(t, graph, nil, engine.WithTurns(reopen(t, whole.lines[:cut])))
		if got := outcomeOf(again.Result); got != want {
			t.Errorf("after %d entries it came to\n%+v, want\n%+v", cut, got, want)
		}
	}
}

// An unknown price under a budget of money is found before anything runs.
func TestBudgetNeedsPrices(t *testing.T) {
	src := "limits: {budget: {usd: 1}}\nagent: {model: parrot/unheard-of}"
	_, err := engine.Run(t.Context(), graphOf(t, src, parrots()), nil)
	want := "p.yaml:2:1: the price of parrot/unheard-of is not known, and budget.usd needs one (write it under models, or give --prices)"
	if err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestRates(t *testing.T) {
	tests := map[string]struct {
		model string
		want  string // when each of six calls is over
	}{
		"none":               {"{model: mock}", "1s 1s 1s 1s 1s 1s"},
		"requests a minute":  {"{model: mock, rate_limit: {rpm: 2}}", "1s 1s 1m1s 1m1s 2m1s 2m1s"},
		"tokens a minute":    {"{model: mock, rate_limit: {tpm: 40}}", "1s 1s 1m1s 1m1s 2m1s 2m1s"},
		"more than the rate": {"{model: mock, rate_limit: {tpm: 5}}", "1s 1m1s 2m1s 3m1s 4m1s 5m1s"},
		"at once":            {"{model: mock, max_concurrency: 4}", "1s 1s 1s 1s 2s 2s"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := try(t, graphOf(t, fmt.Sprintf(`
models: {m: %s}
for_each: 1..6
do: {agent: {model: m, mock: {latency: 1s, tokens: {in: 10, out: 10}}}, prompt: hello}
`, tt.model)), nil)
				var ends []string
				for _, e := range r.events {
					if e.Type == engine.StepCompleted && e.Kind == "agent" {
						ends = append(ends, e.Time.Sub(r.StartedAt).Round(time.Millisecond).String())
					}
				}
				if got := strings.Join(ends, " "); got != tt.want {
					t.Errorf("calls ended after %s, want %s", got, tt.want)
				}
			})
		})
	}
}

// One model under several names has one rate: the strictest that is written, whoever asks first.
func TestRatesOfOneModel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := try(t, graphOf(t, `
models: {fast: {model: mock, rate_limit: {rpm: 9}}, slow: {model: mock, rate_limit: {rpm: 2}, max_concurrency: 1}}
chain:
  - agent: {model: mock}
  - agent: {model: fast}
  - agent: {model: slow}
`), nil)
		if r.Error != nil || r.Duration != time.Minute {
			t.Errorf("it ended with %v after %v", r.Error, r.Duration)
		}
	})
}

// Who waits for tokens goes on when a call ends that used less than was held for it.
func TestRateGivesBackWhatWasNotUsed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := try(t, graphOf(t, `
models: {m: {model: parrot/a, rate_limit: {tpm: 1000}}}
parallel:
  - {agent: {model: m, max_tokens: 800}, prompt: slowly}
  - {agent: {model: m, max_tokens: 800}, prompt: slowly}
`, parrots()), nil)
		if r.Error != nil || r.Duration != 2*time.Second {
			t.Errorf("it ended with %v after %v", r.Error, r.Duration)
		}
	})
}

// Who is stopped while waiting in a lane makes way for those behind.
func TestRateLetsGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := try(t, graphOf(t, `
models: {m: {model: mock, max_concurrency: 1}}
parallel:
  - {agent: {model: m, mock: {latency: 10s}}, prompt: one}
  - chain: [{wait: 1s}, {agent: {model: m}, prompt: two, timeout: 2s}]
  - chain: [{wait: 2s}, {agent: {model: m}, prompt: three}]
on_error: continue
`), nil)
		if r.Error != nil || r.Failures != 1 || r.Duration != 10*time.Second || r.Usage.Total().Calls != 2 {
			t.Errorf("it ended with %v after %v, %d failures, %d calls", r.Error, r.Duration, r.Failures, r.Usage.Total().Calls)
		}
	})
}

// A model that asks for a pause gets one from all, not only from the one that it told.
func TestPauseHoldsForAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := try(t, graphOf(t, `
chain:
  - parallel:
      - agent: {model: parrot/limited}
        prompt: first
        retry: false
        on_error: continue
  - agent: {model: parrot/limited}
    prompt: second
`, parrots()), nil)
		if r.Error != nil || r.Duration < 30*time.Second {
			t.Errorf("it ended with %v after %v", r.Error, r.Duration)
		}
	})
}

func TestFallback(t *testing.T) {
	tests := map[string]struct {
		agent string
		want  string
		tries string
	}{
		"not needed":           {"{model: mock, fallback: [mock/b], mock: {reply: yes!}}", `"yes!"`, "mock"},
		"of a server":          {"{model: mock/a, fallback: [mock/b], mock: {reply: yes!, fail: 1}}", `"yes!"`, "mock/a server, mock/b"},
		"for a wrong key":      {"{model: mock/a, fallback: [mock/b], mock: {reply: yes!, fail: 1, error: auth}}", `"yes!"`, "mock/a auth, mock/b"},
		"for a rate":           {"{model: mock/a, fallback: [mock/b, mock/c], mock: {reply: yes!, fail: 2, error: rate_limit}}", `"yes!"`, "mock/a rate_limit, mock/b rate_limit, mock/c"},
		"no model at all":      {"{model: parrot/none, fallback: [mock/b], mock: {reply: yes!}}", `"yes!"`, "parrot/none bad_request, mock/b"},
		"not for a bad prompt": {"{model: mock/a, fallback: [mock/b], mock: {fail: 1, error: bad_request}}", "bad_request p.yaml:1:1: p: the mock fails as told: bad_request", "mock/a bad_request"},
		"then tried again":     {"{model: mock/a, fallback: [mock/b], mock: {reply: yes!, fail: 3}}", `"yes!"`, "mock/a server, mock/b server, mock/a server, mock/b"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := try(t, graphOf(t, "agent: "+tt.agent+"\nprompt: hello", parrots()), nil)
				if got := r.said(); got != tt.want {
					t.Errorf("it came to %s, want %s", got, tt.want)
				}
				var tries []string
				for _, e := range r.events {
					switch {
					case e.Type == engine.RunStarted:
						tries = append(tries, e.Model)
					case e.Type == engine.RunCompleted && e.Error != nil:
						tries[len(tries)-1] += " " + string(e.Error.Kind)
					}
				}
				if got := strings.Join(tries, ", "); got != tt.tries {
					t.Errorf("it tried %s, want %s", got, tt.tries)
				}
			})
		})
	}
}

// All keys that are missing are told at once, those of models to fall back to as well.
func TestKeysOfFallbacks(t *testing.T) {
	none := nodes.WithAgents(agents.NewSet(agents.WithEnv(func(string) (string, bool) { return "", false })))
	err := engine.Check(graphOf(t, "agent: {model: openai/a, fallback: [anthropic/b, groq/c]}", none), nil)
	want := "p.yaml:1:1: openai needs a key: set OPENAI_API_KEY; anthropic needs a key: set ANTHROPIC_API_KEY; groq needs a key: set GROQ_API_KEY"
	if err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

// A call that waits for its turn to ask a model ends when nothing new begins.
func TestDrainOfRates(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		drain, stop := context.WithCancelCause(t.Context())
		time.AfterFunc(time.Second, func() { stop(errors.New("lunch")) })
		g := graphOf(t, "models: {slow: {model: mock, rate_limit: {rpm: 1}}}\nchain: [{name: a, agent: {model: slow}}, {name: b, agent: {model: slow}}]")
		result, err := engine.Run(t.Context(), g, "in", engine.WithDrain(drain))
		if result.Status != engine.Stopped || result.Duration != time.Second || err.Error() != "the run was cancelled: lunch" {
			t.Errorf("%s after %s: %v", result.Status, result.Duration, err)
		}
		if a, b := result.Nodes["a"].Status, result.Nodes["b"].Status; a != "completed" || b != "cancelled" {
			t.Errorf("a %s, b %s", a, b)
		}
	})
}

// An agent that has begun goes on from turn to turn, and calls its tools, when nothing new begins.
func TestDrainLetsAgentsEnd(t *testing.T) {
	t.Parallel()
	for range 20 {
		synctest.Test(t, func(t *testing.T) {
			drain, stop := context.WithCancelCause(t.Context())
			time.AfterFunc(time.Second/2, func() { stop(errors.New("lunch")) })
			g := graphOf(t, `
name: g
agent: {model: mock, tools: [t], mock: {latency: 1s, tool_calls: [{tool: t, args: {input: x}}, {tool: t, args: {input: y}}], reply: done}}
tools: {t: {flow: other.yaml, description: other}}
`)
			result, err := engine.Run(t.Context(), g, "in", engine.WithDrain(drain))
			if got := ended(result, err); got != `completed: "done"` {
				t.Error(got)
			}
		})
	}
}
