//go:build linux

package cli

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

const (
	question = "or not? [o/a/N] "
	// marks leaves a mark that it ran, and is done.
	marks = "chain:\n  - exec: [touch, ran]\n  - set: '\"done\"'\n"
)

// TestAsk asks on a terminal for what was not allowed.
func TestAsk(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("script"); err != nil {
		t.Skip("there is no command script to make a terminal")
	}
	run := "flowrun run p.yaml"
	more := "anything else is no -- "
	tests := map[string]struct {
		pipeline, command string
		replies           []reply
		code              int
		ran               bool
		want, not         string // on the terminal
	}{
		"once":                    {marks, run, []reply{{question, "o\n"}}, 0, true, "--allow-exec=touch  (p.yaml:2:11)\r\n      touch ran\r\n", ""},
		"yes":                     {marks, run, []reply{{question, "Yes\n"}}, 0, true, "done", ""},
		"once and again":          {marks, run + " && " + run, []reply{{question, "o\n"}, {question, "\n"}}, 4, true, "nothing ran", ""},
		"always":                  {marks, run + " && " + run, []reply{{question, "a\n"}}, 0, true, "done", ""},
		"always, and changed":     {marks, run + "; echo '#' >> p.yaml; " + run, []reply{{question, "always\n"}, {question, "n\n"}}, 4, true, "nothing ran", ""},
		"no":                      {marks, run, []reply{{question, "n\n"}}, 4, false, "it was not allowed, and nothing ran", ""},
		"no answer":               {marks, run, []reply{{question, "\n"}}, 4, false, "nothing ran", ""},
		"another answer":          {marks, run, []reply{{question, "ok\n"}}, 4, false, "nothing ran", ""},
		"an answer without end":   {marks, run, []reply{{question, "o" + strings.Repeat(" ", 300) + "\n"}}, 4, false, "nothing ran", ""},
		"the end of input":        {marks, run, []reply{{question, "\x04"}}, 4, false, "nothing ran", ""},
		"Ctrl-C":                  {marks, "trap : INT; " + run, []reply{{question, "\x03"}}, 130, false, question, "done"},
		"half an answer, Ctrl-C":  {marks, "trap : INT; " + run, []reply{{question, "a\x03"}}, 130, false, question, "done"},
		"quiet":                   {marks, run + " --quiet", nil, 4, false, "--allow-exec=touch", question},
		"in CI":                   {marks, "CI=true " + run, nil, 4, false, "--allow-exec=touch", question},
		"no input":                {marks, run + " < /dev/null", nil, 4, false, "--allow-exec=touch", question},
		"nobody reads":            {marks, run + " 2> report.txt", nil, 4, false, "", question},
		"the file from a pipe":    {marks, "cat p.yaml | flowrun run -", nil, 4, false, "--allow-exec=touch", question},
		"granted":                 {marks, run + " --allow-exec=touch", nil, 0, true, "done", question},
		"a dry run":               {marks, run + " --dry-run", nil, 0, false, "not granted", question},
		"what cannot begin":       {"input: {a: integer}\n" + marks, run, nil, 2, false, "the input is missing", question},
		"text that would command": {`exec: [touch, ran, "\e[2J\e[H\r\u009b1A", "a\nb\tc", "` + strings.Repeat(" ", 100) + `x"]`, run, []reply{{question, "n\n"}}, 4, false, `touch ran "\x1b[2J\x1b[H\r\u009b1A" "a\nb\tc" "  `, "\x1b"},
		"more than a screen":      {manyMarks(15), "stty rows 12 columns 60; " + run, []reply{{more, "\n"}, {more, "\n"}, {more, "\n"}, {question, "o\n"}}, 0, true, "touch ran 14", ""},
		"no to more":              {manyMarks(30), "stty rows 12 columns 60; " + run, []reply{{more, "a\n"}}, 4, false, "nothing ran", "touch ran 29"},
		"the end before more":     {manyMarks(30), "stty rows 12 columns 60; " + run, []reply{{more, "\x04"}}, 4, false, "nothing ran", "touch ran 29"},
		"more than anybody reads": {manyMarks(101), run, nil, 4, false, "and 1 more", question},
		"flowrun allow":           {marks, "flowrun allow p.yaml && " + run, []reply{{"[y/N] ", "y\n"}}, 0, true, "done", question},
		"flowrun allow, no":       {marks, "flowrun allow p.yaml || " + run, []reply{{"[y/N] ", "\n"}, {question, "\n"}}, 4, false, "nothing ran", ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, "p.yaml"), []byte(tt.pipeline), 0o600); err != nil {
				t.Fatal(err)
			}
			seen, code := onTerminal(t, dir, tt.command, tt.replies...)
			if code != tt.code {
				t.Errorf("exit code %d, want %d", code, tt.code)
			}
			if _, err := os.Stat(filepath.Join(dir, "ran")); (err == nil) != tt.ran {
				t.Errorf("it ran: %v, want %v", err == nil, tt.ran)
			}
			if !strings.Contains(seen, tt.want) || tt.not != "" && strings.Contains(seen, tt.not) {
				t.Errorf("the terminal must show %q and not %q:\n%s", tt.want, tt.not, seen)
			}
		})
	}
}

// manyMarks is a pipeline with so many needs.
func manyMarks(n int) string {
	var b strings.Builder
	b.WriteString("chain:\n")
	for i := range n {
		b.WriteString("  - exec: [touch, ran, \"" + strings.Repeat("0", i/100) + string(rune('0'+i/10%10)) + string(rune('0'+i%10)) + "\"]\n")
	}
	return b.String()
}
