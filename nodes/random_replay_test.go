package nodes_test

import (
	"path/filepath"
	"testing"
	"testing/synctest"

	diff "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/flowrun/flowrun/engine"
	"github.com/flowrun/flowrun/recording"
)

// replayed records a run and replays it, from a file.
func (l *loader) replayed(r rapid.TB, g *engine.Graph, p *pipeline) (recorded, replayed *heard) {
	file := filepath.Join(l.folder, "recording")
	synctest.Test(l.T, func(t *testing.T) {
		to := &recording.Recorder{}
		recorded = hear(t.Context(), g, p, nil, engine.WithRecorder(to))
		if err := to.Save(file, recorded.Status); err != nil {
			r.Fatal(err)
		}
		from, err := recording.Open(file)
		if err != nil {
			r.Fatal(err)
		}
		replayed = hear(t.Context(), g, p, nil, engine.WithReplay(from))
		if unused := from.Unused(); len(unused) > 0 && replayed.Status == engine.Completed {
			r.Errorf("nobody asked for %v", unused)
		}
	})
	return recorded, replayed
}

// Pipelines that fail in one way at most come to the same when they are replayed, and all their steps do.
func TestRandomReplay(t *testing.T) {
	t.Parallel()
	l := newLoader(t)
	rapid.Check(t, func(r *rapid.T) {
		p, want := draw(r, one(&drawer{T: r}, safe, orderly), 30, 100)
		recorded, replayed := l.replayed(r, l.load(r, p), p)
		recorded.check(r, want)
		replayed.check(r, want)
		if outcomeOf(recorded.Result) != outcomeOf(replayed.Result) {
			r.Errorf("-recorded +replayed:\n%s", diff.Diff(outcomeOf(recorded.Result), outcomeOf(replayed.Result)))
		}
	})
}

// Pipelines in which several ways to fail race fail in the same way when they are replayed.
func TestRandomReplayFailures(t *testing.T) {
	t.Parallel()
	l := newLoader(t)
	rapid.Check(t, func(r *rapid.T) {
		p, _ := draw(r, racy, 30, 100)
		recorded, replayed := l.replayed(r, l.load(r, p), p)
		was, is := outcomeOf(recorded.Result), outcomeOf(replayed.Result)
		if was.Status != is.Status || was.Output != is.Output || was.Error != is.Error {
			r.Errorf("-recorded +replayed:\n%s", diff.Diff(was, is))
		}
	})
}
