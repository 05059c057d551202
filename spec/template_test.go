package spec

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestSplitTemplate(t *testing.T) {
	text := func(s string) part { return part{text: s} }
	code := func(s string, mark int) part { return part{text: s, code: true, mark: mark} }
	tests := map[string]struct {
		src  string
		want []part
	}{
		"empty":                   {"", nil},
		"plain":                   {"a {{ b }} $c ${d}", []part{text("a {{ b }} $c ${d}")}},
		"alone":                   {"${{ a }}", []part{code("a", 0)}},
		"without spaces":          {"x${{a}}y", []part{text("x"), code("a", 0), text("y")}},
		"two":                     {"${{ a }}-${{ b }}", []part{code("a", 0), text("-"), code("b", 1)}},
		"escaped":                 {"$${{ a }} ${{ b }}", []part{text("${{ a }} "), code("b", 1)}},
		"escaped behind a dollar": {"$$${{ a", []part{text("$${{ a")}},
		"braces inside":           {"${{ {a: {b: 1}} }}", []part{code("{a: {b: 1}}", 0)}},
		"braces without a space":  {"${{ {a: 1}}}", []part{code("{a: 1}", 0)}},
		"closing braces in text":  {`${{ "}}" + '}}' }}!`, []part{code(`"}}" + '}}'`, 0), text("!")}},
		"escaped quote in text":   {`${{ "\"}}" }}`, []part{code(`"\"}}"`, 0)}},
		"raw text":                {"${{ `\\` }}", []part{code("`\\`", 0)}},
		"over lines":              {"${{\n a\n}}", []part{code("a", 0)}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := splitTemplate(tt.src)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got, cmp.AllowUnexported(part{})); diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}
		})
	}
}

func TestSplitTemplateRefuses(t *testing.T) {
	tests := map[string]struct{ src, want string }{
		"open":             {"a ${{ b", "never closed"},
		"open in a text":   {`${{ "}}`, "never closed"},
		"one brace short":  {"${{ b }", "never closed"},
		"no expression":    {"${{ }}", "no expression"},
		"open after a one": {"${{ a }} ${{ b", "never closed"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got, err := splitTemplate(tt.src); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v and %v, want an error with %q", got, err, tt.want)
			}
		})
	}
}

// FuzzSplitTemplate holds that no text breaks the scanner and that text around expressions is kept.
func FuzzSplitTemplate(f *testing.F) {
	for _, s := range []string{"", "a ${{ b }} c", "$${{", "${{ \"}}\" }}", "${{{}}}", "${{ `", "$$$${{{{"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		parts, err := splitTemplate(s)
		if err != nil {
			return
		}
		if !strings.Contains(s, "${{") && len(parts) > 0 && parts[0].text != s {
			t.Errorf("%q became %q", s, parts[0].text)
		}
		for _, p := range parts {
			if !p.code && p.text == "" {
				t.Errorf("%q has an empty piece", s)
			}
		}
	})
}

// However many templates share a line, the place of each is found without reading the whole line for it.
func TestMarksOnALongLine(t *testing.T) {
	for name, template := range map[string]string{"written": `"${{ prev }}"`, "escaped": `"\x24{{ prev }}"`} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			const n = 10_000
			src := "seq: [" + strings.Repeat("{set: "+template+"}, ", n) + `{set: "${{ nothing }}"}]`
			_, diagnostics := Parse("p.yaml", ".", []byte(src), tiny())
			if want := fmt.Sprintf("p.yaml:1:%d: unknown name nothing", strings.Index(src, "nothing")+1); diagnostics.Error() != want {
				t.Errorf("got %s, want %s", diagnostics.Error(), want)
			}
		})
	}
}
