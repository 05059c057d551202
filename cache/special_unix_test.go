//go:build unix

package cache_test

import (
	"net"
	"os"
	"path/filepath"
	"syscall"
)

func fifo(name string) error { return syscall.Mkfifo(name, 0o600) }

// socket makes one under a short name first: the names of sockets are bounded.
func socket(name string) error {
	dir, err := os.MkdirTemp("", "s")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(dir, "s"), Net: "unix"})
	if err != nil {
		return err
	}
	l.SetUnlinkOnClose(false)
	defer l.Close()
	return os.Rename(filepath.Join(dir, "s"), name)
}
