package nodes_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/flowrun/flowrun/engine"
	"github.com/flowrun/flowrun/nodes"
)

// Runs that share a pool draw from one budget, at once and one after another, beside what was used before.
func TestPool(t *testing.T) {
	const asks = "models: {cheap: {model: mock, price: {input: 1, output: 3}}}\nagent: {model: cheap, mock: {latency: 1s, tokens: {in: 10, out: 10}}}\nprompt: hello\n"
	tests := map[string]struct {
		budget    engine.Allowance
		before    engine.Usage
		completed int
		want      string
	}{
		"in tokens":  {engine.Allowance{Field: "--budget-", Tokens: 70}, engine.Usage{}, 3, "reached --budget-tokens=70: 60 used, and this call may use 20 (raise --budget-tokens)"},
		"in dollars": {engine.Allowance{Field: "--budget-", Cost: engine.USD(0.0001)}, engine.Usage{}, 2, "reached --budget-usd=0.0001: 8e-05 used, and this call may use 4e-05 (raise --budget-usd)"},
		"of which some was used before": {engine.Allowance{Field: "--budget-", Tokens: 70}, engine.Usage{InputTokens: 30}, 2,
			"reached --budget-tokens=70: 70 used, and this call may use 20 (raise --budget-tokens)"},
		"without bounds": {completed: 6},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := graphOf(t, asks)
				pool := engine.NewPool(g, tt.budget)
				pool.Add(tt.before)
				if pool.Exhausted() {
					t.Error("it is exhausted before it is used")
				}
				completed, refusal := 0, ""
				for range 2 {
					ended := make(chan *engine.Result)
					for range 3 {
						go func() {
							result, _ := engine.Run(t.Context(), g, nil, engine.WithPool(pool)) // the result has the error
							ended <- result
						}()
					}
					for range 3 {
						if r := <-ended; r.Error == nil {
							completed++
						} else if refusal = r.Error.Message; r.Error.Kind != engine.Budget {
							t.Errorf("a run ended with %v", r.Error)
						}
					}
				}
				if completed != tt.completed || refusal != tt.want || pool.Exhausted() != (tt.want != "") {
					t.Errorf("%d completed, exhausted %t\n got %s\nwant %s", completed, pool.Exhausted(), refusal, tt.want)
				}
			})
		})
	}
}

// Runs that share a pool keep the rate of a model together.
func TestPoolOfRates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := graphOf(t, "models: {m: {model: mock, rate_limit: {rpm: 2}}}\nagent: {model: m}\n")
		pool := engine.NewPool(g, engine.Allowance{})
		began := time.Now()
		for range 5 {
			try(t, g, nil, engine.WithPool(pool))
		}
		if took := time.Since(began); took != 2*time.Minute {
			t.Errorf("5 runs took %v", took)
		}
	})
}

// What would keep all runs from beginning is known without their inputs, and what keeps one from it without the rest.
func TestCheckAll(t *testing.T) {
	t.Setenv("OPENAI_API_KEY", "")
	g := graphOf(t, "input: {n: integer}\nparams: {p: string}\nagent: {model: openai/gpt-unheard-of}\nprompt: ${{ input.n }}\n")
	err := engine.CheckAll(g, engine.WithPool(engine.NewPool(g, engine.Allowance{Cost: 1})))
	for _, want := range []string{"the param p is missing", "OPENAI_API_KEY", "the price of openai/gpt-unheard-of is not known"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not tell that %s", err, want)
		}
	}
	if err == nil || strings.Contains(err.Error(), "input") {
		t.Errorf("%v tells of the input", err)
	}
	plain := nodes.Language()
	small, diagnostics := plain.Parse("p.yaml", ".", []byte("input: {n: integer}\nset: input.n\n"))
	if err := diagnostics.Err(); err != nil {
		t.Fatal(err)
	}
	if err := small.Accepts(map[string]any{"n": 1}); err != nil {
		t.Errorf("what fits is refused: %v", err)
	}
	for _, wrong := range []any{nil, "x", map[string]any{"n": "x"}} {
		if err := small.Accepts(wrong); err == nil || !strings.Contains(err.Error(), "input") {
			t.Errorf("of %v it says %v", wrong, err)
		}
	}
}
