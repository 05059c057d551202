package spec

import (
	"fmt"
	"slices"
)

// checker goes over a file that was read: it gives each node its types and compiles each expression against what it
// may read, in the order in which things run.
type checker struct {
	*reader
	heads  heads
	ended  bool     // the expressions are those of a sheet, which knows the nodes when the pipeline has ended
	sorted []string // the names of the nodes, once a message needed them
}

func (c *checker) check() {
	p := c.p
	c.header()
	for _, n := range slices.Backward(p.nodes) { // children before parents: what is known without expressions
		n.Type = n.absorbed(n.output())
	}
	for _, x := range p.exprs {
		if x.under[0].Moment == Before {
			c.compile(x)
		}
	}
	start := Any
	if p.Input != nil {
		start = p.Input.Type()
	}
	c.node(p.Root, start)
	p.Type = p.Root.After()
	for _, x := range p.exprs {
		if x.under[0].Moment != Before {
			c.compile(x)
		}
	}
	if p.Output != nil {
		p.Type = p.Output.Type()
	}
	if p.Finally != nil {
		c.node(p.Finally, Any)
	}
	c.unused()
	c.needs()
}

// header takes from it what expressions need to know.
func (c *checker) header() {
	p, h := c.p, c.p.Header
	p.Input, p.Output, p.Finally = h.Schema("input"), h.Expr("output"), h.Node("finally")
	p.env, p.secret = h.Texts("env"), h.Texts("secrets")
	for _, e := range h.Entries("params") {
		s := e.Value.(*Schema)
		param := Param{Name: e.Name, Schema: s, Pos: e.Pos}
		param.Default, param.HasDefault = s.Default()
		p.Params = append(p.Params, param)
		c.defaultFits(s, e.Pos, e.Name)
	}
	if p.Input != nil {
		c.defaultFits(p.Input, h.Place("input"), "input")
	}
	for _, d := range c.declared {
		for _, e := range d.entries() {
			c.defaultFits(e.Value.(*Schema), e.Pos, e.Name)
		}
	}
	c.heads = headsOf(p)
}

func (c *checker) defaultFits(s *Schema, at Pos, name string) {
	if v, ok := s.Default(); ok {
		if err := s.Check("default", v); err != nil {
			c.problemAt(at, "", "the default of %s does not fit its own type: %s", name, err)
		}
	}
}

func (p *Pipeline) param(name string) *Param {
	for i := range p.Params {
		if p.Params[i].Name == name {
			return &p.Params[i]
		}
	}
	return nil
}

// output is the type of what the node's kind gives.
func (n *Node) output() Type {
	if n.Kind.Output == nil || n.broken {
		return Any
	}
	return n.Kind.Output(n)
}

// absorbed is a type after what stands in for the output where the node fails.
func (n *Node) absorbed(t Type) Type {
	if n.Has(catch) && n.Node(catch) != nil {
		return Either(t, n.Node(catch).Result())
	}
	if n.continues() {
		return Any
	}
	return t
}

// continues tells whether a failure of the node leaves nil and the run goes on. Kinds with an on_error of their own
// mean their children by it.
func (n *Node) continues() bool {
	return field(n.Kind.Fields, onError) == nil && n.Text(onError) == "continue"
}

// Result is the type of the node's output where nil stands for a node that was skipped.
func (n *Node) Result() Type {
	if n.conditional() {
		return Any
	}
	return n.Type
}

// After is the type of what the next in a sequence receives: of a skipped node, what it received itself.
func (n *Node) After() Type {
	if n.conditional() {
		return Either(n.prev, n.Type)
	}
	return n.Type
}

// Prev is the type of what the node receives.
func (n *Node) Prev() Type { return n.prev }

// node checks a node that receives a value of type prev.
func (c *checker) node(n *Node, prev Type) {
	n.prev = prev
	c.exprs(n, Before)
	latest := prev
	for i, child := range n.Children {
		switch child.Stand() {
		case InSequence:
			c.node(child, latest)
			latest = child.After()
		case Repeated:
			if child.Index == 0 { // the output of the iteration before, or what came in
				latest = Either(prev, n.lastRepeated(i).After())
			}
			c.node(child, latest)
			latest = child.After()
		case ForEach:
			c.node(child, child.Field.Locals[0].typeIn(n)())
		case AlongEdges:
			c.node(child, n.delivered(child))
		default:
			c.node(child, prev)
		}
	}
	c.exprs(n, AfterChildren)
	n.Type = n.absorbed(n.output())
	c.exprs(n, AfterNode)
	c.unreached(n)
}

func (n *Node) lastRepeated(from int) *Node {
	last := n.Children[from]
	for _, c := range n.Children[from:] {
		if c.Stand() == Repeated {
			last = c
		}
	}
	return last
}

func (c *checker) exprs(n *Node, m Moment) {
	for _, x := range n.exprs {
		if x.under[0].Moment == m {
			c.compile(x)
		}
	}
}

func (c *checker) compile(x *Expr) {
	if c.load.full() {
		x.root, x.tree, x.lines = constant{}, nil, nil
		return
	}
	x.compile(c.load.compiler, &scope{checker: c, x: x})
}

// unused warns of entries of the header that nothing names.
func (c *checker) unused() {
	for _, f := range c.load.lang.Header {
		if f.Unused == "" {
			continue
		}
		for _, e := range c.p.Header.Entries(f.Name) {
			if !c.p.used[e.Pos] {
				c.load.report(Diagnostic{Pos: e.Pos, Message: fmt.Sprintf(f.Unused, e.Name), Warning: true})
			}
		}
	}
}

// unreached warns of nodes of a graph that no edge leads to.
func (c *checker) unreached(n *Node) {
	if n.Kind.Start == nil || n.broken {
		return
	}
	g := n.Edges()
	for i, child := range g.Nodes {
		if i != g.Start && g.Start >= 0 && !g.Reaches(g.Start, i) {
			c.load.report(Diagnostic{Pos: child.Pos, Message: fmt.Sprintf("no way leads to %s", child.Name), Warning: true})
		}
	}
}

// needs gathers what the file and those that it includes reach for outside, each once.
func (c *checker) needs() {
	seen := map[string]bool{}
	add := func(needs []Need) {
		for _, n := range needs {
			if key := n.Flag() + "\x00" + n.What; !seen[key] {
				seen[key] = true
				c.p.needs = append(c.p.needs, n)
			}
		}
	}
	for _, section := range []string{"env", "secrets"} {
		for _, name := range c.p.Header.Texts(section) {
			add([]Need{{Grant: "env", Name: name, Pos: c.p.Header.Place(section)}})
		}
	}
	for _, n := range c.p.nodes {
		if n.Kind.Needs != nil && !n.broken {
			add(n.Kind.Needs(n))
		}
		for _, included := range n.Pipelines() {
			add(included.needs)
		}
	}
}

// Needs lists what the file and those that it includes reach for outside, in the order of the document.
func (p *Pipeline) Needs() []Need { return p.needs }
