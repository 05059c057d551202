package cli

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/flowrun/flowrun/engine"
	"github.com/flowrun/flowrun/journal"
	"github.com/flowrun/flowrun/spec"
)

// reuse is what a run takes over of an earlier one. It may be asked by several goroutines. A nil reuse takes nothing.
type reuse struct {
	ends  map[string]*engine.Finished
	tells bool

	mu   sync.Mutex
	kept []string // turns
}

func newReuse(ends map[string]*engine.Finished, tells bool) *reuse {
	return &reuse{ends: ends, tells: tells}
}

func (r *reuse) find(turn, basis string) (*engine.Finished, bool) {
	f := r.ends[turn]
	if f == nil || f.Basis != basis {
		return nil, false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.kept = append(r.kept, turn)
	return f, true
}

// succeeded tells whether a turn completed, and not only because its failure was gone past.
func succeeded(f *engine.Finished) bool {
	return f.Status == string(engine.Completed) && f.Error == nil
}

// tell lists what was taken over.
func (r *reuse) tell(w io.Writer) {
	if r == nil || !r.tells {
		return
	}
	slices.SortFunc(r.kept, engine.CompareTurns)
	fmt.Fprintf(w, "flowrun: %s kept", count(len(r.kept), "step"))
	const most = 100
	for i, turn := range r.kept[:min(most, len(r.kept))] {
		separator := ", "
		if i == 0 {
			separator = ": "
		}
		fmt.Fprint(w, separator, spec.Escape(turn))
	}
	if more := len(r.kept) - most; more > 0 {
		fmt.Fprintf(w, " and %d more", more)
	}
	fmt.Fprintln(w)
}

// inherited is what a fork takes over of the run from which it was forked: nothing where that, or the node, is not there
// any more. Any other run takes over nothing.
func inherited(j *journal.Journal, w *work) (map[string]*engine.Finished, error) {
	none := map[string]*engine.Finished{}
	if w.head.From == "" {
		return none, nil
	}
	node, err := named(w.graph.Pipeline(), w.head.From)
	if err != nil {
		return none, nil
	}
	ends, err := before(j, w.head.Origin, node)
	if unknown := (*journal.UnknownError)(nil); errors.As(err, &unknown) {
		return none, nil
	}
	return ends, err
}

// overlay adds what a run did itself: what failed there runs again.
func overlay(ends, own map[string]*engine.Finished) {
	for turn, f := range own {
		if succeeded(f) {
			ends[turn] = f
		} else {
			delete(ends, turn)
		}
	}
}

// before is what a run had finished before a node first began, all where that never did. Failures are among it as far
// as the run is known to have gone past them: all where it completed, else those that were caught.
func before(j *journal.Journal, id string, node *spec.Node) (map[string]*engine.Finished, error) {
	turns, err := j.Turns(id)
	if err != nil {
		return nil, err
	}
	ends := map[string]*engine.Finished{}
	begun, past := false, false
	for _, t := range turns {
		if t.Past {
			continue
		}
		begun = begun || under(t.Turn, node.Path())
		if !begun && t.Finished != nil {
			ends[t.Turn] = t.Finished
		}
		if t.Turn == "/" && t.Finished != nil {
			past = succeeded(t.Finished)
		}
	}
	maps.DeleteFunc(ends, func(_ string, f *engine.Finished) bool { return !past && !f.Caught && !succeeded(f) })
	return ends, nil
}

// named is the node of a name, or of a path.
func named(pipeline *spec.Pipeline, name string) (*spec.Node, error) {
	var names []string
	for _, n := range pipeline.Nodes() {
		if n.Name == name || n.Path() == name {
			return n, nil
		}
		if n.Name != "" {
			names = append(names, n.Name)
		}
	}
	return nil, usage("--from: the pipeline has no node %q%s", name, spec.DidYouMean(name, names))
}

// under tells whether a turn is of a node or of one below it: its path, with the counts of visits and the numbers of
// items left out, leads there.
func under(turn, path string) bool {
	if path == "/" {
		return true
	}
	segments := strings.Split(turn, "/")
	for i, segment := range strings.Split(path, "/") {
		if i >= len(segments) {
			return false
		}
		rest, ok := strings.CutPrefix(segments[i], segment)
		if !ok || rest != "" && rest[0] != '#' && rest[0] != '[' {
			return false
		}
	}
	return true
}
