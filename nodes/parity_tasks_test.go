package nodes_test

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/flowrun/flowrun/agents"
	"github.com/flowrun/flowrun/engine"
)

// The counterparts of agentic-patterns: tasks in parallel, and a plan that is executed and judged step by step.

// worker does tasks: one that begins with "bad" fails, one that begins with "slow" takes its time.
func worker(_ context.Context, q agents.Question) (string, error) {
	task := q.Prompt()
	switch {
	case strings.HasPrefix(task, "bad"):
		return "", &agents.Error{Kind: agents.BadRequest, Message: "cannot do " + task}
	case strings.HasPrefix(task, "slow"):
		time.Sleep(time.Second) // of the test's own clock
	}
	return "did " + task, nil
}

func TestParityTasks(t *testing.T) {
	const run = "agents: {executor: {model: script/worker}}\nfor_each: input\ndo: {agent: executor}\non_error: continue\n"
	const keyed = run + "merge: to_map(zip(items, results))"
	tests := map[string]struct {
		src      string
		tasks    []any
		want     string
		failures int
		status   engine.Status
	}{
		"one that fails leaves the others alone": {
			src: run, tasks: []any{"a", "bad b", "c"}, failures: 1,
			want: `["did a","ERROR: cannot do bad b","did c"]`,
		},
		"results by task": {
			src: keyed, tasks: []any{"a", "bad b"}, failures: 1,
			want: `{"a":"did a","bad b":"ERROR: cannot do bad b"}`,
		},
		"results by name of the branch": {
			src:  "agents: {executor: {model: script/worker}}\nparallel: [{name: x, agent: executor, prompt: '1'}, {name: y, agent: executor, prompt: '2'}]\nmerge: outputs",
			want: `{"x":"did 1","y":"did 2"}`,
		},
		"results in the order of the tasks, whichever ends first": {
			src: run, tasks: []any{"slow a", "b"},
			want: `["did slow a","did b"]`,
		},
		"equal tasks have results of their own": {
			src: run, tasks: []any{"a", "a", "a"},
			want: `["did a","did a","did a"]`,
		},
		"a failure can be told from an answer that looks like one": {
			src: strings.Replace(run, "script/worker", "script/liar", 1) + "merge: 'map(errors, # != nil)'", tasks: []any{"a", "bad b"}, failures: 1,
			want: `[false,true]`,
		},
		"no tasks give no results": {
			src: run, tasks: []any{},
			want: `[]`,
		},
		"if all fail the run completes and counts them": {
			src: run, tasks: []any{"bad a", "bad b"}, failures: 2,
			want: `["ERROR: cannot do bad a","ERROR: cannot do bad b"]`,
		},
		"if too many fail the run fails": {
			src: run + "max_failures: 1\nmax_concurrency: 1", tasks: []any{"bad a", "bad b"}, status: engine.Failed,
			want: "bad_request p.yaml:2:1: p: more branches failed than max_failures=1 allows: /do (item 0): cannot do bad a; /do (item 1): cannot do bad b",
		},
		"a task alone is a task": {
			src: "agents: {executor: {model: script/worker}}\nagent: executor\nprompt: ${{ input[0] }}", tasks: []any{"a"},
			want: `"did a"`,
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				models := scripts(map[string]script{"worker": worker, "liar": func(ctx context.Context, q agents.Question) (string, error) {
					_, err := worker(ctx, q)
					return "ERROR: " + q.Prompt(), err
				}})
				r := try(t, graphOf(t, tt.src, models), tt.tasks)
				differs(t, "came to", tt.want, r.said())
				if want := cmp.Or(tt.status, engine.Completed); r.Status != want || r.Failures != tt.failures {
					t.Errorf("the run is %s with %d failures, want %s with %d", r.Status, r.Failures, want, tt.failures)
				}
			})
		})
	}
}

// planned is a plan that is executed step by step, each at most three times, and stops at the first that stays bad.
const planned = `
agents:
  planner: {model: script/planner, output_schema: {plan: [string]}}
  executor: {model: script/executor}
  evaluator: {model: script/evaluator, output_schema: {success: boolean, feedback: string}}
chain:
  - name: plan
    agent: planner
  - for_each: prev.plan
    in_order: true
    as: step
    on_error: continue
    do:
      when: 'none(done, # startsWith "ERROR")'
      chain:
        - loop:
            - name: attempt
              agent: executor
              prompt: "${{ step }} after [${{ join(done, \", \") }}] minding [${{ steps.verdict?.output.feedback ?? \"\" }}]"
            - name: verdict
              agent: evaluator
          until: prev.success
          max_iterations: 3
        - set: steps.attempt.output
    merge: |
      {
        status: all(errors, # == nil) ? "success" : "failed",
        failed: filter(zip(items, errors), #[1] != nil) | map(#[0]),
        completed: filter(zip(results, errors), #[0] != nil && #[1] == nil) | map(#[0]),
      }
`

// plan is what the agents of planned say, and what they were asked.
type plan struct {
	reply string
	good  []string // answers of the executor that the evaluator takes

	asked    []string // of the executor
	planning int      // how often the planner was asked
}

func (p *plan) scripts() map[string]script {
	says := func(answer func(prompt string) string) script {
		return func(_ context.Context, q agents.Question) (string, error) { return answer(q.Prompt()), nil }
	}
	return map[string]script{
		"planner": says(func(string) string { p.planning++; return p.reply }),
		"executor": says(func(prompt string) string {
			p.asked = append(p.asked, prompt)
			return strings.Fields(prompt)[0] + fmt.Sprint(len(p.asked))
		}),
		"evaluator": says(func(prompt string) string {
			if slices.Contains(p.good, prompt) {
				return `{"success": true, "feedback": ""}`
			}
			return fmt.Sprintf(`{"success": false, "feedback": "not %s"}`, prompt)
		}),
	}
}

func TestParityPlan(t *testing.T) {
	tests := map[string]struct {
		plan  plan
		want  string
		asked []string
	}{
		"each step is told what was done before": {
			plan:  plan{reply: `{"plan": ["a", "b"]}`, good: []string{"a1", "b2"}},
			want:  `{"completed":["a1","b2"],"failed":[],"status":"success"}`,
			asked: []string{"a after [] minding []", "b after [a1] minding []"},
		},
		"a step is done again with the feedback": {
			plan:  plan{reply: `{"plan": ["a"]}`, good: []string{"a2"}},
			want:  `{"completed":["a2"],"failed":[],"status":"success"}`,
			asked: []string{"a after [] minding []", "a after [] minding [not a1]"},
		},
		"a step that stays bad ends the plan and is named": {
			plan: plan{reply: `{"plan": ["a", "b", "c"]}`, good: []string{"a1"}},
			want: `{"completed":["a1"],"failed":["b"],"status":"failed"}`,
			asked: []string{"a after [] minding []", "b after [a1] minding []", "b after [a1] minding [not b2]",
				"b after [a1] minding [not b3]"},
		},
		"an empty plan succeeds": {
			plan: plan{reply: `{"plan": []}`},
			want: `{"completed":[],"failed":[],"status":"success"}`,
		},
		"a plan in a code fence is read": {
			plan: plan{reply: "Here it is:\n```json\n{\"plan\": []}\n```"},
			want: `{"completed":[],"failed":[],"status":"success"}`,
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := try(t, graphOf(t, planned, scripts(tt.plan.scripts())), "a task")
			differs(t, "came to", tt.want, r.said())
			if got := strings.Join(tt.plan.asked, "\n"); got != strings.Join(tt.asked, "\n") {
				t.Errorf("the executor was asked\n%s", got)
			}
			if tt.plan.planning != 1 {
				t.Errorf("the planner was asked %d times", tt.plan.planning)
			}
		})
	}
}
