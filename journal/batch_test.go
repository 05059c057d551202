package journal_test

import (
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/flowrun/flowrun/engine"
	"github.com/flowrun/flowrun/journal"
)

// What is kept of a batch is added up, and its runs come in the order of their lines, a part at a time.
func TestBatch(t *testing.T) {
	t.Parallel()
	j := opened(t, filepath.Join(t.TempDir(), "j.db"))
	for i, batch := range []string{"aa-1", "aa-2", "ab-9", "", "aa-1"} {
		for line := 5; line > 0; line-- {
			r, err := j.Begin(journal.Head{ID: fmt.Sprintf("%d-%d", i, line), Batch: batch, Line: 10*i + line, Input: int64(line), StartedAt: time.Unix(1, 0)})
			if err != nil {
				t.Fatal(err)
			}
			if i == 4 && line == 5 {
				defer r.Close() // it goes on
				continue
			}
			if err := r.End(&engine.Result{Status: engine.Completed, Output: int64(2 * line), Usage: engine.ByAgent{"a": {Calls: line}}}); err != nil {
				t.Fatal(err)
			}
			r.Close()
		}
	}
	for prefix, want := range map[string]string{"aa-": "aa-2", "ab-": "ab-9", "a": "ab-9", "ac-": "", "aa-1": "aa-1", "": "ab-9"} {
		if got, err := j.LatestBatch(prefix); err != nil || got != want {
			t.Errorf("the latest of %q is %q, %v, want %q", prefix, got, err, want)
		}
	}
	b, err := j.Batch("aa-1")
	if err != nil || b.Last != 45 || b.Used.Calls != 15+10 || len(b.Live) != 1 || b.Live[0].ID != "4-5" {
		t.Errorf("of aa-1 there is %+v, %v", b, err)
	}
	for _, unknown := range []string{"aa", ""} {
		if b, err := j.Batch(unknown); err != nil || b.Last != 0 || b.Used.Calls != 0 {
			t.Errorf("of %q there is %+v, %v", unknown, b, err)
		}
	}
	var got string
	for behind := 0; ; {
		runs, err := j.BatchRuns("aa-1", behind, 4)
		if err != nil {
			t.Fatal(err)
		}
		if len(runs) == 0 {
			break
		}
		for _, r := range runs {
			got += fmt.Sprint(r.Line, "=", r.Head.Input)
			if r.Result != nil {
				got += fmt.Sprint(":", r.Result.Output)
			}
			got += " "
			behind = r.Line
		}
	}
	if want := "1=1:2 2=2:4 3=3:6 4=4:8 5=5:10 41=1:2 42=2:4 43=3:6 44=4:8 45=5 "; got != want {
		t.Errorf("the runs are %s, want %s", got, want)
	}
}
