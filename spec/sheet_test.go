package spec

import (
	"path/filepath"
	"strings"
	"testing"
)

// notes is a sheet of one value and one condition.
func notes() Sheet {
	return Sheet{Name: "a note", Title: "notes", Ending: ".note.yaml", Of: "about", Fields: []Field{
		{Name: "about", Form: Text{}},
		{Name: "value", Form: Literal{}},
		{Name: "before", Form: Template{}},
		{Name: "after", Form: Code{Want: Bool, Parts: true}, Moment: AfterNode, Locals: []Local{
			{Name: "output", Type: func(n *Node) Type { return n.Pipeline.Type }},
		}},
	}, Check: func(o *Object, _ *Pipeline, problem func(at Pos, hint, message string)) {
		if o.Literal("value") == "bad" {
			problem(o.Place("value"), "", "the value is bad")
		}
	}}
}

func TestSheet(t *testing.T) {
	const pipeline = "params: {n: {type: integer, default: 1}}\nseq: [{name: a, set: '{x: 1}'}, {set: '\"text\"'}]"
	tests := map[string]struct{ src, want string }{
		"everything it may say": {"x-mine: 1\nvalue: {a: [1, null]}\nbefore: ${{ params.n }} ${{ prev }}\nafter: output == 'text' and steps.a.visits == params.n", ""},
		"nothing":               {"{}", ""},
		"another pipeline":      {"about: sub/other.yaml\nafter: steps.b.output == 1", ""},
		"a pipeline that is not there": {"about: none.yaml",
			`p.note.yaml:1:8: including "none.yaml": no such file or directory`},
		"a mistake in the pipeline":         {"about: broken.yaml", `broken.yaml:1:1: unknown key "sett", did you mean "set"?`},
		"a misspelt key":                    {"valu: 1", `p.note.yaml:1:1: unknown key "valu" in a note, did you mean "value"?`},
		"a list":                            {"- 1", `p.note.yaml:1:1: a note is a mapping, not a list`},
		"a step that is not there":          {"after: steps.b.output == 1", `p.note.yaml:1:8: steps.b: no node is named "b"`},
		"a field that the step lacks":       {"after: steps.a.outpt == 1", `p.note.yaml:1:8: unknown field "outpt", did you mean "output"?`},
		"a step before the run":             {"before: ${{ steps.a.output }}", `p.note.yaml:1:13: steps are known only when the pipeline has ended`},
		"prev after the run":                {"after: prev == 1", `p.note.yaml:1:8: unknown name prev`},
		"another type":                      {"after: output == 1", `p.note.yaml:1:8: invalid operation: == (mismatched types string and integer)`},
		"no condition":                      {"after: output", `p.note.yaml:1:8: after must give boolean, not string`},
		"what only a check of its own sees": {"value: bad", `p.note.yaml:1:8: the value is bad`},
		"a key twice":                       {"value: 1\nvalue: 2", `p.note.yaml:2:1: duplicate key "value", first on line 1`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := folder(t, map[string]string{"p.yaml": pipeline, "broken.yaml": "sett: 1", "sub/other.yaml": "seq: [{name: b, set: 1}]", "p.note.yaml": tt.src})
			o, p, ds := LoadSheet(filepath.Join(dir, "p.note.yaml"), notes(), tiny())
			got := strings.ReplaceAll(ds.Error(), dir+string(filepath.Separator), "")
			if got, _, _ = strings.Cut(got, "\n"); !strings.HasPrefix(got, tt.want) || tt.want == "" && got != "" {
				t.Errorf("\n got %s\nwant %s", got, tt.want)
			}
			if good := tt.want == ""; good != (o != nil) || good != (p != nil) {
				t.Errorf("the sheet is there: %t, the pipeline: %t", o != nil, p != nil)
			}
		})
	}
}

func TestParts(t *testing.T) {
	tests := map[string]struct{ src, want string }{
		"a comparison":                   {`output == "text"`, `==(output="text" "text"="text")`},
		"one within another":             {`output == "a" and not (len(output) > 9)`, `and(output == "a"=false:==(output="text" "a"="a") not (len(output) > 9)=true:not(len(output) > 9=false:>(len(output)=4:len(output="text"))))`},
		"a function":                     {`any([output], # == "a")`, `any([output]=["text"])`},
		"a name alone":                   {`steps.a.visits == params.n`, `==(steps.a.visits=1 params.n=1)`},
		"what has no outermost operator": {`let x = output; x == "a"`, ``},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := folder(t, map[string]string{"p.yaml": "params: {n: {type: integer, default: 1}}\nseq: [{name: a, set: 1}, {set: '\"text\"'}]", "p.note.yaml": "after: " + AsJSON(tt.src)})
			o, _, ds := LoadSheet(filepath.Join(dir, "p.note.yaml"), notes(), tiny())
			if o == nil {
				t.Fatal(ds)
			}
			env := Values{"output": "text", "params": map[string]any{"n": int64(1)}, "steps": map[string]any{"a": map[string]any{"visits": int64(1)}}}
			if got := apart(t, o.Expr("after"), env); got != tt.want {
				t.Errorf("\n got %s\nwant %s", got, tt.want)
			}
		})
	}
}

// apart writes the parts of an expression with their values.
func apart(t *testing.T, x *Expr, env Env) string {
	op, parts := x.Parts()
	if op == "" {
		return ""
	}
	var words []string
	for _, p := range parts {
		v, err := p.Eval(env)
		if err != nil {
			t.Fatalf("%s: %v", p.Source(), err)
		}
		word := p.Source() + "=" + AsJSON(v)
		if deeper := apart(t, p, env); deeper != "" {
			word += ":" + deeper
		}
		words = append(words, word)
	}
	return op + "(" + strings.Join(words, " ") + ")"
}
