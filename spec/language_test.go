package spec

import (
	"testing"
)

// tiny is a language with a kind for each way in which children can stand; the real kinds have tests of their own.
func tiny() *Language {
	kinds := []Shape{
		{Name: "set", Summary: "works out a value", Leaf: true, Fields: []Field{{Name: "set", Form: OneOf{Template{Marked: true}, Code{}, Data{}}}},
			Output: func(n *Node) Type { return n.Expr("set").Type() }},
		{Name: "seq", Fields: []Field{{Name: "seq", Form: NodeList{Stand: InSequence}}},
			Output: func(n *Node) Type { return n.Nodes("seq")[len(n.Nodes("seq"))-1].After() }},
		{Name: "par", Fields: []Field{{Name: "par", Form: NodeList{Stand: Together}}}},
		{Name: "flow", Fields: []Field{{Name: "flow", Form: Include{With: "with"}}, {Name: "with", Form: Data{Mapping: true}}},
			Output: func(n *Node) Type {
				if p := n.Included("flow"); p != nil {
					return p.Type
				}
				return Any
			}},
	}
	common := []Field{
		{Name: "name", Form: NameForm{}}, {Name: "when", Form: Code{Want: Bool}},
		{Name: "on_error", Form: Word{Of: []string{"fail", "continue"}}}, {Name: "catch", Form: NodeForm{Stand: Aside}},
	}
	header := []Field{
		{Name: "name", Form: NameForm{}}, {Name: "input", Form: SchemaForm{}}, {Name: "params", Form: Map{Names: true, Of: SchemaForm{Entry: true}}},
		{Name: "env", Form: List{Of: Text{}}}, {Name: "secrets", Form: List{Of: Text{}}},
		{Name: "output", Form: Code{}, Moment: AfterChildren}, {Name: "finally", Form: NodeForm{}},
	}
	return NewLanguage(kinds, common, nil, header)
}

// parse reads a file that must be good.
func parse(t *testing.T, src string) *Pipeline {
	t.Helper()
	p, diagnostics := Parse("p.yaml", t.TempDir(), []byte(src), tiny())
	if p == nil {
		t.Fatalf("%v\n%s", diagnostics, src)
	}
	return p
}

func TestNewLanguagePanicsOnItsOwnMistakes(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("a kind whose first field is not its own key was accepted")
		}
	}()
	NewLanguage([]Shape{{Name: "a", Fields: []Field{{Name: "b"}}}}, nil, nil, nil)
}
