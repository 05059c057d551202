package spec

import (
	"fmt"
	"slices"
	"strings"
)

// reader turns the tree of one file into a pipeline. It reports what is wrong and goes on.
type reader struct {
	load  *loader
	p     *Pipeline
	lines *lines
	node  *Node    // whose fields are being read; nil in the header
	path  []*Field // from the node's or header's own field inwards
	ends  []func() // what can be said only when the whole file is known
	names map[string]*Node

	declares *declares   // whose params expressions read; nil: the file's
	declared []*declares // of all mappings that declare some

	sections map[string]map[string]Entry // of the header, as they are asked for
}

func (r *reader) problemAt(at Pos, hint, format string, args ...any) {
	r.load.report(Diagnostic{Pos: at, Message: fmt.Sprintf(format, args...), Hint: hint})
}

func (r *reader) problem(t *tree, hint, format string, args ...any) {
	r.problemAt(t.Pos, hint, format, args...)
}

// refuse reports a problem in place of a value.
func (r *reader) refuse(t *tree, hint, format string, args ...any) any {
	r.problem(t, hint, format, args...)
	return nil
}

func (r *reader) later(f func()) { r.ends = append(r.ends, f) }

// file reads a whole file: its root mapping is the header and the root node in one.
func (r *reader) file(t *tree) {
	if t.form != mappingForm {
		r.problem(t, "", "a pipeline is a mapping with a kind of node and a header, not %s", t.what())
		return
	}
	header := r.load.lang.Header
	r.p.Header = r.object(t, header)
	for i := range header {
		if v := t.get(header[i].Name); v != nil {
			r.field(r.p.Header, &header[i], v)
		}
	}
	r.complete(r.p.Header, "the header", header, nil, nil)
	if name := r.p.Header.Text(nameField); name != "" {
		r.p.Name = name
	}
	r.p.Root = r.child(t, nil, nil, 0)
	for _, f := range r.ends {
		if r.load.full() {
			break
		}
		f()
	}
}

func (r *reader) object(t *tree, fields []Field) *Object {
	return &Object{Pos: t.Pos, fields: fields, values: make([]fieldValue, 0, min(len(t.pairs), len(fields)))}
}

// field reads the value of one field into o.
func (r *reader) field(o *Object, f *Field, t *tree) {
	r.path = append(r.path, f)
	outer := r.declares
	if f.Params != "" {
		r.declares = r.declaring(o, f.Params)
	}
	o.values = append(o.values, fieldValue{f, r.value(f.Form, t, f), t.Pos})
	r.path, r.declares = r.path[:len(r.path)-1], outer
}

// declares is a mapping of the file that declares params of its own in a field.
type declares struct {
	o     *Object
	field string
	typ   *Type // of the params, once it is asked for
}

// declaring notes that expressions in a mapping read what it declares.
func (r *reader) declaring(o *Object, field string) *declares {
	if n := len(r.declared); n > 0 && r.declared[n-1].o == o {
		return r.declared[n-1]
	}
	d := &declares{o: o, field: field}
	r.declared = append(r.declared, d)
	return d
}

// entries are the params, which are known when the whole mapping was read.
func (d *declares) entries() []Entry { return d.o.Entries(d.field) }

// params is their type.
func (d *declares) params() Type {
	if d.typ == nil {
		fields := map[string]Type{}
		for _, e := range d.entries() {
			fields[e.Name] = e.Value.(*Schema).Type()
		}
		typ := ObjectOf(fields)
		d.typ = &typ
	}
	return *d.typ
}

// value reads a value, or says that it is of the wrong form.
func (r *reader) value(form Form, t *tree, f *Field) any {
	if t.refused || r.load.full() {
		return nil
	}
	if form.takes(t) {
		return form.read(r, t, f)
	}
	hint := ""
	_, listsNodes := form.(NodeList)
	switch {
	case t.braces:
		hint = "YAML reads {{ }} as a mapping; write ${{ }}"
	case t.isText() && (Whole{}).takes(unquoted(t)) && form.takes(unquoted(t)):
		hint = "numbers are not quoted"
	case t.form == mappingForm && listsNodes:
		hint = `begin each node with -, and where it needs a name write "- name: NAME"`
	case t.form != scalarForm && strings.HasPrefix(form.String(), "text"):
		hint = "write text; a text that looks like a list or mapping needs quotes"
	}
	return r.refuse(t, hint, "%s must be %s, not %s", f.Name, form, t.what())
}

// unquoted is a quoted scalar as it would be without its quotes, if that is a number.
func unquoted(t *tree) *tree {
	if decimal.MatchString(t.text) {
		return &tree{Pos: t.Pos, text: t.text, tag: "!!int"}
	}
	return t
}

// complete reports fields that are missing and rules that do not hold. Those that were meant by misspelt keys are not
// missing: their keys were reported.
func (r *reader) complete(o *Object, what string, fields []Field, rules []Rule, meant []string) {
	written := func(name string) bool { return o.written(name) != nil }
	there := func(name string) bool { return written(name) || slices.Contains(meant, name) }
	for _, f := range fields {
		if f.Required && !there(f.Name) {
			r.problemAt(o.Pos, "", "%s needs %s: %s", what, f.Name, f.Form)
		}
	}
	for _, rule := range rules {
		if len(rule.AnyOf) > 0 && !slices.ContainsFunc(rule.AnyOf, there) {
			r.problemAt(o.Pos, rule.Hint, "%s", rule.Message)
		}
		if len(rule.NotBoth) > 0 && !slices.ContainsFunc(rule.NotBoth, func(n string) bool { return !written(n) }) {
			r.problemAt(o.Place(rule.NotBoth[len(rule.NotBoth)-1]), rule.Hint, "%s", rule.Message)
		}
		if rule.Only != "" && written(rule.Only) && !slices.ContainsFunc(rule.With, there) {
			r.problemAt(o.Place(rule.Only), rule.Hint, "%s", rule.Message)
		}
	}
}

// child reads a node that stands in field f of the node being read; nil for a root.
func (r *reader) child(t *tree, f *Field, extra []Field, index int) *Node {
	if r.load.full() {
		if r.node != nil {
			r.node.broken = true
		}
		return nil
	}
	if t.form != mappingForm || t.braces {
		hint := ""
		if t.form == listForm {
			hint = "a list of nodes stands below chain: or parallel:"
		}
		r.problem(t, hint, "a node is a mapping with a kind, not %s", t.what())
		return nil
	}
	n := &Node{Parent: r.node, Field: f, Index: index, Pipeline: r.p, Order: len(r.p.nodes)}
	kind, guess := r.kindOf(t, n, extra)
	if (kind == nil || guess != nil) && r.node != nil {
		r.node.broken = true
	}
	if kind == nil {
		return nil
	}
	n.Kind, n.broken = kind, guess != nil
	r.p.nodes = append(r.p.nodes, n)
	outer, path := r.node, r.path
	r.node, r.path = n, nil
	defer func() { r.node, r.path = outer, path }()

	fields := n.Kind.all
	if len(extra) > 0 {
		fields = append(slices.Clone(fields), extra...)
	}
	n.Object = r.object(t, fields)
	var meant []string
	for i, p := range t.pairs {
		own := field(fields, p.key.text)
		if own == nil && !r.known(p.key.text, n, n.Kind, extra) {
			meant = append(meant, nearest(p.key.text, fieldNames(fields)))
		}
		if p.key == guess && fields[0].Form.takes(p.value) {
			own = &fields[0]
		}
		if own == nil || n.root() && field(r.load.lang.Header, own.Name) != nil {
			continue
		}
		if len(n.values) == 0 && i > 0 {
			n.Pos = p.key.Pos // behind the header, with which the root shares its mapping
		}
		r.field(n.Object, own, p.value)
	}
	n.broken = n.broken || n.lacks()
	if guess == nil {
		r.complete(n.Object, n.Kind.Name, n.Kind.Fields, slices.Concat(n.Kind.Rules, r.load.lang.Rules), meant)
	}
	r.children(n)
	switch {
	case n.root():
		n.Name = r.p.Name
	case n.Name == "" && n.Has(nameField):
		n.Name = n.Text(nameField)
		r.name(n, n.Place(nameField))
	}
	if n.Kind.Check != nil && !n.broken {
		r.later(func() {
			n.Kind.Check(n, func(field, hint, message string) { r.problemAt(n.Place(field), hint, "%s", message) })
		})
	}
	return n
}

func (n *Node) root() bool { return n.Field == nil }

// lacks tells whether a value that was written was refused, or one that is required is not there.
func (o *Object) lacks() bool {
	for _, v := range o.values {
		if v.value == nil {
			return true
		}
	}
	for _, f := range o.fields {
		if f.Required && o.written(f.Name) == nil {
			return true
		}
	}
	return false
}

// children gathers the nodes of all fields, in the order of the shape's fields.
func (r *reader) children(n *Node) {
	for i := range n.fields {
		switch v := n.value(n.fields[i].Name).(type) {
		case *Node:
			n.Children = append(n.Children, v)
		case []*Node:
			n.Children = append(n.Children, v...)
		}
	}
}

// name enters a node's name, which is unique in its file.
func (r *reader) name(n *Node, at Pos) {
	if first := r.names[n.Name]; first != nil {
		r.problemAt(at, "", "the name %s is taken by the node on line %d", quote(n.Name), first.Pos.Line)
		return
	}
	r.names[n.Name] = n
}

// kindOf finds the one kind among the keys of a mapping, and reports the keys that have no business there. Where the
// kind is misspelt it gives the one that was likely meant with its key, so that what is in the node is read all the same.
func (r *reader) kindOf(t *tree, n *Node, extra []Field) (shape *Shape, guess *tree) {
	var at *tree
	for _, p := range t.pairs {
		k := r.load.lang.Kind(p.key.text)
		switch {
		case k == nil:
		case shape == nil:
			shape, at = k, p.key
		default:
			r.problem(p.key, "move one of them to a node of its own", "a node has one kind: %q (line %d) and %q are both here", shape.Name, at.Line, k.Name)
		}
	}
	if shape == nil {
		words := r.words(n, nil, extra)
		for _, p := range t.pairs {
			if r.load.full() {
				break
			}
			if !r.known(p.key.text, n, nil, extra) {
				if shape = r.load.lang.Kind(nearest(p.key.text, words)); shape != nil {
					guess = p.key
					break
				}
			}
		}
	}
	foreign := false
	for _, p := range t.pairs {
		if r.load.full() {
			break
		}
		if key := p.key.text; r.load.lang.Kind(key) == nil && !r.known(key, n, shape, extra) {
			foreign = true
			r.unknownKey(p.key, n, shape, extra)
		}
	}
	if shape == nil && !foreign || shape == nil && n.root() {
		r.problem(t, "", "a node needs exactly one of: %s", strings.Join(r.load.lang.kindNames(), ", "))
	}
	return shape, guess
}

// known tells whether a key may stand beside a kind.
func (r *reader) known(key string, n *Node, shape *Shape, extra []Field) bool {
	fields := r.load.lang.Common
	if shape != nil {
		fields = shape.all
	}
	return field(fields, key) != nil || field(extra, key) != nil ||
		n.root() && (field(r.load.lang.Header, key) != nil || strings.HasPrefix(key, "x-"))
}

// words are the keys that may have been meant beside a kind.
func (r *reader) words(n *Node, shape *Shape, extra []Field) []string {
	fields := r.load.lang.Common
	if shape != nil {
		fields = shape.all
	}
	words := slices.Concat(fieldNames(fields), r.load.lang.kindNames(), fieldNames(extra))
	if n.root() {
		words = append(words, fieldNames(r.load.lang.Header)...)
	}
	return words
}

func (r *reader) unknownKey(key *tree, n *Node, shape *Shape, extra []Field) {
	words := r.words(n, shape, extra)
	of := ""
	if shape != nil {
		of = " for " + shape.Name
	}
	suggestion := DidYouMean(key.text, words)
	if near := nearest(key.text, words); r.load.lang.Kind(near) != nil {
		of = "" // the kind itself is misspelt
	}
	hint := ""
	switch owners, within := r.owners(key.text), r.within(key.text, n, shape); {
	case len(owners) == 0 && len(within) > 0:
		hint = fmt.Sprintf("%s is written within %s", key.text, oneOf(within))
		suggestion = ""
	case suggestion != "":
	case !n.root() && field(r.load.lang.Header, key.text) != nil:
		hint = key.text + " stands at the top of the file"
	case len(owners) > 0:
		hint = fmt.Sprintf("%s belongs to %s", key.text, oneOf(owners))
	case n.root() && len(key.text) < 64:
		hint = "to keep a note of your own, begin its key with x-"
	}
	r.problem(key, hint, "unknown key %s%s%s", quote(key.text), of, suggestion)
}

// owners lists the kinds that have a field of that name.
func (r *reader) owners(key string) []string {
	var kinds []string
	for _, k := range r.load.lang.Kinds {
		if field(k.all, key) != nil {
			kinds = append(kinds, k.Name)
		}
	}
	return kinds
}

// within lists the keys that may stand in the place of key and hold it: agent: {model: ...}.
func (r *reader) within(key string, n *Node, shape *Shape) []string {
	var around []Field
	if shape != nil {
		around = shape.all
	} else {
		for _, k := range r.load.lang.Kinds {
			around = append(around, k.Fields[0])
		}
	}
	if n.root() {
		around = slices.Concat(around, r.load.lang.Header)
	}
	var holders []string
	for _, f := range around {
		if field(recordFields(f.Form), key) != nil {
			holders = append(holders, fmt.Sprintf("%s: {%s: ...}", f.Name, key))
		}
	}
	return holders
}
