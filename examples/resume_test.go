package examples_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/flowrun/flowrun/engine"
	"github.com/flowrun/flowrun/examples"
	"github.com/flowrun/flowrun/journal"
	"github.com/flowrun/flowrun/nodes"
	"github.com/flowrun/flowrun/recording"
)

// TestResume runs each example with a journal, cuts it at each of its events, and lets it go on: it comes to the same output,
// status and counters, and nothing that had ended runs again. Of events between which nothing is recorded one is enough.
func TestResume(t *testing.T) {
	atRoot(t)
	for _, name := range examples.Names() {
		t.Run(name, func(t *testing.T) {
			skipUnix(t, name)
			path := filepath.Join(t.TempDir(), "flowrun.db")
			run := command(t, name, path)
			if exists("examples/testdata/" + name + ".recording.yaml") {
				run = replayed(t, name)
			}
			j, err := journal.Open(path)
			if err != nil {
				t.Fatal(err)
			}
			defer j.Close()
			want := run(j, false)
			rec, err := j.Get("r")
			if err != nil {
				t.Fatal(err)
			}
			turns, err := j.Turns("r")
			if err != nil || len(turns) == 0 {
				t.Fatal(turns, err)
			}
			if text, err := json.Marshal(rec.Result); err != nil || certain(t, name, text) != want {
				t.Errorf("%v: -printed +kept:\n%s", err, cmp.Diff(want, certain(t, name, text)))
			}
			for n := range turns {
				cut(t, j, rec.Head, turns[:n])
				if diff := cmp.Diff(want, run(j, true)); diff != "" {
					t.Fatalf("cut after %d of %d turns (-uncut +cut):\n%s", n, len(turns), diff)
				}
				again, err := j.Turns("r")
				if err != nil {
					t.Fatal(err)
				}
				once(t, again)
			}
		})
	}
}

// cut leaves of a run what it had recorded first.
func cut(t *testing.T, j *journal.Journal, head journal.Head, turns []journal.Turn) {
	t.Helper()
	if err := j.Remove("r"); err != nil {
		t.Fatal(err)
	}
	r, err := j.Begin(head)
	if err != nil {
		t.Fatal(err)
	}
	for _, turn := range turns {
		r.Record(turn.Entry)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
}

// once holds that no turn ended twice.
func once(t *testing.T, turns []journal.Turn) {
	t.Helper()
	ended := map[string]bool{}
	for _, turn := range turns {
		if turn.Finished == nil {
			continue
		}
		if ended[turn.Turn] {
			t.Errorf("%s ended twice", turn.Turn)
		}
		ended[turn.Turn] = true
	}
}

// waits is the command that answers a question.
var waits = regexp.MustCompile(`(?m)^answer: flowrun approve r (\S+) (\S+)`)

// command runs an example as its comment says, or goes on with that, and gives the result.
func command(t *testing.T, name, path string) func(_ *journal.Journal, on bool) string {
	return func(_ *journal.Journal, on bool) string {
		args := append(commentOf(t, name), "--run-id", "r")
		if on {
			args = slices.DeleteFunc(args, func(a string) bool { return !strings.HasPrefix(a, "--allow-") })
			args = append([]string{"resume", "r"}, args...)
		}
		kept := []string{"--journal", path, "--output", "json", "--quiet"}
		stdout, stderr, code := flowrun(append(args, kept...)...)
		for code == 6 { // what asks people gets the first of its answers
			answer := waits.FindStringSubmatch(stderr)
			if answer == nil {
				t.Fatalf("nothing tells how to answer: %s", stderr)
			}
			stdout, stderr, code = flowrun(append([]string{"approve", "r", answer[1], answer[2]}, kept...)...)
		}
		if code != 0 {
			t.Fatalf("%v gives %d:\n%s", args, code, stderr)
		}
		return certain(t, name, []byte(stdout))
	}
}

// replayed runs an example from what was recorded, which the command line keeps in no journal.
func replayed(t *testing.T, name string) func(j *journal.Journal, on bool) string {
	g, problems := nodes.Language().Load("examples/" + name + ".yaml")
	if err := problems.Err(); err != nil {
		t.Fatal(err)
	}
	return func(j *journal.Journal, on bool) string {
		answers, err := recording.Open("examples/testdata/" + name + ".recording.yaml")
		if err != nil {
			t.Fatal(err)
		}
		var r *journal.Run
		if on {
			r, err = j.Take("r")
		} else {
			r, err = j.Begin(journal.Head{ID: "r", Workflow: g.Pipeline().Name})
		}
		if err != nil {
			t.Fatal(err)
		}
		result, err := engine.Run(t.Context(), g, nil, engine.WithRunID("r"), engine.WithReplay(answers), engine.WithTurns(r),
			engine.WithGrants(engine.Grants{All: true}), engine.WithStepListener(r.Hear), engine.WithSeq(r.LastSeq()))
		if err := errors.Join(err, r.End(result), r.Close()); err != nil {
			t.Fatal(err)
		}
		text, err := json.Marshal(result)
		if err != nil {
			t.Fatal(err)
		}
		return certain(t, name, text)
	}
}

// certain is what is the same in all runs of an example: not its times, nor what those were asked for that lost a race.
func certain(t *testing.T, name string, result []byte) string {
	t.Helper()
	var m map[string]json.RawMessage
	if err := json.Unmarshal(result, &m); err != nil {
		t.Fatalf("%v: %s", err, result)
	}
	changing := []string{"started_at", "duration_ms"}
	if bytes.Contains(source(t, name), []byte("wait_for:")) {
		changing = append(changing, "steps", "usage")
	}
	for _, field := range changing {
		delete(m, field)
	}
	b, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
