package cli

import (
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// flush drops what was typed on a terminal and not read yet, also of a line that is not ended.
func flush(in io.Reader) {
	if f, ok := in.(*os.File); ok {
		_ = unix.IoctlSetInt(int(f.Fd()), unix.TCFLSH, unix.TCIFLUSH) // it is no terminal
	}
}
