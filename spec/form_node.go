package spec

import (
	"fmt"
	"slices"
	"strings"
)

// NodeForm is one node.
type NodeForm struct{ Stand Stand }

func (NodeForm) takes(t *tree) bool { return t.form == mappingForm && !t.braces }

func (x NodeForm) read(r *reader, t *tree, f *Field) any {
	if n := r.child(t, f, nil, 0); n != nil {
		return n
	}
	return nil
}

func (NodeForm) String() string { return "a node" }

// NodeList is a list of nodes, at least one.
type NodeList struct{ Stand Stand }

func (NodeList) takes(t *tree) bool { return t.form == listForm }

func (x NodeList) read(r *reader, t *tree, f *Field) any {
	if len(t.items) == 0 {
		return r.refuse(t, "", "%s has no nodes", f.Name)
	}
	var nodes []*Node
	for i, item := range t.items {
		if n := r.child(item, f, nil, i); n != nil {
			nodes = append(nodes, n)
		}
	}
	return nodes
}

func (NodeList) String() string { return "a list of nodes" }

// NodeMap is a mapping to nodes, at least one.
type NodeMap struct {
	Stand Stand
	Named bool    // the keys are the nodes' names; else they are keys of any text
	Extra []Field // what these nodes take beside their own fields
}

func (NodeMap) takes(t *tree) bool { return t.form == mappingForm && !t.braces }

func (x NodeMap) read(r *reader, t *tree, f *Field) any {
	if len(t.pairs) == 0 {
		return r.refuse(t, "", "%s has no nodes", f.Name)
	}
	if x.Stand == AlongEdges && len(t.pairs) > maxGraph {
		return r.refuse(t, "a part of it can be a node of its own, with a graph or a flow in it", "%s has %d nodes; at most %d are allowed", f.Name, len(t.pairs), maxGraph)
	}
	var nodes []*Node
	for i, p := range t.pairs {
		if x.Named && !r.isName(p.key, "a node's name") {
			continue
		}
		n := r.child(p.value, f, x.Extra, i)
		if n == nil {
			continue
		}
		n.Key = p.key.text
		if x.Named {
			if n.Name != "" {
				r.problemAt(n.Place(nameField), "", "a node in %s is named by its key", f.Name)
			}
			n.Name = p.key.text
			r.name(n, p.key.Pos)
		}
		nodes = append(nodes, n)
	}
	return nodes
}

func (x NodeMap) String() string {
	if x.Named {
		return "a mapping of names to nodes"
	}
	return "a mapping of keys to nodes"
}

// standOf finds how the nodes of a form stand; false where it has none.
func standOf(f Form) (Stand, bool) {
	switch f := f.(type) {
	case NodeForm:
		return f.Stand, true
	case NodeList:
		return f.Stand, true
	case NodeMap:
		return f.Stand, true
	case OneOf:
		for _, alternative := range f {
			if s, ok := standOf(alternative); ok {
				return s, true
			}
		}
	}
	return 0, false
}

// nodeForm tells whether a form holds a single node.
func nodeForm(f Form) (NodeForm, bool) {
	switch f := f.(type) {
	case NodeForm:
		return f, true
	case OneOf:
		for _, alternative := range f {
			if n, ok := nodeForm(alternative); ok {
				return n, true
			}
		}
	}
	return NodeForm{}, false
}

// Target names a node among those that stand along edges: a sibling, or a child where Child is set.
type Target struct{ Child bool }

func (Target) takes(t *tree) bool { return t.isText() }

func (x Target) read(r *reader, t *tree, f *Field) any {
	n := r.node
	r.later(func() {
		graph := n
		if !x.Child {
			graph = n.Parent
		}
		var names []string
		for _, c := range graph.Children {
			if c.Stand() == AlongEdges {
				names = append(names, c.Name)
				if c.Name == t.text {
					return
				}
			}
		}
		hint := ""
		if len(names) > 0 {
			hint = fmt.Sprintf("there are %s", oneOf(names))
		}
		if s := nearest(t.text, names); s != "" {
			hint = fmt.Sprintf("did you mean %q?", s)
		}
		what := f.Name
		if what == "to" {
			what = "next"
		}
		r.problem(t, hint, "%s leads to %s, which is no node of this graph", what, quote(t.text))
	})
	return t.text
}

func (Target) String() string { return "the name of a node of the graph" }

// Include is the path of another pipeline file, relative to the one that names it.
type Include struct {
	With string // the field of the same node that gives its params; empty: they are known only when it runs
}

func (Include) takes(t *tree) bool { return t.isText() }

func (x Include) read(r *reader, t *tree, _ *Field) any {
	p := r.include(t)
	if p == nil {
		return nil
	}
	if n := r.node; x.With != "" {
		r.later(func() { r.arguments(p, n, x.With, t) })
	}
	return p
}

func (Include) String() string { return "the path of another pipeline file" }

// arguments holds what a node gives an included file against the params that the file declares.
func (r *reader) arguments(p *Pipeline, n *Node, with string, include *tree) {
	given := map[string]*tree{}
	at := include
	if x := n.Expr(with); x != nil && x.tree != nil {
		at = x.tree
		var names []string
		for _, param := range p.Params {
			names = append(names, param.Name)
		}
		for _, pair := range x.tree.pairs {
			given[pair.key.text] = pair.value
			if p.param(pair.key.text) == nil {
				r.problem(pair.key, "", "%s has no param %s%s", Escape(p.File), quote(pair.key.text), DidYouMean(pair.key.text, names))
			}
		}
	}
	for _, param := range p.Params {
		value := given[param.Name]
		if value == nil {
			if !param.HasDefault {
				r.problem(at, "", "%s needs the param %s", Escape(p.File), param.Name)
			}
			continue
		}
		if !value.templated() {
			if err := param.Schema.Check(param.Name, value.data()); err != nil {
				r.problem(value, "", "%s", err)
			}
		}
	}
}

// templated tells whether data holds an expression.
func (t *tree) templated() bool {
	if strings.Contains(t.text, "${{") {
		return true
	}
	return slices.ContainsFunc(t.items, (*tree).templated) ||
		slices.ContainsFunc(t.pairs, func(p pair) bool { return p.value.templated() })
}
