package main

import (
	"bytes"
	"encoding/json"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/flowrun/flowrun/nodes"
	"github.com/flowrun/flowrun/pipetest"
)

// TestGenerated holds schema.json and the reference against the shapes of the kinds. UPDATE=1 writes them anew.
func TestGenerated(t *testing.T) {
	lang := nodes.Language().Spec
	for file, want := range map[string][]byte{
		"schema.json":       lang.Schema(),
		"test.schema.json":  lang.SheetSchema(pipetest.Sheet()),
		"docs/reference.md": []byte(lang.Reference()),
	} {
		if os.Getenv("UPDATE") != "" {
			if err := os.WriteFile(file, want, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		got, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s is stale; run UPDATE=1 go test . and read the diff:\n%s", file, cmp.Diff(string(got), string(want)))
		}
	}
	if !json.Valid(lang.Schema()) {
		t.Error("the schema is no JSON")
	}
}

// TestImports holds the layout: what each folder may import of the others.
func TestImports(t *testing.T) {
	const module = "github.com/flowrun/flowrun/"
	allowed := map[string][]string{
		".":                 {"cli", "nodes"},
		"spec":              {},
		"agents":            {},
		"agents/agentstest": {}, // for tests: no folder may import it
		"agents/mcp":        {},
		"engine":            {"spec"},
		"cache":             {},
		"allowed":           {},
		"audit":             {"engine"},
		"recording":         {"spec", "engine"},
		"journal":           {"spec", "engine"},
		"nodes":             {"spec", "agents", "agents/mcp", "engine"},
		"pipetest":          {"spec", "agents", "engine", "nodes", "recording"},
		"examples":          {},
		"cli":               {"spec", "agents", "engine", "nodes", "cache", "allowed", "audit", "recording", "journal", "pipetest", "examples"},
		"leaktest":          {},                          // for tests
		"bench":             {"spec", "engine", "nodes"}, // a module of its own
	}
	owners := map[string]string{
		"gopkg.in/yaml.v3": "spec", "github.com/expr-lang/expr": "spec", "github.com/tmc/langchaingo": "agents", "github.com/urfave/cli": "cli",
		"github.com/modelcontextprotocol/go-sdk": "agents/mcp", "modernc.org/sqlite": "journal",
	}
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		folder := filepath.ToSlash(filepath.Dir(path))
		may, known := allowed[folder]
		if !known {
			t.Errorf("%s: the folder has no place in the layout", path)
		}
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		for _, i := range f.Imports {
			name := strings.Trim(i.Path.Value, `"`)
			if ours, ok := strings.CutPrefix(name, module); ok && !slices.Contains(may, ours) {
				t.Errorf("%s imports %s, which %s may not", path, ours, folder)
			}
			for library, owner := range owners {
				if strings.HasPrefix(name, library) && folder != owner {
					t.Errorf("%s imports %s, which belongs to %s alone", path, library, owner)
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
