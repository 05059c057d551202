// Package examples holds pipelines that a newcomer runs, and that flowrun init starts from.
package examples

import (
	"embed"
	"io/fs"
	"path"
	"strings"
)

//go:embed *.yaml
var files embed.FS

// Names lists the examples.
func Names() []string {
	found, err := fs.Glob(files, "*.yaml")
	if err != nil {
		panic(err) // the pattern is right
	}
	var names []string // not those of their tests
	for _, f := range found {
		if name := strings.TrimSuffix(path.Base(f), ".yaml"); !strings.HasSuffix(name, ".test") {
			names = append(names, name)
		}
	}
	return names
}

// Source is the text of an example.
func Source(name string) ([]byte, error) { return files.ReadFile(name + ".yaml") }
