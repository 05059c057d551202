package spec

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/flowrun/flowrun/leaktest"
)

func TestMain(m *testing.M) { leaktest.Main(m) }

// folder writes files below a new folder.
func folder(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, src := range files {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(src), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestIncludes(t *testing.T) {
	dir := folder(t, map[string]string{
		"main/p.yaml":      "seq: [{flow: ./sub/a.yaml}, {flow: b.yaml}]",
		"main/sub/a.yaml":  "flow: ../b.yaml",
		"main/b.yaml":      "set: input",
		"main/typed.yaml":  "seq: [{flow: t.yaml, with: {n: 1}}, {set: prev.x}]",
		"main/t.yaml":      "params: {n: {type: integer}}\ninput: any\noutput: 'params.n + 1'\nset: prev",
		"main/out.yaml":    "flow: ../secret.yaml",
		"main/abs.yaml":    "flow: /etc/passwd",
		"main/loop.yaml":   "flow: loop2.yaml",
		"main/loop2.yaml":  "flow: sub/../loop.yaml",
		"main/missing.yml": "flow: nowhere.yaml",
		"main/broken.yaml": "seq: [{flow: bad.yaml}, {flow: bad.yaml}]",
		"main/bad.yaml":    "sett: 1",
		"main/folder.yaml": "flow: sub",
		"main/with.yaml":   "flow: t.yaml\nwith: {m: 2}",
		"main/type.yaml":   "flow: t.yaml\nwith: {n: two}",
		"main/none.yaml":   "flow: t.yaml",
		"secret.yaml":      "set: 1",
	})
	if err := os.Symlink(filepath.Join(dir, "secret.yaml"), filepath.Join(dir, "main", "link.yaml")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "main", "links.yaml"), []byte("flow: link.yaml"), 0o644); err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct{ file, want string }{
		"from folders around":       {"p.yaml", ""},
		"a type of another file":    {"typed.yaml", `typed.yaml:1:43: type integer has no field x`},
		"outside of the folder":     {"out.yaml", `out.yaml:1:7: including "../secret.yaml": the file is outside of the first file's folder`},
		"an absolute path":          {"abs.yaml", `abs.yaml:1:7: including "/etc/passwd": the file is outside`},
		"a link that leads outside": {"links.yaml", `links.yaml:1:7: including "link.yaml": the file is outside of the first file's folder`},
		"a circle":                  {"loop.yaml", `includes itself: loop.yaml -> loop2.yaml -> loop.yaml`},
		"a file that is not there":  {"missing.yml", `missing.yml:1:7: including "nowhere.yaml": no such file`},
		"a folder":                  {"folder.yaml", `folder.yaml:1:7: including "sub": it is a folder`},
		"a broken file, told once":  {"broken.yaml", `bad.yaml:1:1: unknown key "sett", did you mean "set"?`},
		"a param it does not have":  {"with.yaml", `t.yaml has no param "m"`},
		"a param of another type":   {"type.yaml", `type.yaml:2:11: n must be integer, not string`},
		"a param left out":          {"none.yaml", `t.yaml needs the param n`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, diagnostics := Load(filepath.Join(dir, "main", tt.file), tiny())
			if tt.want == "" {
				if p == nil {
					t.Fatal(diagnostics)
				}
				return
			}
			got := strings.ReplaceAll(diagnostics.Error(), filepath.Join(dir, "main")+string(filepath.Separator), "")
			if p != nil || !strings.Contains(got, tt.want) {
				t.Errorf("\n got %s\nwant %s", got, tt.want)
			}
		})
	}
}

func TestAllowRead(t *testing.T) {
	dir := folder(t, map[string]string{"main/p.yaml": "flow: ../lib/a.yaml", "lib/a.yaml": "set: 1", "other/x.yaml": ""})
	file := filepath.Join(dir, "main", "p.yaml")
	tests := map[string]struct {
		opts []Option
		ok   bool
	}{
		"nothing":        {nil, false},
		"the file":       {[]Option{AllowRead(filepath.Join(dir, "lib", "a.yaml"))}, true},
		"its folder":     {[]Option{AllowRead(filepath.Join(dir, "lib"))}, true},
		"another folder": {[]Option{AllowRead(filepath.Join(dir, "other"))}, false},
		"a part of name": {[]Option{AllowRead(filepath.Join(dir, "li"))}, false},
		"all":            {[]Option{AllowRead()}, true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if p, diagnostics := Load(file, tiny(), tt.opts...); (p != nil) != tt.ok {
				t.Errorf("loaded %v: %v", p != nil, diagnostics)
			}
		})
	}
}

func TestFilesThatAreNoText(t *testing.T) {
	dir := folder(t, map[string]string{
		"nul.yaml":     "set: \"a\x00b\"",
		"latin.yaml":   "set: '\xe4'",
		"bidi.yaml":    "chain:\n  - set: '\u202eabc'",
		"isolate.yaml": "# \u2066\nset: 1",
		"marks.yaml":   "set: 1 # \u200f\u05d0\u200e",
		"escape.yaml":  "set: é\x1b",
		"c1.yaml":      "set: \u009b2J",
		"delete.yaml":  "set: \x7f",
		"nel.yaml":     "set: 1 # \u0085name: x",
		"line.yaml":    "set: 1 # \u2028name: x",
		"cr.yaml":      "set: 1 # \rname: x\n",
		"empty.yaml":   "",
		"note.yaml":    "# nothing\n",
		"two.yaml":     "set: 1\n---\nset: 2\n",
		"list.yaml":    "- set: 1",
		"bom.yaml":     "\ufeffset: 1\r\nname: x\r\n",
		"first.yaml":   "\ufeffset: '${{ nothing }}'",
		"broken.yaml":  "set: [",
		"tabs.yaml":    "seq:\n\t- set: 1\n",
		"self.yaml":    "set: &a [*a]",
		"tag.yaml":     "set: !!python/object {a: 1}",
		"big.yaml":     "set: '" + strings.Repeat("x", maxFile) + "'",
	})
	tests := map[string]string{
		"nul.yaml":     "nul.yaml:1:8: the file holds a NUL byte",
		"latin.yaml":   "latin.yaml:1:7: the file is not UTF-8 text",
		"bidi.yaml":    "bidi.yaml:2:11: marks that turn the direction of text are not allowed: U+202E",
		"isolate.yaml": "isolate.yaml:1:3: marks that turn the direction of text are not allowed: U+2066",
		"marks.yaml":   "",
		"escape.yaml":  "escape.yaml:1:7: control characters are not allowed: U+001B",
		"c1.yaml":      "c1.yaml:1:6: control characters are not allowed: U+009B",
		"delete.yaml":  "delete.yaml:1:6: control characters are not allowed: U+007F",
		"nel.yaml":     "nel.yaml:1:10: a line must end with LF or CR LF, not U+0085",
		"line.yaml":    "line.yaml:1:10: a line must end with LF or CR LF, not U+2028",
		"cr.yaml":      "cr.yaml:1:10: a line must end with LF or CR LF, not U+000D",
		"empty.yaml":   "empty.yaml:1:1: the file is empty",
		"note.yaml":    "note.yaml:1:1: the file is empty",
		"two.yaml":     "two.yaml:2:1: a file holds one YAML document",
		"list.yaml":    "list.yaml:1:1: a pipeline is a mapping",
		"bom.yaml":     "",
		"first.yaml":   "first.yaml:1:11: unknown name nothing",
		"broken.yaml":  "broken.yaml:1:1: this is not YAML",
		"tabs.yaml":    "tabs.yaml:2:2: this is not YAML",
		"self.yaml":    `self.yaml:1:10: the anchor "a" holds itself`,
		"tag.yaml":     "tag.yaml:1:6: explicit YAML tags",
		"big.yaml":     "big.yaml: it is larger than 10 MiB",
		"absent.yaml":  "absent.yaml: no such file or directory",
	}
	for file, want := range tests {
		t.Run(file, func(t *testing.T) {
			t.Parallel()
			p, diagnostics := Load(filepath.Join(dir, file), tiny())
			got := strings.ReplaceAll(diagnostics.Error(), dir+string(filepath.Separator), "")
			if (p != nil) != (want == "") || !strings.HasPrefix(got, want) {
				t.Errorf("\n got %s\nwant %s", got, want)
			}
		})
	}
}

func TestAnchors(t *testing.T) {
	p := parse(t, `
x-base: &base {when: true, name: kept}
x-more: &more {on_error: continue}
seq:
  - {<<: *base, name: a, set: 1}
  - {<<: [*base, *more], name: b, set: 2}
  - {name: c, set: &list [1, 2]}
  - {name: d, set: *list}
`)
	nodes := p.Root.Nodes("seq")
	if !nodes[0].Has("when") || nodes[0].Name != "a" || nodes[1].Text("on_error") != "continue" {
		t.Error("a merge key does not give its keys, or takes the place of the node's own")
	}
	if got, _ := nodes[3].Expr("set").Constant(); AsJSON(got) != "[1,2]" {
		t.Errorf("an alias gives %v", got)
	}
}

// Files that a pipeline includes hold together no more than one may.
func TestManyFiles(t *testing.T) {
	files := map[string]string{}
	for name, src := range map[string]string{"long": "#" + strings.Repeat("c", 9<<20) + "\nset: 1", "full": "#" + strings.Repeat(",", 900_000) + "\nset: 1"} {
		files[name+".yaml"] = "seq: [{flow: 0" + name + ".yaml}, {flow: 1" + name + ".yaml}, {flow: 2" + name + ".yaml}, {flow: none.yaml}]"
		files[name+"er.yaml"] = "seq: [{flow: 0" + name + ".yaml}, {flow: 1" + name + ".yaml}, {flow: 0" + name + ".yaml}]"
		for i := range 3 {
			files[fmt.Sprint(i, name, ".yaml")] = src
		}
	}
	dir := folder(t, files)
	for file, want := range map[string]string{
		"long.yaml":   "2long.yaml: with it, the pipeline's files are larger than 20 MiB",
		"full.yaml":   "2full.yaml: with it, the pipeline's files hold about 2700024 values; at most 2000000 are allowed",
		"longer.yaml": "",
		"fuller.yaml": "",
	} {
		t.Run(file, func(t *testing.T) {
			_, diagnostics := Load(filepath.Join(dir, file), tiny())
			if got := strings.ReplaceAll(diagnostics.Error(), dir+string(filepath.Separator), ""); got != want {
				t.Errorf("\n got %s\nwant %s", got, want)
			}
		})
	}
}

// A bomb of aliases stays small: it is refused before it is expanded.
func TestAliasBomb(t *testing.T) {
	src := "x-a: &a [x, x, x, x, x, x, x, x, x, x]\n"
	for c := 'b'; c < 'k'; c++ {
		src += fmt.Sprintf("x-%c: &%c [%s*%c]\n", c, c, strings.Repeat(fmt.Sprintf("*%c, ", c-1), 9), c-1)
	}
	p, diagnostics := Parse("p.yaml", ".", []byte(src+"set: 1\n"), tiny())
	if p != nil || !strings.Contains(diagnostics.Error(), "aliases add more than") {
		t.Errorf("got %v", diagnostics)
	}
}

// Problems of several files come sorted, each below its place with its own source line.
func TestDiagnosticsWrite(t *testing.T) {
	dir := folder(t, map[string]string{"p.yaml": "seq:\n  - flow: a.yaml\n  - sett: \"'\u200fabc'\"\n", "a.yaml": "set: zebra\n"})
	_, diagnostics := Load(filepath.Join(dir, "p.yaml"), tiny())
	var b strings.Builder
	if err := diagnostics.Write(&b); err != nil {
		t.Fatal(err)
	}
	got := strings.ReplaceAll(b.String(), dir+string(filepath.Separator), "")
	want := `a.yaml:1:6: unknown name zebra
  set: zebra
       ^
p.yaml:3:5: unknown key "sett", did you mean "set"?
    - sett: "'�abc'"
      ^
`
	if want = strings.ReplaceAll(want, `\uFFFD`, "\uFFFD"); got != want {
		t.Errorf("\n got %s\nwant %s", got, want)
	}
}

// The hint names the flag that would do.
func TestOutsideHints(t *testing.T) {
	dir := folder(t, map[string]string{"main/up.yaml": "flow: ../a.yaml", "main/link.yaml": "flow: to_a.yaml", "a.yaml": "set: 1"})
	outer := filepath.Join(dir, "a.yaml")
	if err := os.WriteFile(filepath.Join(dir, "main", "abs.yaml"), fmt.Appendf(nil, "flow: %q", outer), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(outer, filepath.Join(dir, "main", "to_a.yaml")); err != nil {
		t.Fatal(err)
	}
	for file, allowed := range map[string]string{"up.yaml": outer, "abs.yaml": outer, "link.yaml": filepath.Join(dir, "main", "to_a.yaml")} {
		_, diagnostics := Load(filepath.Join(dir, "main", file), tiny())
		if len(diagnostics) != 1 || diagnostics[0].Hint != "allow it with --allow-read="+allowed {
			t.Errorf("%s: %#v, want a hint at %s", file, diagnostics, allowed)
		}
		if p, diagnostics := Load(filepath.Join(dir, "main", file), tiny(), AllowRead(allowed)); p == nil {
			t.Errorf("%s: what the hint says does not help: %v", file, diagnostics)
		}
	}
}

// A file of nothing but mistakes is given up after so many of them.
func TestManyProblems(t *testing.T) {
	many := func(format string, n int) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, format+"\n", i)
		}
		return b.String()
	}
	tests := map[string]string{
		"unknown keys":          "set: 1\n" + many("key%d: 1", 200_000),
		"keys without a kind":   many("key%d: 1", 200_000),
		"nodes without a kind":  "seq:\n" + many("  - {sort%d: 1}", 20_000),
		"misspelt expressions":  "seq:\n" + many("  - {name: step%d, set: steps.setp.output}", 20_000),
		"values of other forms": "set: 1\nsecrets:\n" + many("  - %d", 20_000),
		"misspelt in a record":  "set: 1\nparams: {\n" + many("  a%d: 7,", 20_000) + "}",
	}
	for name, src := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, diagnostics := Parse("p.yaml", ".", []byte(src), tiny())
			if p != nil || len(diagnostics) > maxProblems {
				t.Fatalf("%d problems", len(diagnostics))
			}
			if !strings.HasSuffix(diagnostics.Error(), "\nand more problems") {
				t.Errorf("of %d problems the last lines are %q", len(diagnostics), diagnostics.Error()[len(diagnostics.Error())-100:])
			}
		})
	}
}
