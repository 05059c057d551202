package engine

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/flowrun/flowrun/spec"
)

func TestGrantsOfFiles(t *testing.T) {
	dir := t.TempDir()
	for _, folder := range []string{"in/deep", "other"} {
		if err := os.MkdirAll(filepath.Join(dir, folder), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for name, text := range map[string]string{"in/a": "a", "in/deep/b": "b", "other/c": "c", "inner": "d"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, to := range map[string]string{"in/out": "../other/c", "in/within": "deep/b", "in/lost": "../other/nothing", "linked": "in"} {
		if err := os.Symlink(to, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	t.Chdir(dir)
	tests := map[string]struct {
		granted, name, want string // the text, or why there is none
	}{
		"the file":                      {"in/a", "in/a", "a"},
		"another file":                  {"in/a", "in/deep/b", "not granted"},
		"its folder":                    {"in", "in/deep/b", "b"},
		"a folder above":                {".", "in/deep/b", "b"},
		"an absolute one":               {dir, "in/a", "a"},
		"a file beside the folder":      {"in", "other/c", "not granted"},
		"a name that begins like it":    {"in", "inner", "not granted"},
		"a way out of the folder":       {"in", "in/../other/c", "not granted"},
		"a link out of the folder":      {"in", "in/out", "not granted"},
		"a link within the folder":      {"in", "in/within", "b"},
		"a link, granted by its name":   {"in/out", "in/out", "c"},
		"a folder by a link":            {"linked", "in/a", "a"},
		"a file by way of a link":       {"in", "linked/a", "a"},
		"nothing that is there":         {"in", "in/nothing", "no such file or directory"},
		"nothing that a link leads to":  {"in", "in/lost", "a link leads out of its folder"},
		"the folder itself":             {"in", "in", "it is a folder, not a regular file"},
		"a file granted as a folder":    {"in/a", "in/a/b", "not a directory"},
		"a grant of nothing that is":    {"nothing", "nothing/a", "no such file or directory"},
		"a path that is not known yet":  {"in", "", ""},
		"the root of the file system":   {"/", "in/a", "a"},
		"a folder of the same ancestor": {"other", "in/a", "not granted"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			g := Grants{By: map[string]Grant{"read": {Names: []string{"elsewhere", tt.granted}}}}
			allowed := g.Allow(spec.Need{Grant: "read", Name: tt.name})
			if tt.name == "" {
				if !allowed || (Grants{}).Allow(spec.Need{Grant: "read"}) {
					t.Error("a path that is not known yet needs some grant")
				}
				return
			}
			src, err := g.read(tt.name)
			got := string(src)
			if err != nil {
				got = err.Error()
			}
			if !allowed {
				if err == nil {
					t.Error("what is not granted was read")
				}
				got = "not granted"
			}
			if got != tt.want {
				t.Errorf("\n got %s\nwant %s", got, tt.want)
			}
			for _, all := range []Grants{{All: true}, {By: map[string]Grant{"read": {Any: true}}}} {
				if _, err := all.read(tt.name); errors.Is(err, os.ErrNotExist) != (tt.want == "no such file or directory" || tt.name == "in/lost") {
					t.Errorf("with all files granted: %v", err)
				}
			}
		})
	}
}
