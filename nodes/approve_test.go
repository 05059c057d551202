package nodes_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/flowrun/flowrun/engine"
	"github.com/flowrun/flowrun/recording"
)

// ended is what a run came to, in a line.
func ended(r *engine.Result, err error) string {
	switch {
	case r == nil:
		return "refused: " + err.Error()
	case r.Status == engine.Waiting:
		var all []string
		for _, q := range r.Waiting {
			all = append(all, fmt.Sprintf("%s %q", q.Turn, q.Message))
		}
		return "waiting for " + strings.Join(all, ", ")
	case r.Error != nil:
		return fmt.Sprintf("%s: %s: %s: %s", r.Status, r.Error.Kind, r.Error.Node, r.Error.Message)
	}
	return string(r.Status) + ": " + compact(r.Output)
}

func TestApprove(t *testing.T) {
	tests := map[string]struct{ src, answer, want string }{
		"approved, it passes on what it received":  {"name: a\napprove: Go ${{ prev }}?", "approve", `completed: "in"`},
		"rejected, it fails":                       {"name: a\napprove: Go", "reject", `failed: rejected: a: rejected by ada`},
		"rejected, it is caught":                   {"approve: Go\ncatch: {set: 'error.kind + \": \" + error.message'}", "reject", `completed: "rejected: rejected by ada"`},
		"rejected, it goes on":                     {"chain: [{name: a, approve: Go, on_error: continue}, {set: steps.a.error.kind}]", "reject", `completed: "rejected"`},
		"chosen, the choice is the output":         {"approve: Where\noptions: [north, south]", "south", `completed: "south"`},
		"an option is a text":                      {"chain: [{approve: Where, options: [north]}, {set: len(prev)}]", "north", `completed: 5`},
		"options can be rejected":                  {"name: a\napprove: Where\noptions: [north, south]", "reject", `failed: rejected: a: rejected by ada`},
		"approve may be an option":                 {"name: a\napprove: Where\noptions: [approve, reject]", "approve", `completed: "approve"`},
		"an answer that is none":                   {"name: a\napprove: Where\noptions: [north]", "approve", `failed: bad_request: a: the answer "approve" is none of ["north" "reject"]`},
		"nobody answers":                           {"name: a\napprove: Go ${{ prev }}?", "", `waiting for / "Go in?"`},
		"skipped, nobody is asked":                 {"when: false\napprove: Go", "", `completed: "in"`},
		"what stands behind it waits":              {"chain: [{name: a, approve: Go}, {fail: \"no\"}]", "", `waiting for /a "Go"`},
		"siblings go on":                           {"parallel: [{name: a, approve: A}, {name: b, approve: B}, {fail: \"no\"}]", "", `failed: fail: /parallel[2]: no`},
		"several wait":                             {"parallel: [{name: b, approve: B}, {set: 1}, {name: a, approve: A}]", "", `waiting for /a "A", /b "B"`},
		"failures are counted while one waits":     {"parallel: [{name: a, approve: A}, {fail: \"no\"}]\non_error: continue", "", `waiting for /a "A"`},
		"too many failures end it":                 {"parallel: [{name: a, approve: A}, {fail: \"no\"}]\non_error: continue\nmax_failures: 0", "", `failed: fail: p: more branches failed than max_failures=0 allows: /parallel[1]: no`},
		"enough others succeed":                    {"parallel: [{name: a, approve: A}, {set: 1}, {set: 2}]\nwait_for: 2", "", `completed: [1,2]`},
		"not enough others succeed":                {"parallel: [{name: a, approve: A}, {set: 1}, {fail: \"no\"}]\nwait_for: 2", "", `waiting for /a "A"`},
		"a bound on branches holds for it":         {"parallel: [{name: a, approve: A}, {set: 1}]\nwait_for: first\nmax_concurrency: 1", "", `waiting for /a "A"`},
		"items in order":                           {"for_each: [1, 2, 3]\nin_order: true\ndo: {approve: 'item ${{ item }}'}", "", `waiting for /[0]/do "item 1"`},
		"all items at once":                        {"for_each: 1..20\ndo: {approve: '${{ item }}', when: item > 18}", "", `waiting for /[18]/do "19", /[19]/do "20"`},
		"a loop":                                   {"loop: [{set: prev + \"!\"}, {name: a, approve: '${{ prev }}'}]\nmax_iterations: 2", "", `waiting for /a "in!"`},
		"a graph":                                  {"graph: {a: {set: 1, next: [b, c]}, b: {approve: B, next: d}, c: {set: 2, next: d}, d: {set: prev}}\nstart: a", "", `waiting for /b "B"`},
		"a classifier":                             {"route: {approve: Which, options: [x, y]}\ncases: {x: {set: 1}, y: {set: 2}}", "y", `completed: 2`},
		"a catch":                                  {"fail: \"no\"\ncatch: {name: a, approve: 'After ${{ error.message }}'}", "", `waiting for /a "After no"`},
		"finally waits for nobody where it waits":  {"name: a\napprove: Go\nfinally: {fail: \"no\"}", "", `waiting for / "Go"`},
		"what runs finally waits":                  {"set: 1\nfinally: {name: a, approve: Done}", "", `waiting for /a "Done"`},
		"what runs finally waits after a failure":  {"fail: \"no\"\nfinally: {name: a, approve: Done}", "", `waiting for /a "Done"`},
		"what ran finally is rejected":             {"set: 1\nfinally: {name: a, approve: Done}", "reject", `failed: rejected: a: rejected by ada`},
		"what ran finally hides no failure":        {"name: r\nfail: \"no\"\nfinally: {name: a, approve: Done}", "reject", `failed: fail: r: no`},
		"retries of the file are not for people":   {"name: a\napprove: Go\ndefaults: {retry: {max_attempts: 3}}", "reject", `failed: rejected: a: rejected by ada`},
		"a tool of an agent waits with the agent":  {"name: g\nagent: {model: mock, tools: [t], mock: {tool_calls: [{tool: t, args: {input: x}}], reply: done}}\ntools: {t: {flow: asks.yaml, description: asks}}", "", `waiting for /a "Use x?"`},
		"a tool of an agent is told what was said": {"name: g\nagent: {model: mock, tools: [t], mock: {tool_calls: [{tool: t, args: {input: x}}], reply: done}}\ntools: {t: {flow: asks.yaml, description: asks}}", "approve", `completed: "done"`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			people := &desk{}
			if tt.answer != "" {
				people.ask = func(context.Context, engine.Approval) (*engine.Answer, error) {
					return &engine.Answer{Value: tt.answer, By: "ada"}, nil
				}
			}
			result, err := engine.Run(t.Context(), graphOf(t, tt.src), "in", engine.WithApprovals(people))
			if got := ended(result, err); got != tt.want {
				t.Errorf("\n got %s\nwant %s", got, tt.want)
			}
			if waits := (*engine.WaitingError)(nil); (result.Status == engine.Waiting) != errors.As(err, &waits) {
				t.Errorf("%s with the error %v", result.Status, err)
			}
		})
	}
}

// Where nobody can answer nothing runs, in included files and tools neither.
func TestNobodyToAsk(t *testing.T) {
	const why = " asks for an approval, and nobody can give it: there is no terminal to ask on, and the run is not kept, so it cannot wait"
	for src, want := range map[string]string{
		"chain: [{set: 1}, {name: a, approve: Go, when: false}]": "p.yaml:1:19: a" + why,
		"flow: asks.yaml": "asks.yaml:3:1: a" + why,
	} {
		result, err := engine.Run(t.Context(), graphOf(t, src), nil)
		if err == nil || result != nil || !strings.HasSuffix(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

// What a run tells while it waits, and what its result says.
func TestWaiting(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := graphOf(t, "parallel: [{name: a, approve: 'Go ${{ prev }}?', timeout: 1h}, {name: b, set: 1}]\nfinally: {set: 1}")
		var told []string
		result, _ := engine.Run(t.Context(), g, "in", engine.WithApprovals(&desk{}), engine.WithListener(func(e engine.Event) {
			s := fmt.Sprintf("%d %s %s", e.Seq, e.Type, e.Node)
			if e.Error != nil {
				s += ": " + string(e.Error.Kind) + ": " + e.Error.Message
			}
			if e.Type == engine.ApprovalRequested || e.Type == engine.WorkflowWaiting {
				s = string(e.AppendJSON(nil))
				s = s[strings.Index(s, `"event"`):strings.Index(s+`,"duration_ms"`, `,"duration_ms"`)]
			}
			told = append(told, s)
		}))
		deadline := time.Now().Add(time.Hour).UTC().Format(time.RFC3339Nano)
		asked := `"message":"Go in?","options":["approve","reject"],"deadline":"` + deadline + `"`
		for _, want := range []string{
			`"event":"approval_requested","node":"a","path":"/a","turn":"/a","visit":1,"kind":"approve",` + asked + `}`,
			`"event":"workflow_waiting","workflow":"p","approvals":[{"turn":"/a","node":"a","message":"Go in?","options":["approve","reject"],"deadline":"` + deadline + `"}]`,
		} {
			if all := strings.Join(told, "\n"); !strings.Contains(all, want) {
				t.Errorf("want %s in\n%s", want, all)
			}
		}
		all := strings.Join(told, "\n")
		if !strings.Contains(all, " step_failed a: cancelled: waiting for an approval") || !strings.Contains(all, " step_failed p: cancelled: waiting for an approval") || strings.Contains(all, "finally") {
			t.Errorf("told\n%s", all)
		}
		if a, b := result.Nodes["a"].Status, result.Nodes["b"].Status; a != "waiting" || b != "completed" || result.Error != nil || result.Steps != 2 {
			t.Errorf("a %s, b %s, error %v, %d steps", a, b, result.Error, result.Steps)
		}
	})
}

// A deadline counts from the first asking, in whichever run it comes; an answer counts by when it was given.
func TestApproveInTime(t *testing.T) {
	const src = "chain: [{set: prev}, {name: a, timeout: 1h, approve: Go%s}]"
	type moment struct {
		after  time.Duration // since the one before
		answer string        // that is given then
	}
	tests := map[string]struct {
		late    string
		moments []moment // at each the run goes on
		want    string
	}{
		"in time":                          {"", []moment{{0, ""}, {30 * time.Minute, ""}, {20 * time.Minute, "approve"}}, `completed: "in"`},
		"nobody":                           {"", []moment{{0, ""}, {30 * time.Minute, ""}, {31 * time.Minute, ""}}, "failed: timeout: a: it did not end within its timeout of 1h0m0s"},
		"too late":                         {"", []moment{{0, ""}, {61 * time.Minute, "approve"}}, "failed: timeout: a: it did not end within its timeout of 1h0m0s"},
		"nobody, and that is to approve":   {", on_timeout: approve", []moment{{0, ""}, {61 * time.Minute, ""}}, `completed: "in"`},
		"nobody, and that is to reject":    {", on_timeout: reject", []moment{{0, ""}, {61 * time.Minute, ""}}, `failed: rejected: a: rejected by on_timeout`},
		"too late, and that is to approve": {", on_timeout: approve", []moment{{0, ""}, {61 * time.Minute, "reject"}}, `completed: "in"`},
		"nobody, and that is the first":    {", on_timeout: approve, options: [x, y]", []moment{{0, ""}, {61 * time.Minute, ""}}, `completed: "x"`},
		"in time, seen later":              {"", []moment{{0, ""}, {30 * time.Minute, "approve"}, {0, "and then"}}, `completed: "in"`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				g, people := graphOf(t, fmt.Sprintf(src, tt.late)), &desk{}
				var lines [][]byte
				var result *engine.Result
				var err error
				for _, m := range tt.moments {
					time.Sleep(m.after)
					switch {
					case m.answer == "and then":
						time.Sleep(24 * time.Hour)
					case m.answer != "":
						people.give(result.Waiting[0], engine.Answer{Value: m.answer, At: time.Now()})
						if name == "in time, seen later" {
							continue
						}
					}
					j := reopen(t, lines)
					result, err = engine.Run(t.Context(), g, "in", engine.WithTurns(j), engine.WithApprovals(people))
					lines = append(lines, j.lines...)
				}
				if got := ended(result, err); got != tt.want {
					t.Errorf("\n got %s\nwant %s", got, tt.want)
				}
			})
		})
	}
}

// Where somebody is asked who takes too long, the time ends that too.
func TestApproveWhileAsking(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		asleep := &desk{ask: func(ctx context.Context, _ engine.Approval) (*engine.Answer, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}}
		g := graphOf(t, "parallel: [{name: a, approve: A, timeout: 1m, on_timeout: approve}, {name: b, approve: B, timeout: 2m, catch: {set: error.kind}}]")
		result, err := engine.Run(t.Context(), g, "in", engine.WithApprovals(asleep))
		if got, want := ended(result, err), `completed: ["in","timeout"]`; got != want || result.Duration != 2*time.Minute {
			t.Errorf("%s after %s, want %s", got, result.Duration, want)
		}
	})
}

// An answer to another question is none: the message has changed since.
func TestApproveAnotherMessage(t *testing.T) {
	t.Parallel()
	people := &desk{}
	run := func(src string) *engine.Result {
		result, _ := engine.Run(t.Context(), graphOf(t, src), "in", engine.WithApprovals(people))
		return result
	}
	people.give(run("approve: Pay 5?").Waiting[0], engine.Answer{Value: engine.Approve})
	if r := run("approve: Pay 5?"); r.Status != engine.Completed {
		t.Errorf("the same question: %s", r.Status)
	}
	if r := run("approve: Pay 500?"); r.Status != engine.Waiting {
		t.Errorf("another question: %s", r.Status)
	}
}

// Decisions are recorded, and a replay asks nobody.
func TestApproveReplay(t *testing.T) {
	for name, tt := range map[string]struct {
		src, answer string
	}{
		"approved":      {"parallel: [{name: a, approve: A}, {name: b, approve: B, options: [x, y]}]\non_error: continue", "x"},
		"rejected":      {"name: a\napprove: A\ncatch: {set: error.message}", "reject"},
		"the time's up": {"name: a\napprove: A\ntimeout: 1h\ncatch: {set: error.message}", ""},
		"waiting":       {"parallel: [{name: a, approve: A, when: prev == 1}, {set: 1}]", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				people := &desk{ask: func(ctx context.Context, q engine.Approval) (*engine.Answer, error) {
					if tt.answer == "" {
						<-ctx.Done()
						return nil, ctx.Err()
					}
					return &engine.Answer{Value: tt.answer, By: "ada", At: time.Now()}, nil
				}}
				g, to, file := graphOf(t, tt.src), &recording.Recorder{}, filepath.Join(t.TempDir(), "tape.yaml")
				was, _ := engine.Run(t.Context(), g, "in", engine.WithApprovals(people), engine.WithRecorder(to))
				if err := to.Save(file, was.Status); err != nil {
					t.Fatal(err)
				}
				from, err := recording.Open(file)
				if err != nil {
					t.Fatal(err)
				}
				is, _ := engine.Run(t.Context(), g, "in", engine.WithReplay(from))
				if outcomeOf(was) != outcomeOf(is) {
					t.Errorf("-recorded +replayed:\n%s", cmp.Diff(outcomeOf(was), outcomeOf(is)))
				}
				if unused := from.Unused(); len(unused) > 0 {
					t.Errorf("nobody asked for %v", unused)
				}
			})
		})
	}
}

// An agent one of whose tools waits begins anew when the question was answered, and then has the answer.
func TestApproveInTool(t *testing.T) {
	t.Parallel()
	g := graphOf(t, `
chain:
  - {name: first, set: prev}
  - name: g
    agent: {model: mock, tools: [t], mock: {tool_calls: [{tool: t, args: {input: x}}], reply: done}}
  - approve: And ${{ prev }}
tools: {t: {flow: asks.yaml, description: asks}}
`)
	people, position := &desk{}, &engine.Position{}
	var got []string
	for range 3 {
		result, err := engine.Run(t.Context(), g, "in", engine.WithTurns(position), engine.WithApprovals(people))
		got = append(got, ended(result, err))
		for _, q := range result.Waiting {
			people.give(q, engine.Answer{Value: engine.Approve})
		}
	}
	want := []string{`waiting for /g/a "Use x?"`, `waiting for /chain[2] "And done"`, `completed: "done"`}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}
