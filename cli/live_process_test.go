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
	var keys []reply
	for _, sign := range []string{"▾", "stopping"}[:presses] {
		keys = append(keys, reply{sign, "\x03"})
	}
	seen, code := onTerminal(t, dir, "trap : INT; flowrun run p.yaml; code=$?; echo next; exit $code", keys...)
	_, _ = terminal.Write([]byte(strings.ReplaceAll(seen, "\r\n", "\n")))
	return code
}

// reply is what somebody types on a terminal who has waited for a text there.
type reply struct{ after, typed string }

// onTerminal runs a shell's command on a terminal in a folder, and gives what came to the terminal and the exit code.
func onTerminal(t *testing.T, dir, command string, replies ...reply) (seen string, code int) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "script", "-qec", command, "/dev/null")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "TERM=xterm", "CI=", "FLOWRUN_STATE="+filepath.Join(dir, ".state"))
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

	var all strings.Builder
	fresh := 0 // where what was not replied to begins
	b := make([]byte, 4096)
	for {
		n, err := out.Read(b)
		all.Write(b[:n])
		for len(replies) > 0 {
			i := strings.Index(all.String()[fresh:], replies[0].after)
			if i < 0 {
				break
			}
			fresh += i + len(replies[0].after)
			fmt.Fprint(keys, replies[0].typed)
			replies = replies[1:]
		}
		if err != nil {
			break
		}
	}
	_ = cmd.Wait() // the exit code tells
	if len(replies) > 0 {
		t.Errorf("%q was never seen in:\n%s", replies[0].after, all.String())
	}
	return all.String(), cmd.ProcessState.ExitCode()
}
