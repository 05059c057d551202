package leaktest_test

import (
	"bufio"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/flowrun/flowrun/leaktest"
)

type tests func() int

func (t tests) Run() int { return t() }

// TestMain lets the tests call this test as one whose tests leave something.
func TestMain(m *testing.M) {
	switch os.Getenv("LEAKTEST") {
	case "nothing":
		leaktest.Main(tests(func() int { return 0 }))
	case "failure":
		leaktest.Main(tests(func() int { return 3 }))
	case "goroutine":
		leaktest.Main(tests(func() int { go func() { select {} }(); return 0 }))
	case "process":
		leaktest.Main(tests(func() int { return start("sleep", "60") }))
	case "orphan":
		leaktest.Main(tests(func() int { return start("sh", "-c", "setsid sleep 60 & echo $!") }))
	}
	leaktest.Main(m)
}

// start starts a command, and waits for it where it says what it started.
func start(name string, args ...string) int {
	cmd := exec.Command(name, args...)
	if name != "sh" {
		if cmd.Start() != nil {
			return 4
		}
		os.Stdout.WriteString(strconv.Itoa(cmd.Process.Pid) + "\n")
		return 0
	}
	out, err := cmd.StdoutPipe()
	if err != nil || cmd.Start() != nil {
		return 4
	}
	pid, err := bufio.NewReader(out).ReadString('\n')
	if err != nil || cmd.Process.Kill() != nil {
		return 4
	}
	_, _ = cmd.Process.Wait()
	os.Stdout.WriteString(pid)
	return 0
}

func TestLeaks(t *testing.T) {
	t.Parallel()
	for left, want := range map[string]struct {
		code int
		says string
	}{
		"nothing":   {0, ""},
		"failure":   {3, ""},
		"goroutine": {1, "found unexpected goroutines"},
		"process":   {1, "processes are left:"},
		"orphan":    {1, `"sleep 60 "`},
	} {
		t.Run(left, func(t *testing.T) {
			t.Parallel()
			if runtime.GOOS != "linux" && (left == "process" || left == "orphan") {
				t.Skip("processes are not seen here")
			}
			cmd := exec.Command(os.Args[0])
			cmd.Env = append(os.Environ(), "LEAKTEST="+left)
			var out, said strings.Builder
			cmd.Stdout, cmd.Stderr = &out, &said
			_ = cmd.Run() // its code tells
			if pid, err := strconv.Atoi(strings.TrimSpace(out.String())); err == nil {
				if p, err := os.FindProcess(pid); err == nil {
					_ = p.Kill()
				}
			}
			if got := cmd.ProcessState.ExitCode(); got != want.code || !strings.Contains(said.String(), want.says) {
				t.Errorf("it ended with %d and said\n%s", got, said.String())
			}
		})
	}
}
