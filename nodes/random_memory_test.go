package nodes_test

import (
	"encoding/json"
	"maps"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	diff "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/flowrun/flowrun/engine"
)

// questions keeps what models are asked last, by the turn that asks.
type questions struct {
	mu     sync.Mutex
	byTurn map[string]string
	past   int // those that have what was said before
}

func (q *questions) Begin(string, engine.Info) {}
func (q *questions) Decide(engine.Decision)    {}
func (q *questions) Keep(x engine.Exchange) {
	if x.Content.Kind != "model" {
		return
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	asked := compact(x.Content.Value)
	q.byTurn[x.Turn] = asked // of several attempts the last, which has the same past
	if strings.Contains(asked, `"model":true`) {
		q.past++
	}
}

// asked runs a pipeline, or goes on from where it was cut, and gives what its models are asked.
func (l *loader) asked(g *engine.Graph, p *pipeline, turns engine.Turns, opts ...engine.Option) (*heard, *questions) {
	q := &questions{byTurn: map[string]string{}}
	var h *heard
	synctest.Test(l.T, func(t *testing.T) {
		h = hear(t.Context(), g, p, turns, append(opts, engine.WithRecorder(q), engine.WithMemory(earlier))...)
	})
	return h, q
}

// earlier is what all agents of random pipelines remember of earlier runs.
var earlier = recaller(func(_ engine.Info, agent string) ([]engine.Memory, error) {
	return []engine.Memory{{Agent: agent, Prompt: "far too long", Reply: "gone", Tokens: 1e6}, {Agent: agent, Prompt: "before", Reply: "yes", Tokens: 5}}, nil
})

// What agents remember does not depend on who was faster, on how many work at once, or on where the run was cut.
func TestRandomMemory(t *testing.T) {
	t.Parallel()
	l := newLoader(t)
	remembered := 0
	rapid.Check(t, func(r *rapid.T) {
		p, _ := draw(r, one(&drawer{T: r}, safe, orderly), 20, 30)
		if files, _ := json.Marshal(p.files()); strings.Contains(string(files), `"wait_for"`) || !strings.Contains(string(files), `"memory"`) {
			return // who wins a race is another matter
		}
		g, whole := l.load(r, p), &journal{Position: &engine.Position{}}
		uncut, want := l.asked(g, p, whole)
		remembered += want.past
		same := func(what string, h *heard, got *questions, again bool) {
			wanted := maps.Clone(want.byTurn)
			maps.DeleteFunc(wanted, func(turn, _ string) bool { return again && got.byTurn[turn] == "" })
			if outcomeOf(h.Result) != outcomeOf(uncut.Result) || !maps.Equal(wanted, got.byTurn) {
				r.Fatalf("%s: -want +got:\n%s\n%s", what, diff.Diff(wanted, got.byTurn), diff.Diff(outcomeOf(uncut.Result), outcomeOf(h.Result)))
			}
		}
		h, got := l.asked(g, p, nil, engine.WithMaxConcurrency(1))
		same("one at a time", h, got, false)
		for n := 1; n <= len(whole.lines); n += 1 + len(whole.lines)/8 {
			h, got := l.asked(g, p, reopen(t, whole.lines[:n]))
			same("cut after\n"+list(whole.lines[:n]), h, got, true)
		}
	})
	if remembered == 0 {
		t.Error("no agent remembered anything")
	}
	t.Logf("%d questions had what was said before", remembered)
}
