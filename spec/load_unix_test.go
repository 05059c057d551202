//go:build unix

package spec

import (
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// To open a FIFO would wait for somebody to write to it.
func TestFIFO(t *testing.T) {
	dir := folder(t, map[string]string{"p.yaml": "flow: fifo.yaml"})
	if err := syscall.Mkfifo(filepath.Join(dir, "fifo.yaml"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{"fifo.yaml", "p.yaml"} {
		if p, diagnostics := Load(filepath.Join(dir, file), tiny()); p != nil || !strings.Contains(diagnostics.Error(), "it is not a regular file") {
			t.Errorf("%s: %v", file, diagnostics)
		}
	}
}
