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
	for i, f := range found {
		found[i] = strings.TrimSuffix(path.Base(f), ".yaml")
	}
	return found
}

// Source is the text of an example.
func Source(name string) ([]byte, error) { return files.ReadFile(name + ".yaml") }
