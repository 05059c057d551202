//go:build unix

package nodes

import (
	"os/exec"
	"syscall"
	"time"
)

// grace is how long a command may take to end when it was told to, and its children when it has ended.
const grace = 500 * time.Millisecond

// asGroup makes a command the head of a process group of its own. When its context ends the group is told to end; the
// function returned, for when the command has ended, kills what is left of the group.
func asGroup(cmd *exec.Cmd) (stop func()) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }
	cmd.WaitDelay = grace                                                 // then the command is killed, and its output closed that children may hold open
	return func() { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) } // an error means that none is left
}
