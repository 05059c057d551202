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

// What a file is called cannot end a message's line, or begin another that looks like one.
func TestNamesOfFilesStayOnALine(t *testing.T) {
	dir := folder(t, map[string]string{"p\nx.yaml:1:1: fine.yaml": "seq: [{set: nothing}, {flow: \"./a\\nb\\e.yaml\"}]", "a\nb\x1b.yaml": "flow: \"a\\nb\\e.yaml\""})
	_, diagnostics := Load(filepath.Join(dir, "p\nx.yaml:1:1: fine.yaml"), tiny())
	got := strings.ReplaceAll(diagnostics.Error(), dir+string(filepath.Separator), "")
	want := `a\nb\u001b.yaml:1:7: "a\nb\x1b.yaml" includes itself: a\nb\u001b.yaml -> a\nb\u001b.yaml
p\nx.yaml:1:1: fine.yaml:1:13: unknown name nothing`
	if got != want {
		t.Errorf("\n got %s\nwant %s", got, want)
	}
}

func TestTemplateFIFO(t *testing.T) {
	dir := folder(t, map[string]string{"p.yaml": "say: true\ntext_file: pipe.md", "zero.yaml": "say: true\ntext_file: /dev/zero"})
	if err := syscall.Mkfifo(filepath.Join(dir, "pipe.md"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{"p.yaml", "zero.yaml"} {
		if p, diagnostics := Load(filepath.Join(dir, file), saying(), AllowRead()); p != nil || !strings.Contains(diagnostics.Error(), "it is not a regular file") {
			t.Errorf("%s: %v", file, diagnostics)
		}
	}
}
