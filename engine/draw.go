package engine

import (
	"fmt"
	"strings"

	"github.com/flowrun/flowrun/spec"
)

// Drawing is a graph for people to look at: every node, those of included files too, and what leads from one to the
// next. Containers enclose; edges join leaves, and the routes that choose by an expression.
type Drawing struct {
	Name  string      `json:"name"`
	Nodes []DrawnNode `json:"nodes"`
	Edges []DrawnEdge `json:"edges"`
}

// DrawnNode is a node of a drawing.
type DrawnNode struct {
	Path   string `json:"path"` // names it in the drawing
	Label  string `json:"label"`
	Kind   string `json:"kind"`
	Parent string `json:"parent,omitempty"` // the path of the container around it
	Leaf   bool   `json:"leaf"`
	When   string `json:"when,omitempty"`
	Uses   string `json:"uses,omitempty"`  // a model, a command, an address
	Cache  bool   `json:"cache,omitempty"` // its answers are kept
	File   string `json:"file"`
	Line   int    `json:"line"`
	Column int    `json:"column"`
}

// DrawnEdge leads from one node of a drawing to another.
type DrawnEdge struct {
	From  string `json:"from"`
	To    string `json:"to"`
	Label string `json:"label,omitempty"`
	Aside bool   `json:"aside,omitempty"` // taken only where something failed, or last
}

// Draw makes a drawing of the graph.
func (g *Graph) Draw() *Drawing {
	d := &drawer{graph: g, drawing: &Drawing{Name: g.root.pipeline.Name, Nodes: []DrawnNode{}, Edges: []DrawnEdge{}}}
	d.file(g.root, "", "")
	return d.drawing
}

type drawer struct {
	graph   *Graph
	drawing *Drawing
}

// ends are where ways go into a node and come out of it: leaves, or routes.
type ends struct{ in, out []string }

// file draws a file within the node that includes it.
func (d *drawer) file(u *unit, parent, path string) ends {
	root := "/"
	if !u.main {
		root = path + "/" + u.root.segment
	}
	e := d.node(u, u.root, parent, root)
	if u.finally != nil {
		last := d.node(u, u.finally, parent, strings.TrimSuffix(root, "/")+"/"+u.finally.segment)
		d.join(e.out, last.in, "finally", true)
	}
	return e
}

func (d *drawer) node(u *unit, vx *vertex, parent, path string) ends {
	n := vx.node
	drawn := DrawnNode{Path: path, Label: vx.segment, Kind: n.Kind.Name, Parent: parent, Leaf: n.Kind.Leaf, Uses: vx.body.Uses, Cache: vx.caching.On, File: n.Pos.File, Line: n.Pos.Line, Column: n.Pos.Column}
	switch {
	case n.Name != "":
		drawn.Label = n.Name
	case vx.body.Label != "":
		drawn.Label = vx.body.Label
	}
	if vx.when != nil {
		drawn.When = vx.when.Source()
	}
	d.drawing.Nodes = append(d.drawing.Nodes, drawn)
	e := d.inside(u, vx, path)
	if len(e.in) == 0 {
		e = ends{in: []string{path}, out: []string{path}}
	}
	if vx.catch != nil {
		caught := d.node(u, vx.catch, path, childPath(path, vx.catch))
		d.join(e.out, caught.in, "catch", true)
		e.out = append(e.out, caught.out...)
	}
	return e
}

func childPath(path string, vx *vertex) string {
	return strings.TrimSuffix(path, "/") + "/" + vx.segment
}

// inside draws the children as they stand.
func (d *drawer) inside(u *unit, vx *vertex, path string) ends {
	if vx.node.Kind.Start != nil {
		return d.alongEdges(u, vx, path)
	}
	var e ends
	var chooser, chosen []string
	for _, child := range vx.children {
		if child == vx.catch {
			continue
		}
		c := d.node(u, child, path, childPath(path, child))
		switch child.node.Stand() {
		case spec.InSequence, spec.Repeated:
			if e.in == nil {
				e.in = c.in
			}
			d.join(e.out, c.in, "", false)
			e.out = c.out
		case spec.First:
			e.in, chooser = c.in, c.out
		case spec.Choice:
			if chooser == nil { // the container chooses itself
				chooser = []string{path}
				e.in = chooser
			}
			d.join(chooser, c.in, caseLabel(child.node), false)
			chosen = append(chosen, c.out...)
		default:
			e.in, e.out = append(e.in, c.in...), append(e.out, c.out...)
		}
	}
	if chosen != nil {
		e.out = chosen
	}
	if last := len(vx.children) - 1; last >= 0 && vx.children[0].node.Stand() == spec.Repeated {
		d.join(e.out, e.in, again(vx.node), false)
	}
	for _, f := range vx.kind.Fields {
		if _, include := f.Form.(spec.Include); include {
			e = d.file(d.graph.units[vx.node.Included(f.Name)], path, path)
		}
	}
	return e
}

func caseLabel(n *spec.Node) string {
	if n.Key != "" {
		return n.Key
	}
	return n.Field.Name
}

// again labels the way back of what is repeated.
func again(n *spec.Node) string {
	for _, field := range []string{"until", "while"} {
		if ownField(n.Kind, field) && n.Expr(field) != nil {
			return field + " " + n.Expr(field).Source()
		}
	}
	return "again"
}

func (d *drawer) alongEdges(u *unit, vx *vertex, path string) ends {
	g := vx.node.Edges()
	all := make([]ends, len(g.Nodes))
	var e ends
	for i, n := range g.Nodes {
		child := u.vertices[n.Order]
		all[i] = d.node(u, child, path, childPath(path, child))
		if len(g.Out[i]) == 0 {
			e.out = append(e.out, all[i].out...)
		}
	}
	for i, out := range g.Out {
		for _, edge := range out {
			label := ""
			if edge.When != nil {
				label = edge.When.Source()
			}
			d.join(all[i].out, all[edge.To].in, label, false)
		}
	}
	e.in = all[g.Start].in
	return e
}

func (d *drawer) join(from, to []string, label string, aside bool) {
	for _, f := range from {
		for _, t := range to {
			d.drawing.Edges = append(d.drawing.Edges, DrawnEdge{f, t, label, aside})
		}
	}
}

// outline goes over the nodes with those that containers enclose between their beginning and their end.
func (d *Drawing) outline(leaf func(n DrawnNode, id string, depth int), begin func(n DrawnNode, id string, depth int), end func(depth int)) (ids map[string]string) {
	ids = map[string]string{}
	inside := map[string][]DrawnNode{}
	for i, n := range d.Nodes {
		ids[n.Path] = fmt.Sprintf("n%d", i)
		inside[n.Parent] = append(inside[n.Parent], n)
	}
	var write func(parent string, depth int)
	write = func(parent string, depth int) {
		for _, n := range inside[parent] {
			if within := inside[n.Path]; len(within) == 0 {
				leaf(n, ids[n.Path], depth)
				continue
			}
			begin(n, ids[n.Path], depth)
			write(n.Path, depth+1)
			end(depth)
		}
	}
	write("", 1)
	return ids
}

// chooses tells whether ways go in and out of a container itself: it needs a mark of its own.
func (d *Drawing) chooses(path string) bool {
	for _, e := range d.Edges {
		if e.From == path || e.To == path {
			return true
		}
	}
	return false
}

func (n DrawnNode) text() string {
	s := n.Label
	if !strings.HasPrefix(s, n.Kind+"[") {
		s += " (" + n.Kind + ")"
	}
	if n.When != "" {
		s += " when " + n.When
	}
	return s
}

// Mermaid is the drawing as a Mermaid flowchart.
func (d *Drawing) Mermaid() string {
	var b strings.Builder
	quoted := func(s string) string {
		return `"` + strings.NewReplacer(`"`, "#quot;", "\n", " ", "<", "#lt;", ">", "#gt;").Replace(s) + `"`
	}
	pad := func(depth int) string { return strings.Repeat("  ", depth) }
	b.WriteString("flowchart TD\n")
	ids := d.outline(func(n DrawnNode, id string, depth int) {
		fmt.Fprintf(&b, "%s%s[%s]\n", pad(depth), id, quoted(n.text()))
	}, func(n DrawnNode, id string, depth int) {
		fmt.Fprintf(&b, "%ssubgraph %s_[%s]\n", pad(depth), id, quoted(n.text()))
		if d.chooses(n.Path) {
			fmt.Fprintf(&b, "%s%s{%s}\n", pad(depth+1), id, quoted("?"))
		}
	}, func(depth int) { fmt.Fprintf(&b, "%send\n", pad(depth)) })
	for _, e := range d.Edges {
		arrow := "-->"
		if e.Aside {
			arrow = "-.->"
		}
		if e.Label != "" {
			arrow += "|" + quoted(e.Label) + "|"
		}
		fmt.Fprintf(&b, "  %s %s %s\n", ids[e.From], arrow, ids[e.To])
	}
	return b.String()
}

// DOT is the drawing in the language of Graphviz.
func (d *Drawing) DOT() string {
	var b strings.Builder
	quoted := func(s string) string {
		return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", " ").Replace(s) + `"`
	}
	pad := func(depth int) string { return strings.Repeat("  ", depth) }
	fmt.Fprintf(&b, "digraph %s {\n  node [shape=box]\n", quoted(d.Name))
	ids := d.outline(func(n DrawnNode, id string, depth int) {
		fmt.Fprintf(&b, "%s%s [label=%s]\n", pad(depth), id, quoted(n.text()))
	}, func(n DrawnNode, id string, depth int) {
		fmt.Fprintf(&b, "%ssubgraph cluster_%s {\n%slabel=%s\n", pad(depth), id, pad(depth+1), quoted(n.text()))
		if d.chooses(n.Path) {
			fmt.Fprintf(&b, "%s%s [label=\"?\" shape=diamond]\n", pad(depth+1), id)
		}
	}, func(depth int) { fmt.Fprintf(&b, "%s}\n", pad(depth)) })
	for _, e := range d.Edges {
		var with []string
		if e.Label != "" {
			with = append(with, "label="+quoted(e.Label))
		}
		if e.Aside {
			with = append(with, "style=dashed")
		}
		attributes := ""
		if with != nil {
			attributes = " [" + strings.Join(with, " ") + "]"
		}
		fmt.Fprintf(&b, "  %s -> %s%s\n", ids[e.From], ids[e.To], attributes)
	}
	b.WriteString("}\n")
	return b.String()
}
