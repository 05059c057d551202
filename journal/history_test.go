package journal_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/flowrun/flowrun/engine"
	"github.com/flowrun/flowrun/journal"
)

func ids(all []journal.Summary) string {
	var s []string
	for _, r := range all {
		s = append(s, r.ID)
	}
	return strings.Join(s, " ")
}

func TestList(t *testing.T) {
	j := opened(t, filepath.Join(t.TempDir(), "flowrun.db"))
	for i, h := range []journal.Head{
		{ID: "a", Workflow: "review", UserID: "ann", SessionID: "1", Batch: "b", Line: 1},
		{ID: "b", Workflow: "review", UserID: "bob", SessionID: "2", Batch: "b", Line: 2},
		{ID: "c", Workflow: "digest", UserID: "ann", SessionID: "2"},
		{ID: "d", Workflow: "digest", UserID: "ann", SessionID: "3"},
		{ID: "e", Workflow: "digest", UserID: "eve", SessionID: "3"},
	} {
		h.StartedAt = time.Unix(int64(i+1), 0)
		r, err := j.Begin(h)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		kept(t, r, finished("/x", 1, nil))
		switch h.ID {
		case "a":
			err = r.End(&engine.Result{Status: engine.Completed, Steps: 4})
		case "b":
			err = r.End(&engine.Result{Status: engine.Failed, Error: &engine.Error{Kind: engine.Model, Message: "no answer", Node: "n"}})
		case "c":
			err = r.End(&engine.Result{Status: engine.Stopped})
		case "d":
			err = r.Close()
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	tests := map[string]struct {
		filter journal.Filter
		want   string
	}{
		"all":                 {journal.Filter{}, "e d c b a"},
		"so many":             {journal.Filter{Limit: 2}, "e d"},
		"of a pipeline":       {journal.Filter{Workflow: "review"}, "b a"},
		"of a user":           {journal.Filter{UserID: "ann"}, "d c a"},
		"of a session":        {journal.Filter{SessionID: "3"}, "e d"},
		"of a batch":          {journal.Filter{Batch: "b"}, "b a"},
		"since":               {journal.Filter{Since: time.Unix(4, 0)}, "e d"},
		"until":               {journal.Filter{Until: time.Unix(4, 0)}, "c b a"},
		"of both":             {journal.Filter{Workflow: "digest", UserID: "ann"}, "d c"},
		"that completed":      {journal.Filter{Status: journal.Completed}, "a"},
		"that failed":         {journal.Filter{Status: journal.Failed}, "b"},
		"that were cancelled": {journal.Filter{Status: journal.Cancelled}, "c"},
		"that were cut":       {journal.Filter{Status: journal.Interrupted}, "d"},
		"that go on":          {journal.Filter{Status: journal.Running}, "e"},
		"that wait":           {journal.Filter{Status: journal.Waiting}, ""},
		"that are damaged":    {journal.Filter{Status: journal.Damaged}, ""},
	}
	for name, tt := range tests {
		if all, err := j.List(tt.filter); err != nil || ids(all) != tt.want {
			t.Errorf("%s: %q, not %q, %v", name, ids(all), tt.want, err)
		}
	}
	all, err := j.List(journal.Filter{Batch: "b"})
	if err != nil || all[0].Line != 2 || all[0].ErrorKind != engine.Model || all[0].Error != "n: no answer" || all[1].Steps != 4 {
		t.Errorf("%+v, %v", all, err)
	}
	cut, err := j.Get("d")
	if err != nil || cut.Steps != 1 || cut.Result != nil {
		t.Errorf("a run that was cut has no counts: %+v, %v", cut, err)
	}
}

func outputs(t testing.TB, path string) []string {
	t.Helper()
	all, err := filepath.Glob(path + ".d/outputs/*")
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestLargeOutputs(t *testing.T) {
	path := filepath.Join(t.TempDir(), "flowrun.db")
	j := opened(t, path)
	large := map[string]any{"text": strings.Repeat("large ", 60_000), "n": int64(9007199254740993)}
	entry := finished("/a", 1, large)
	entry.Finished.Names = map[string]engine.Named{"b": {Status: "completed", Output: engine.Value{V: large}, Visits: 1}, "c": {Status: "completed", Output: engine.Value{V: "small"}}}
	for _, id := range []string{"r1", "r2"} {
		r, err := j.Begin(journal.Head{ID: id, Input: large})
		if err != nil {
			t.Fatal(err)
		}
		kept(t, r, entry)
		kept(t, r, engine.Entry{Turn: "/c", Cursor: &engine.Cursor{State: engine.Value{V: large}}})
		r.Hear(engine.Event{Seq: 1, Type: engine.StepCompleted, Output: large, Time: time.Unix(1, 0).UTC()})
		if err := errors.Join(r.End(&engine.Result{Status: engine.Completed, Output: large}), r.Close()); err != nil {
			t.Fatal(err)
		}
	}
	if all := outputs(t, path); len(all) != 1 {
		t.Errorf("one value has the files %v", all)
	}
	rec, err := j.Get("r2")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(large, rec.Head.Input) + cmp.Diff(large, rec.Result.Output); diff != "" {
		t.Error(diff)
	}
	turns, err := j.Turns("r2")
	if err != nil || len(turns) != 2 {
		t.Fatal(turns, err)
	}
	if diff := cmp.Diff(entry, turns[0].Entry) + cmp.Diff(large, turns[1].Cursor.State.V); diff != "" {
		t.Error(diff)
	}
	events, err := j.Events("r2")
	if err != nil || len(events) != 1 {
		t.Fatal(events, err)
	}
	if diff := cmp.Diff(large, events[0].Output); diff != "" {
		t.Error(diff)
	}

	if err := j.Remove("r1"); err != nil {
		t.Fatal(err)
	}
	if _, err := j.Turns("r2"); err != nil || len(outputs(t, path)) != 1 {
		t.Errorf("it went with a run though another has it: %v", err)
	}
	write(t, outputs(t, path)[0], []byte(`"forged"`))
	if _, err := j.Take("r2"); !errors.As(err, new(*journal.DamagedError)) || !strings.Contains(err.Error(), "was changed") {
		t.Errorf("a changed output: %v", err)
	}
	if err := j.Remove("r2"); err != nil || len(outputs(t, path)) != 0 {
		t.Errorf("nobody has it, and it stays: %v", err)
	}
}

func TestRemove(t *testing.T) {
	path := filepath.Join(t.TempDir(), "flowrun.db")
	j := opened(t, path)
	full := func(id string) *journal.Run {
		r, err := j.Begin(journal.Head{ID: id, UserID: "u", SessionID: "s", StartedAt: time.Unix(1, 0)})
		if err != nil {
			t.Fatal(err)
		}
		e := finished("/a", 1, strings.Repeat("x", 300<<10)+id)
		e.Memory = &engine.Memory{Agent: "a", Prompt: "p", Reply: id, Tokens: 2}
		kept(t, r, e)
		r.Hear(engine.Event{Seq: 1, Type: engine.StepStarted})
		if err := j.Decide(id, journal.Decision{Turn: "/a", Value: true}); err != nil {
			t.Fatal(err)
		}
		return r
	}
	live := full("live")
	defer live.Close()
	full("r1").Close()
	full("r2").Close()
	waiting := full("waiting")
	if err := errors.Join(waiting.End(&engine.Result{Status: "waiting"}), waiting.Close()); err != nil {
		t.Fatal(err)
	}
	if err := j.Remove("r1", "live"); !errors.As(err, new(*journal.LiveError)) {
		t.Errorf("removing a run that goes on: %v", err)
	}
	if err := j.Remove("r1", "nobody"); !errors.As(err, new(*journal.UnknownError)) {
		t.Errorf("removing no run: %v", err)
	}
	if err := j.Remove("r1"); err != nil {
		t.Error(err)
	}
	stray := filepath.Join(path+".d", "outputs", ".new-123")
	write(t, stray, []byte("of a process that was killed"))
	if pruned, err := j.Prune(journal.Filter{Until: time.Unix(2, 0)}); err != nil || strings.Join(pruned, " ") != "r2" {
		t.Errorf("pruned %v, %v", pruned, err)
	}
	all, err := j.List(journal.Filter{})
	if err != nil || ids(all) != "waiting live" {
		t.Errorf("left is %q, %v", ids(all), err)
	}
	if files := outputs(t, path); len(files) != 2 {
		t.Errorf("left are the outputs %v", files)
	}
	if _, err := os.Stat(stray); err == nil {
		t.Error("what nobody refers to stays")
	}
	if x, err := j.Exchanges("u", "s", ""); err != nil || len(x) != 2 {
		t.Errorf("left of memory is %v, %v", x, err)
	}
	live.Close()
	if err := errors.Join(j.Remove("live", "waiting"), j.Close()); err != nil {
		t.Fatal(err)
	}
	counts := func(table string) (n int) {
		db := database(t, path)
		defer db.Close()
		if err := db.QueryRow("SELECT count(*) FROM " + table).Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	for _, thing := range journal.Things() {
		if table, ok := strings.CutPrefix(thing, "table "); ok && counts(table) != 0 {
			t.Errorf("%s still holds %d rows", table, counts(table))
		}
	}
	if files, _ := filepath.Glob(path + ".d/o*/*"); len(files) != 0 {
		t.Errorf("left are the files %v", files)
	}
}

// Two remove a run at the same time, and the next one gets its key: that is not removed with it.
func TestRemovedMeanwhile(t *testing.T) {
	j := opened(t, filepath.Join(t.TempDir(), "flowrun.db"))
	begun(t, j, "r1").Close()
	if err := j.Remove("r1"); err != nil {
		t.Fatal(err)
	}
	kept(t, begun(t, j, "r2"), finished("/a", 1, 1))
	if err := j.RemoveFound("r1"); err != nil {
		t.Error(err)
	}
	if turns, err := j.Turns("r2"); err != nil || len(turns) != 1 {
		t.Errorf("another run went with it: %v, %v", turns, err)
	}
}

func TestMemory(t *testing.T) {
	j := opened(t, filepath.Join(t.TempDir(), "flowrun.db"))
	n := 0
	say := func(user, session, agent, reply string) {
		n++
		r, err := j.Begin(journal.Head{ID: fmt.Sprint("r", n), UserID: user, SessionID: session})
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		e := finished("/a", 1, reply)
		e.Memory = &engine.Memory{Agent: agent, Prompt: "say " + reply, Reply: reply, Tokens: 3}
		kept(t, r, e)
	}
	say("ann", "s", "writer", "one")
	say("ann", "s", "writer", "two")
	say("ann", "s", "critic", "three")
	say("ann", "t", "writer", "four")
	say("bob", "s", "writer", "five")
	heard := func(user, session, agent string) string {
		all, err := j.Exchanges(user, session, agent)
		if err != nil {
			t.Error(err)
		}
		var s []string
		for _, x := range all {
			s = append(s, x.Run+":"+x.Prompt)
		}
		return strings.Join(s, ", ")
	}
	for of, want := range map[[3]string]string{
		{"ann", "s", "writer"}: "r2:say two, r1:say one",
		{"ann", "s", ""}:       "r3:say three, r2:say two, r1:say one",
		{"bob", "s", "writer"}: "r5:say five",
		{"bob", "t", "writer"}: "",
		{"", "s", "writer"}:    "",
	} {
		if got := heard(of[0], of[1], of[2]); got != want {
			t.Errorf("%v: %q, not %q", of, got, want)
		}
	}
	sessions, err := j.Sessions("ann")
	if err != nil || len(sessions) != 2 || sessions[0].ID != "t" || sessions[1].Exchanges != 3 || sessions[1].Tokens != 9 {
		t.Errorf("%+v, %v", sessions, err)
	}
	if n, err := j.RemoveSession("ann", "s"); err != nil || n != 3 {
		t.Errorf("forgot %d, %v", n, err)
	}
	if heard("ann", "s", "") != "" || heard("bob", "s", "") == "" || heard("ann", "t", "") == "" {
		t.Error("forgot something else")
	}
	turns, err := j.Turns("r1")
	if err != nil || len(turns) != 1 || turns[0].Memory != nil {
		t.Errorf("the turn itself is another: %+v, %v", turns, err)
	}
}

func TestDecisions(t *testing.T) {
	j := opened(t, filepath.Join(t.TempDir(), "flowrun.db"))
	r := begun(t, j, "r")
	d := journal.Decision{Turn: "/a", Value: map[string]any{"ok": true}, By: "ann", At: time.Unix(1, 2).UTC()}
	if err := j.Decide("r", d); err != nil {
		t.Fatal(err)
	}
	err := j.Decide("r", journal.Decision{Turn: "/a", Value: false, By: "bob"})
	if decided := (*journal.DecidedError)(nil); !errors.As(err, &decided) || decided.By != "ann" {
		t.Errorf("a second decision: %v", err)
	}
	if err := j.Decide("s", d); !errors.As(err, new(*journal.UnknownError)) {
		t.Errorf("of no run: %v", err)
	}
	all, err := j.Decisions("r")
	if diff := cmp.Diff(map[string]journal.Decision{"/a": d}, all); err != nil || diff != "" {
		t.Errorf("%v\n%s", err, diff)
	}
	r.Close()
	if r, err = j.Take("r"); err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if err := r.Restart("", "/a", "/b"); err != nil {
		t.Fatal(err)
	}
	if err := j.Decide("r", d); !errors.As(err, new(*journal.DecidedError)) {
		t.Errorf("it has not begun again, and its decision is gone: %v", err)
	}
	kept(t, r, finished("/a", 1, "new"))
	if err := j.Decide("r", d); err != nil {
		t.Errorf("a decision that was taken back still counts: %v", err)
	}
}

func restarted(t *testing.T, r *journal.Run, digest string) {
	t.Helper()
	if err := r.Restart(digest); err != nil {
		t.Fatal(err)
	}
}

// A run that begins again forgets where it was, and what it did is still there to be used again.
func TestRestart(t *testing.T) {
	path := filepath.Join(t.TempDir(), "flowrun.db")
	j := opened(t, path)
	r := begun(t, j, "r")
	kept(t, r, finished("/a", 1, "old"))
	kept(t, r, finished("/b", 2, "old"))
	if err := errors.Join(r.End(&engine.Result{Status: engine.Failed}), r.Close()); err != nil {
		t.Fatal(err)
	}
	r, err := j.Take("r")
	if err != nil {
		t.Fatal(err)
	}
	restarted(t, r, "other")
	r.Close()
	if rec, err := j.Get("r"); err != nil || rec.Status != journal.Failed || rec.Head.Digest != "" {
		t.Fatalf("it was taken and given up, and is %+v, %v", rec, err)
	}
	if r, err = j.Take("r"); err != nil {
		t.Fatal(err)
	}
	if events, err := j.Events("r"); events == nil || err != nil {
		t.Errorf("without events it has %v, %v: to programs that is no list", events, err)
	}
	if r.Find("/a").Finished == nil {
		t.Error("it was given up before anything began again, and has forgotten all")
	}
	restarted(t, r, "new")
	if r.Find("/a").Finished != nil || len(r.Listed()) != 0 {
		t.Error("it has not forgotten where it was")
	}
	kept(t, r, finished("/a", 1, "new"))
	r.Close()
	if rec, err := j.Get("r"); err != nil || rec.Head.Digest != "new" {
		t.Errorf("it goes on with another file, and is %+v, %v", rec, err)
	}
	if r, err = j.Take("r"); err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if f := r.Find("/a").Finished; f == nil || f.Output.V != "new" || r.Find("/b").Finished != nil || r.Find("/").Spent.Steps != 1 {
		t.Errorf("it goes on from %+v", r.Find("/"))
	}
	again, err := r.Reuse()
	if err != nil || again["/a"].Output.V != "new" || again["/b"].Output.V != "old" {
		t.Errorf("to use again there is %v, %v", again, err)
	}
}
