package journal_test

import (
	"os"
	"path/filepath"
	"syscall"
)

// mountSmall mounts a file system of 2 MiB, of which a file takes half.
func mountSmall(dir string) error {
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=2m"); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "filler"), make([]byte, 1<<20), 0o600)
}

func unmount(dir string) error { return syscall.Unmount(dir, syscall.MNT_DETACH) }

func remountReadOnly(dir string) error {
	return syscall.Mount("", dir, "", syscall.MS_REMOUNT|syscall.MS_RDONLY, "")
}
