package nodes_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// TestParityPage keeps docs/parity.md in step with the tests: what it names is there, and all tests of parity are named.
func TestParityPage(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.Join("..", "docs", "parity.md"))
	if err != nil {
		t.Fatal(err)
	}
	page, there := string(text), casesOf(t, "*_test.go")
	named := map[string]bool{}
	for _, m := range regexp.MustCompile("`((Test\\w+)(?:/([^`\n]+))?)`").FindAllStringSubmatch(page, -1) {
		named[m[1]] = true
		if cases, ok := there[m[2]]; !ok || m[3] != "" && !slices.Contains(cases, m[3]) {
			t.Errorf("the page names %s, which is not there", m[1])
		}
	}
	for test, cases := range casesOf(t, "parity*_test.go") {
		if test == t.Name() || named[test] {
			continue
		}
		if len(cases) == 0 {
			t.Errorf("the page does not name %s", test)
		}
		for _, c := range cases {
			if !named[test+"/"+c] {
				t.Errorf("the page does not name %s/%s", test, c)
			}
		}
	}
	for _, m := range regexp.MustCompile(`(?ms)^## [^\n]*: (\d+) [^\n]*\n(.*?)(?:^## |\z)`).FindAllStringSubmatch(page, -1) {
		if rows := strings.Count(m[2], "\n| ") - 1; strconv.Itoa(rows) != m[1] {
			t.Errorf("%d rows stand below the heading that speaks of %s", rows, m[1])
		}
	}
}

// casesOf are the tests of some files of this folder, each with the keys of its table, the map called tests.
func casesOf(t *testing.T, pattern string) map[string][]string {
	t.Helper()
	files, err := filepath.Glob(pattern)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string][]string{}
	for _, file := range files {
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range f.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && f.Recv == nil && strings.HasPrefix(f.Name.Name, "Test") {
				found[f.Name.Name] = keysOf(f)
			}
		}
	}
	return found
}

func keysOf(f *ast.FuncDecl) []string {
	var keys []string
	ast.Inspect(f, func(n ast.Node) bool {
		a, ok := n.(*ast.AssignStmt)
		if !ok || len(a.Lhs) != 1 || !isCalled(a.Lhs[0], "tests") {
			return true
		}
		if table, ok := a.Rhs[0].(*ast.CompositeLit); ok {
			keys = append(keys, keysIn(table)...)
		}
		return false
	})
	return keys
}

func isCalled(x ast.Expr, name string) bool {
	id, ok := x.(*ast.Ident)
	return ok && id.Name == name
}

func keysIn(table *ast.CompositeLit) []string {
	var keys []string
	for _, e := range table.Elts {
		if kv, ok := e.(*ast.KeyValueExpr); ok {
			if key, ok := kv.Key.(*ast.BasicLit); ok {
				if s, err := strconv.Unquote(key.Value); err == nil {
					keys = append(keys, s)
				}
			}
		}
	}
	return keys
}
