package journal_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/flowrun/flowrun/engine"
	"github.com/flowrun/flowrun/journal"
)

// A journal that an earlier version wrote is read by this one: testdata has one of each, which is never changed.
func TestEarlierVersions(t *testing.T) {
	all, err := filepath.Glob("testdata/v*.sql")
	if err != nil || len(all) == 0 {
		t.Fatal(all, err)
	}
	for _, file := range all {
		t.Run(filepath.Base(file), func(t *testing.T) {
			statements, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(t.TempDir(), "flowrun.db")
			raw(t, path, string(statements))
			j := opened(t, path)
			rec, err := j.Get("20260102-030405-0badcafe")
			if err != nil {
				t.Fatal(err)
			}
			if rec.Status != journal.Failed || rec.Head.Input != "please" || rec.Head.Timeout != time.Minute || rec.Usage.Cost != 7 || rec.Result.Error.Kind != engine.Model {
				t.Errorf("%+v", rec)
			}
			turns, err := j.Turns(rec.ID)
			if err != nil || len(turns) != 3 || turns[1].Cursor == nil || turns[2].Finished.Output.V != "ready" {
				t.Errorf("%+v, %v", turns, err)
			}
			events, err := j.Events(rec.ID)
			if err != nil || len(events) != 2 || events[1].Usage.Cost != 1_500_000 {
				t.Errorf("%+v, %v", events, err)
			}
			if d, err := j.Decisions(rec.ID); err != nil || d["/ok"].Value != true || d["/ok"].By != "ann" {
				t.Errorf("%+v, %v", d, err)
			}
			if x, err := j.Exchanges("ann", "s", "writer"); err != nil || len(x) != 1 || x[0].Reply != "hello" {
				t.Errorf("%+v, %v", x, err)
			}
			r, err := j.Take(rec.ID)
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			kept(t, r, finished("/b", 3, "x"))
		})
	}
}

// Somebody changed how the file is written; it is changed back, lest readers and writers wait for each other.
func TestOtherModeOfTheFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "odd name?x=1#&%41 ä", "flowrun.db")
	opened(t, path).Close()
	if _, err := os.Stat(path); err != nil {
		t.Fatal(err)
	}
	moved := filepath.Join(t.TempDir(), "flowrun.db")
	if err := os.Rename(path, moved); err != nil {
		t.Fatal(err)
	}
	raw(t, moved, "PRAGMA journal_mode = DELETE")
	opened(t, moved).Close()
	db := database(t, moved)
	defer db.Close()
	var mode string
	if err := db.QueryRow("PRAGMA journal_mode").Scan(&mode); err != nil || mode != "wal" {
		t.Errorf("%s, %v", mode, err)
	}
}
