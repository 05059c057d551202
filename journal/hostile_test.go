package journal_test

import (
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/flowrun/flowrun/engine"
	"github.com/flowrun/flowrun/journal"
)

// raw runs statements on the file of a journal, as somebody else could.
func raw(t testing.TB, path string, statements ...string) {
	t.Helper()
	db := database(t, path)
	defer db.Close()
	for _, s := range statements {
		if _, err := db.Exec(s); err != nil {
			t.Fatalf("%s: %v", s, err)
		}
	}
}

func write(t testing.TB, path string, content []byte) {
	t.Helper()
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestFilesThatAreNoJournals(t *testing.T) {
	made := func(t *testing.T, path string) {
		j := opened(t, path)
		r := begun(t, j, "r")
		for i := range 200 {
			kept(t, r, finished(fmt.Sprintf("/a#%d", i+2), i+1, strings.Repeat("x", 500)))
		}
		if err := errors.Join(r.Close(), j.Close()); err != nil {
			t.Fatal(err)
		}
	}
	tests := map[string]struct {
		make func(t *testing.T, path string)
		want string
	}{
		"folder":              {func(t *testing.T, path string) { _ = os.Mkdir(path, 0o700) }, "it is a folder"},
		"garbage":             {func(t *testing.T, path string) { write(t, path, []byte(strings.Repeat("garbage ", 1000))) }, "it is another kind of file"},
		"half a page":         {func(t *testing.T, path string) { write(t, path, []byte(strings.Repeat("x", 600))) }, "it is another kind of file"},
		"short garbage":       {func(t *testing.T, path string) { write(t, path, []byte("x")) }, "it is another kind of file"},
		"links in a circle":   {func(t *testing.T, path string) { _ = os.Symlink(path, path) }, "too many levels of symbolic links"},
		"of another program":  {func(t *testing.T, path string) { raw(t, path, "CREATE TABLE bookmarks (x)") }, "it is the database of another program"},
		"of another program,": {func(t *testing.T, path string) { raw(t, path, "PRAGMA application_id = 7", "PRAGMA user_version = 1") }, "it is the database of another program"},
		"newer": {func(t *testing.T, path string) {
			made(t, path)
			raw(t, path, "PRAGMA user_version = 99")
		}, "it was written by a newer flowrun: it is of version 99, and this one knows 1"},
		"of a version that never was": {func(t *testing.T, path string) {
			made(t, path)
			raw(t, path, "PRAGMA user_version = -3")
		}, "it is of version -3, which there never was"},
		"with a trigger": {func(t *testing.T, path string) {
			made(t, path)
			raw(t, path, "CREATE TRIGGER t AFTER INSERT ON runs BEGIN DELETE FROM runs; END")
		}, "its tables are not those that flowrun made"},
		"with a view for a table": {func(t *testing.T, path string) {
			made(t, path)
			raw(t, path, "DROP TABLE events", "CREATE VIEW events AS SELECT 1 AS key, '{}' AS event, '' AS large")
		}, "its tables are not those that flowrun made"},
		"cut off in its head": {func(t *testing.T, path string) {
			made(t, path)
			_ = os.Truncate(path, 50)
		}, "it is another kind of file"},
		"overwritten in the middle": {func(t *testing.T, path string) {
			made(t, path)
			b, _ := os.ReadFile(path)
			write(t, path, append(b[:100:100], make([]byte, len(b)-100)...))
		}, "it is damaged"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "flowrun.db")
			tt.make(t, path)
			before, _ := os.ReadFile(path)
			j, err := journal.Open(path)
			if err == nil {
				j.Close()
				t.Fatal("it was opened")
			}
			wrong := (*journal.OpenError)(nil)
			if !errors.As(err, &wrong) || wrong.Missing || err.Error() != path+" is no journal to use: "+tt.want {
				t.Errorf("\n got %v\nwant %s", err, tt.want)
			}
			if after, _ := os.ReadFile(path); string(after) != string(before) {
				t.Error("it was changed")
			}
		})
	}
}

func TestPlaceForNoJournal(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	write(t, file, nil)
	wrong := (*journal.OpenError)(nil)
	if _, err := journal.Open(filepath.Join(file, "deep", "flowrun.db")); !errors.As(err, &wrong) {
		t.Errorf("below a file: %v", err)
	}
	if os.Geteuid() == 0 {
		return // who may write everywhere
	}
	folder := t.TempDir()
	_ = os.Chmod(folder, 0o500)
	if _, err := journal.Open(filepath.Join(folder, "flowrun.db")); !errors.As(err, &wrong) || !wrong.Missing {
		t.Errorf("in a folder that is read only: %v", err)
	}
}

// A file that is cut off somewhere gives what is left of it, or an error, and no panic.
func TestFileThatIsCutOff(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "flowrun.db")
	j := opened(t, path)
	fill(t, j, 20)
	j.Close()
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for n := 0; n < len(whole); n += 1500 {
		write(t, path, whole[:n])
		j, err := journal.Open(path)
		if err != nil {
			if !errors.As(err, new(*journal.OpenError)) {
				t.Errorf("%d bytes: %T %v", n, err, err)
			}
			continue
		}
		if _, err := j.List(journal.Filter{}); err != nil && !errors.As(err, new(*journal.ReadError)) {
			t.Errorf("%d bytes: %T %v", n, err, err)
		}
		const id = "20261121-000003-abcdef01"
		if r, err := j.Take(id); err == nil {
			if r.Head().ID != id {
				t.Errorf("%d bytes: %+v", n, r.Head())
			}
			r.Close()
		}
		j.Close()
	}
}

func TestFileThatGoesWhileItIsUsed(t *testing.T) {
	for name, do := range map[string]func(path string) error{
		"removed":  os.Remove,
		"replaced": func(path string) error { return errors.Join(os.Remove(path), os.WriteFile(path, nil, 0o600)) },
		"renamed":  func(path string) error { return os.Rename(path, path+"2") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "flowrun.db")
			r := begun(t, opened(t, path), "r")
			kept(t, r, finished("/a", 1, 1))
			if err := do(path); err != nil {
				t.Fatal(err)
			}
			err := r.Record(finished("/b", 2, 1))()
			if want := "writing the journal " + path + ": it was removed or replaced while it was in use"; err == nil || err.Error() != want {
				t.Errorf("\n got %v\nwant %s", err, want)
			}
			if r.Err() == nil || r.Record(finished("/c", 3, 1))() == nil || r.End(&engine.Result{Status: engine.Completed}) == nil {
				t.Error("it goes on all the same")
			}
		})
	}
}

func TestModeOfAnOlderFileIsMadePrivate(t *testing.T) {
	path := filepath.Join(t.TempDir(), "flowrun.db")
	opened(t, path).Close()
	_ = os.Chmod(path, 0o666)
	opened(t, path)
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
}

// What somebody wrote into the rows of a run damages that run and no other, and is never more than data.
func TestForgedRows(t *testing.T) {
	turn := func(entry string) string {
		return fmt.Sprintf("UPDATE turns SET entry = '%s' WHERE key >> 32 = 2", strings.ReplaceAll(entry, "'", "''"))
	}
	large := func(of, names string) string {
		return fmt.Sprintf("UPDATE %s SET large = '%s' WHERE key >> 32 = 2", of, names)
	}
	hash := strings.Repeat("0", 64)
	tests := map[string]struct{ change, want string }{
		"broken JSON":                  {turn(`{"turn": "/a"`), "unexpected EOF"},
		"something after it":           {turn(`{"turn":"/a","cursor":{"state":null,"tally":{}}} {}`), "something follows"},
		"unknown field":                {turn(`{"turn":"/a","exec":"rm","cursor":{"state":null,"tally":{}}}`), `json: unknown field "exec"`},
		"no turn":                      {turn(`{"turn":"a","cursor":{"state":null,"tally":{}}}`), `"a" is no turn`},
		"neither finished nor cursor":  {turn(`{"turn":"/a"}`), "a turn is either finished or has a cursor"},
		"unknown status":               {turn(`{"turn":"/a","finished":{"number":1,"output":1,"status":"fine","visits":1,"tally":{}}}`), `"fine" is no status of a node`},
		"unknown kind of error":        {turn(`{"turn":"/a","finished":{"number":1,"output":1,"status":"failed","visits":1,"tally":{},"error":{"kind":"odd","message":"m"}}}`), `"odd" is no kind of error`},
		"steps below 0":                {turn(`{"turn":"/a","finished":{"number":1,"output":1,"status":"completed","visits":1,"tally":{"steps":-1000}}}`), "a count is below 0"},
		"costs below 0":                {turn(`{"turn":"/a","finished":{"number":1,"output":1,"status":"completed","visits":1,"tally":{"usage":{"a":{"input_tokens":0,"output_tokens":0,"calls":0,"cost":-7}}}}}`), "a usage is below 0"},
		"folds itself":                 {turn(`{"turn":"/a","cursor":{"state":null,"tally":{},"folded":"/a"}}`), `"/a" is not below "/a"`},
		"folds and folds nothing":      {turn(`{"turn":"/a","cursor":{"state":null,"tally":{},"folded":"/a/b","beside":true}}`), `a turn is folded, and none is`},
		"folds another":                {turn(`{"turn":"/a","cursor":{"state":null,"tally":{},"folded":"/ab"}}`), `"/ab" is not below "/a"`},
		"visits below 0":               {turn(`{"turn":"/a","cursor":{"state":null,"tally":{},"counts":[-1]}}`), "a count is below 0"},
		"a path for a large output":    {large("turns", `{"output":"../../../../etc/passwd"}`), "the name of a large output is no hash"},
		"a large output that is not":   {large("turns", fmt.Sprintf(`{"output":"%s"}`, hash)), "a large output cannot be read: lstat "},
		"a large output of nothing":    {large("turns", fmt.Sprintf(`{"names/x":"%s"}`, hash)), `it has a large value for "names/x", which it has not`},
		"names that are no JSON":       {large("turns", "x"), "invalid character 'x' looking for beginning of value"},
		"an event that is none":        {`UPDATE events SET event = '{"seq":1,"event":"exec"}' WHERE key >> 32 = 2`, `"exec" is no event`},
		"an event with another number": {`UPDATE events SET event = '{"seq":9,"event":"step_started"}' WHERE key >> 32 = 2`, "an event has another number than its own"},
		"an event of no turn":          {`UPDATE events SET event = '{"seq":1,"event":"step_started","turn":"a"}' WHERE key >> 32 = 2`, `"a" is no turn`},
		"a failure without an error":   {`UPDATE events SET event = '{"seq":1,"event":"step_failed","turn":"/a"}' WHERE key >> 32 = 2`, "a step failed, and there is no error"},
		"a broken head":                {"UPDATE runs SET head = '[' WHERE id = 'r2'", "unexpected EOF"},
		"the head of another":          {"UPDATE runs SET head = (SELECT head FROM runs WHERE id = 'r1') WHERE id = 'r2'", "its head is of another run"},
		"params that are no mapping":   {`UPDATE runs SET head = '{"id":"r2","workflow":"w","digest":"","input":null,"params":7,"started_at":"2026-01-02T03:04:05Z"}' WHERE id = 'r2'`, "its params are no mapping"},
		"an unknown status of the run": {"UPDATE runs SET status = 'great' WHERE id = 'r2'", `"great" is no status of a run`},
		"a broken result":              {"UPDATE runs SET result = 'x' WHERE id = 'r2'", "invalid character 'x' looking for beginning of value"},
		"a question without answers":   {`UPDATE runs SET result = '{"output":1,"steps":1,"duration":1,"waiting":[{"turn":"/a","node":"a","message":"m"}]}' WHERE id = 'r2'`, "it waits for an answer, and none is possible"},
		"a question of no turn":        {`UPDATE runs SET result = '{"output":1,"steps":1,"duration":1,"waiting":[{"turn":"","node":"a","message":"m","options":["x"]}]}' WHERE id = 'r2'`, `"" is no turn`},
		"a result with a forged kind":  {`UPDATE runs SET result = '{"output":1,"steps":1,"duration":1,"error":{"kind":"odd","message":"m"}}' WHERE id = 'r2'`, `"odd" is no kind of error`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "flowrun.db")
			j := opened(t, path)
			for _, id := range []string{"r1", "r2", "r3"} {
				r := begun(t, j, id)
				kept(t, r, finished("/a", 1, "x"))
				r.Hear(engine.Event{Seq: 1, Type: engine.StepStarted, Time: time.Unix(1, 0)})
				if err := errors.Join(r.End(&engine.Result{Status: engine.Completed, Output: id}), r.Close()); err != nil {
					t.Fatal(err)
				}
			}
			j.Close()
			raw(t, path, tt.change)

			j = opened(t, path)
			_, got := j.Get("r2")
			_, turns := j.Turns("r2")
			_, events := j.Events("r2")
			damaged := (*journal.DamagedError)(nil)
			if err := errors.Join(got, turns, events); !errors.As(err, &damaged) || damaged.ID != "r2" || !strings.HasPrefix(damaged.Err.Error(), tt.want) {
				t.Errorf("\n got %v\nwant %s", err, tt.want)
			}
			if _, err := j.Take("r2"); !errors.As(err, new(*journal.DamagedError)) {
				t.Errorf("it can be taken: %v", err)
			}
			all, err := j.List(journal.Filter{})
			if err != nil || len(all) != 3 {
				t.Fatalf("the list is %+v, %v", all, err)
			}
			for _, s := range all {
				if want := map[bool]journal.Status{true: journal.Damaged, false: journal.Completed}[s.ID == "r2"]; s.Status != want {
					t.Errorf("%s is %s", s.ID, s.Status)
				}
			}
			for _, id := range []string{"r1", "r3"} {
				if rec, err := j.Get(id); err != nil || rec.Result.Output != id {
					t.Errorf("%s: %+v, %v", id, rec, err)
				}
			}
			if err := j.Remove("r2"); err != nil {
				t.Errorf("it cannot be removed: %v", err)
			}
		})
	}
}

func TestRunIDs(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "state", "flowrun.db")
	j := opened(t, path)
	for _, id := range []string{"../../../etc/passwd", "/", "..", "C:\\x", "👩‍🚀🔥", "a\x00b", "-rf", "' OR 1=1 --", strings.Repeat("x", 200)} {
		r := begun(t, j, id)
		kept(t, r, finished("/a", 1, 1))
		if _, err := j.Take(id); !errors.As(err, new(*journal.LiveError)) {
			t.Errorf("%q: %v", id, err)
		}
		r.Close()
		if rec, err := j.Get(id); err != nil || rec.Head.ID != id {
			t.Errorf("%q: %+v, %v", id, rec, err)
		}
	}
	for id, want := range map[string]string{"\xff\xfe": `a run id is text, not "\xff\xfe"`, "": "a run id has 1 to 200 bytes, not 0", strings.Repeat("x", 300): "a run id has 1 to 200 bytes, not 300"} {
		if _, err := j.Begin(journal.Head{ID: id}); err == nil || err.Error() != want {
			t.Errorf("%q: %v", id, err)
		}
	}
	for _, h := range []journal.Head{{ID: "r", UserID: "\xff"}, {ID: "r", SessionID: "\xff"}} { // read back, all of these would be one
		if _, err := j.Begin(h); err == nil || err.Error() != `a user or session is text, not "\xff"` {
			t.Errorf("%+v: %v", h, err)
		}
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 {
		t.Errorf("beside the folder there is %v, %v", entries, err)
	}
	if len(entries) == 1 {
		if inside, _ := os.ReadDir(filepath.Dir(path)); len(inside) != 4 {
			t.Errorf("in the folder there is %v", inside)
		}
	}
}

func database(t testing.TB, path string) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	return db
}
