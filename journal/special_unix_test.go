//go:build unix

package journal_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/flowrun/flowrun/journal"
)

func init() {
	// A user to whom no file is open that its mode closes.
	children["open"] = func(path string, _ []string) error {
		if os.Getuid() == 0 {
			if err := syscall.Setuid(nobody); err != nil {
				return err
			}
		}
		j, err := journal.Open(path)
		if err != nil {
			fmt.Println(err)
			return nil
		}
		fmt.Println("open", j.Close())
		return nil
	}
}

const nobody = 65534

// A journal that its owner has made read only is refused before anything runs, and is one again when that is taken back.
func TestReadOnlyMode(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "flowrun.db")
	opened(t, path).Close()
	if os.Getuid() == 0 {
		if err := errors.Join(os.Chmod(filepath.Dir(dir), 0o755), os.Chown(dir, nobody, -1), os.Chown(path, nobody, -1)); err != nil {
			t.Fatal(err)
		}
	}
	for _, tt := range []struct {
		mode os.FileMode
		want string
	}{
		{0o400, path + " is no journal to use: it cannot be written to"},
		{0o600, "open <nil>"},
	} {
		if err := os.Chmod(path, tt.mode); err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(start(t, "open", path).lines(), "\n"); got != tt.want {
			t.Errorf("mode %o:\n got %s\nwant %s", tt.mode, got, tt.want)
		}
	}
}

func TestFIFOIsNoJournal(t *testing.T) {
	path := filepath.Join(t.TempDir(), "flowrun.db")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := journal.Open(path); err == nil || !strings.HasSuffix(err.Error(), "it is not a regular file") {
		t.Errorf("%v", err)
	}
}
