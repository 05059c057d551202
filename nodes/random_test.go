package nodes_test

import (
	"cmp"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	diff "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/flowrun/flowrun/agents/agentstest"
	"github.com/flowrun/flowrun/engine"
	"github.com/flowrun/flowrun/leaktest"
	"github.com/flowrun/flowrun/nodes"
)

// Three hundred random pipelines a property, unless -rapid.checks says otherwise: .ci/run asks for ten thousand. No goroutine
// outlives a run.
func TestMain(m *testing.M) {
	if fault := os.Getenv(agentstest.MCPFault); fault != "" { // this is a server of tools that a test started
		agentstest.MCP(fault)
		return
	}
	if err := flag.Set("rapid.checks", "300"); err != nil {
		panic(err)
	}
	leaktest.Main(m)
}

// Pipelines that fail in one way at most, and then with nothing else running, run the same steps to the same end as in
// the reference, in whatever order the steps end, and a second time to the same bytes.
func TestRandom(t *testing.T) {
	t.Parallel()
	l := newLoader(t)
	rapid.Check(t, func(r *rapid.T) {
		p, want := draw(r, one(&drawer{T: r}, safe, orderly), 30, 100)
		g := l.load(r, p)
		h := l.run(r, g, p, nil)
		h.check(r, want)
		if again := l.run(r, g, p, nil); outcomeOf(again.Result) != outcomeOf(h.Result) {
			r.Errorf("-first +second:\n%s", diff.Diff(outcomeOf(h.Result), outcomeOf(again.Result)))
		}
	})
}

// Pipelines that may fail have the reference's status, and the error of a node that really failed. Until then their
// steps do as in the reference.
func TestRandomFailures(t *testing.T) {
	t.Parallel()
	l := newLoader(t)
	rapid.Check(t, func(r *rapid.T) {
		p, want := draw(r, racy, 30, 100)
		h := l.run(r, l.load(r, p), p, nil)
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
			// What runs finally sees which way it was.
			if !stopped && !oneOf && !finally.MatchString(turn) && told != want.told[turn] {
				r.Errorf("%s %s, want it %s", turn, told, want.told[turn])
			}
		}
	})
}

// finally matches the turns of what runs finally and below.
var finally = regexp.MustCompile(`/(finally|last)`)

// A run that is cut behind any entry of its journal, so at any of its events, and entered again with the finished turns
// comes to the same: what had finished does not run again, and everything else does.
func TestRandomCut(t *testing.T) {
	t.Parallel()
	l := newLoader(t)
	rapid.Check(t, func(r *rapid.T) {
		p, want := draw(r, one(&drawer{T: r}, safe, orderly), 12, 15)
		g, whole := l.load(r, p), &journal{Position: &engine.Position{}}
		uncut := l.run(r, g, p, whole)
		uncut.check(r, want)
		var entries []engine.Entry
		for _, line := range whole.lines {
			var e engine.Entry
			if err := json.Unmarshal(line, &e); err != nil {
				r.Fatal(err)
			}
			entries = append(entries, e)
			h := l.run(r, g, p, engine.NewPosition(entries))
			for _, e := range entries {
				if e.Finished == nil {
					continue
				}
				if h.told[e.Turn] != "" {
					r.Errorf("%s runs again", e.Turn)
				}
				h.told[e.Turn] = want.told[e.Turn]
			}
			h.check(r, want)
			if outcomeOf(uncut.Result) != outcomeOf(h.Result) {
				r.Errorf("-uncut +cut:\n%s", diff.Diff(outcomeOf(uncut.Result), outcomeOf(h.Result)))
			}
			if r.Failed() {
				r.Fatalf("cut after\n%s", list(whole.lines[:len(entries)]))
			}
		}
	})
}

// A run that is cancelled at any moment did not succeed unless it had ended, and goes on to the same as if it had not
// been.
func TestRandomStopped(t *testing.T) {
	t.Parallel()
	l := newLoader(t)
	rapid.Check(t, func(r *rapid.T) {
		p, want := draw(r, one(&drawer{T: r}, safe, orderly), 30, 60)
		g, moment := l.load(r, p), rapid.IntRange(0, 100).Draw(r, "moment")
		stopped, h := l.twice(r, g, p, moment)
		h.checkAfter(r, stopped, want)
	})
}

// A run in which nothing new begins from any moment on lets what runs end, and then goes on to the same as if it had not
// been stopped. What had ended does not run again.
func TestRandomDrain(t *testing.T) {
	t.Parallel()
	l := newLoader(t)
	rapid.Check(t, func(r *rapid.T) {
		p, want := draw(r, one(&drawer{T: r}, safe, orderly), 30, 60)
		g, moment := l.load(r, p), rapid.IntRange(0, 100).Draw(r, "moment")
		position := &engine.Position{}
		var drained, h *heard
		var from time.Time
		synctest.Test(l.T, func(t *testing.T) {
			drain, stop := context.WithCancel(t.Context())
			from = time.Now().Add(time.Duration(moment) * time.Millisecond)
			timer := time.AfterFunc(time.Until(from), stop)
			drained = hear(t.Context(), g, p, position, engine.WithDrain(drain))
			timer.Stop()
			stop()
			h = hear(t.Context(), g, p, position)
		})
		if err := cmp.Or(wellFormed(drained.events), p.witness().hears(h, none)); err != nil {
			r.Fatal(err)
		}
		for _, e := range drained.events {
			if e.Type == engine.StepStarted && e.Time.After(from) && !finally.MatchString(e.Turn) {
				r.Errorf("%s begins %s too late", e.Turn, e.Time.Sub(from))
			}
		}
		h.checkAfter(r, drained, want)
	})
}

// Pipelines whose ways nobody can foretell are well-formed in all that they tell, within their limits, and in time; and
// so they are when they go on after they were stopped.
func TestRandomWild(t *testing.T) {
	t.Parallel()
	l := newLoader(t)
	rapid.Check(t, func(r *rapid.T) {
		p, _ := draw(r, wild, 30, 100)
		g, moment := l.load(r, p), rapid.OneOf(rapid.IntRange(0, 200), rapid.Just(1<<30)).Draw(r, "moment")
		l.twice(r, g, p, moment)
	})
}

// Pipelines that ask commands and addresses do as in the reference, too. They are few: a command takes real time.
func TestRandomOutside(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("echo"); err != nil {
		t.Skip(err)
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.Copy(w, r.Body) }))
	t.Cleanup(server.Close)
	l, outside := newLoader(t), pipelines(orderly, 15, server.URL)
	for seed := range 200 {
		p := outside.Example(seed)
		want := reference(p, 30)
		if want.tooLong {
			continue
		}
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			l := *l
			l.T = t
			l.run(t, l.load(t, p), p, nil).check(t, want)
			if t.Failed() {
				t.Logf("%#v", p)
			}
		})
	}
}

// draw draws a pipeline of about so many nodes, and works out what its run must be.
func draw(r *rapid.T, most risk, nodes, steps int) (*pipeline, *account) {
	p := pipelines(most, nodes, "").Draw(r, "pipeline")
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
	events []engine.Event
	again  bool              // it had begun before
	told   map[string]string // how each turn ended, in the words of the reference
	lost   error             // what it used is not what is kept of that
}

func (l *loader) load(r rapid.TB, p *pipeline) *engine.Graph {
	var main []byte
	for name, file := range p.files() {
		text, err := json.Marshal(file)
		if err != nil {
			r.Fatal(err)
		}
		if name == "p" {
			main = text
		} else if err := os.WriteFile(filepath.Join(l.folder, name+".yaml"), text, 0o644); err != nil {
			r.Fatal(err)
		}
	}
	g, problems := l.language.Parse("p.yaml", l.folder, main)
	if g == nil {
		r.Fatal(problems)
	}
	return g
}

// twice runs a pipeline that is cancelled after so many milliseconds, and lets it go on later.
func (l *loader) twice(r rapid.TB, g *engine.Graph, p *pipeline, moment int) (stopped, h *heard) {
	position := &engine.Position{}
	synctest.Test(l.T, func(t *testing.T) {
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Duration(moment)*time.Millisecond, context.Canceled)
		defer cancel()
		stopped = hear(ctx, g, p, position)
		time.Sleep(10 * time.Millisecond)
		h = hear(t.Context(), g, p, position)
	})
	if err := cmp.Or(p.witness().hears(stopped, moment), p.witness().hears(h, none)); err != nil {
		r.Fatal(err)
	}
	return stopped, h
}

// run runs a pipeline where waiting takes no time.
func (l *loader) run(r rapid.TB, g *engine.Graph, p *pipeline, turns engine.Turns, more ...engine.Option) *heard {
	var h *heard
	synctest.Test(l.T, func(t *testing.T) { h = hear(t.Context(), g, p, turns, more...) })
	if err := p.witness().hears(h, none); err != nil {
		r.Fatal(err)
	}
	return h
}

// hear runs a pipeline, or goes on from turns that are kept, and listens.
func hear(ctx context.Context, g *engine.Graph, p *pipeline, turns engine.Turns, more ...engine.Option) *heard {
	var events []engine.Event
	h := &heard{told: map[string]string{}}
	lookup := func(name string) (string, bool) { value, ok := environ[name].(string); return value, ok }
	opts := []engine.Option{engine.WithRunID("r"), engine.WithGrants(engine.Grants{All: true}), engine.WithEnviron(lookup),
		engine.WithListener(func(e engine.Event) { events = append(events, e) })}
	opts = append(opts, more...)
	if turns != nil {
		kept := turns.Find("/")
		h.again = kept.Begun || kept.Cursor != nil || kept.Finished != nil || len(kept.Failed) > 0
		opts = append(opts, engine.WithTurns(turns))
	}
	if p.param != nil {
		opts = append(opts, engine.WithParams(object{"k": p.param}))
	}
	var err error
	if h.Result, err = engine.Run(ctx, g, p.input, opts...); h.Result == nil {
		panic(err) // it did not begin
	}
	h.events = events
	if j, ok := turns.(*journal); ok {
		h.lost = j.lost
	}
	if turns != nil {
		if kept := turns.Find("/"); h.Status == engine.Completed && kept.Finished != nil {
			got, want := [3]any{kept.Spent.Steps, kept.Spent.Failures, kept.Spent.Usage.Total()}, [3]any{h.Steps, h.Failures, h.Usage.Total()}
			if got != want {
				h.lost = fmt.Errorf("steps, failures and usage that are kept: %v, of the run: %v", got, want)
			}
		}
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

func failureOf(e *engine.Error) failure {
	f := failure{string(e.Kind), e.Message, e.Node, none}
	if e.Item != nil {
		f.item = *e.Item
	}
	return f
}

// check holds a run against the reference.
func (h *heard) check(r rapid.TB, want *account) {
	switch {
	case len(want.failed) > 1:
		r.Fatalf("the reference is not sure: %v", want.failed)
	case len(want.failed) == 1:
		if h.Status != engine.Failed || failureOf(h.Error) != want.failed[0] {
			r.Errorf("%s, %v; want it to fail with %v", h.Status, h.Error, want.failed[0])
		}
	case h.Status != engine.Completed || asJSON(h.Output) != asJSON(want.output):
		r.Errorf("%s with %s, %v; want %s", h.Status, asJSON(h.Output), h.Error, asJSON(want.output))
	}
	if got, counted := [3]int{h.Steps, h.Failures, h.Usage.Total().Calls}, [3]int{len(want.leaves), want.forgave, want.calls}; got != counted {
		r.Errorf("steps, failures gone past and calls %v, want %v", got, counted)
	}
	if !maps.Equal(want.told, h.told) {
		r.Errorf("-reference +run:\n%s", diff.Diff(want.told, h.told))
	}
}

// checkAfter holds a run that went on after it was stopped against the reference: what had ended does not run again.
func (h *heard) checkAfter(r rapid.TB, stopped *heard, want *account) {
	for turn, told := range stopped.told {
		isStopped := strings.HasPrefix(told, "failed cancelled ")
		again := finally.MatchString(turn) && (h.told[turn] != "" || want.told[turn] == "") // its file was stopped
		if isStopped || again {
			continue
		}
		if h.told[turn] != "" {
			r.Errorf("%s runs again", turn)
		}
		h.told[turn] = told
	}
	h.check(r, want)
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
		last := finally.MatchString(e.Turn[max(0, strings.LastIndex(e.Turn, "/")):])
		top := e.Turn == "/" || last && up == "/"
		if last { // its file's root has ended, what includes the file has not
			up = around(up, seen)
		}
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
			if running[up] == top {
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
	return slices.Contains([]engine.EventType{engine.WorkflowCompleted, engine.WorkflowFailed, engine.WorkflowCancelled, engine.WorkflowWaiting}, e.Type)
}

// around is the turn around another. An item's number stands behind that of its for_each.
func around(turn string, seen map[string]bool) string {
	up := turn[:max(0, strings.LastIndex(turn, "/"))]
	if strings.HasSuffix(up, "]") && !seen[up] {
		up = up[:strings.LastIndex(up, "[")]
	}
	if up == "" {
		return "/"
	}
	return up
}
