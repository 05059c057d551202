//go:build unix

package cli

import (
	"os"

	"golang.org/x/sys/unix"
)

// foreground tells whether a terminal belongs to the program at the moment, and not to a shell that started it with &.
func foreground(terminal *os.File) bool {
	group, err := unix.IoctlGetInt(int(terminal.Fd()), unix.TIOCGPGRP)
	return err != nil || group == unix.Getpgrp()
}
