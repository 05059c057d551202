package pipetest

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/flowrun/flowrun/spec"
)

// snapshots is the file that keeps the outcomes of a test file's cases.
func (f *File) snapshots() string {
	return filepath.Join(filepath.Dir(f.Name), "__snapshots__", strings.TrimSuffix(filepath.Base(f.Name), Ending)+".yaml")
}

// Snapshot is an outcome that is kept.
type Snapshot struct{ File, Name string }

// shelf is the snapshots of one test file while its cases run.
type shelf struct {
	file *File
	name string
	kept map[string]any

	mu    sync.Mutex
	fresh map[string]any // to be written
}

func openShelf(f *File) (*shelf, error) {
	s := &shelf{file: f, name: f.snapshots(), fresh: map[string]any{}}
	src, err := spec.ReadFile(nil, s.name)
	if errors.Is(err, fs.ErrNotExist) {
		return s, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", s.name, err)
	}
	v, err := spec.ParseValue(string(src))
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", s.name, err)
	}
	kept, ok := v.(map[string]any)
	if !ok {
		return nil, fmt.Errorf("reading %s: it is no mapping of snapshots by name", s.name)
	}
	s.kept = kept
	return s, nil
}

// compare holds an outcome against the one kept, or takes it to be kept.
func (s *shelf) compare(c *Case, name string, seen spec.Values, update bool) *Failure {
	now := outcome(seen)
	at := c.at.Place("snapshot")
	if update {
		s.mu.Lock()
		defer s.mu.Unlock()
		if first, twice := s.fresh[name]; twice && spec.AsJSON(first) != spec.AsJSON(now) {
			return &Failure{Pos: at, Message: fmt.Sprintf("the snapshot %q differs from run to run", name)}
		}
		s.fresh[name] = now
		return nil
	}
	kept, ok := s.kept[name]
	switch {
	case !ok:
		return &Failure{Pos: at, Message: fmt.Sprintf("there is no snapshot %q", name), Detail: []string{"--update writes it"}}
	case spec.AsJSON(kept) == spec.AsJSON(now):
		return nil
	}
	return &Failure{Pos: at, Message: fmt.Sprintf("the outcome (+) is not the snapshot %q (-)", name),
		Detail: append(diff(asYAML(kept), asYAML(now)), "--update takes the outcome for the snapshot")}
}

func asYAML(v any) string { return strings.TrimSuffix(string(spec.AppendYAML(nil, v)), "\n") }

// outcome is what a snapshot keeps of a run: nothing that differs from run to run.
func outcome(seen spec.Values) map[string]any {
	out := map[string]any{"status": seen["status"], "output": seen["output"]}
	if seen["error"] != nil {
		out["error"] = seen["error"]
	}
	steps := map[string]any{}
	for name, v := range seen["steps"].(map[string]any) {
		s := v.(map[string]any)
		if s["status"] == nil { // it never ran
			continue
		}
		step := map[string]any{"status": s["status"], "visits": s["visits"], "output": s["output"]}
		if e, ok := s["error"].(map[string]any); ok {
			step["error"] = map[string]any{"kind": e["kind"], "message": e["message"], "node": e["node"]}
		}
		steps[name] = step
	}
	if len(steps) > 0 {
		out["steps"] = steps
	}
	return out
}

// close writes what is to be kept, and tells which snapshots no case uses.
func (s *shelf) close(p Plan) (unused, written []Snapshot, err error) {
	used := map[string]bool{}
	for _, c := range s.file.Cases {
		used[c.snapshot()] = true
	}
	next := maps.Clone(s.fresh)
	for _, name := range slices.Sorted(maps.Keys(s.kept)) {
		if _, anew := s.fresh[name]; anew {
			continue
		}
		if !used[name] {
			unused = append(unused, Snapshot{s.name, name})
			continue
		}
		next[name] = s.kept[name] // of a case that did not run, or failed before
	}
	if !p.Update {
		return unused, nil, nil
	}
	for _, name := range slices.Sorted(maps.Keys(s.fresh)) {
		if before, ok := s.kept[name]; !ok || spec.AsJSON(before) != spec.AsJSON(s.fresh[name]) {
			written = append(written, Snapshot{s.name, name})
		}
	}
	if len(written) == 0 && len(unused) == 0 {
		return nil, nil, nil
	}
	if len(next) == 0 {
		err = os.Remove(s.name)
	} else {
		err = writeFile(s.name, spec.AppendYAML(nil, next))
	}
	if err != nil {
		return nil, nil, fmt.Errorf("writing %s: %w", s.name, err)
	}
	return unused, written, nil
}

// writeFile replaces a file as a whole.
func writeFile(name string, b []byte) error {
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(name), ".snap-*")
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	err = errors.Join(err, f.Chmod(0o644), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		os.Remove(f.Name())
	}
	return err
}
