package nodes_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/flowrun/flowrun/engine"
	"github.com/flowrun/flowrun/nodes"
)

// Two thousand random pipelines a property, unless -rapid.checks says otherwise. No goroutine outlives a run.
func TestMain(m *testing.M) {
	if err := flag.Set("rapid.checks", "2000"); err != nil {
		panic(err)
	}
	goleak.VerifyTestMain(m)
}

// Pipelines whose failures are all absorbed run the same steps to the same output as in the reference, in whatever
// order the steps end.
func TestRandom(t *testing.T) {
	t.Parallel()
	l := newLoader(t)
	rapid.Check(t, func(r *rapid.T) {
		p, want := draw(r, safe, 30, 100)
		l.run(r, l.load(r, p), p.input).check(r, want)
	})
}

// Pipelines that may fail have the reference's status, and the error of a node that really failed. Until then their
// steps do as in the reference.
func TestRandomFailures(t *testing.T) {
	t.Parallel()
	l := newLoader(t)
	rapid.Check(t, func(r *rapid.T) {
		p, want := draw(r, racy, 30, 100)
		h := l.run(r, l.load(r, p), p.input)
		if len(want.failed) == 0 {
			h.check(r, want)
			return
		}
		if h.Status != engine.Failed || !slices.Contains(want.failed, failureOf(h.Error)) {
			r.Errorf("%s with %v, want to fail with one of %v", h.Status, h.Error, want.failed)
		}
		for turn, told := range h.told {
			cause, isFailed := strings.CutPrefix(told, "failed ")
			stopped := isFailed && (!want.leaves[turn] || strings.HasPrefix(cause, "cancelled"))
			// A leaf's catch may fail in one of several ways, and the leaf with it.
			oneOf := slices.ContainsFunc(want.failed, func(f failure) bool { return told == failed(f) })
			if !stopped && !oneOf && told != want.told[turn] {
				r.Errorf("%s %s, want it %s", turn, told, want.told[turn])
			}
		}
	})
}

// A run that is cut behind any entry of its journal, so at any of its events, and entered again with the finished turns
// comes to the same: what had finished does not run again, and everything else does.
func TestRandomCut(t *testing.T) {
	t.Parallel()
	l := newLoader(t)
	rapid.Check(t, func(r *rapid.T) {
		p, want := draw(r, safe, 12, 15)
		g, whole := l.load(r, p), &journal{Position: &engine.Position{}}
		l.run(r, g, p.input, engine.WithTurns(whole)).check(r, want)
		var entries []engine.Entry
		for _, line := range whole.lines {
			var e engine.Entry
			if err := json.Unmarshal(line, &e); err != nil {
				r.Fatal(err)
			}
			entries = append(entries, e)
			h := l.run(r, g, p.input, engine.WithTurns(engine.NewPosition(entries)))
			for _, e := range entries {
				if e.Finished == nil {
					continue
				}
				if h.told[e.Turn] != "" {
					r.Errorf("%s runs again", e.Turn)
				}
				h.told[e.Turn] = want.told[e.Turn]
			}
			if h.check(r, want); r.Failed() {
				r.Fatalf("cut after\n%s", list(whole.lines[:len(entries)]))
			}
		}
	})
}

// draw draws a pipeline of about so many nodes, and works out what its run must be.
func draw(r *rapid.T, most risk, nodes, steps int) (*pipeline, *account) {
	p := pipelines(most, nodes).Draw(r, "pipeline")
	want := reference(p, steps)
	if want.tooLong {
		r.Skip("too long")
	}
	return p, want
}

// loader loads random pipelines one after another, and runs them where waiting takes no time.
type loader struct {
	*testing.T
	language *engine.Language
	folder   string // for the files that they include
}

func newLoader(t *testing.T) *loader { return &loader{t, nodes.Language(), t.TempDir()} }

// heard is the result of a run, and what its events tell of its turns.
type heard struct {
	*engine.Result
	told map[string]string // how each ended, in the words of the reference
}

func (l *loader) load(r *rapid.T, p *pipeline) *engine.Graph {
	files := p.files()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(l.folder, name+".yaml"), []byte(text), 0o644); err != nil {
			r.Fatal(err)
		}
	}
	g, problems := l.language.Parse("p.yaml", l.folder, []byte(files["p"]))
	if g == nil {
		r.Fatal(problems)
	}
	return g
}

func (l *loader) run(r *rapid.T, g *engine.Graph, input any, opts ...engine.Option) *heard {
	var events []engine.Event
	opts = append(opts, engine.WithListener(func(e engine.Event) { events = append(events, e) }))
	h := &heard{told: map[string]string{}}
	synctest.Test(l.T, func(t *testing.T) { h.Result, _ = engine.Run(t.Context(), g, input, opts...) })
	if err := wellFormed(events); err != nil {
		r.Fatal(err)
	}
	for _, e := range events {
		switch e.Type {
		case engine.StepCompleted:
			h.told[e.Turn] = completed(e.Output)
		case engine.StepFailed:
			h.told[e.Turn] = failed(failureOf(e.Error))
		case engine.StepSkipped:
			h.told[e.Turn] = skipped
		}
	}
	return h
}

func failureOf(e *engine.Error) failure { return failure{string(e.Kind), e.Message, e.Node} }

// check holds a run against the reference.
func (h *heard) check(r *rapid.T, want *account) {
	if h.Status != engine.Completed || asJSON(h.Output) != asJSON(want.output) || h.Steps != len(want.leaves) {
		r.Errorf("%s with %s and %d steps, %v; want %s and %d", h.Status, asJSON(h.Output), h.Steps, h.Error, asJSON(want.output), len(want.leaves))
	}
	if !maps.Equal(want.told, h.told) {
		r.Errorf("-reference +run:\n%s", cmp.Diff(want.told, h.told))
	}
}

// wellFormed says what is wrong with the events of a run, if anything is: they are numbered without gaps; the run's own
// stand first and last; each step that starts ends once, one that is skipped does neither; and all that belongs to a
// step lies between its start and its end, the nodes below it too.
func wellFormed(events []engine.Event) error {
	running, seen := map[string]bool{}, map[string]bool{}
	seq := 0
	for i, e := range events {
		wrong := func(what string) error { return fmt.Errorf("event %d, %s of %s: %s", i, e.Type, e.Turn, what) }
		if e.Type != engine.ModelDelta {
			seq++
		}
		up := around(e.Turn, seen)
		switch {
		case e.Seq != seq:
			return wrong(fmt.Sprintf("has the number %d", e.Seq))
		case (e.Type == engine.WorkflowStarted) != (i == 0), ends(e) != (i == len(events)-1):
			return wrong("stands in a wrong place")
		case e.Type == engine.WorkflowStarted, ends(e):
		case e.Type != engine.StepStarted && e.Type != engine.StepSkipped && !running[e.Turn]:
			return wrong("its step is not running")
		case e.Type == engine.StepStarted, e.Type == engine.StepSkipped:
			if seen[e.Turn] {
				return wrong("comes a second time")
			}
			if e.Turn != "/" && !running[up] {
				return wrong(up + " around it is not running")
			}
			seen[e.Turn], running[e.Turn] = true, e.Type == engine.StepStarted
		case e.Type == engine.StepCompleted, e.Type == engine.StepFailed:
			running[e.Turn] = false
			for turn := range running {
				if running[turn] && around(turn, seen) == e.Turn {
					return wrong(turn + " in it is still running")
				}
			}
		}
	}
	return nil
}

func ends(e engine.Event) bool {
	return slices.Contains([]engine.EventType{engine.WorkflowCompleted, engine.WorkflowFailed, engine.WorkflowCancelled}, e.Type)
}

// around is the turn around another. An item's number stands behind that of its for_each.
func around(turn string, seen map[string]bool) string {
	up := turn[:max(0, strings.LastIndex(turn, "/"))]
	if i := strings.LastIndex(up, "["); i >= 0 && !seen[up] {
		up = up[:i]
	}
	if up == "" {
		return "/"
	}
	return up
}
