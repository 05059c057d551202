//go:build unix

package nodes

import (
	"os/exec"
	"syscall"
)

// asGroup makes a command the head of a process group of its own, which is told to end when its context ends. The
// functions returned kill the group: kill while the command runs, sweep what is left when it has ended.
func asGroup(cmd *exec.Cmd) (kill, sweep func()) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }
	cmd.WaitDelay = grace                                                 // then the command is killed, and its output closed that children may hold open
	end := func() { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) } // an error means that none is left
	return end, end
}
