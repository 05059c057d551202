//go:build unix

package cli_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// batched is flowrun batch on so many lines. Its pipeline writes each line to ran.txt, by the only step but for sleep.
func batched(t *testing.T, lines int, flags ...string) *process {
	t.Helper()
	p := flowrun(t, `
chain:
  - exec: [sh, -c, "echo $0 >> ran.txt; sleep 0.01; echo $0", "${{ input.n }}"]
  - agent: {model: mock}
  - wait: 10ms
`)
	var inputs strings.Builder
	for n := range lines {
		fmt.Fprintf(&inputs, "{\"n\": %d}\n", n)
	}
	if err := os.WriteFile(filepath.Join(p.cmd.Dir, "in.jsonl"), []byte(inputs.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	p.cmd.Args = append([]string{"flowrun", "batch", "p.yaml", "--inputs", "in.jsonl", "--allow-exec=sh", "--journal", "j.db", "--out", "out.jsonl"}, flags...)
	return p
}

// waitFor waits until something is so, which must be soon.
func waitFor(t *testing.T, so func() bool) {
	t.Helper()
	for late := time.Now().Add(soon); !so(); time.Sleep(time.Millisecond) {
		if time.Now().After(late) {
			t.Fatalf("it is not so after %v", soon)
		}
	}
}

// read is a file in the folder of a process; nothing where there is none.
func (p *process) read(name string) string {
	p.t.Helper()
	b, err := os.ReadFile(filepath.Join(p.cmd.Dir, name))
	if err != nil && !os.IsNotExist(err) {
		p.t.Fatal(err)
	}
	return string(b)
}

var batchID = regexp.MustCompile(`[0-9a-f]{10}-\d{8}-\d{6}-`)

// results are the results of a batch, without its id.
func (p *process) results() string { return batchID.ReplaceAllString(p.read("out.jsonl"), "") }

// completed are the inputs of the lines that have completed, by the journal.
func (p *process) completed() []string {
	p.t.Helper()
	if p.read("j.db") == "" {
		return nil
	}
	ls := p.again("runs", "ls", "--journal", "j.db", "--status", "completed", "--output", "json")
	ls.start()
	if code := ls.exit(); code != 0 {
		p.t.Fatalf("exit code %d:\n%s", code, ls.report.String())
	}
	out := ls.out.String()
	var runs []struct{ Line int }
	if err := json.Unmarshal([]byte(out), &runs); err != nil {
		p.t.Fatalf("%v:\n%s", err, out)
	}
	var inputs []string
	for _, r := range runs {
		inputs = append(inputs, fmt.Sprint(r.Line-1))
	}
	return inputs
}

// TestBatchKilled kills a batch again and again and gives the same command until it ends: no line that had completed
// runs again, a line runs again once for each kill at the most, and the results are those of a batch that nobody
// disturbed.
func TestBatchKilled(t *testing.T) {
	t.Parallel()
	const lines, kills, atOnce = 60, 4, 5
	undisturbed := batched(t, lines, "--concurrency", fmt.Sprint(atOnce), "--quiet")
	undisturbed.start()
	if code := undisturbed.exit(); code != 0 {
		t.Fatalf("exit code %d:\n%s", code, undisturbed.report.String())
	}
	p := batched(t, lines, "--concurrency", fmt.Sprint(atOnce), "--quiet")
	for range kills {
		before := p.completed()
		ran := p.read("ran.txt")
		p.start()
		more := rand.IntN(lines / kills)
		waitFor(t, func() bool { return strings.Count(p.read("ran.txt"), "\n") > strings.Count(ran, "\n")+more })
		p.signal(syscall.SIGKILL)
		p.exit()
		for _, n := range strings.Fields(strings.TrimPrefix(p.read("ran.txt"), ran)) {
			if slices.Contains(before, n) {
				t.Errorf("input %s had completed and ran again", n)
			}
		}
		p = p.again(p.cmd.Args[1:]...)
	}
	p.start()
	if code := p.exit(); code != 0 {
		t.Fatalf("exit code %d:\n%s", code, p.report.String())
	}
	if got, want := p.results(), undisturbed.results(); got != want {
		t.Errorf("the results are\n%s\nwant\n%s", got, want)
	}
	if n := len(strings.Fields(p.read("ran.txt"))); n < lines || n > lines+kills*atOnce {
		t.Errorf("%d commands ran for %d lines, %d at once and %d kills", n, lines, atOnce, kills)
	}
}

// TestBatchInterrupted stops a batch with a signal and goes on.
func TestBatchInterrupted(t *testing.T) {
	t.Parallel()
	const lines = 40
	p := batched(t, lines)
	p.start()
	waitFor(t, func() bool { return strings.Count(p.read("out.jsonl"), "\n") > 3 })
	p.signal(os.Interrupt)
	if code := p.exit(); code != 130 {
		t.Fatalf("exit code %d, want 130:\n%s", code, p.report.String())
	}
	if !strings.Contains(p.report.String(), "flowrun: stopped by a signal: interrupt; the same command goes on with the rest\n") {
		t.Errorf("it says\n%s", p.report.String())
	}
	if n := strings.Count(p.read("out.jsonl"), `"status":"completed"`); n == lines || n != strings.Count(p.read("out.jsonl"), "\n") {
		t.Errorf("%d lines completed:\n%s", n, p.read("out.jsonl"))
	}
	p = p.again(p.cmd.Args[1:]...)
	p.start()
	if code := p.exit(); code != 0 {
		t.Fatalf("exit code %d:\n%s", code, p.report.String())
	}
	if n := strings.Count(p.read("out.jsonl"), `"status":"completed"`); n != lines {
		t.Errorf("%d lines completed", n)
	}
	ran := strings.Fields(p.read("ran.txt"))
	slices.Sort(ran)
	if n := len(slices.Compact(ran)); n != lines {
		t.Errorf("%d lines ran", n)
	}
}

// TestBatchWithoutReader stops when nobody reads the results any more, and does not wait for inputs when it is stopped.
func TestBatchWithoutReader(t *testing.T) {
	t.Parallel()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	p := flowrun(t, "set: input\n")
	p.cmd.Args = []string{"flowrun", "batch", "p.yaml", "--inputs", "-", "--no-journal"}
	p.cmd.Stdout = w
	feed := p.startFed()
	w.Close()
	r.Close()
	if _, err := feed.WriteString("1\n"); err != nil {
		t.Fatal(err)
	}
	if code := p.exit(); code != 141 || strings.Contains(p.report.String(), "flowrun:") {
		t.Errorf("exit code %d, want 141:\n%s", code, p.report.String())
	}
}

// startFed lets it begin, and gives the end of its standard input.
func (p *process) startFed() (feed *os.File) {
	p.t.Helper()
	inputs, feed, err := os.Pipe()
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { feed.Close() })
	p.cmd.Stdin = inputs
	p.start()
	inputs.Close()
	return feed
}

// TestBatchTwice refuses a batch that goes on elsewhere.
func TestBatchTwice(t *testing.T) {
	t.Parallel()
	p := batched(t, 1000)
	p.start()
	waitFor(t, func() bool { return p.read("ran.txt") != "" })
	other := p.again(append(slices.Clone(p.cmd.Args[1:]), "--quiet")...)
	other.start()
	if code := other.exit(); code != 2 || !regexp.MustCompile(`^flowrun: the batch goes on in process \d+`).MatchString(other.report.String()) {
		t.Errorf("exit code %d, want 2:\n%s", code, other.report.String())
	}
}

// TestBatchTwiceAtFirst refuses it also before any line began, when no run tells of the batch.
func TestBatchTwiceAtFirst(t *testing.T) {
	t.Parallel()
	p := batched(t, 0, "--inputs", "-")
	feed := p.startFed()
	waitFor(t, func() bool { _, err := os.Stat(filepath.Join(p.cmd.Dir, "out.jsonl")); return err == nil })
	other := p.again(p.cmd.Args[1:]...)
	other.start()
	if code := other.exit(); code != 2 || !strings.Contains(other.report.String(), fmt.Sprintf("the batch goes on in process %d since", p.cmd.Process.Pid)) {
		t.Errorf("exit code %d, want 2:\n%s", code, other.report.String())
	}
	feed.Close()
	if code := p.exit(); code != 0 {
		t.Errorf("exit code %d, want 0:\n%s", code, p.report.String())
	}
	again := p.again(p.cmd.Args[1:]...)
	again.start()
	if code := again.exit(); code != 0 {
		t.Errorf("afterwards: exit code %d, want 0:\n%s", code, again.report.String())
	}
}
