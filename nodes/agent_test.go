package nodes_test

import (
	"slices"
	"testing"

	"github.com/flowrun/flowrun/engine"
)

// An agent tells what it used itself: not what the agent used that stands in for it, which tells that too.
func TestAnAgentTellsItsOwnUsage(t *testing.T) {
	t.Parallel()
	g := graphOf(t, `
agent: {model: mock, mock: {fail: 2, tokens: {in: 1, out: 1}}}
retry: {max_attempts: 2, delay: 1ms}
catch: {agent: {model: mock, mock: {reply: x, tokens: {in: 3, out: 5}}}}
`)
	var told []string
	var calls []int
	result, _ := engine.Run(t.Context(), g, "in", engine.WithListener(func(e engine.Event) {
		told = append(told, string(e.Type)+" "+e.Turn)
		if e.Type == engine.RunCompleted {
			calls = append(calls, e.Usage.Calls)
			if failed := e.Error != nil; failed != (e.Turn == "/") {
				t.Errorf("%s completed with %v", e.Turn, e.Error)
			}
		}
	}))
	want := []string{"workflow_started ", "step_started /", "run_started /", "step_retried /", "run_completed /",
		"step_started /catch", "run_started /catch", "model_delta /catch", "run_completed /catch", "step_completed /catch",
		"step_completed /", "workflow_completed "}
	if !slices.Equal(told, want) || !slices.Equal(calls, []int{2, 1}) || result.Usage.Total().Calls != 3 {
		t.Errorf("calls %v of %d, told %q", calls, result.Usage.Total().Calls, told)
	}
}
