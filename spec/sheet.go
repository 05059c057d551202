package spec

import (
	"path/filepath"
	"slices"
	"strings"
)

// Sheet is how a file is written that goes with a pipeline, such as one of tests: a mapping of fields, neither a node
// nor a header. Its expressions read what those of the pipeline's header do; within fields whose Moment is [AfterNode]
// they are read when the pipeline has ended, and may read its nodes.
type Sheet struct {
	Name   string // of such a file, in messages
	Title  string // of its JSON Schema
	Ending string // of the names of such files; what stands before it names the pipeline beside the file
	Of     string // the field that names another pipeline
	Fields []Field
	// Check reports what the fields' own forms cannot find.
	Check func(o *Object, p *Pipeline, problem func(at Pos, hint, message string))
}

// LoadSheet reads a sheet and the pipeline that it goes with. Both are nil where the diagnostics hold an error.
func LoadSheet(file string, sheet Sheet, lang *Language, opts ...Option) (*Object, *Pipeline, Diagnostics) {
	l := newLoader(filepath.Dir(file), lang, opts)
	defer l.close()
	src, err := ReadFile(nil, file)
	if err != nil {
		return nil, nil, Diagnostics{{Pos: Pos{File: file}, Message: err.Error()}}
	}
	o, p := l.sheet(file, string(src), sheet)
	if l.count() > 0 {
		return nil, nil, l.problems.sort()
	}
	return o, p, l.problems.sort()
}

func (l *loader) sheet(file, src string, sheet Sheet) (*Object, *Pipeline) {
	src = strings.TrimPrefix(src, "\ufeff")
	l.lines[file] = strings.Split(src, "\n")
	if d := notText(file, src, `"\u%04X" in double quotes`); d != nil {
		l.report(*d)
		return nil, nil
	}
	t := treeOf(file, []byte(src), l.report)
	if t == nil {
		return nil, nil
	}
	r := &reader{load: l, p: &Pipeline{File: file, used: map[Pos]bool{}}, sections: map[string]map[string]Entry{}, lines: newLines(l.lines[file])}
	if t.form != mappingForm {
		r.problem(t, "", "%s is a mapping, not %s", sheet.Name, t.what())
		return nil, nil
	}
	base := filepath.Base(file)
	l.open = []string{base}
	of := t.get(sheet.Of)
	if of == nil || !of.isText() {
		of = &tree{Pos: Pos{File: file}, text: strings.TrimSuffix(base, sheet.Ending) + ".yaml", tag: "!!str"}
	}
	p := r.include(of)
	if p == nil {
		return nil, nil
	}
	about := *p
	about.File, about.exprs, about.used = file, nil, r.p.used
	r.p, r.names = &about, p.names
	t.pairs = slices.DeleteFunc(slices.Clone(t.pairs), func(p pair) bool { return strings.HasPrefix(p.key.text, "x-") })
	o := Record{Fields: sheet.Fields}.read(r, t, &Field{Name: sheet.Name}).(*Object)
	for _, f := range r.ends {
		f()
	}
	c := &checker{reader: r, heads: headsOf(p), ended: true}
	for _, x := range about.exprs {
		c.compile(x)
	}
	if l.count() == 0 && sheet.Check != nil {
		sheet.Check(o, p, func(at Pos, hint, message string) { r.problemAt(at, hint, "%s", message) })
	}
	return o, p
}

// after tells whether the expression, one of a sheet, is read when the pipeline has ended.
func (x *Expr) after() bool {
	return slices.ContainsFunc(x.under, func(f *Field) bool { return f.Moment == AfterNode })
}

// stepAfter gives the type of steps.NAME where a sheet reads it: every node has a result then, also one that never ran.
func (s *scope) stepAfter(target *Node) (Type, *exprProblem) {
	switch {
	case !s.x.after():
		return Any, &exprProblem{message: "steps are known only when the pipeline has ended"}
	case target.InItem():
		return Any, &exprProblem{message: "steps." + target.Name + " cannot be read here: the node runs once for each item"}
	}
	return stepType(target), nil
}

// SheetSchema is a sheet as a JSON Schema for editors, draft-07.
func (l *Language) SheetSchema(s Sheet) []byte {
	g := &generator{lang: l}
	root := ordered{
		{"$schema", "http://json-schema.org/draft-07/schema#"},
		{"title", s.Title},
		{"type", "object"},
		{"additionalProperties", false},
		{"properties", g.properties(s.Fields)},
		{"patternProperties", ordered{{"^x-", ordered{{"description", "Free space, for YAML anchors."}}}}},
		{"allOf", required(s.Name, s.Fields)},
	}
	if len(g.definitions) > 0 {
		root = append(root, member{"definitions", g.definitions})
	}
	return encoded(root)
}
