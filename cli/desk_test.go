package cli

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	urfave "github.com/urfave/cli/v2"

	"github.com/flowrun/flowrun/engine"
)

var yesOrNo = []string{engine.Approve, engine.Reject}

// sit gives a desk at which somebody types what is sent, on a terminal of 40 columns and 8 rows.
func sit(t *testing.T) (d *desk, screen *bytes.Buffer, typed io.WriteCloser) {
	t.Helper()
	in, keys := io.Pipe()
	screen = &bytes.Buffer{}
	d = &desk{out: screen, keys: newKeyboard(in), size: func() (int, int) { return 40, 8 }, turn: make(chan struct{}, 1)}
	return d, screen, keys
}

func TestDesk(t *testing.T) {
	t.Parallel()
	noon := time.Date(2000, 1, 1, 12, 0, 0, 0, time.Local)
	tests := map[string]struct {
		asks         engine.Approval
		typed, value string
		want         string
	}{
		"approved":        {engine.Approval{Turn: "/a", Node: "a", Message: "Go?", Options: yesOrNo}, "approve\n", "approve", "a asks:\n  Go?\napprove or reject? "},
		"by a letter":     {engine.Approval{Turn: "/", Node: "p", Message: "Go?", Options: yesOrNo}, "R\n", "reject", "p (/) asks:\n  Go?\napprove or reject? "},
		"an option":       {engine.Approval{Turn: "/a", Node: "a", Message: "Where?", Options: []string{"north", "south", "reject"}}, " South \n", "south", "a asks:\n  Where?\nnorth, south or reject? "},
		"asked again":     {engine.Approval{Turn: "/a", Node: "a", Message: "Go?", Options: yesOrNo}, "\nperhaps\nyes\napp\n", "approve", "a asks:\n  Go?\napprove or reject? approve or reject? approve or reject? approve or reject? "},
		"ambiguous":       {engine.Approval{Turn: "/a", Node: "a", Message: "Go?", Options: []string{"re", "red", "reject"}}, "r\nre\n", "re", "a asks:\n  Go?\nre, red or reject? re, red or reject? "},
		"an item":         {engine.Approval{Turn: "/l[3]/do", Node: "/l/do", Message: "Go?", Options: yesOrNo}, "a\n", "approve", "/l/do (/l[3]/do) asks:\n  Go?\napprove or reject? "},
		"with a deadline": {engine.Approval{Turn: "/a", Node: "a", Message: "Go?", Options: yesOrNo, Deadline: noon}, "a\n", "approve", "a asks:\n  Go?\nuntil 2000-01-01 12:00:00, then it fails\napprove or reject? "},
		"with what follows": {engine.Approval{Turn: "/a", Node: "a", Message: "Go?", Options: yesOrNo, Deadline: noon, OnTimeout: "reject"}, "a\n", "approve",
			"a asks:\n  Go?\nuntil 2000-01-01 12:00:00, then the answer is reject\napprove or reject? "},
		"what hides is shown": {engine.Approval{Turn: "/a", Node: "a", Message: "Go\x1b[8m?\r\u202e\tend\n", Options: yesOrNo}, "a\n", "approve",
			"a asks:\n  Go\\u001b[8m?\\u000d\\u202e end\napprove or reject? "},
		"no line looks like flowrun's": {engine.Approval{Turn: "/a", Node: "a", Message: "pay " + strings.Repeat(" ", 35) + "approve or reject?\nb asks:", Options: yesOrNo}, "r\n", "reject",
			"a asks:\n  pay " + strings.Repeat(" ", 33) + "\n    approve or reject?\n  b asks:\napprove or reject? "},
		"page by page": {engine.Approval{Turn: "/a", Node: "a", Message: "1\n2\n3\n4\n5\n6\n7\n8\n", Options: yesOrNo}, "\na\n", "approve",
			"a asks:\n  1\n  2\n  3\n  4\n  5\n-- 3 lines: Enter shows more --   6\n  7\n  8\napprove or reject? "},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d, screen, keys := sit(t)
			go func() { _, _ = io.WriteString(keys, tt.typed) }()
			answer, err := d.Ask(t.Context(), tt.asks)
			if err != nil || answer.Value != tt.value || answer.By == "" || answer.At.IsZero() {
				t.Errorf("%+v, %v", answer, err)
			}
			if diff := cmp.Diff(tt.want, screen.String()); diff != "" {
				t.Errorf("-want +shown:\n%s", diff)
			}
		})
	}
}

// A question whose time is up ends, and what was typed for it answers no other. What a run writes waits for the answer.
func TestDeskInTurn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d, screen, keys := sit(t)
		report := &held{out: screen}
		d.others = []curtain{report}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		ended := make(chan error)
		go func() {
			_, err := d.Ask(ctx, engine.Approval{Turn: "/a", Node: "a", Message: "A", Options: yesOrNo})
			ended <- err
		}()
		synctest.Wait()
		_, _ = report.Write([]byte("1 starts\n"))
		answered := make(chan string)
		go func() {
			answer, _ := d.Ask(t.Context(), engine.Approval{Turn: "/b", Node: "b", Message: "B", Options: yesOrNo})
			answered <- answer.Value
		}()
		if err := <-ended; !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("the first ended with %v", err)
		}
		synctest.Wait()
		_, _ = report.Write([]byte("2 starts\n"))
		_, _ = io.WriteString(keys, "reject\n")
		if value := <-answered; value != "reject" {
			t.Errorf("the second was answered %s", value)
		}
		synctest.Wait()
		want := "a asks:\n  A\napprove or reject? \n1 starts\nb asks:\n  B\napprove or reject? 2 starts\n"
		if diff := cmp.Diff(want, screen.String()); diff != "" {
			t.Errorf("-want +shown:\n%s", diff)
		}
	})
}

// Who ends the input leaves the question open.
func TestDeskAtEnd(t *testing.T) {
	t.Parallel()
	d, _, keys := sit(t)
	keys.Close()
	answer, err := d.Ask(t.Context(), engine.Approval{Turn: "/a", Node: "a", Message: "A", Options: yesOrNo})
	if answer != nil || err != nil {
		t.Errorf("%v, %v", answer, err)
	}
}

// What waits is told with a command for each answer, which a shell reads as it is meant.
func TestWaits(t *testing.T) {
	t.Parallel()
	var report bytes.Buffer
	p := &program{Streams: Streams{Err: &report}}
	flags := flag.NewFlagSet("", flag.ContinueOnError)
	flags.String("journal", "j", "")
	p.waits(urfave.NewContext(nil, flags, nil), &engine.Result{RunID: "r1", Waiting: []engine.Approval{
		{Turn: "/a", Node: "a", Message: "Go\x1b?\nNow?", Options: yesOrNo},
		{Turn: "/l[0]/b", Node: "b", Message: "0", Options: []string{"it's so", "reject"}},
		{Turn: "/l[1]/b", Node: "b", Message: "1", Options: []string{"$x", "-x y"}},
	}})
	want := `flowrun: the run waits for 3 approvals:
a asks:
  Go\u001b?
  Now?
answer: flowrun approve r1 a approve --journal j
answer: flowrun approve r1 a reject --journal j
/l[0]/b asks:
  0
answer: flowrun approve r1 '/l[0]/b' 'it'\''s so' --journal j
answer: flowrun approve r1 '/l[0]/b' reject --journal j
/l[1]/b asks:
  1
answer: flowrun approve r1 '/l[1]/b' '$x' --journal j
answer: flowrun approve --journal j -- r1 '/l[1]/b' '-x y'
`
	if diff := cmp.Diff(want, report.String()); diff != "" {
		t.Errorf("-want +told:\n%s", diff)
	}
	if code := p.exit(&engine.WaitingError{}); code != 6 {
		t.Errorf("exit code %d, want 6", code)
	}
}
