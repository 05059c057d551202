//go:build windows

package audit

import (
	"errors"
	"io/fs"
	"os"

	"golang.org/x/sys/windows"
)

// secret cannot tell here who may read a file: its mode does not say.
func secret(fs.FileInfo) error { return nil }

// What is locked lies behind any end that the file will have: it keeps out those that lock, not those that read.
func lockedPart() *windows.Overlapped { return &windows.Overlapped{OffsetHigh: 1 << 30} }

// tryLock locks a file against others, or for reading against those that write; ok tells whether it could.
func tryLock(f *os.File, reading bool) (ok bool, err error) {
	how := uint32(windows.LOCKFILE_FAIL_IMMEDIATELY)
	if !reading {
		how |= windows.LOCKFILE_EXCLUSIVE_LOCK
	}
	err = windows.LockFileEx(windows.Handle(f.Fd()), how, 0, 1, 0, lockedPart())
	if errors.Is(err, windows.ERROR_LOCK_VIOLATION) || errors.Is(err, windows.ERROR_IO_PENDING) {
		return false, nil
	}
	return err == nil, err
}

func unlock(f *os.File) { _ = windows.UnlockFileEx(windows.Handle(f.Fd()), 0, 1, 0, lockedPart()) }

func keepEntry(string) error { return nil }
