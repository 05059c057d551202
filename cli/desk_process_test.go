//go:build linux

package cli

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestApproveOnTerminal answers a run's questions on a terminal. What the terminal shows in the end has the questions
// with their answers, and nothing of the tree; the prompt comes on a line of its own.
func TestApproveOnTerminal(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("script"); err != nil {
		t.Skip("there is no command script to make a terminal")
	}
	const pipeline = `
parallel:
  - {name: other, wait: 1h, timeout: 3s, on_error: continue}
  - name: ask
    chain:
      - {name: a, approve: "Deploy ${{ input }}\u001b[2J\u202e"}
      - {name: b, approve: Where, options: [north, south], timeout: TIME, on_timeout: reject, catch: {set: error.message}}
`
	tests := map[string]struct {
		time, terminal string
		replies        []reply
		code           int
		want           []string // of the screen
	}{
		"answered": {"1h", "xterm", []reply{{"approve or reject? ", "what\r"}, {"approve or reject? ", "approve\r"}, {"north, south or reject? ", "s\r"}}, 0,
			[]string{"a asks:\n  Deploy it\\u001b[2J\\u202e\napprove or reject? what\napprove or reject? approve\n", "north, south or reject? s\n", "answer  b                     south by", "\"south\"\n]\nnext"}},
		"no answer in time": {"1s", "xterm", []reply{{"approve or reject? ", "a\r"}}, 0,
			[]string{"north, south or reject?\n", "answer  b                     reject by on_timeout", "\"rejected by on_timeout\"\n]\nnext"}},
		"interrupted": {"1h", "xterm", []reply{{"approve or reject? ", "appr\x03"}}, 130,
			[]string{"interrupt: stopping", "the run was cancelled: interrupt\nflowrun: to go on: flowrun resume "}},
		"left open": {"1h", "xterm", []reply{{"approve or reject? ", "\x04"}}, 6,
			[]string{"approve or reject?\n", "the run waits for 1 approval:\na asks:\n", "a approve\nanswer: flowrun approve "}},
		"left open where nothing is kept": {"1h", "xterm", []reply{{"approve or reject? ", "\x04"}}, 1,
			[]string{"nobody answered, and a run that is not kept cannot wait\n"}},
		"on a terminal that cannot draw": {"1h", "dumb", []reply{{"approve or reject? ", "a\r"}, {"north, south or reject? ", "s\r"}}, 0,
			[]string{"approve or reject? a\n", "north, south or reject? s\n", "\"south\"\n]\nnext"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, "p.yaml"), []byte(strings.ReplaceAll(pipeline, "TIME", tt.time)), 0o600); err != nil {
				t.Fatal(err)
			}
			seen, code := onTerminal(t, dir, "trap : INT; TERM="+tt.terminal+" flowrun run p.yaml --input it"+map[bool]string{true: " --no-journal"}[strings.HasSuffix(name, "nothing is kept")]+"; code=$?; echo next; exit $code", tt.replies...)
			if code != tt.code {
				t.Errorf("exit code %d, want %d:\n%s", code, tt.code, seen)
			}
			terminal := newEmulator(80, 40)
			_, _ = terminal.Write([]byte(strings.ReplaceAll(seen, "\r\n", "\n")))
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
