//go:build linux

package cli

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestControlC presses Ctrl-C while the tree is drawn: once, or twice where the run does not stop. What the terminal shows
// in the end has nothing of the tree, and the prompt comes on a line of its own.
func TestControlC(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("script"); err != nil {
		t.Skip("there is no command script to make a terminal")
	}
	tests := map[string]struct {
		finally string
		presses int
		want    []string // of the screen
	}{
		"once":  {"{set: status}", 1, []string{"interrupt: stopping", "cancel  p", "the run was cancelled: interrupt", "next"}},
		"twice": {"{wait: 1h}", 2, []string{"interrupt: stopping", "next"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			terminal := newEmulator(80, 24)
			code := press(t, terminal, "parallel:\n"+strings.Repeat("  - wait: 1h\n", 30)+"finally: "+tt.finally+"\n", tt.presses)
			if code != 130 {
				t.Errorf("exit code %d, want 130", code)
			}
			screen := terminal.screen()
			for _, w := range tt.want {
				if !strings.Contains(screen, w) {
					t.Errorf("the screen lacks %q:\n%s", w, screen)
				}
			}
			if strings.Contains(screen, "▾") || !strings.HasSuffix(screen, "\nnext") {
				t.Errorf("the screen is not clean:\n%s", screen)
			}
			terminal.isLeftAlone(t)
		})
	}
}

// press runs a pipeline on a terminal, presses Ctrl-C when the tree is drawn and when flowrun has said that it stops, and
// gives the exit code. What comes to the terminal goes on to another.
func press(t *testing.T, terminal io.Writer, pipeline string, presses int) int {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "p.yaml"), []byte(pipeline), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "script", "-qec", "trap : INT; flowrun run p.yaml; code=$?; echo next; exit $code", "/dev/null")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "TERM=xterm", "CI=")
	keys, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	late := time.AfterFunc(20*time.Second, func() { _ = cmd.Process.Kill() })
	defer late.Stop()

	signs := []string{"▾", "stopping"}[:presses] // wait for each, then press
	var seen strings.Builder
	b := make([]byte, 4096)
	for {
		n, err := out.Read(b)
		seen.Write(b[:n])
		if len(signs) > 0 && strings.Contains(seen.String(), signs[0]) {
			signs = signs[1:]
			fmt.Fprint(keys, "\x03")
		}
		if err != nil {
			break
		}
	}
	_, _ = terminal.Write([]byte(strings.ReplaceAll(seen.String(), "\r\n", "\n")))
	_ = cmd.Wait() // the exit code tells
	return cmd.ProcessState.ExitCode()
}
