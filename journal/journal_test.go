package journal_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/flowrun/flowrun/engine"
	"github.com/flowrun/flowrun/journal"
)

func opened(t testing.TB, path string) *journal.Journal {
	t.Helper()
	j, err := journal.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { j.Close() })
	return j
}

func begun(t testing.TB, j *journal.Journal, id string) *journal.Run {
	t.Helper()
	r, err := j.Begin(journal.Head{ID: id, Workflow: "w", StartedAt: time.Unix(1, 2).UTC()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r
}

func finished(turn string, number int, output any) engine.Entry {
	return engine.Entry{Turn: turn, Name: strings.TrimPrefix(turn, "/"), Finished: &engine.Finished{Number: number, Tally: engine.Tally{Steps: 1},
		Named: engine.Named{Output: engine.Value{V: output}, Status: "completed", Visits: 1}}}
}

func kept(t testing.TB, r *journal.Run, e engine.Entry) {
	t.Helper()
	if err := r.Record(e)(); err != nil {
		t.Fatal(err)
	}
}

func TestRunOutlivesItsProcess(t *testing.T) {
	path := filepath.Join(t.TempDir(), "deep", "flowrun.db")
	j := opened(t, path)
	head := journal.Head{ID: "r1", Workflow: "w", File: "/p.yaml", Digest: "d", Input: int64(9007199254740993), Params: map[string]any{"n": 2.5}, Models: []string{"a=b"},
		MaxSteps: 3, Timeout: time.Minute, UserID: "u", SessionID: "s", StartedAt: time.Unix(5, 6).UTC(), Batch: "b", Line: 3, Origin: "r0"}
	r, err := j.Begin(head)
	if err != nil {
		t.Fatal(err)
	}
	kept(t, r, finished("/a", 1, "one"))
	r.Record(engine.Entry{Turn: "/c", Cursor: &engine.Cursor{Attempt: 2}})
	r.Hear(engine.Event{Seq: 1, Type: engine.WorkflowStarted, Time: time.Unix(7, 8).UTC(), Workflow: "w", RunID: "r1"})
	r.Hear(engine.Event{Seq: 1, Type: engine.ModelDelta, Text: "not kept"})
	if err := r.Close(); err != nil { // as if it were killed: it has not ended
		t.Fatal(err)
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}

	j = opened(t, path)
	rec, err := j.Get("r1")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(head, rec.Head); diff != "" || rec.Status != journal.Interrupted {
		t.Errorf("it is %s, -head +kept\n%s", rec.Status, diff)
	}
	if r, err = j.Take("r1"); err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if k := r.Find("/a"); k.Finished == nil || k.Finished.Output.V != "one" {
		t.Errorf("a is not finished: %+v", k)
	}
	if k := r.Find("/c"); k.Cursor == nil || k.Cursor.Attempt != 2 {
		t.Errorf("c has no cursor: %+v", k)
	}
	if r.LastSeq() != 1 || len(r.Listed()) != 1 {
		t.Errorf("last event %d, listed %v", r.LastSeq(), r.Listed())
	}
	kept(t, r, finished("/", 2, "out"))
	result := &engine.Result{RunID: "r1", Workflow: "w", Status: engine.Completed, Output: "out", Steps: 2, StartedAt: head.StartedAt, Duration: time.Second,
		Usage: engine.ByAgent{"a": {Calls: 2, Cost: 7}}, Nodes: map[string]engine.Named{"a": {Status: "completed", Output: engine.Value{V: "one"}, Visits: 1}}}
	if err := r.End(result); err != nil {
		t.Fatal(err)
	}
	if rec, err = j.Get("r1"); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(result, rec.Result, cmpopts.IgnoreUnexported(engine.Error{})); diff != "" {
		t.Errorf("-ended +kept\n%s", diff)
	}
	if rec.Status != journal.Completed || rec.Steps != 2 || rec.Usage.Calls != 2 || rec.EndedAt.IsZero() {
		t.Errorf("the summary is %+v", rec.Summary)
	}
	turns, err := j.Turns("r1")
	if err != nil || len(turns) != 3 {
		t.Errorf("turns %v, %v", turns, err)
	}
	events, err := j.Events("r1")
	if err != nil || len(events) != 1 || events[0].Type != engine.WorkflowStarted {
		t.Errorf("events %v, %v", events, err)
	}
}

func TestOwnership(t *testing.T) {
	path := filepath.Join(t.TempDir(), "flowrun.db")
	j := opened(t, path)
	r := begun(t, j, "r1")
	if _, err := j.Begin(journal.Head{ID: "r1"}); !errors.As(err, new(*journal.ExistsError)) {
		t.Errorf("a second run of the id: %v", err)
	}
	other := opened(t, path)
	live := (*journal.LiveError)(nil)
	if _, err := other.Take("r1"); !errors.As(err, &live) || live.Owner.PID != os.Getpid() {
		t.Errorf("taking a run that goes on: %v", err)
	}
	if all, err := other.List(journal.Filter{Status: journal.Running}); err != nil || len(all) != 1 || all[0].Owner.PID != os.Getpid() {
		t.Errorf("the runs are %+v, %v", all, err)
	}
	r.Close()
	if _, err := other.Take("r2"); !errors.As(err, new(*journal.UnknownError)) {
		t.Errorf("taking no run: %v", err)
	}
	r, err := other.Take("r1")
	if err != nil {
		t.Fatal(err)
	}
	r.Close()
	if _, err := j.Begin(journal.Head{ID: "r1"}); !errors.As(err, new(*journal.ExistsError)) {
		t.Errorf("a second run of the id: %v", err)
	}
}

func TestFileIsForItsOwnerAlone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state", "flowrun.db")
	j := opened(t, path)
	r := begun(t, j, "r1")
	kept(t, r, finished("/a", 1, strings.Repeat("x", 300<<10)))
	err := filepath.WalkDir(filepath.Dir(path), func(name string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err == nil && info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %04o", name, info.Mode().Perm())
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	all, _ := filepath.Glob(path + ".d/outputs/*")
	if len(all) != 1 {
		t.Errorf("the large outputs are %v", all)
	}
}
