package engine_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/flowrun/flowrun/engine"
	"github.com/flowrun/flowrun/spec"
)

// store keeps turns as a disk would: in order, but only after a while, and several at a time.
type store struct {
	engine.Position
	mu      sync.Mutex
	entries []engine.Entry
	kept    int           // so many are on the disk
	delay   time.Duration // of a write
	broken  int           // the write that fails, from 1
	writing chan struct{}
}

func newStore(delay time.Duration) *store {
	return &store{delay: delay, writing: make(chan struct{}, 1)}
}

func (s *store) Record(e engine.Entry) func() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.entries = append(s.entries, e)
	n := len(s.entries)
	s.Position.Record(e)
	return func() error {
		s.writing <- struct{}{} // one writes, for all that wait
		defer func() { <-s.writing }()
		return s.write(n)
	}
}

// write brings all entries so far to the disk, unless the n-th is there.
func (s *store) write(n int) error {
	s.mu.Lock()
	all, kept := len(s.entries), s.kept
	s.mu.Unlock()
	if kept >= n {
		return nil
	}
	if s.broken > 0 && n >= s.broken {
		return errors.New("disk full")
	}
	time.Sleep(s.delay)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.kept = all
	return nil
}

func (s *store) durable(turn string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, e := range s.entries[:s.kept] {
		if e.Turn == turn && e.Finished != nil {
			return i >= 0
		}
	}
	return false
}

// Nothing uses an outcome that is not kept, and a group of writes serves many branches.
func TestOutcomesAreKeptBeforeTheyAreUsed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore(10 * time.Millisecond)
		after := func(_ context.Context, c *engine.Call) (any, error) {
			for _, turn := range []string{"/a", "/all/b", "/all/c", "/all"} {
				if !s.durable(turn) {
					t.Errorf("%s runs while %s is not kept", c.Node().Name, turn)
				}
			}
			return nil, nil
		}
		src := "seq: [{name: a, set: 1}, {name: all, at_once: 100, all: [{name: b, do: x}, {name: c, do: x}" + strings.Repeat(", {do: x}", 98) + "]}, {name: z, do: after}]\nlimits: {max_steps: 1000, max_concurrency: 100}"
		result, err := engine.Run(t.Context(), compile(t, acts{"after": after}, src), nil, engine.WithTurns(s))
		if err != nil {
			t.Fatal(err)
		}
		if result.Duration > 200*time.Millisecond {
			t.Errorf("a hundred branches waited one after another for their writes: %s", result.Duration)
		}
	})
}

// A run whose position cannot be kept ends before it uses what was not kept.
func TestPositionThatCannotBeKept(t *testing.T) {
	for n := 1; n < 12; n++ {
		s := newStore(0)
		s.broken = n
		src := "seq: [{name: a, set: 1}, {name: p, all: [{name: b, do: x}, {name: c, do: x}], on_error: continue}, {name: d, set: 1, catch: {set: 2}}, {name: e, set: 3}]"
		result, err := engine.Run(t.Context(), compile(t, nil, src), nil, engine.WithTurns(s))
		if err == nil {
			if n <= len(s.entries) {
				t.Errorf("write %d of %d failed and the run says %s", n, len(s.entries), result.Status)
			}
			continue
		}
		if result.Error.Kind != engine.Internal || !strings.Contains(err.Error(), "disk full") {
			t.Errorf("write %d: %v", n, err)
		}
	}
}

// What was recorded is heard in the order of its recording, also when it is kept later than its followers.
func TestOrderOfRecordingIsOrderOfHearing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore(5 * time.Millisecond)
		l := &log{}
		leaves := acts{}
		var branches []string
		for i := range 20 {
			name := fmt.Sprintf("b%d", i)
			leaves[name] = func(context.Context, *engine.Call) (any, error) {
				time.Sleep(time.Duration(i*7%11) * time.Millisecond)
				return nil, nil
			}
			branches = append(branches, fmt.Sprintf("{name: %s, do: %s}", name, name))
		}
		src := "at_once: 20\nall: [" + strings.Join(branches, ", ") + "]\nlimits: {max_concurrency: 20}"
		_, err := engine.Run(t.Context(), compile(t, leaves, src), nil, engine.WithTurns(s), engine.WithListener(func(e engine.Event) {
			if e.Type == engine.StepCompleted && e.Kind == "do" {
				l.add("%s", e.Node)
			}
		}))
		if err != nil {
			t.Fatal(err)
		}
		var recorded []string
		for _, e := range s.entries {
			if e.Finished != nil && e.Turn != "/" {
				recorded = append(recorded, strings.TrimPrefix(e.Turn, "/"))
			}
		}
		if diff := cmp.Diff(recorded, strings.Split(l.String(), "\n")); diff != "" {
			t.Errorf("-recorded +heard\n%s", diff)
		}
	})
}

func TestPosition(t *testing.T) {
	finished := func(turn string, number, steps int) engine.Entry {
		return engine.Entry{Turn: turn, Finished: &engine.Finished{Number: number, Tally: engine.Tally{Steps: steps}}}
	}
	p := engine.NewPosition([]engine.Entry{
		finished("/a", 1, 1), finished("/list[3]/do", 2, 1), finished("/list[10]/do", 4, 1), finished("/chain[1]/x#2", 5, 2),
		{Turn: "/b", Cursor: &engine.Cursor{Tally: engine.Tally{Steps: 7}}}, finished("/b/c", 6, 1),
	})
	spent := func(turn string) string {
		k := p.Find(turn)
		return fmt.Sprintf("finished %v, cursor %v, begun %v, %d steps, last %d", k.Finished != nil, k.Cursor != nil, k.Begun, k.Spent.Steps, k.Last)
	}
	want := map[string]string{
		"/":             "finished false, cursor false, begun true, 13 steps, last 6",
		"/a":            "finished true, cursor false, begun false, 1 steps, last 1",
		"/list":         "finished false, cursor false, begun true, 2 steps, last 4",
		"/list[3]/do":   "finished true, cursor false, begun false, 1 steps, last 2",
		"/list[1]/do":   "finished false, cursor false, begun false, 0 steps, last 0",
		"/chain[1]/x":   "finished false, cursor false, begun false, 0 steps, last 0",
		"/chain[1]/x#2": "finished true, cursor false, begun false, 2 steps, last 5",
		"/b":            "finished false, cursor true, begun true, 8 steps, last 6",
	}
	for turn, w := range want {
		if got := spent(turn); got != w {
			t.Errorf("%s: %s, want %s", turn, got, w)
		}
	}
	p.Record(finished("/list", 7, 2)) // replaces what was below
	p.Record(engine.Entry{Turn: "/b", Cursor: &engine.Cursor{Tally: engine.Tally{Steps: 8}, Folded: "/b/c"}})
	for turn, w := range map[string]string{
		"/list":       "finished true, cursor false, begun false, 2 steps, last 7",
		"/list[3]/do": "finished false, cursor false, begun false, 0 steps, last 0",
		"/b":          "finished false, cursor true, begun false, 8 steps, last 0",
		"/":           "finished false, cursor false, begun true, 13 steps, last 7",
	} {
		if got := spent(turn); got != w {
			t.Errorf("then %s: %s, want %s", turn, got, w)
		}
	}
}

// Entries come back from JSON as they were.
func TestEntriesAsJSON(t *testing.T) {
	err := &engine.Error{Kind: engine.Exec, Message: "broken", Node: "n", Path: "/n", Pos: spec.Pos{File: "p.yaml", Line: 2, Column: 3}}
	named := engine.Named{Output: engine.Value{V: []any{int64(9007199254740993), 2.5, nil}}, Status: "completed", Visits: 2, Error: err}
	entries := []engine.Entry{
		{Turn: "/a", Name: "a", Finished: &engine.Finished{Number: 3, Named: named, Caught: true, Tally: engine.Tally{Steps: 1, Failures: 2, Usage: engine.ByAgent{"a": {Calls: 3, Cost: 7}}},
			Names: map[string]engine.Named{"b": named}, Stopped: map[string]engine.Named{"c": {Status: "cancelled"}}}},
		{Turn: "/c", Cursor: &engine.Cursor{State: engine.Value{V: map[string]any{"i": int64(2)}}, Attempt: 1, Caught: err, Asked: 2, Started: time.Unix(1, 2).UTC(),
			Pause: time.Unix(3, 4).UTC(), Deadline: time.Unix(5, 6).UTC(), Wake: time.Unix(7, 8).UTC(), Counts: []int{1, 0}, Tally: engine.Tally{Steps: 1}, Names: map[string]engine.Named{"b": named}, Folded: "/c/d"}},
	}
	for _, e := range entries {
		b, failed := json.Marshal(e)
		if failed != nil {
			t.Fatal(failed)
		}
		var back engine.Entry
		if failed := json.Unmarshal(b, &back); failed != nil {
			t.Fatal(failed)
		}
		if diff := cmp.Diff(e, back, cmpopts.IgnoreUnexported(engine.Error{})); diff != "" {
			t.Errorf("-before +after\n%s", diff)
		}
	}
}

// failingStore is one that notices by itself, while nobody waits, that it can keep nothing more.
type failingStore struct {
	engine.Position
	err error
}

func (s *failingStore) Err() error { return s.err }

// Nothing goes out once the store says that it can keep nothing more: no other question of a leaf that asks several, no
// attempt and no other leaf.
func TestNothingGoesOutThatCannotBeKept(t *testing.T) {
	s := &failingStore{}
	var asked []string
	ask := func(what string, breaks bool) func(context.Context, *engine.Call) (any, error) {
		return func(ctx context.Context, c *engine.Call) (any, error) {
			for i := range 3 {
				_, err := engine.Ask(ctx, c, engine.Request[string]{Do: func(context.Context) (string, error) {
					asked = append(asked, fmt.Sprint(what, i))
					if i == 1 && breaks {
						s.err = errors.New("disk full")
					}
					return "", nil
				}})
				if err != nil {
					return nil, err
				}
			}
			return nil, nil
		}
	}
	src := "seq: [{do: a}, {do: b, catch: {do: c}, retry: {max_attempts: 3}}, {do: d}]\nfinally: {do: e}"
	leaves := acts{"a": ask("a", false), "b": ask("b", true), "c": ask("c", false), "d": ask("d", false), "e": ask("e", false)}
	result, err := engine.Run(t.Context(), compile(t, leaves, src), nil, engine.WithTurns(s))
	if want := "a0 a1 a2 b0 b1"; strings.Join(asked, " ") != want {
		t.Errorf("asked %v, not %s", asked, want)
	}
	if err == nil || result.Error.Kind != engine.Internal || result.Error.Message != "keeping the run's position: disk full" {
		t.Errorf("the run ended with %v", err)
	}
}

// A cursor from a store may be of another form than the node: nothing is made of that.
func TestCursorOfAnotherForm(t *testing.T) {
	for _, counts := range [][]int{{1}, {1, 0, 5, 7, 9}} {
		p := engine.NewPosition([]engine.Entry{{Turn: "/", Cursor: &engine.Cursor{Counts: counts}}})
		result, err := engine.Run(t.Context(), compile(t, nil, "repeat: [{do: x}, {do: y}, {do: z}]\ntimes: 1"), nil, engine.WithTurns(p))
		if err != nil || result.Output != "z" {
			t.Errorf("%v: %v, %v", counts, result.Output, err)
		}
	}
}
