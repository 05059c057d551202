package nodes_test

import (
	"bytes"
	"context"
	"encoding/json"
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	diff "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/flowrun/flowrun/engine"
	"github.com/flowrun/flowrun/nodes"
	"github.com/flowrun/flowrun/spec"
)

// faulty is a language whose leaves can be told to fail, and count their work.
type faulty struct {
	*engine.Language
	mu     sync.Mutex
	broken string         // the turn that fails, of the run r
	worked map[string]int // how often a leaf worked, by turn
}

func newFaulty() *faulty {
	f := &faulty{Language: nodes.Language(), worked: map[string]int{}}
	for i := range f.Kinds {
		k := &f.Kinds[i]
		build := k.Build
		if !k.Leaf {
			continue
		}
		k.Build = func(n *spec.Node) engine.Body {
			b := build(n)
			if act := b.Act; act != nil {
				b.Act = func(ctx context.Context, c *engine.Call) (any, error) {
					if err := f.work(strings.TrimPrefix(c.Key(), "r:")); err != nil {
						return nil, err
					}
					return act(ctx, c)
				}
			} else {
				decide := b.Decide
				b.Decide = func(v *engine.Visit) (any, error) {
					if err := f.work(v.Turn()); err != nil {
						return nil, err
					}
					return decide(v)
				}
			}
			return b
		}
	}
	return f
}

func (f *faulty) work(turn string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if turn == f.broken {
		return engine.Errorf(engine.Exec, onPurpose)
	}
	f.worked[turn]++
	return nil
}

// entriesOf are the entries of a journal as they come out of a file.
func entriesOf(r rapid.TB, lines [][]byte) []engine.Entry {
	entries := make([]engine.Entry, len(lines))
	for i, line := range lines {
		if err := json.Unmarshal(line, &entries[i]); err != nil {
			r.Fatal(err)
		}
	}
	return entries
}

// leaves are the leaves among turns that completed.
func leaves(entries []engine.Entry) map[string]*engine.Finished {
	done := map[string]*engine.Finished{}
	for _, e := range entries {
		if f := e.Finished; f != nil && f.Basis != "" && f.Status == string(engine.Completed) && f.Error == nil {
			done[e.Turn] = f
		}
	}
	return done
}

const onPurpose = "broken on purpose"

var caughtOnPurpose = regexp.MustCompile(`"caught":\{[^}]*` + onPurpose)

func turnsOf(done map[string]*engine.Finished) []string { return slices.Sorted(maps.Keys(done)) }

// A run in which a leaf failed goes on when that works again: it comes to what it would have, and nothing that had
// completed runs again.
func TestRandomReopened(t *testing.T) {
	t.Parallel()
	l, f := newLoader(t), newFaulty()
	l.language = f.Language
	failures := 0
	rapid.Check(t, func(r *rapid.T) {
		p, want := draw(r, one(&drawer{T: r}, safe, orderly), 12, 20)
		g, whole := l.load(r, p), &journal{Position: &engine.Position{}}
		f.broken = ""
		uncut := l.run(r, g, p, whole)
		if len(want.failed) > 0 {
			r.Skip("it fails by itself")
		}
		turns := turnsOf(leaves(entriesOf(r, whole.lines)))
		if len(turns) == 0 {
			r.Skip("nothing can fail")
		}
		f.broken = rapid.SampledFrom(turns).Draw(r, "broken")
		failed := &journal{Position: &engine.Position{}}
		h := l.run(r, g, p, failed)
		if h.Status == engine.Completed || !strings.Contains(h.Error.Error(), onPurpose) || caughtOnPurpose.Match(bytes.Join(failed.lines, nil)) {
			r.Skip("the failure was taken, or it is another's, of what read that one")
		}
		failures++
		position := engine.NewPosition(entriesOf(r, failed.lines))
		spent := position.Find("/").Spent
		failed.Record(engine.Entry{Turn: "/", Reopened: true})
		position = engine.NewPosition(entriesOf(r, failed.lines))
		if now := position.Find("/").Spent; diff.Diff(spent.Usage.Total(), now.Usage.Total()) != "" {
			r.Errorf("what was used is not: %+v, then %+v", spent, now)
		}
		f.broken, f.worked = "", map[string]int{}
		again := l.run(r, g, p, engine.NewPosition(entriesOf(r, failed.lines)))
		was, is := outcomeOf(uncut.Result), outcomeOf(again.Result)
		was.Usage = is.Usage // what was stopped beside the failure may have used something,
		if bytes.Contains(bytes.Join(failed.lines, nil), []byte("can no longer be reached")) {
			was.Steps, was.Nodes, was.Failures = is.Steps, is.Nodes, is.Failures // and what raced with it may have ended meanwhile
		}
		if was != is {
			r.Errorf("-unbroken +failed and gone on:\n%s", diff.Diff(was, is))
		}
		for turn := range leaves(entriesOf(r, failed.lines)) {
			if f.worked[turn] > 0 && !finally.MatchString(turn) {
				r.Errorf("%s runs again", turn)
			}
		}
		if r.Failed() {
			r.Log(list(failed.lines))
		}
	})
	if failures == 0 {
		t.Error("no run failed")
	}
}

// A run that begins again with what another did works only where that is not known, and on what follows from it.
func TestRandomReuse(t *testing.T) {
	t.Parallel()
	l, f := newLoader(t), newFaulty()
	l.language = f.Language
	rapid.Check(t, func(r *rapid.T) {
		p, _ := draw(r, one(&drawer{T: r}, safe, orderly), 12, 20)
		g, whole := l.load(r, p), &journal{Position: &engine.Position{}}
		uncut := l.run(r, g, p, whole)
		known := leaves(entriesOf(r, whole.lines))
		lost := ""
		if turns := turnsOf(known); len(turns) > 0 && rapid.Bool().Draw(r, "one is lost") {
			lost = rapid.SampledFrom(turns).Draw(r, "lost")
			delete(known, lost)
		}
		f.worked = map[string]int{}
		anew := &journal{Position: &engine.Position{}}
		again := l.run(r, g, p, anew, engine.WithReuse(func(turn, basis string) (*engine.Finished, bool) {
			done := known[turn]
			return done, done != nil && done.Basis == basis
		}))
		was, is := outcomeOf(uncut.Result), outcomeOf(again.Result)
		if was.Usage = is.Usage; was != is {
			r.Errorf("-first +second:\n%s", diff.Diff(was, is))
		}
		for turn := range f.worked {
			if known[turn] != nil {
				r.Errorf("%s works again", turn)
			}
		}
		if lost != "" && f.worked[lost] == 0 {
			r.Errorf("%s does not work", lost)
		}
		if diff.Diff(turnsOf(leaves(entriesOf(r, whole.lines))), turnsOf(leaves(entriesOf(r, anew.lines)))) != "" {
			r.Errorf("what is reused is not kept:\n%s\n%s", list(whole.lines), list(anew.lines))
		}
	})
}
