//go:build unix

package journal_test

import (
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/flowrun/flowrun/journal"
)

func TestFIFOIsNoJournal(t *testing.T) {
	path := filepath.Join(t.TempDir(), "flowrun.db")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := journal.Open(path); err == nil || !strings.HasSuffix(err.Error(), "it is not a regular file") {
		t.Errorf("%v", err)
	}
}
