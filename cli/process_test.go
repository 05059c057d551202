package cli_test

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// soon bounds how long anything may take that must happen at once; it is long for the sake of slow machines.
const soon = 10 * time.Second

// process is flowrun at work.
type process struct {
	t           *testing.T
	cmd         *exec.Cmd
	out, report watched // standard output and error
	ended       chan struct{}
}

// flowrun prepares to run the pipeline p.yaml in a folder of its own.
func flowrun(t *testing.T, pipeline string, flags ...string) *process {
	t.Helper()
	p := &process{t: t, cmd: exec.Command("flowrun", append([]string{"run", "p.yaml"}, flags...)...), ended: make(chan struct{})}
	p.cmd.Dir = t.TempDir()
	p.cmd.Env = os.Environ()
	p.cmd.Stdout, p.cmd.Stderr = &p.out, &p.report
	if err := os.WriteFile(filepath.Join(p.cmd.Dir, "p.yaml"), []byte(pipeline), 0o600); err != nil {
		t.Fatal(err)
	}
	return p
}

// start lets it begin. It ends with the test at the latest.
func (p *process) start() {
	p.t.Helper()
	if err := p.cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	go func() {
		defer close(p.ended)
		_ = p.cmd.Wait() // the exit code tells
	}()
	p.t.Cleanup(func() {
		_ = p.cmd.Process.Kill()
		<-p.ended
	})
}

// signal sends a signal.
func (p *process) signal(s os.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		p.t.Fatal(err)
	}
}

// exit waits for the end, which must come soon, and gives the exit code.
func (p *process) exit() int {
	p.t.Helper()
	select {
	case <-p.ended:
	case <-time.After(soon):
		p.t.Fatalf("it is still there after %v:\n%s%s", soon, p.out.String(), p.report.String())
	}
	return p.cmd.ProcessState.ExitCode()
}

// watched keeps what is written and lets others wait for it.
type watched struct {
	mu      sync.Mutex
	buf     bytes.Buffer
	changed chan struct{} // closed at the next write
}

func (w *watched) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.changed != nil {
		close(w.changed)
		w.changed = nil
	}
	return w.buf.Write(b)
}

func (w *watched) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.buf.String()
}

// await waits until a text was written.
func (w *watched) await(t *testing.T, text string) {
	t.Helper()
	late := time.After(soon)
	for {
		w.mu.Lock()
		if w.changed == nil {
			w.changed = make(chan struct{})
		}
		written, changed := w.buf.String(), w.changed
		w.mu.Unlock()
		if strings.Contains(written, text) {
			return
		}
		select {
		case <-changed:
		case <-late:
			t.Fatalf("%q was not written within %v:\n%s", text, soon, written)
		}
	}
}
