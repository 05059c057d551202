//go:build unix

package cli_test

import (
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

const (
	thinks = `
agent: {model: mock, mock: {latency: 1h}}
finally: {name: last, set: status}
`
	// busy waits in every way in which a run can wait.
	busy = `
parallel:
  - for_each: 1..8
    do: {agent: {model: mock, mock: {latency: 1h}}}
  - loop: [{wait: 1h}]
    max_iterations: 2
  - graph: {a: {wait: 1h}}
    start: a
  - agent: {model: mock, mock: {fail: 9}}
    retry: {max_attempts: 9, delay: 1h, max_delay: 1h}
finally: {name: last, set: status}
`
	// works runs a command with a child, which both hold the lifeline.
	works = `
exec: [sh, -c, "exec 3>life; sleep 1000 & sleep 1000"]
`
	// clings does too, and does not end when it is told to.
	clings = `
exec: [sh, -c, "trap '' TERM; exec 3>life; sleep 1000 & while :; do sleep 1; done"]
`
)

// TestSignal ends a run by a signal: finally still runs, and the result and the events say what happened.
func TestSignal(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		pipeline, begun string
		signal          os.Signal
		code            int
		cause           string
	}{
		"interrupt while a model thinks": {thinks, "start", os.Interrupt, 130, "interrupt"},
		"terminate while a model thinks": {thinks, "start", syscall.SIGTERM, 143, "terminated"},
		"interrupt what waits elsewhere": {busy, "attempt 1 failed", os.Interrupt, 130, "interrupt"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := flowrun(t, tt.pipeline, "--output", "json", "--events", "e.jsonl", "--grace", "0s")
			p.start()
			p.report.await(t, tt.begun)
			p.signal(tt.signal)
			began := time.Now()
			if code := p.exit(); code != tt.code {
				t.Errorf("exit code %d, want %d:\n%s", code, tt.code, p.report.String())
			}
			if took := time.Since(began); took > 3*time.Second {
				t.Errorf("it took %v to stop", took)
			}
			p.wasCancelled(tt.cause)
		})
	}
}

// wasCancelled checks the result and the last event of a run that a signal ended.
func (p *process) wasCancelled(cause string) {
	p.t.Helper()
	var result struct {
		Status string
		Error  struct{ Kind, Message string }
		Nodes  map[string]struct{ Output any }
	}
	if err := json.Unmarshal([]byte(p.out.String()), &result); err != nil {
		p.t.Fatalf("%v:\n%s", err, p.out.String())
	}
	if result.Status != "cancelled" || result.Error.Kind != "cancelled" || !strings.Contains(result.Error.Message, cause) {
		p.t.Errorf("status %s, error %v, want cancelled by %s", result.Status, result.Error, cause)
	}
	if got := result.Nodes["last"].Output; got != "cancelled" {
		p.t.Errorf("finally read the status %v, want cancelled", got)
	}
	told, err := os.ReadFile(filepath.Join(p.cmd.Dir, "e.jsonl"))
	if err != nil {
		p.t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(told)), "\n")
	if last := lines[len(lines)-1]; !strings.Contains(last, `"event":"workflow_cancelled"`) {
		p.t.Errorf("the last event is %s", last)
	}
}

// TestGrace ends a run by a signal while a command runs: it may end, and then nothing new begins; or its time is over.
func TestGrace(t *testing.T) {
	t.Parallel()
	const pipeline = `
chain:
  - {name: first, exec: [sh, -c, "exec 3>life; read x < gate; echo ended"]}
  - {name: second, exec: [sh, -c, "touch second"]}
finally: {name: last, set: status}
`
	for name, tt := range map[string]struct {
		grace, first string
		opens        bool
	}{
		"it ends in time":    {"1h", `"output": "ended"`, true},
		"its time is over":   {"100ms", `"status": "cancelled"`, false},
		"it has none at all": {"0s", `"status": "cancelled"`, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := flowrun(t, pipeline, "--allow-exec=sh", "--output", "json", "--events", "e.jsonl", "--grace", tt.grace)
			life, open := newLifeline(p), newGate(p, "gate")
			p.start()
			life.await(life.held, "no command began")
			p.signal(os.Interrupt)
			p.report.await(t, "interrupt: stopping")
			if tt.opens {
				open()
			}
			if code := p.exit(); code != 130 {
				t.Errorf("exit code %d, want 130:\n%s", code, p.report.String())
			}
			life.await(life.cut, "a command lives on")
			p.wasCancelled("interrupt")
			if _, err := os.Stat(filepath.Join(p.cmd.Dir, "second")); err == nil || !strings.Contains(p.out.String(), tt.first) {
				t.Errorf("want %s and no second command:\n%s", tt.first, p.out.String())
			}
		})
	}
}

// TestSecondSignal ends a run at once that would take long to stop.
func TestSecondSignal(t *testing.T) {
	t.Parallel()
	j := filepath.Join(t.TempDir(), "j.db")
	p := flowrun(t, "wait: 1h\nfinally: {wait: 1h}\n", "--run-id", "r", "--journal", j)
	p.start()
	p.report.await(t, "start")
	p.signal(os.Interrupt)
	p.report.await(t, "once more to end at once")
	p.signal(os.Interrupt)
	onward := "\nflowrun: to go on: flowrun resume r --journal " + j + "\n"
	if code := p.exit(); code != 130 || !strings.HasSuffix(p.report.String(), onward) {
		t.Errorf("exit code %d, want 130 and %q:\n%s", code, onward, p.report.String())
	}
}

// TestSignalInFinally ends a run by a signal that comes when only finally is left: it stops that, and the run did not
// complete.
func TestSignalInFinally(t *testing.T) {
	t.Parallel()
	p := flowrun(t, "set: 1\nfinally: {name: last, wait: 1h}\n", "--output", "json")
	p.start()
	p.report.await(t, "start   last")
	p.signal(os.Interrupt)
	if code := p.exit(); code != 130 || !strings.Contains(p.out.String(), `"status": "cancelled"`) {
		t.Errorf("exit code %d, want 130:\n%s%s", code, p.out.String(), p.report.String())
	}
}

// TestSignalInStream ends a run in the middle of an answer that is printed as it comes.
func TestSignalInStream(t *testing.T) {
	t.Parallel()
	p := flowrun(t, "agent: {model: openai/gpt-test}\nprompt: hi\n", "--stream", "--quiet", "--grace", "0s")
	p.cmd.Env = append(p.cmd.Env, serveOpenAI(t, "hang one two ")...)
	p.start()
	p.out.await(t, "one two ")
	p.signal(os.Interrupt)
	if code := p.exit(); code != 130 {
		t.Errorf("exit code %d, want 130:\n%s", code, p.report.String())
	}
	if got, want := p.out.String(), "one two \n"; got != want {
		t.Errorf("printed %q, want %q", got, want)
	}
}

// TestSignalWithCommands ends runs whose commands have children: none of them lives on.
func TestSignalWithCommands(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		pipeline string
		signals  []os.Signal
		code     int
	}{
		"interrupt":                    {works, []os.Signal{os.Interrupt}, 130},
		"terminate":                    {works, []os.Signal{syscall.SIGTERM}, 143},
		"a command that refuses to go": {clings, []os.Signal{os.Interrupt}, 130},
		"a second signal":              {clings, []os.Signal{os.Interrupt, os.Interrupt}, 130},
		"hangup":                       {works, []os.Signal{syscall.SIGHUP}, 129},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := flowrun(t, tt.pipeline, "--allow-exec=sh", "--quiet", "--grace", "0s")
			life := newLifeline(p)
			p.start()
			life.await(life.held, "no command began")
			for _, s := range tt.signals {
				p.signal(s)
				p.report.await(t, "stopping")
			}
			if code := p.exit(); code != tt.code {
				t.Errorf("exit code %d, want %d:\n%s", code, tt.code, p.report.String())
			}
			life.await(life.cut, "a command lives on")
		})
	}
}

// TestCommandsLeaveNothing ends commands with children while the run goes on: none of them lives on.
func TestCommandsLeaveNothing(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ node, output string }{
		"the child of a command that ended": {`
    exec: [sh, -c, "exec 3>life; sleep 1000 & echo parent"]
`, "parent\n"},
		"a command past its time": {`
    exec: [sh, -c, "trap '' TERM; exec 3>life; sleep 1000 & while :; do sleep 1; done"]
    timeout: 2s
    catch: {set: '"caught"'}
`, "caught\n"},
		"grandchildren whose parent has ended": {`
    exec: [sh, -c, "exec 3>life; (sleep 1000 & (sleep 1000 &) &) & echo parent"]
`, "parent\n"},
		"a child that refuses to go, of a command past its time": {`
    exec: [sh, -c, "exec 3>life; (trap '' TERM HUP INT; while :; do sleep 1; done) & wait"]
    timeout: 2s
    catch: {set: '"caught"'}
`, "caught\n"},
		"the loser of a race": {`
    wait_for: first
    parallel:
      - exec: [sh, -c, "exec 3>life; sleep 1000"]
      - exec: [sh, -c, "read x < begun; echo won"]
`, "won\n"},
		"the sibling of a branch that failed": {`
    parallel:
      - exec: [sh, -c, "exec 3>life; sleep 1000"]
      - exec: [sh, -c, "read x < begun; exit 1"]
    catch: {set: '"caught"'}
`, "caught\n"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := flowrun(t, "chain:\n  -\n"+tt.node+"  - exec: [sh, -c, 'cat; read x < gone']\n    stdin: ${{ prev }}\n", "--allow-exec=sh", "--quiet")
			life, begun, gone := newLifeline(p), newGate(p, "begun"), newGate(p, "gone")
			p.start()
			life.await(life.held, "no command began")
			begun()
			life.await(life.cut, "a command lives on")
			gone()
			if code := p.exit(); code != 0 || p.out.String() != tt.output {
				t.Errorf("exit code %d, printed %q, want %q:\n%s", code, p.out.String(), tt.output, p.report.String())
			}
		})
	}
}

// newGate makes a pipe in the folder of a process, from which a command can read a line once the gate is opened.
func newGate(p *process, name string) (open func()) {
	p.t.Helper()
	pipe := filepath.Join(p.cmd.Dir, name)
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		p.t.Fatal(err)
	}
	f, err := os.OpenFile(pipe, os.O_RDWR, 0)
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { f.Close() })
	return func() {
		if _, err := f.WriteString("\n"); err != nil {
			p.t.Error(err)
		}
	}
}

// lifeline is a pipe, called life, in the folder of a process: a command that opens it holds it as long as it lives, and
// so do its children.
type lifeline struct {
	t    *testing.T
	held chan struct{} // closed when a command holds it
	cut  chan struct{} // closed when nobody does any more
}

func newLifeline(p *process) *lifeline {
	p.t.Helper()
	l := &lifeline{p.t, make(chan struct{}), make(chan struct{})}
	pipe := filepath.Join(p.cmd.Dir, "life")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		p.t.Fatal(err)
	}
	go func() {
		defer close(l.cut)
		r, err := os.Open(pipe) // waits for who writes
		close(l.held)
		if err != nil {
			return
		}
		defer r.Close()
		_, _ = io.Copy(io.Discard, r)
	}()
	p.t.Cleanup(func() { // lets the reader go where nobody came
		if w, err := os.OpenFile(pipe, os.O_RDWR, 0); err == nil {
			w.Close()
		}
	})
	return l
}

func (l *lifeline) await(happened <-chan struct{}, otherwise string) {
	l.t.Helper()
	select {
	case <-happened:
	case <-time.After(soon):
		l.t.Fatalf("%s after %v", otherwise, soon)
	}
}
