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
