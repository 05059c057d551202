//go:build unix

package cli_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

var (
	races = flag.Int("races", 10, "how often TestResumeRaces lets two processes go on with one run")
	work  = flag.Duration("work", 2*time.Second, "how long TestTogether lets processes use one journal")
)

// beside prepares another process in the folder of the first.
func (p *process) beside(args ...string) *process {
	other := &process{t: p.t, cmd: exec.Command("flowrun", args...), ended: make(chan struct{})}
	other.cmd.Dir, other.cmd.Env = p.cmd.Dir, p.cmd.Env
	other.cmd.Stdout, other.cmd.Stderr = &other.out, &other.report
	return other
}

// Of two processes that go on with one run at the same time one gets it, and the other says which that is.
func TestResumeRaces(t *testing.T) {
	t.Parallel()
	first := flowrun(t, "chain: [{name: a, set: '1'}, {wait: 1h}]\n", "--run-id", "r")
	first.cmd.Env = append(first.cmd.Env, "FLOWRUN_JOURNAL="+filepath.Join(first.cmd.Dir, "flowrun.db"))
	first.start()
	first.report.await(t, "/chain[1]")
	first.signal(os.Kill)
	first.exit()
	for n := range *races {
		one, other := first.beside("resume", "r"), first.beside("resume", "r")
		one.start()
		time.Sleep(time.Duration(rand.IntN(3)) * time.Millisecond)
		other.start()
		select {
		case <-one.ended:
			one, other = other, one
		case <-other.ended:
		case <-time.After(soon):
			t.Fatalf("race %d: nobody was refused:\n%s%s", n, one.report.String(), other.report.String())
		}
		want := fmt.Sprintf("flowrun: run r goes on in process %d since ", one.cmd.Process.Pid)
		if code := other.exit(); code != 2 || !strings.HasPrefix(other.report.String(), want) {
			t.Errorf("race %d: exit code %d, and it says %q, not %q", n, code, other.report.String(), want)
		}
		one.report.await(t, "/chain[1]")
		one.signal(os.Kill)
		if code := one.exit(); code != -1 {
			t.Errorf("race %d: exit code %d of the winner:\n%s", n, code, one.report.String())
		}
	}
}

// Processes that begin runs, go on with runs that were killed, list and prune them at the same time never hear of each
// other.
func TestTogether(t *testing.T) {
	t.Parallel()
	first := flowrun(t, "for_each: 1..20\nmax_concurrency: 4\ndo: {chain: [{name: a, set: item}, {wait: 1ms}, {set: prev + 1}]}\nlimits: {max_steps: 1000}\n")
	first.cmd.Env = append(first.cmd.Env, "FLOWRUN_JOURNAL="+filepath.Join(first.cmd.Dir, "flowrun.db"))
	first.start()
	if code := first.exit(); code != 0 {
		t.Fatal(first.report.String())
	}
	until := time.Now().Add(*work)
	var all sync.WaitGroup
	var runs, killed, others atomic.Int64
	call := func(args ...string) (code int) {
		p := first.beside(args...)
		if err := p.cmd.Start(); err != nil {
			t.Error(err)
		}
		if args[0] == "run" && rand.IntN(4) == 0 {
			time.Sleep(time.Duration(rand.IntN(60)) * time.Millisecond)
			_ = p.cmd.Process.Kill()
		}
		_ = p.cmd.Wait() // the exit code tells
		code = p.cmd.ProcessState.ExitCode()
		said := p.report.String()
		gone := strings.Contains(said, "there is no run ") || strings.Contains(said, " has completed")
		if code != 0 && code != -1 && !(code == 2 && gone) || strings.Contains(said, "locked") {
			t.Errorf("%v: exit code %d: %s%s", args, code, p.out.String(), said)
		}
		return code
	}
	for worker := range 3 {
		all.Go(func() {
			for n := 0; time.Now().Before(until); n++ {
				id := fmt.Sprintf("r%d-%d", worker, n)
				runs.Add(1)
				if call("run", "p.yaml", "--run-id", id, "--quiet") == -1 {
					killed.Add(1)
					call("resume", id, "--quiet")
				}
			}
		})
	}
	for _, args := range [][]string{{"runs", "ls"}, {"runs", "ls", "--status", "completed", "--limit", "5", "--output", "json"}, {"runs", "prune", "--before"}} {
		all.Go(func() {
			for time.Now().Before(until) {
				if args[1] == "prune" {
					args = []string{"runs", "prune", "--before", time.Now().Add(-500 * time.Millisecond).Format(time.RFC3339Nano)}
				}
				others.Add(1)
				call(args...)
			}
		})
	}
	all.Wait()
	t.Logf("%d runs, of which %d were killed and resumed, and %d looks and prunes", runs.Load(), killed.Load(), others.Load())
	left := first.beside("runs", "ls", "--output", "json")
	left.start()
	if code := left.exit(); code != 0 || strings.Contains(left.out.String(), "damaged") {
		t.Errorf("exit code %d: %s%s", code, left.out.String(), left.report.String())
	}
}
