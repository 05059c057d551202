package spec

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// saying is tiny with a kind that says a text of its own or of a file.
func saying() *Language {
	lang := tiny()
	var kinds []Shape
	for _, k := range lang.Kinds {
		k.all = nil
		kinds = append(kinds, k)
	}
	kinds = append(kinds, Shape{Name: "say", Leaf: true, Fields: []Field{
		{Name: "say", Form: Flag{}}, {Name: "text", Form: Template{}}, {Name: "text_file", Form: TemplateFile{}},
	}, Rules: []Rule{{NotBoth: []string{"text", "text_file"}, Message: "say has text or text_file, not both", Hint: "move the text into the file"}}})
	return NewLanguage(kinds, lang.Common, nil, lang.Header)
}

func TestTemplateFile(t *testing.T) {
	dir := folder(t, map[string]string{
		"main/one.yaml":         "say: true\ntext_file: texts/one.md",
		"main/texts/one.md":     "\ufeffHello ${{ input }},\r\n\r\nyours $${{ truly\r\n\r\n",
		"main/value.yaml":       "say: true\ntext_file: texts/value.md",
		"main/texts/value.md":   "${{ [input] }}\n",
		"main/empty.yaml":       "say: true\ntext_file: texts/empty.md",
		"main/texts/empty.md":   "",
		"main/deep.yaml":        "flow: texts/inner.yaml",
		"main/texts/inner.yaml": "seq: [{say: true, text_file: one.md}, {say: true, text_file: ../texts/one.md}]",
	})
	tests := map[string]struct{ file, want string }{
		"a text with an expression":     {"one.yaml", `"Hello you,\n\nyours ${{ truly\n"`},
		"one expression alone":          {"value.yaml", `["you"]`},
		"nothing":                       {"empty.yaml", `""`},
		"beside the file that names it": {"deep.yaml", `"Hello you,\n\nyours ${{ truly\n"`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, diagnostics := Load(filepath.Join(dir, "main", tt.file), saying())
			if p == nil {
				t.Fatal(diagnostics)
			}
			n := p.Root
			if inner := n.Kind.Name == "flow"; inner {
				n = n.Included("flow").Root.Children[1]
			}
			v, err := n.Expr("text_file").Eval(Values{"input": "you"})
			if err != nil || AsJSON(v) != tt.want {
				t.Errorf("\n got %s, %v\nwant %s", AsJSON(v), err, tt.want)
			}
		})
	}
}

// A problem of a text stands in its own file.
func TestTemplateFileProblems(t *testing.T) {
	texts := map[string]string{
		"unknown.md":  "A critic.\n\nOf é ${{ inptu }}\n",
		"types.md":    "${{ 1 + \"a\" }}",
		"unclosed.md": "One\ntwo ${{ input\nthree",
		"hollow.md":   "One ${{ }}",
		"latin.md":    "ok\n\xe4",
		"nul.md":      "a\x00b",
		"bidi.md":     "a\u202eb",
		"escape.md":   "\x1b[2J",
		"large.md":    strings.Repeat("x", maxFile+1),
		"most.md":     strings.Repeat("x", maxFile),
	}
	files := map[string]string{"outer.md": "secret ${{ input }}"}
	for name, text := range texts {
		files["main/texts/"+name] = text
	}
	dir := folder(t, files)
	if err := os.Symlink(filepath.Join(dir, "outer.md"), filepath.Join(dir, "main", "texts", "link.md")); err != nil {
		t.Fatal(err)
	}
	outer := filepath.Join(dir, "outer.md")
	tests := map[string]struct{ src, want, hint string }{
		"an unknown name":        {"texts/unknown.md", `texts/unknown.md:3:10: unknown name inptu, did you mean "input"?`, ""},
		"a type":                 {"texts/types.md", `texts/types.md:1:5: invalid operation: + (mismatched types integer and string)`, ""},
		"no end":                 {"texts/unclosed.md", "texts/unclosed.md:2:9: ${{ is never closed by }}", ""},
		"no expression":          {"texts/hollow.md", "texts/hollow.md:1:1: ${{ }} holds no expression", ""},
		"another encoding":       {"texts/latin.md", "texts/latin.md:2:1: the file is not UTF-8 text", ""},
		"a NUL":                  {"texts/nul.md", "texts/nul.md:1:2: the file holds a NUL byte: it is no text", ""},
		"marks of direction":     {"texts/bidi.md", "texts/bidi.md:1:2: marks that turn the direction of text are not allowed: U+202E", `where it is meant, write it as ${{ "\u202E" }}`},
		"an escape sequence":     {"texts/escape.md", "texts/escape.md:1:1: control characters are not allowed: U+001B", `where it is meant, write it as ${{ "\u001B" }}`},
		"too much":               {"texts/large.md", `p.yaml:2:12: reading "texts/large.md": it is larger than 10 MiB`, ""},
		"a file that is missing": {"texts/unknwn.md", `p.yaml:2:12: reading "texts/unknwn.md": no such file or directory, did you mean "unknown.md"?`, ""},
		"a folder":               {"texts", `p.yaml:2:12: reading "texts": it is a folder, not a regular file`, ""},
		"nothing":                {`""`, `p.yaml:2:12: reading "": it is a folder, not a regular file`, ""},
		"a NUL in its name":      {`"a\0b"`, `p.yaml:2:12: reading "a\x00b": invalid argument`, ""},
		"an expression":          {"texts/${{ input }}.md", "p.yaml:2:12: text_file takes no ${{ }}: it is read before anything runs", ""},
		"no text":                {"[a.md]", "p.yaml:2:12: text_file must be the path of a file whose text may hold ${{ }}, not a list", ""},
		"a file outside":         {"../outer.md", `p.yaml:2:12: reading "../outer.md": the file is outside of the first file's folder`, "allow it with --allow-read=" + outer},
		"an absolute path":       {outer, `p.yaml:2:12: reading "` + outer + `": the file is outside of the first file's folder`, "allow it with --allow-read=" + outer},
		"a way round":            {"texts/../../main/../outer.md", `p.yaml:2:12: reading "texts/../../main/../outer.md": the file is outside of the first file's folder`, "allow it with --allow-read=" + outer},
		"a link that leads out":  {"texts/link.md", `p.yaml:2:12: reading "texts/link.md": the file is outside of the first file's folder`, "allow it with --allow-read=" + filepath.Join(dir, "main", "texts", "link.md")},
		"a text of its own too":  {"texts/most.md\ntext: x", "p.yaml:2:12: say has text or text_file, not both", "move the text into the file"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, diagnostics := Parse("p.yaml", filepath.Join(dir, "main"), []byte("say: true\ntext_file: "+tt.src), saying())
			if p != nil || len(diagnostics) != 1 {
				t.Fatalf("got %v", diagnostics)
			}
			if got := diagnostics.Error(); got != tt.want || diagnostics[0].Hint != tt.hint {
				t.Errorf("\n got %s\nwant %s\n got hint %s\nwant hint %s", got, tt.want, diagnostics[0].Hint, tt.hint)
			}
		})
	}
}

// The source line below a problem is that of the text's file.
func TestTemplateFileCaret(t *testing.T) {
	dir := folder(t, map[string]string{"a.md": "Hello\nyou ${{ nothing }}"})
	_, diagnostics := Parse("p.yaml", dir, []byte("say: true\ntext_file: a.md"), saying())
	var b strings.Builder
	if err := diagnostics.Write(&b); err != nil {
		t.Fatal(err)
	}
	if want := "a.md:2:9: unknown name nothing\n  you ${{ nothing }}\n          ^\n"; b.String() != want {
		t.Errorf("\n got %s\nwant %s", b.String(), want)
	}
}

func TestTemplateFileAllowRead(t *testing.T) {
	dir := folder(t, map[string]string{"main/p.yaml": "say: true\ntext_file: ../a.md", "a.md": "${{ nothing }}", "b.md": ""})
	want := filepath.Join(dir, "a.md") + ":1:5: unknown name nothing"
	for allowed, read := range map[string]bool{"a.md": true, ".": true, "b.md": false, "main": false} {
		_, diagnostics := Load(filepath.Join(dir, "main", "p.yaml"), saying(), AllowRead(filepath.Join(dir, allowed)))
		if got := diagnostics.Error(); (got == want) != read {
			t.Errorf("%s allowed: %s", allowed, got)
		}
	}
}

// A small file cannot make a large text be read again and again.
func TestTemplateFilesTogether(t *testing.T) {
	dir := folder(t, map[string]string{"a.md": strings.Repeat("x", maxTexts/4)})
	src := func(n int) []byte {
		return []byte("seq:\n" + strings.Repeat("  - {say: true, text_file: a.md}\n", n))
	}
	_, diagnostics := Parse("p.yaml", dir, src(50), saying())
	want := `p.yaml:6:28: reading "a.md": with it, the texts from files are larger than 10 MiB`
	if first, _, _ := strings.Cut(diagnostics.Error(), "\n"); first != want {
		t.Errorf("\n got %s\nwant %s", first, want)
	}
}
