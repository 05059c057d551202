package spec

import (
	"fmt"
	"time"
)

// Object is a mapping of a file after it was checked. Its accessors give the zero value, or the field's default, for
// what was not written or was written in another form; to ask for a field that the mapping cannot have panics.
type Object struct {
	Pos    Pos
	fields []Field
	values []fieldValue // of what was written
	flawed bool
}

// fieldValue is what was written in a field.
type fieldValue struct {
	field *Field
	value any // nil where it was refused
	pos   Pos
}

// written is what was written in a field, nil where nothing was.
func (o *Object) written(name string) *fieldValue {
	for i := range o.values {
		if o.values[i].field.Name == name {
			return &o.values[i]
		}
	}
	return nil
}

// value is what a field holds, nil where nothing was written or it was refused.
func (o *Object) value(name string) any {
	if v := o.written(name); v != nil {
		return v.value
	}
	return nil
}

// Flawed tells whether a problem in the mapping was reported: what is missing may be what was misspelt.
func (o *Object) Flawed() bool { return o.flawed }

// Has tells whether a field was written.
func (o *Object) Has(name string) bool {
	if v := o.written(name); v != nil {
		return v.value != nil
	}
	o.field(name)
	return false
}

// Place is where the value of a field stands, the object's own place where it was not written.
func (o *Object) Place(name string) Pos {
	if v := o.written(name); v != nil {
		return v.pos
	}
	return o.Pos
}

// Text is the value of a Text, Name or OneOf field.
func (o *Object) Text(name string) string { return get[string](o, name) }

// Bool is the value of a Flag field.
func (o *Object) Bool(name string) bool { return get[bool](o, name) }

// Int is the value of a Whole field.
func (o *Object) Int(name string) int { return get[int](o, name) }

// Float is the value of a Real field.
func (o *Object) Float(name string) float64 { return get[float64](o, name) }

// Duration is the value of a Duration field.
func (o *Object) Duration(name string) time.Duration { return get[time.Duration](o, name) }

// Expr is the value of a Code, Template, TemplateFile or Data field.
func (o *Object) Expr(name string) *Expr { return get[*Expr](o, name) }

// Record is the value of a Record field.
func (o *Object) Record(name string) *Object { return get[*Object](o, name) }

// List are the values of a List field.
func (o *Object) List(name string) []any { return get[[]any](o, name) }

// Texts are the values of a List of Text.
func (o *Object) Texts(name string) []string {
	var out []string
	for _, v := range o.List(name) {
		out = append(out, v.(string))
	}
	return out
}

// Exprs are the values of a List of Template.
func (o *Object) Exprs(name string) []*Expr {
	var out []*Expr
	for _, v := range o.List(name) {
		out = append(out, v.(*Expr))
	}
	return out
}

// Entries are the members of a Map field, in the order written.
func (o *Object) Entries(name string) []Entry { return get[[]Entry](o, name) }

// Entry is a member of a Map field.
type Entry struct {
	Name  string
	Pos   Pos // of the name
	Value any
}

// Ref is the value of a Ref field: the name written and the value of the section's entry that it names, if it names one.
func (o *Object) Ref(name string) (word string, entry any) {
	if r := get[*reference](o, name); r != nil {
		return r.name, r.entry
	}
	return "", nil
}

// Refs are the values of a List of Ref: the names written and the values of the entries that they name.
func (o *Object) Refs(name string) []Entry {
	var out []Entry
	for _, v := range o.List(name) {
		r := v.(*reference)
		out = append(out, Entry{Name: r.name, Value: r.entry})
	}
	return out
}

// Schema is the value of a SchemaForm field.
func (o *Object) Schema(name string) *Schema { return get[*Schema](o, name) }

// Raw is the value of a Raw field, canonical.
func (o *Object) Raw(name string) map[string]any { return get[map[string]any](o, name) }

// Literal is the value of a Literal field, canonical.
func (o *Object) Literal(name string) any { o.field(name); return o.value(name) }

// Included is the pipeline that an Include field names.
func (o *Object) Included(name string) *Pipeline { return get[*Pipeline](o, name) }

// Pipelines are the files that the mapping includes.
func (o *Object) Pipelines() []*Pipeline {
	var all []*Pipeline
	for _, v := range o.values {
		if p, ok := v.value.(*Pipeline); ok && p != nil {
			all = append(all, p)
		}
	}
	return all
}

// Node is the value of a NodeForm field.
func (o *Object) Node(name string) *Node { return get[*Node](o, name) }

// Nodes are the values of a NodeList or NodeMap field.
func (o *Object) Nodes(name string) []*Node { return get[[]*Node](o, name) }

func (o *Object) field(name string) *Field {
	f := field(o.fields, name)
	if f == nil {
		panic(fmt.Sprintf("spec: %s has no field %q", o.Pos, name))
	}
	return f
}

func get[T any](o *Object, name string) T {
	v := o.value(name)
	if v == nil {
		v = o.field(name).Default
	}
	t, _ := v.(T)
	return t
}

// Node is a node of a pipeline.
type Node struct {
	*Object
	Kind     *Shape
	Name     string // empty where it has none
	Parent   *Node  // nil for the root and for finally
	Field    *Field // of the parent, or of the header, in which it stands; nil for the root
	Key      string // of a node in a mapping
	Index    int    // among the nodes of its field
	Children []*Node
	Pipeline *Pipeline
	// Type is what is known of the node's output where it ran and was not skipped.
	Type Type

	Order  int     // in the document, from 0
	prev   Type    // of what it receives
	read   bool    // an expression of the file reads its result
	exprs  []*Expr // its own, in document order
	edges  *Edges  // between its children, for AlongEdges
	broken bool    // a value is missing or was refused: what its kind would say of it is not asked
}

// Stand is how the node stands among the children of its parent.
func (n *Node) Stand() Stand {
	if n.Field == nil {
		return InSequence
	}
	s, _ := standOf(n.Field.Form)
	return s
}

// Segment is the node's part of a path: its name, or else its place.
func (n *Node) Segment() string {
	switch {
	case n.Name != "":
		return n.Name
	case n.Field == nil:
		return ""
	}
	if _, single := nodeForm(n.Field.Form); single {
		return n.Field.Name
	}
	return fmt.Sprintf("%s[%d]", n.Field.Name, n.Index)
}

// Path names the node within its file: / for the root, the segments of its ancestors before its own elsewhere.
func (n *Node) Path() string {
	if n.Field == nil {
		return "/"
	}
	up := ""
	if n.Parent != nil && n.Parent.Field != nil {
		up = n.Parent.Path()
	}
	return up + "/" + n.Segment()
}

// IsRead tells whether an expression of the file reads the node's result.
func (n *Node) IsRead() bool { return n.read }

// InItem tells whether the node runs once for each item of a list, so that its name means another result each time.
func (n *Node) InItem() bool {
	for ; n != nil; n = n.Parent {
		if n.Field != nil && n.Stand() == ForEach {
			return true
		}
	}
	return false
}

// ReadBelow are the names of the node and of those below it whose results expressions read.
func (n *Node) ReadBelow() []string {
	var names []string
	if n.read {
		names = append(names, n.Name)
	}
	for _, c := range n.Children {
		names = append(names, c.ReadBelow()...)
	}
	return names
}

// AllExprs are the expressions in the mapping and in the mappings and lists within it, nodes left out.
func (o *Object) AllExprs() []*Expr {
	var all []*Expr
	var add func(v any)
	add = func(v any) {
		switch v := v.(type) {
		case *Expr:
			all = append(all, v)
		case *Object:
			for _, f := range v.fields {
				add(v.value(f.Name))
			}
		case []any:
			for _, item := range v {
				add(item)
			}
		case []Entry:
			for _, e := range v {
				add(e.Value)
			}
		}
	}
	add(o)
	return all
}

// idle tells whether the node may complete without having run its children.
func (n *Node) idle() bool { return !n.broken && n.Kind.Idle != nil && n.Kind.Idle(n) }

// partial tells whether some of its children may be unfinished when it completes.
func (n *Node) partial() bool { return !n.broken && n.Kind.Partial != nil && n.Kind.Partial(n) }

// conditional tells whether the node may be skipped.
func (n *Node) conditional() bool { return n.Has(when) }

// The fields that spec itself must understand; the shapes around them are given to it.
const (
	when      = "when"
	nameField = "name"
	onError   = "on_error"
	catch     = "catch"
)
