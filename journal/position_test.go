package journal_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/flowrun/flowrun/engine"
	"github.com/flowrun/flowrun/journal"
)

var turns = []string{"/", "/a", "/a/b", "/a/b#2", "/a/b/c", "/list", "/list[0]/do", "/list[1]/do", "/list[10]/do", "/list[1]/do/x", "/chain[1]", "/chain[1]/y"}

func entries() *rapid.Generator[engine.Entry] {
	return rapid.Custom(func(t *rapid.T) engine.Entry {
		tally := engine.Tally{Steps: rapid.IntRange(0, 5).Draw(t, "steps"), Failures: rapid.IntRange(0, 2).Draw(t, "failures")}
		if rapid.Bool().Draw(t, "used") {
			tally.Usage = engine.ByAgent{"a": {Calls: 1, InputTokens: rapid.IntRange(0, 9).Draw(t, "tokens"), Cost: 7}}
		}
		value := engine.Value{V: rapid.SampledFrom([]any{nil, "x", int64(9007199254740993), 2.5, []any{true, nil}, map[string]any{"k": "v"}}).Draw(t, "value")}
		named := engine.Named{Output: value, Status: rapid.SampledFrom([]string{"completed", "failed", "skipped", "cancelled"}).Draw(t, "status"), Visits: rapid.IntRange(0, 3).Draw(t, "visits")}
		if named.Status == "failed" {
			named.Error = &engine.Error{Kind: engine.Model, Message: "broken"}
		}
		e := engine.Entry{Turn: rapid.SampledFrom(turns).Draw(t, "turn")}
		names := map[string]engine.Named{"n": named}
		switch rapid.IntRange(0, 4).Draw(t, "kind") {
		case 4:
			return engine.Entry{Turn: "/", Reopened: true}
		case 0:
			e.Cursor = &engine.Cursor{State: value, Tally: tally, Attempt: 1, Pause: time.Unix(5, 7).UTC()}
		case 1:
			e.Turn = "/a"
			e.Cursor = &engine.Cursor{State: value, Tally: tally, Names: names, Counts: []int{1, 0}, Folded: rapid.SampledFrom([]string{"/a/b", "/a/b#2", "/a/b/c"}).Draw(t, "folded")}
		default:
			e.Name = rapid.SampledFrom([]string{"", "m", "n"}).Draw(t, "name")
			e.Finished = &engine.Finished{Number: rapid.IntRange(1, 99).Draw(t, "number"), Named: named, Tally: tally, Names: names}
		}
		return e
	})
}

// A run of the journal is the position that the engine keeps in memory, also when it was closed and taken again.
func TestRunIsAPosition(t *testing.T) {
	path := filepath.Join(t.TempDir(), "flowrun.db")
	j := opened(t, path)
	n := 0
	rapid.Check(t, func(t *rapid.T) {
		n++
		id := fmt.Sprint("r", n)
		r, err := j.Begin(journal.Head{ID: id})
		if err != nil {
			t.Fatal(err)
		}
		defer func() { r.Close() }()
		memory := &engine.Position{}
		same := func(when string) {
			for _, turn := range turns {
				if diff := cmp.Diff(memory.Find(turn), r.Find(turn), cmpopts.IgnoreUnexported(engine.Error{}), cmpopts.EquateEmpty()); diff != "" {
					t.Fatalf("%s, %s: -memory +journal\n%s", when, turn, diff)
				}
			}
			if diff := cmp.Diff(memory.Listed(), r.Listed(), cmpopts.IgnoreUnexported(engine.Error{}), cmpopts.EquateEmpty()); diff != "" {
				t.Fatalf("%s, what is listed: -memory +journal\n%s", when, diff)
			}
		}
		var last func() error
		for _, e := range rapid.SliceOfN(entries(), 0, 12).Draw(t, "entries") {
			memory.Record(e)
			last = r.Record(e)
			if rapid.IntRange(0, 3).Draw(t, "again") > 0 {
				continue
			}
			same("in this process")
			if err := errors.Join(last(), r.Close()); err != nil {
				t.Fatal(err)
			}
			if r, err = j.Take(id); err != nil {
				t.Fatal(err)
			}
			same("taken again")
		}
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
		s, err := j.Get(id)
		if err != nil {
			t.Fatal(err)
		}
		spent := memory.Find("/").Spent
		if u := spent.Usage.Total(); s.Steps != spent.Steps || s.Failures != spent.Failures || s.Usage.Calls != u.Calls || s.Usage.Cost != u.Cost {
			t.Fatalf("the counts are %+v, and were spent %+v", s.Summary, spent)
		}
	})
}

// What is written of an event is what is read of it.
func TestEventsComeBack(t *testing.T) {
	item := 3
	failed := &engine.Error{Kind: engine.Tool, Message: "broken", Node: "n", Path: "/n", Item: &item}
	j := opened(t, filepath.Join(t.TempDir(), "flowrun.db"))
	r := begun(t, j, "r")
	var want []string
	for i, kind := range engine.EventTypes() {
		e := engine.Event{Seq: i + 1, Time: time.Unix(1, 2).UTC(), RunID: "r", UserID: "u", SessionID: "s", Type: kind, Workflow: "w", Node: "n", Path: "/n", Turn: "/n#2", Visit: 2, Kind: "agent",
			Input: []any{int64(1)}, Output: map[string]any{"k": 2.5}, Error: failed, Duration: 3 * time.Millisecond, Attempt: 2, Delay: time.Second, SubRunID: "x", Model: "m",
			Usage: engine.Usage{InputTokens: 1, CachedTokens: 2, OutputTokens: 3, ReasoningTokens: 4, Calls: 5, CacheHits: 6, Cost: 123_456_789_012}, Tool: "t", CallID: "c", Arguments: map[string]any{"a": nil},
			Approvals: []engine.Approval{{Turn: "/n#2", Node: "n", Message: "Well?", Options: []string{"approve"}, Deadline: time.Unix(9, 0).UTC()}}, Value: "approve", By: "ada"}
		if e.Label = "n"; i%2 == 0 {
			e.Error = nil
			e.Usage.Unpriced = 1
			e.Item, e.Label = &i, "researcher\n\"1\""
		}
		r.Hear(e)
		if kind != engine.ModelDelta {
			want = append(want, string(e.AppendJSON(nil)))
		}
	}
	r.Close()
	events, err := j.Events("r")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range events {
		got = append(got, string(e.AppendJSON(nil)))
		switch i := e.Seq - 1; {
		case i%2 == 0 && (e.Item == nil || *e.Item != i || e.Label != "researcher\n\"1\""):
			t.Errorf("event %d is of item %v and called %q", e.Seq, e.Item, e.Label)
		case i%2 == 1 && (e.Item != nil || e.Label != "n"):
			t.Errorf("event %d is of item %v and called %q, and has none and is n", e.Seq, e.Item, e.Label)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-heard +read\n%s", diff)
	}
}

// Whatever stands in a row, it is an entry that the engine can go on from, or an error.
func FuzzEntry(f *testing.F) {
	for _, e := range []engine.Entry{finished("/a[3]/b#2", 1, []any{1.5, "x"}), {Turn: "/", Cursor: &engine.Cursor{Folded: "/a", Counts: []int{1}, Pause: time.Unix(1, 0)}}} {
		b, err := json.Marshal(e)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(b))
	}
	f.Fuzz(func(t *testing.T, text string) {
		v, err := journal.DecodeEntry(text)
		if err != nil {
			return
		}
		e := v.(engine.Entry)
		failed := engine.Entry{Turn: "/", Finished: &engine.Finished{Number: 9, Named: engine.Named{Status: "failed", Error: &engine.Error{Kind: engine.Model}}}}
		p := engine.NewPosition([]engine.Entry{e, finished("/a/b", 2, nil), e, failed, {Turn: "/", Reopened: true}})
		for _, turn := range append(turns, e.Turn) {
			p.Find(turn)
		}
		b, err := json.Marshal(e)
		if err != nil {
			t.Fatalf("it cannot be written again: %v", err)
		}
		again, err := journal.DecodeEntry(string(b))
		if diff := cmp.Diff(v, again, cmpopts.IgnoreUnexported(engine.Error{}), cmpopts.EquateEmpty()); err != nil || diff != "" {
			t.Errorf("%v\n%s", err, diff)
		}
	})
}

// Whatever stands in a row, it is an event that can be written as one, or an error.
func FuzzEvent(f *testing.F) {
	for _, kind := range engine.EventTypes() {
		f.Add(string(engine.Event{Seq: 1, Type: kind, Turn: "/a", Error: &engine.Error{Kind: engine.HTTP}, Usage: engine.Usage{Cost: 7}, Approvals: make([]engine.Approval, 1)}.AppendJSON(nil)))
	}
	f.Fuzz(func(t *testing.T, text string) {
		v, err := journal.DecodeEvent(text)
		if err != nil {
			return
		}
		if b := v.(engine.Event).AppendJSON(nil); !json.Valid(b) {
			t.Errorf("%s", b)
		}
	})
}
