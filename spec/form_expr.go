package spec

import (
	"strings"
)

// Code is one expression, written bare.
type Code struct {
	Want  Type
	Parts bool // its [Expr.Parts] are wanted, to tell why it gives what it does
}

func (Code) takes(t *tree) bool { return t.form == scalarForm && !(t.isNull() && t.text == "") }

func (x Code) read(r *reader, t *tree, f *Field) any {
	if strings.Contains(t.text, "${{") {
		return r.refuse(t, "write the expression alone, without ${{ }}", "%s holds an expression already", f.Name)
	}
	e := r.expr(t, codeForm, x.Want)
	e.apart = x.Parts
	return e
}

func (x Code) String() string {
	if x.Want.base == anyBase {
		return "an expression"
	}
	return "an expression that gives " + x.Want.String()
}

// Template is text that may hold expressions in ${{ }}.
type Template struct {
	Marked bool // takes only what holds ${{ }}, so that another form can take the rest

	// Insert makes what an expression gives fit for the text that stands before it; without it texts are inserted as they
	// are. An expression that is all of the text stands for itself.
	Insert func(before, text string) string
	// Check says what is wrong with the text before the first expression, or with all of it where there is none.
	Check func(prefix string, whole bool) (problem, hint string)
}

func (x Template) takes(t *tree) bool {
	return t.form == scalarForm && !t.isNull() && (!x.Marked || strings.Contains(t.text, "${{"))
}

func (x Template) read(r *reader, t *tree, _ *Field) any {
	if parts, err := splitTemplate(t.text); x.Check != nil && err == nil {
		if problem, hint := x.Check(literalPrefix(parts)); problem != "" {
			return r.refuse(t, hint, "%s", problem)
		}
	}
	e := r.expr(t, templateForm, Any)
	e.insert = x.Insert
	return e
}

func (Template) String() string { return "text that may hold ${{ }}" }

// Data is a list or mapping whose texts may hold expressions in ${{ }}.
type Data struct {
	Mapping bool // no list
}

func (x Data) takes(t *tree) bool {
	return !t.braces && (t.form == mappingForm || t.form == listForm && !x.Mapping)
}

func (Data) read(r *reader, t *tree, _ *Field) any { return r.expr(t, dataForm, Any) }

func (x Data) String() string {
	if x.Mapping {
		return "a mapping whose texts may hold ${{ }}"
	}
	return "data whose texts may hold ${{ }}"
}

// SchemaForm is a JSON Schema or the shorthand for one.
type SchemaForm struct {
	// Entry is for a named entry, where default and description stand beside the schema's own keywords.
	Entry bool
}

func (SchemaForm) takes(t *tree) bool { return !t.isNull() }

func (x SchemaForm) read(r *reader, t *tree, _ *Field) any {
	if s := r.schema(t, x.Entry); s != nil {
		return s
	}
	return nil
}

func (SchemaForm) String() string { return "a JSON Schema or its shorthand" }

// expr keeps an expression for the check, which knows what it may read.
func (r *reader) expr(t *tree, form exprForm, want Type) *Expr {
	x := &Expr{Pos: t.Pos, form: form, tree: t, want: want, node: r.node, lines: r.lines, declares: r.declares}
	x.under = append(x.under, r.path...)
	if r.node != nil {
		r.node.exprs = append(r.node.exprs, x)
	} else {
		r.p.exprs = append(r.p.exprs, x)
	}
	return x
}
