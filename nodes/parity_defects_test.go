package nodes_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/flowrun/flowrun/agents"
	"github.com/flowrun/flowrun/engine"
	"github.com/flowrun/flowrun/nodes"
)

// Fourteen defects of LoomFlow's workflows, each with a test that shows flowrun without it. docs/parity.md says what
// each of them is.

func TestDefect01FanOutsCountAgainstTheLimits(t *testing.T) {
	t.Parallel()
	g := graphOf(t, "name: p\nagents: {a: {model: mock}}\nfor_each: 1..10000\ndo: {agent: a}")
	r := try(t, g, nil)
	differs(t, "came to", "limit p.yaml:3:1: p: needs at least 10000 steps, and of max_steps=100 only 100 are left (raise limits.max_steps)", r.said())
	if r.Steps != 0 || r.Usage.Total().Calls != 0 {
		t.Errorf("%d steps and %d calls were spent on what cannot fit", r.Steps, r.Usage.Total().Calls)
	}
	for branches, want := range map[int]engine.Status{4: engine.Completed, 5: engine.Failed} {
		src := "limits: {max_steps: 5}\nchain: [{set: 1}, {parallel: [" + strings.Repeat("{set: prev}, ", branches) + "]}]"
		if r := try(t, graphOf(t, src), nil); r.Status != want {
			t.Errorf("%d branches and one step more, with max_steps=5: %s, want %s", branches, r.Status, want)
		}
	}
	r = try(t, graphOf(t, "parallel: [{set: 1}, {chain: [{set: 2}, {set: 3}]}]"), nil)
	if got := r.counted(engine.StepCompleted); r.Steps != 3 || got != 5 {
		t.Errorf("%d steps and %d completions are told, want 3 and 5", r.Steps, got)
	}
}

func TestDefect02IncludedFilesShareIdentityEventsAndLimits(t *testing.T) {
	t.Parallel()
	files := map[string]string{
		"middle.yaml": "flow: ./inner.yaml",
		"inner.yaml":  "limits: {max_steps: 1000}\nchain: [{set: '[run.id, run.user_id, run.session_id]'}" + strings.Repeat(", {set: prev}", 49) + "]",
	}
	r := try(t, filesOf(t, "parallel: [{flow: ./middle.yaml}]", files), nil, engine.WithRunID("r"), engine.WithIdentity("alice", "s"))
	differs(t, "came to", `[["r","alice","s"]]`, r.said())
	if got := r.counted(engine.StepCompleted); got != 50+4 {
		t.Errorf("%d completions are told, want those of 50 steps and 4 containers", got)
	}
	for _, e := range r.events {
		if e.RunID != "r" || e.UserID != "alice" || e.SessionID != "s" {
			t.Fatalf("an event of %s is of run %q, %q in %q", e.Path, e.RunID, e.UserID, e.SessionID)
		}
	}
	r = try(t, filesOf(t, "chain: [{flow: ./inner.yaml}, {flow: ./inner.yaml}, {name: third, flow: ./inner.yaml}]", files), nil)
	if r.Status != engine.Failed || r.Error.Kind != engine.Limit || r.Steps != 100 {
		t.Errorf("150 steps in three included files: %d steps, then %v", r.Steps, r.err)
	}
}

func TestDefect03AFailureNamesItsBranchAndItsCause(t *testing.T) {
	tests := map[string]story{
		"in a parallel": {
			src:  "parallel: [{set: 1}, {name: bad, call: boom}]",
			want: "internal p.yaml:1:22: bad: boom",
		},
		"three parallels deep": {
			src:  "parallel:\n  - parallel:\n      - parallel: [{set: 1}, {name: bad, call: boom}]",
			want: "internal p.yaml:3:30: bad: boom",
		},
		"without a name": {
			src:  "parallel:\n  - chain: [{set: 1}, {fail: no}]",
			want: "fail p.yaml:2:23: /parallel[0]/chain[1]: no",
		},
		"of which others died too": {
			src:  "wait_for: first\nparallel: [{name: a, fail: one}, {name: b, fail: two}]\nmax_concurrency: 1",
			want: "fail p.yaml:1:1: p: wait_for: first can no longer be reached, 2 of 2 branches failed: a: one; b: two",
		},
		"in what the run tells": {
			src: "name: p\nparallel: [{name: bad, call: boom}]",
			told: `
workflow_started p null
step_started p
step_started bad
step_failed bad: internal boom
step_failed p: internal boom
workflow_failed p: internal boom`,
		},
	}
	for name, tt := range tests {
		t.Run(name, tt.check)
	}
}

func TestDefect04AnEdgeToNowhereIsFoundBeforeAnythingRuns(t *testing.T) {
	t.Parallel()
	src := "graph:\n  plan: {set: prev, next: [{when: prev > 1, to: revew}, {to: plan}]}\n  review: {set: prev}\nstart: plan"
	g, diagnostics := nodes.Language().Parse("p.yaml", t.TempDir(), []byte(src))
	if g != nil {
		t.Error("the file is taken")
	}
	var said []string
	for _, d := range diagnostics {
		said = append(said, fmt.Sprint(d.Pos, ": ", d.Message, " ", d.Hint))
	}
	if got := strings.Join(said, "\n"); !strings.Contains(got, "p.yaml:2:49") || !strings.Contains(got, "revew") || !strings.Contains(got, "review") {
		t.Errorf("it is said\n%s", got)
	}
}

// answering lets a file ask OpenAI, which answers with a body and never goes out.
func answering(contentType, body string) nodes.Option {
	transport := roundTrip(func(r *http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {contentType}}, Body: io.NopCloser(strings.NewReader(body)), Request: r}, nil
	})
	key := func(name string) (string, bool) {
		value, ok := map[string]string{"OPENAI_API_KEY": "key"}[name]
		return value, ok
	}
	return nodes.WithAgents(agents.NewSet(agents.WithClient(&http.Client{Transport: transport}), agents.WithEnv(key)))
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestDefect05AnAgentThatDidNotFinishHasFailed(t *testing.T) {
	reply := func(text, reason string) string {
		return fmt.Sprintf(`{"choices": [{"message": {"role": "assistant", "content": %q}, "finish_reason": %q}]}`, text, reason)
	}
	frame := func(text string) string {
		return fmt.Sprintf("data: {\"choices\": [{\"delta\": {\"content\": %q}}]}\n\n", text)
	}
	tests := map[string]struct {
		src, contentType, body string
		want                   engine.ErrorKind // empty: it finishes
	}{
		"finished":                 {"agent: {model: openai/x}", "application/json", reply("all of it", "stop"), ""},
		"cut by its length":        {"agent: {model: openai/x}", "application/json", reply("half of", "length"), engine.Length},
		"stopped by a filter":      {"agent: {model: openai/x}", "application/json", reply("", "content_filter"), engine.Filtered},
		"empty":                    {"agent: {model: openai/x}", "application/json", reply("", "stop"), engine.Model},
		"nothing at all":           {"agent: {model: openai/x}", "application/json", "", engine.Model},
		"a stream that breaks":     {"agent: {model: openai/x}", "text/event-stream", frame("half of"), engine.Network},
		"another shape than asked": {"agent: {model: openai/x, output_schema: {score: integer}}", "application/json", reply("nine", "stop"), engine.Schema},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var after atomic.Bool
			next := steps(map[string]step{"next": func(_ context.Context, prev any) (any, error) { after.Store(true); return prev, nil }})
			g := graphOf(t, "defaults: {retry: false}\nchain: [{name: asked, "+tt.src+"}, {call: next}]", answering(tt.contentType, tt.body), next)
			var opts []engine.Option
			if tt.contentType == "text/event-stream" { // it is asked for a stream where somebody listens
				opts = append(opts, engine.WithListener(func(engine.Event) {}))
			}
			r, err := engine.Run(t.Context(), g, "question", opts...)
			if r == nil {
				t.Fatal(err)
			}
			if tt.want == "" {
				differs(t, "came to", `"all of it"`, compact(r.Output))
				return
			}
			if r.Error == nil || r.Error.Kind != tt.want || r.Error.Node != "asked" || after.Load() {
				t.Errorf("the run came to %v and %v, the step after it ran: %t", r.Output, err, after.Load())
			}
		})
	}
}

func TestDefect06AFailedRunKeepsWhatWasFinished(t *testing.T) {
	t.Parallel()
	r := try(t, graphOf(t, `
chain:
  - {name: draft, agent: {model: mock, mock: {reply: "a draft", tokens: {in: 3, out: 4}}}}
  - name: reviews
    max_concurrency: 1
    parallel: [{name: style, set: '"fine"'}, {name: facts, fail: wrong}, {name: later, set: 1}]
`), "question")
	differs(t, "came to", "fail p.yaml:6:46: facts: wrong", r.said())
	differs(t, "outputs", `{"draft":"a draft","facts":null,"reviews":null,"style":"fine"}`, r.outputs())
	for name, want := range map[string]string{"draft": "completed", "style": "completed", "facts": "failed", "reviews": "failed"} {
		if got := r.Nodes[name].Status; got != want {
			t.Errorf("%s is %s, want %s", name, got, want)
		}
	}
	if want := (engine.Usage{InputTokens: 3, OutputTokens: 4, Calls: 1}); r.Usage.Total() != want || r.Steps != 3 {
		t.Errorf("%+v and %d steps are counted, want %+v and 3", r.Usage.Total(), r.Steps, want)
	}
}

func TestDefect07OutputsAreValues(t *testing.T) {
	t.Parallel()
	later := steps(map[string]step{
		"later":   func(context.Context, any) (any, error) { return func() any { return "x" }, nil },
		"channel": func(context.Context, any) (any, error) { return make(chan any), nil },
	})
	for _, name := range []string{"later", "channel"} {
		r := try(t, graphOf(t, "chain: [{call: "+name+"}, {set: prev}]", later), nil)
		if r.Error == nil || !strings.Contains(r.Error.Message, "no JSON value") || r.Error.Path != "/chain[0]" {
			t.Errorf("%s came to %v, %v", name, r.Output, r.err)
		}
	}
	synctest.Test(t, func(t *testing.T) { // what takes time is waited for: a classifier, and what is merged
		asleep := steps(map[string]step{"key": func(context.Context, any) (any, error) { time.Sleep(time.Second); return "b", nil }})
		r := try(t, graphOf(t, "route: {call: key}\ncases: {b: {parallel: [{call: key}, {set: '\"c\"'}], merge: 'join(results, \"+\")'}}", asleep), nil)
		differs(t, "came to", `"b+c"`, r.said())
	})
}

func TestDefect08ARunHasLimitsOfItsOwn(t *testing.T) {
	files := map[string]string{"inner.yaml": "parallel: [{call: step}, {call: step}, {call: step}]"}
	tests := map[string]struct {
		src  string
		most int64 // steps at once
		want string
		took time.Duration
	}{
		"at once": {
			src:  "limits: {max_concurrency: 2}\nparallel: [{flow: ./inner.yaml}, {parallel: [{call: step}, {call: step}]}, {call: step}]\nmerge: len(results)",
			most: 2, want: "3", took: 3 * time.Second,
		},
		"timeout": {
			src:  "limits: {timeout: 2500ms}\nchain: [{call: step}, {call: step}, {call: step}]",
			most: 1, want: "timeout p.yaml:2:1: p: the run did not end within its timeout of 2.5s", took: 2500 * time.Millisecond,
		},
		"timeout of a node": {
			src:  "chain: [{call: step}, {name: both, timeout: 1500ms, chain: [{call: step}, {call: step}]}]",
			most: 1, want: "timeout p.yaml:1:23: both: it did not end within its timeout of 1.5s", took: 2500 * time.Millisecond,
		},
		"retry": {
			src:  "agent: {model: mock, mock: {fail: 2, error: server}}\nretry: {max_attempts: 3, delay: 1s, backoff: 2, jitter: 0s}",
			want: `"in"`, took: 3 * time.Second,
		},
		"retry that does not help": {
			src:  "agent: {model: mock, mock: {fail: 2, error: server}}\nretry: {max_attempts: 2, delay: 1s, jitter: 0s}",
			want: "server p.yaml:1:1: p: the mock fails as told: server", took: time.Second,
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var g gauge
				r := try(t, filesOf(t, tt.src, files, steps(map[string]step{"step": g.step})), "in")
				differs(t, "came to", tt.want, r.said())
				if g.most.Load() != tt.most || r.Duration != tt.took {
					t.Errorf("%d steps at once, %s in all, want %d and %s", g.most.Load(), r.Duration, tt.most, tt.took)
				}
			})
		})
	}
}

func TestDefect09AFanOutWithoutAJoinHasOneAnswer(t *testing.T) {
	for _, first := range []string{"b", "c"} {
		t.Run(first+" ends first", func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				named := func(name string) step {
					return func(context.Context, any) (any, error) {
						if name != first {
							time.Sleep(time.Second)
						}
						return name, nil
					}
				}
				src := "graph:\n  a: {set: 1, next: [b, c]}\n  b: {call: b}\n  c: {call: c}\nstart: a"
				r := try(t, graphOf(t, src, steps(map[string]step{"b": named("b"), "c": named("c")})), nil)
				differs(t, "came to", `{"b":"b","c":"c"}`, r.said())
				if !strings.HasPrefix(r.visited(), "a "+first) {
					t.Errorf("they ended in the order %s", r.visited())
				}
			})
		})
	}
}

// cost is how many bytes f takes from memory: unlike its time the same whatever else the machine does. What rebuilds a
// table of the nodes for every node shows in it.
func cost(f func()) float64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return float64(after.TotalAlloc - before.TotalAlloc)
}

// grows checks that four times as many nodes cost about four times as much; sixteen times would be quadratic.
func grows(t *testing.T, what string, costOf func(nodes int) float64) {
	t.Helper()
	if small, large := costOf(1000), costOf(4000); large > 6*small {
		t.Errorf("%s costs %.0f bytes for 1000 nodes and %.1f times as much for 4000", what, small, large/small)
	}
}

// crowd is a file with n nodes of one sort. Each # in the line is the number of the node.
func crowd(head, line string, n int) string {
	var b strings.Builder
	b.WriteString(head)
	for i := range n {
		b.WriteString("  - " + strings.ReplaceAll(line, "#", strconv.Itoa(i)) + "\n")
	}
	return b.String()
}

var crowds = map[string]struct{ head, line string }{
	"parallel of one agent": {"agents: {a: {model: mock}}\nparallel:\n", "{agent: a}"},
	"parallel of names":     {"agents: {a: {model: mock}}\nparallel:\n", "{name: n#, agent: a}"},
	"chain":                 {"chain:\n", "{set: prev}"},
	"chain of names":        {"chain:\n", "{name: n#, set: prev}"},
	"chain that looks back": {"chain:\n  - {name: first, set: prev}\n", "{name: n#, set: steps.first.output}"},
}

func TestDefect10BuildingIsLinear(t *testing.T) { // not parallel: it measures
	for name, c := range crowds {
		grows(t, "building a "+name, func(n int) float64 {
			src := crowd(c.head, c.line, n)
			return cost(func() { graphOf(t, src) })
		})
	}
}

func TestDefect11RunningIsLinear(t *testing.T) { // not parallel: it measures
	running := func(src string) float64 {
		g := graphOf(t, src)
		options := []engine.Option{engine.WithMaxSteps(1 << 20), engine.WithMaxVisits(1 << 20), engine.WithListener(func(engine.Event) {})}
		return cost(func() {
			if _, err := engine.Run(t.Context(), g, 1, options...); err != nil {
				t.Error(err)
			}
		})
	}
	for name, c := range crowds {
		grows(t, "running a "+name, func(n int) float64 { return running(crowd(c.head, c.line, n)) })
	}
	grows(t, "running a loop", func(n int) float64 {
		return running(fmt.Sprintf("loop: [{name: again, set: prev + 1}]\nuntil: prev > %d", n))
	})
}

func TestDefect12WhatIsStoppedHasAnEnd(t *testing.T) {
	tests := map[string]struct {
		src   string
		ended int // nodes whose end is told
	}{
		"by a failure beside it":  {"parallel: [{call: hang}, {chain: [{call: hang}]}, {chain: [{wait: 1s}, {call: boom}]}]", 7},
		"by its timeout":          {"chain: [{timeout: 1s, chain: [{call: hang}]}]", 3},
		"by the run's timeout":    {"limits: {timeout: 1s}\nparallel: [{call: hang}, {call: hang}]", 3},
		"by a limit":              {"limits: {max_steps: 3}\nparallel: [{call: hang}, {chain: [{wait: 1s}, {loop: [{set: 1}], while: true}]}]", 6},
		"by enough others":        {"wait_for: first\nparallel: [{call: hang}, {wait: 1s}]", 3},
		"by who started the run":  {"parallel: [{call: hang}, {chain: [{call: hang}]}]", 4},
		"while it waits to retry": {"agent: {model: mock, mock: {fail: 1}}\nretry: {delay: 2h}", 1},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
				defer cancel()
				r := tryWithin(ctx, t, graphOf(t, tt.src, steps(plain)), nil)
				open, ended := map[string]int{}, 0
				for _, e := range r.events {
					switch e.Type {
					case engine.StepStarted:
						open[e.Turn]++
					case engine.StepCompleted, engine.StepFailed:
						open[e.Turn]--
						ended++
					}
				}
				for turn, n := range open {
					if n != 0 {
						t.Errorf("%s started %d times more than it ended", turn, n)
					}
				}
				if ended != tt.ended {
					t.Errorf("%d ends are told, want %d", ended, tt.ended)
				}
			})
		})
	}
}

// TestDefect13ARunGoesOnWhereItWas cuts a run in its third step and goes on with what was kept of it.
func TestDefect13ARunGoesOnWhereItWas(t *testing.T) {
	t.Parallel()
	var asked []string
	ctx, cancel := context.WithCancel(t.Context())
	ask := func(_ context.Context, q agents.Question) (string, error) {
		asked = append(asked, q.Prompt())
		if len(asked) == 3 {
			cancel() // in the middle of the third question
		}
		return q.Prompt() + "!", ctx.Err()
	}
	g := graphOf(t, "defaults: {model: script/x}\nchain: [{agent: {}}, {name: second, agent: {}}, {agent: {}}, {set: '[prev, steps.second.output]'}]",
		scripts(map[string]script{"x": ask}))
	position := &engine.Position{}
	if r := tryWithin(ctx, t, g, "hey", engine.WithTurns(position), engine.WithRunID("r")); r.Status != engine.Stopped {
		t.Fatalf("the first run is %s: %v", r.Status, r.err)
	}
	ctx = t.Context()
	r := try(t, g, "hey", engine.WithTurns(position), engine.WithRunID("r"))
	differs(t, "came to", `["hey!!!","hey!!"]`, r.said())
	differs(t, "asked", "hey|hey!|hey!!|hey!!", strings.Join(asked, "|"))
	if r.Steps != 4 || r.Usage.Total().Calls != 3 {
		t.Errorf("%d steps and %d answers are counted, want 4 and 3", r.Steps, r.Usage.Total().Calls)
	}
}

func TestDefect14DrawingsShowEveryNode(t *testing.T) {
	t.Parallel()
	g := filesOf(t, `
chain:
  - name: together
    parallel: [{name: left, chain: [{name: deep, set: 1}]}, {name: right, set: 2}]
  - {name: every, for_each: [1], do: {name: one, set: item}}
  - {name: choice, route: {name: key, set: '"x"'}, cases: {x: {name: taken, set: 1}}, default: {name: other, set: 2}}
  - {name: again, loop: [{name: turn, set: 1}], max_iterations: 2}
  - {name: ways, graph: {from: {set: 1, next: to}, to: {parallel: [{name: within, set: 1}]}}, start: from}
  - {name: risky, set: 1, catch: {name: rescue, set: 2}}
  - {name: file, flow: ./inner.yaml}
finally: {name: last, set: 1}
`, map[string]string{"inner.yaml": "name: inner\nparallel: [{name: innermost, set: 1}]"})
	drawing := g.Draw()
	mermaid, dot := drawing.Mermaid(), drawing.DOT()
	drawn := 0
	for _, p := range g.Pipelines() {
		for _, n := range p.Nodes() {
			drawn++
			text := fmt.Sprintf("%s (%s)", n.Name, n.Kind.Name)
			if n.Name == "" {
				text = n.Segment() + " (" + n.Kind.Name + ")"
			}
			if !strings.Contains(mermaid, text) || !strings.Contains(dot, text) {
				t.Errorf("%s is not drawn", text)
			}
		}
	}
	if len(drawing.Nodes) != drawn {
		t.Errorf("%d nodes are drawn, want %d", len(drawing.Nodes), drawn)
	}
}
