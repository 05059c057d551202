package nodes_test

import (
	"slices"
	"strings"
)

// The second go of drawing a pipeline: its expressions, each out of what may be read where it stands. Results of other
// nodes are read with ?. throughout, since any of them may not have run.

// scope is what an expression may read.
type scope struct {
	values []string // prev and the like
	steps  []string // named nodes
}

func (s scope) with(values ...string) scope {
	s.values = append(slices.Clip(s.values), values...)
	return s
}

func (s scope) after(names ...string) scope {
	s = s.without(names...)
	s.steps = append(s.steps, names...)
	return s
}

func (s scope) without(names ...string) scope {
	s.steps = slices.DeleteFunc(slices.Clone(s.steps), func(name string) bool { return slices.Contains(names, name) })
	return s
}

// fill draws the expressions of a node and of those below it.
func (d *drawer) fill(n *node, s scope) {
	if n.when != nil {
		n.when = d.condition(s)
	}
	inner := s
	switch n.kind {
	case "set":
		if n.value == &breaking {
			x := beyond(d.read(s))
			n.value = &x
		} else {
			n.value = d.value(s)
		}
	case "fail", "flow", "exec", "http":
		d.fillIf(&n.value, d.template, s)
	case "agent":
		d.fillIf(&n.value, d.template, s)
		if !n.bare {
			d.replies(n, s)
		}
		if m := n.mock(); m.mends {
			tries, _ := n.tries()
			m.fails = min(m.fails, tries-1)
		}
	case "chain":
		d.sequence(n.nodes, s)
	case "parallel":
		inner = s.after(n.within()...)
		for i, c := range n.nodes {
			at := s
			for k, other := range n.nodes {
				if k != i {
					at = at.without(other.readable()...)
				}
			}
			d.fill(c, at)
		}
	case "for_each":
		n.value = d.list(s)
		inner = s.with(n.item(), "index")
		if n.inOrder {
			inner = inner.with("done")
		}
		d.fill(n.nodes[0], inner)
		inner = s.with("items")
	case "route":
		inner = d.key(n, s)
		for _, c := range n.nodes {
			d.fill(c, inner)
		}
		if n.otherwise != nil {
			d.fill(n.otherwise, inner)
		}
	case "loop":
		inner = s.with("iteration").after(n.within()...)
		d.sequence(n.nodes, inner)
		d.fillIf(&n.until, d.condition, inner)
		d.fillIf(&n.while, d.condition, inner)
	case "graph":
		d.stations(n, s)
	}
	d.fillIf(&n.merge, d.merge, inner.with("results", "errors"))
	if n.catch != nil {
		d.fill(n.catch, s.after(n.within()...).with("error.kind", "error.message", "error.node"))
	}
}

// top draws the expressions of a file.
func (d *drawer) top(root *node) {
	s := scope{values: []string{"prev", "input", "params.k", "env.E"}}
	for _, a := range root.agents {
		d.fillIf(&a.value, d.template, s)
		d.replies(a, s)
	}
	s = s.with("run.key")
	d.fill(root, s)
	s = s.after(root.within()...)
	if root.catch != nil {
		s = s.after(root.catch.readable()...)
	}
	d.fillIf(&root.output, d.code, s)
	if root.finally != nil {
		d.fill(root.finally, s.with("status", "error"))
	}
}

func (d *drawer) fillIf(x **expression, draw func(scope) *expression, s scope) {
	if *x != nil {
		*x = draw(s)
	}
}

func (d *drawer) sequence(nodes []*node, s scope) {
	for _, n := range nodes {
		d.fill(n, s)
		s = s.after(n.readable()...)
	}
}

// key draws what decides a route, and says what its cases may read.
func (d *drawer) key(n *node, s scope) scope {
	keys := n.keys
	if n.strays {
		keys = append(slices.Clone(keys), "stray")
	}
	c := n.classifier
	if c == nil {
		key := oneOf(keys, length(d.read(s)))
		n.value = &key
		return s
	}
	for range d.number(0, 2) {
		c.replies = append(c.replies, expression{"neither", func(*scene) any { return "neither" }})
	}
	c.replies = append(c.replies, template(" ", oneOf(n.keys, length(d.read(s))), " "))
	return s.after(c.readable()...)
}

// stations fills the nodes of a graph: each may read those from which a way leads to it.
func (d *drawer) stations(g *node, s scope) {
	for i, n := range g.nodes {
		at := s
		for k, other := range g.nodes {
			if g.reaches(k, i) {
				at = at.after(other.readable()...)
			} else {
				at = at.without(other.readable()...)
			}
		}
		d.fill(n, at)
		at = at.after(n.readable()...)
		for k := range g.edges[i] {
			e := &g.edges[i][k]
			d.fillIf(&e.when, d.condition, at)
			if e.back {
				often := both(lessThan(stepOf(n.name, "visits"), 3), *e.when)
				e.when = &often
			}
		}
	}
}

// read draws a value that is there.
func (d *drawer) read(s scope) expression {
	if len(s.steps) > 0 && d.chance(10) {
		return stepOf(one(d, s.steps...), one(d, "output", "output", "status", "visits", "error"))
	}
	return read(one(d, s.values...))
}

// text draws a text that shows what was seen.
func (d *drawer) text(s scope) expression {
	parts := []expression{constant(d.tag()), shown(read("prev"))}
	for range d.number(0, 2) {
		parts = append(parts, shown(d.read(s)))
	}
	return joined(parts)
}

func (d *drawer) tag() string { return one(d, "a", "b", "ü", "\"'", "<&>", " # ", "}}", "x\ny") }

func (d *drawer) condition(s scope) *expression {
	x := lessThan(modulo(length(d.read(s)), d.number(2, 4)), 1)
	if len(s.steps) > 0 && d.chance(6) {
		x = equal(stepOf(one(d, s.steps...), "status"), one(d, "completed", "failed", "skipped"))
	}
	return &x
}

func (d *drawer) template(s scope) *expression {
	x := template(d.tag(), d.text(s), strings.Repeat("!", d.number(0, 2)))
	return &x
}

// value draws what set may hold.
func (d *drawer) value(s scope) *expression {
	if d.chance(3) {
		x := dataOf([]expression{*d.template(s), *d.template(s)})
		return &x
	}
	if d.chance(3) {
		return d.template(s)
	}
	return d.code(s)
}

// code draws an expression of any type.
func (d *drawer) code(s scope) *expression {
	x := d.text(s)
	switch d.number(0, 5) {
	case 0:
		x = objectOf("a", x)
	case 1:
		x = listOf([]expression{x, length(d.read(s))})
	}
	return &x
}

// list draws what a for_each goes through.
func (d *drawer) list(s scope) *expression {
	all := []expression{}
	for range one(d, 2, 3, 1, 4, 0) {
		all = append(all, one(d, constant(1), constant("x"), d.text(s)))
	}
	x := listOf(all)
	return &x
}

func (d *drawer) merge(s scope) *expression {
	switch d.number(0, 3) {
	case 0:
		x := read("results")
		return &x
	case 1:
		x := listOf([]expression{read("errors"), read("results")})
		return &x
	}
	return d.code(s)
}

// replies draws what a mock answers; after what does not fit the schema, what does.
func (d *drawer) replies(n *node, s scope) {
	s = s.with("prompt", "call")
	if !n.shaped() {
		for range d.number(0, 3) {
			n.replies = append(n.replies, *d.template(s))
		}
		return
	}
	for range d.number(0, 2) {
		n.replies = append(n.replies, expression{"no", func(*scene) any { return "no" }})
	}
	n.replies = append(n.replies, template(`{"s": "x", "n": `, read("call"), "}"))
}
