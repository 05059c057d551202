package cli_test

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// again is flowrun in the folder of an earlier process.
func (p *process) again(args ...string) *process {
	p.t.Helper()
	next := flowrun(p.t, "")
	next.cmd.Args = append([]string{"flowrun"}, args...)
	next.cmd.Dir, next.cmd.Env = p.cmd.Dir, p.cmd.Env
	return next
}

// A process that is killed loses nothing that had completed: another one goes on with the run, and only one at a time.
func TestResumeAfterKill(t *testing.T) {
	t.Parallel()
	flags := []string{"--allow-exec=tee", "--allow-env", "--journal", "runs.db"}
	p := flowrun(t, `
env: [OPEN]
chain:
  - {name: first, exec: [tee, -a, log], stdin: first}
  - {name: pause, wait: 1h, when: 'env.OPEN != "yes"'}
  - {name: third, exec: [tee, -a, log], stdin: "${{ steps.first.output }} third"}
`, append(flags, "--run-id", "r")...)
	p.start()
	p.report.await(t, "start   pause")

	other := p.again(append([]string{"resume", "r"}, flags...)...)
	other.start()
	if code := other.exit(); code != 2 || !strings.Contains(other.report.String(), "run r goes on in process ") {
		t.Errorf("exit code %d: %s", code, other.report.String())
	}
	shown := p.again("runs", "show", "r", "--journal", "runs.db")
	shown.start()
	if shown.exit(); !strings.Contains(shown.out.String(), "status    running in process ") {
		t.Error(shown.out.String())
	}

	p.signal(syscall.SIGKILL)
	p.exit()
	listed := p.again("runs", "ls", "--journal", "runs.db")
	listed.start()
	if listed.exit(); !strings.HasPrefix(listed.out.String(), "r  interrupted  p ") {
		t.Error(listed.out.String())
	}
	next := p.again(append([]string{"resume", "--last", "--quiet"}, flags...)...)
	next.cmd.Env = append(next.cmd.Env, "OPEN=yes")
	next.start()
	if code := next.exit(); code != 0 || next.out.String() != "first third\n" {
		t.Errorf("exit code %d: %s%s", code, next.out.String(), next.report.String())
	}
	log, err := os.ReadFile(filepath.Join(p.cmd.Dir, "log"))
	if err != nil || string(log) != "firstfirst third" {
		t.Errorf("the log is %q, %v", log, err)
	}
}

// Of those who resume a run at once one goes on with it.
func TestResumesRace(t *testing.T) {
	t.Parallel()
	p := flowrun(t, "chain: [{name: a, exec: [tee, -a, log], stdin: x}, {fail: no}]", "--allow-exec=tee", "--journal", "runs.db", "--run-id", "r")
	p.start()
	p.exit()
	if err := os.WriteFile(filepath.Join(p.cmd.Dir, "p.yaml"), []byte("chain: [{name: a, exec: [tee, -a, log], stdin: x}, {name: b, exec: [tee, -a, log], stdin: y}]"), 0o600); err != nil {
		t.Fatal(err)
	}
	var racers []*process
	for range 4 {
		r := p.again("resume", "r", "--force", "--allow-exec=tee", "--journal", "runs.db")
		r.start()
		racers = append(racers, r)
	}
	won := 0
	for _, r := range racers {
		switch code := r.exit(); {
		case code == 0:
			won++
		case code != 2 || !strings.Contains(r.report.String(), "run r goes on in ") && !strings.Contains(r.report.String(), "run r has completed"):
			t.Errorf("exit code %d: %s", code, r.report.String())
		}
	}
	log, err := os.ReadFile(filepath.Join(p.cmd.Dir, "log"))
	if won != 1 || err != nil || string(log) != "xy" {
		t.Errorf("%d won, and the log is %q, %v", won, log, err)
	}
}

// What is to be kept is kept, also where the run that takes it over is killed before it has come to all of it.
func TestRetryAfterKill(t *testing.T) {
	t.Parallel()
	flags := []string{"--allow-exec=tee", "--allow-env", "--journal", "runs.db"}
	p := flowrun(t, `
env: [GATE]
chain:
  - {name: first, exec: [tee, -a, log], stdin: first}
  - parallel:
      - chain:
          - {name: pause, wait: 1h, when: 'env.GATE == "stuck"'}
          - {name: gate, set: 'env.GATE == "shut" ? int("x") : 1'}
    on_error: continue
    merge: '"past the gate"'
  - {name: last, exec: [tee, -a, log], stdin: "${{ steps.first.output }}, last"}
`, append(flags, "--run-id", "r")...)
	p.cmd.Env = append(p.cmd.Env, "GATE=shut")
	p.start()
	if code := p.exit(); code != 0 {
		t.Fatalf("exit code %d: %s", code, p.report.String())
	}
	retried := p.again(append([]string{"retry", "r"}, flags...)...)
	retried.cmd.Env = append(retried.cmd.Env, "GATE=stuck")
	retried.start()
	retried.report.await(t, "start   pause")
	retried.signal(syscall.SIGKILL)
	retried.exit()
	resumed := p.again(append([]string{"resume", "r", "--output", "json"}, flags...)...)
	resumed.cmd.Env = append(resumed.cmd.Env, "GATE=open")
	resumed.start()
	if code := resumed.exit(); code != 0 || !strings.Contains(resumed.out.String(), `"failures": 0`) {
		t.Errorf("exit code %d: %s%s", code, resumed.out.String(), resumed.report.String())
	}
	log, err := os.ReadFile(filepath.Join(p.cmd.Dir, "log"))
	if err != nil || string(log) != "firstfirst, last" {
		t.Errorf("the log is %q, %v", log, err)
	}
}
