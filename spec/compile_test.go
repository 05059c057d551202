package spec

import "testing"

// Equal expressions that read equal types have one program between them; others have their own.
func TestProgramsAreShared(t *testing.T) {
	p := parse(t, `
input: {score: integer, notes: string}
seq:
  - {name: a, set: input.score}
  - {name: b, set: input.score}
  - {name: c, set: prev}
  - {name: d, set: "${{ prev }}"}
  - {name: e, set: '"text"'}
  - {name: f, set: prev}
`)
	program := map[string]any{}
	typ := map[string]Type{}
	for _, n := range p.Root.Nodes("seq") {
		x := n.Expr("set")
		program[n.Name], typ[n.Name] = x.root.(code).code, x.Type()
	}
	for pair, same := range map[[2]string]bool{{"a", "b"}: true, {"c", "d"}: true, {"a", "c"}: false, {"c", "f"}: false} {
		if got := program[pair[0]] == program[pair[1]]; got != same {
			t.Errorf("%s and %s share a program: %v", pair[0], pair[1], got)
		}
	}
	if !typ["d"].Equal(Integer) || !typ["f"].Equal(String) {
		t.Errorf("the types are %v and %v", typ["d"], typ["f"])
	}
	names, _ := p.Root.Nodes("seq")[3].Expr("set").Reads()
	if len(names) != 1 || names[0] != "prev" {
		t.Errorf("one that shares its program reads %q", names)
	}
}

// What an object holds is known behind an expression that passes it on, and made known to the next one at no cost.
func TestTypesPassThrough(t *testing.T) {
	p := parse(t, "input: {score: integer}\nseq: [{name: a, set: input}, {name: b, set: prev}, {name: c, set: prev.score}]")
	nodes := p.Root.Nodes("seq")
	if a, b := nodes[0].Type, nodes[1].Type; identity(a.fields) != identity(b.fields) || identity(a.fields) != identity(p.Input.Type().fields) {
		t.Errorf("%v and %v are not the input's own type", a, b)
	}
	if !nodes[2].Type.Equal(Integer) {
		t.Errorf("a field is %v", nodes[2].Type)
	}
}
