//go:build !unix

package nodes

import (
	"os/exec"
	"strconv"
	"time"
)

// asGroup lets a command end with all its children when its context ends, or when it is killed. Children that outlive it
// are not found any more.
func asGroup(cmd *exec.Cmd) (kill, sweep func()) {
	end := func() error {
		return exec.Command("taskkill", "/T", "/F", "/PID", strconv.Itoa(cmd.Process.Pid)).Run()
	}
	cmd.Cancel = end
	cmd.WaitDelay = time.Second
	return func() { _ = end() }, func() {} // an error means that it has ended
}
