//go:build unix

package cli_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
)

// A change of the pipeline, of its test file or of a mistake in it lets the tests run again, until it is interrupted.
func TestWatch(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	p := &process{t: t, cmd: exec.Command("flowrun", "test", "--watch"), ended: make(chan struct{})}
	p.cmd.Dir, p.cmd.Env, p.cmd.Stdout, p.cmd.Stderr = dir, os.Environ(), &p.out, &p.report
	write := func(name, src string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(src), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("p.yaml", "set: input + 1\n")
	write("p.test.yaml", "cases:\n  one: {input: 1, expect: output == 2}\n")
	p.start()
	p.out.await(t, "1 passed, 0 failed\n")
	p.report.await(t, "waiting for a change")
	write("p.yaml", "set: input + 10\n")
	p.out.await(t, "0 passed, 1 failed\n")
	write("p.test.yaml", "cases: []\n")
	p.report.await(t, "p.test.yaml:1:8: the file has no cases")
	write("p.test.yaml", "cases:\n  - {input: 1}\n  - {input: 2}\n")
	p.out.await(t, "2 passed, 0 failed\n")
	p.signal(syscall.SIGINT)
	if code := p.exit(); code != 130 {
		t.Errorf("exit code %d:\n%s", code, p.report.String())
	}
}

// A pipeline that changes a file beside it at each run does not keep the watch from ending at the first signal, and its
// own report in that folder is no change.
func TestWatchEnds(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	report, err := os.Create(filepath.Join(dir, "report.txt"))
	if err != nil {
		t.Fatal(err)
	}
	defer report.Close()
	p := &process{t: t, cmd: exec.Command("flowrun", "test", "--watch", "--allow-exec=sh"), ended: make(chan struct{})}
	p.cmd.Dir, p.cmd.Env, p.cmd.Stdout, p.cmd.Stderr = dir, os.Environ(), report, &p.report
	for name, src := range map[string]string{
		"p.yaml":      "exec: [sh, -c, echo >> count; wc -l < count]\n",
		"p.test.yaml": "cases: [{name: one}]\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(src), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	p.start()
	p.report.await(t, "waiting for a change; Ctrl-C ends\nwaiting for a change")
	p.signal(syscall.SIGTERM)
	if code := p.exit(); code != 143 {
		t.Errorf("exit code %d:\n%s", code, p.report.String())
	}
}
