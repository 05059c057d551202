//go:build !unix

package nodes

import (
	"os/exec"
	"strconv"
	"time"
)

// asGroup lets a command end with all its children when its context ends.
func asGroup(cmd *exec.Cmd) (stop func()) {
	kill := func() error {
		return exec.Command("taskkill", "/T", "/F", "/PID", strconv.Itoa(cmd.Process.Pid)).Run()
	}
	cmd.Cancel = kill
	cmd.WaitDelay = time.Second
	return func() {}
}
