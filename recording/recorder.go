// Package recording keeps what a run asked of the world in a file that people read and compare, and answers from it. It
// knows nothing of who was asked or how.
package recording

import (
	"cmp"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/flowrun/flowrun/engine"
)

// Recorder keeps what a run asks. The zero value is ready.
type Recorder struct {
	mu   sync.Mutex
	kept tape
}

// tape is what a file holds.
type tape struct {
	pipeline  string
	run       engine.Info
	exchanges []engine.Exchange
	decisions []engine.Decision
	ended     engine.Status
}

// Begin hears which pipeline runs, and as which run.
func (r *Recorder) Begin(pipeline string, run engine.Info) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.kept.pipeline, r.kept.run = pipeline, run
}

// Keep takes what came of a question.
func (r *Recorder) Keep(x engine.Exchange) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.kept.exchanges = append(r.kept.exchanges, x)
}

// Decide hears how a fan-out was decided early.
func (r *Recorder) Decide(d engine.Decision) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.kept.decisions = append(r.kept.decisions, d)
}

// Save writes the file, in place of what was there, once the run has ended. It is written aside and then renamed: it is
// never half there.
func (r *Recorder) Save(file string, ended engine.Status) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.kept.ended = ended
	b, err := encode(r.kept.arranged())
	if err != nil {
		return err
	}
	f, err := create(file)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err = cmp.Or(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), file)
	}
	if err != nil {
		_ = os.Remove(f.Name())
	}
	return bare(err)
}

// Writable tells why a file could not be written, before anything is asked that would be lost; nil where it can.
func Writable(file string) error {
	if info, err := os.Stat(file); err == nil && !info.Mode().IsRegular() {
		return errIrregular
	}
	f, err := create(file)
	if err != nil {
		return err
	}
	f.Close()
	return bare(os.Remove(f.Name()))
}

func create(file string) (*os.File, error) {
	f, err := os.CreateTemp(filepath.Dir(file), ".recording-")
	return f, bare(err)
}

// arranged is the tape by turns, without what branches asked that had no part in what their fan-out came to.
func (t tape) arranged() tape {
	var lost []string
	for _, d := range t.decisions {
		for _, branch := range d.Lost {
			lost = append(lost, strings.TrimSuffix(d.Turn, "/")+branch)
		}
	}
	slices.Sort(lost)
	t.exchanges = slices.DeleteFunc(slices.Clone(t.exchanges), func(x engine.Exchange) bool { return under(lost, x.Turn) })
	t.decisions = slices.DeleteFunc(slices.Clone(t.decisions), func(d engine.Decision) bool { return under(lost, d.Turn) })
	slices.SortStableFunc(t.exchanges, func(a, b engine.Exchange) int {
		return cmp.Or(engine.CompareTurns(a.Turn, b.Turn), strings.Compare(a.Apart, b.Apart))
	})
	slices.SortFunc(t.decisions, func(a, b engine.Decision) int { return engine.CompareTurns(a.Turn, b.Turn) })
	return t
}

// under tells whether a turn is one of some sorted ones, or below it.
func under(turns []string, turn string) bool {
	for end := len(turn); end > 0; end = strings.LastIndexAny(turn[:end], "/[") {
		if _, found := slices.BinarySearch(turns, turn[:end]); found {
			return true
		}
	}
	return false
}
