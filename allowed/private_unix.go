//go:build unix

package allowed

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
)

// private says why somebody else could have written an open file; nil where only its owner can, who is the user.
func private(info fs.FileInfo) error {
	stat, ok := info.Sys().(*syscall.Stat_t)
	switch {
	case !info.Mode().IsRegular():
		return errors.New("it is not a regular file")
	case !ok || int(stat.Uid) != os.Geteuid():
		return errors.New("it belongs to another user")
	case info.Mode().Perm()&0o022 != 0:
		return fmt.Errorf("others may write to it: its mode is %04o", info.Mode().Perm())
	}
	return nil
}
