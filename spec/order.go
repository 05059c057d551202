package spec

import "fmt"

// hasRun finds whether target has run when the expression is read: surely, perhaps (no problem, not sure), or never.
// It compares where both stand below the node that holds both.
func (s *scope) hasRun(target *Node) (sure bool, problem string) {
	reader, moment := s.x.node, s.x.under[0].Moment
	if reader == nil { // the header: only its last expressions come after the nodes
		if moment == Before {
			return false, "the header's own expressions are read without the nodes"
		}
		return target.certain(target.top()), ""
	}
	common, mine, its := meet(reader, target)
	for n := target; n != common; n = n.Parent {
		if n.Stand() == ForEach && n != mine {
			return false, fmt.Sprintf("inside %s a name means the node of the same item", n.Path())
		}
	}
	again := common.again()
	switch {
	case common == nil:
		if reader.top() == s.p.Root {
			return false, "it runs last"
		}
		return false, "" // finally: whatever happened before
	case target == reader && moment == AfterNode:
		return true, ""
	case common == target: // the reader itself or one around it
		return false, unless(target.again(), "it has not ended")
	case common == reader:
		if moment == Before {
			return false, unless(again, "it runs only later")
		}
		return target.certain(its) && its.follows(target), ""
	}
	return s.siblings(mine, its, target, again)
}

// siblings decides between two children of one node: mine holds the expression, its the target.
func (s *scope) siblings(mine, its, target *Node, again bool) (sure bool, problem string) {
	from, to := its.Stand(), mine.Stand()
	switch {
	case to == Aside: // the catch of a node whose children may have run
		return false, ""
	case from == Aside:
		return false, unless(again, "it runs only if this fails")
	case from == First:
		return target.certain(its), ""
	case to == First:
		return false, unless(again, "it runs only later")
	case from == Together:
		return false, "it runs at the same time, in another branch"
	case from == Choice:
		return false, unless(again, "it is another case, and only one of them runs")
	case from == AlongEdges:
		g := its.Parent.Edges()
		i, j := g.index(its), g.index(mine)
		if !g.Reaches(i, j) {
			return false, "no way leads from it to here"
		}
		return g.dominates(i, j) && target.certain(its), ""
	case its.Index < mine.Index:
		return target.certain(its), ""
	}
	return false, unless(again || from == Repeated, "it runs only later")
}

func unless(ok bool, problem string) string {
	if ok {
		return ""
	}
	return problem
}

// meet finds the lowest node that holds both, and its children on the way to each; nil where that is the file.
func meet(a, b *Node) (common, onA, onB *Node) {
	above := map[*Node]*Node{} // the nodes above a, with the child on the way
	var below *Node
	for n := a; n != nil; below, n = n, n.Parent {
		above[n] = below
	}
	below = nil
	for n := b; n != nil; below, n = n, n.Parent {
		if on, ok := above[n]; ok {
			return n, on, below
		}
	}
	return nil, nil, nil
}

func (n *Node) top() *Node {
	for n.Parent != nil {
		n = n.Parent
	}
	return n
}

// again tells whether the node may run more than once with what ran below it before still known.
func (n *Node) again() bool {
	for ; n != nil && n.Parent != nil; n = n.Parent {
		switch n.Stand() {
		case Repeated:
			return true
		case ForEach:
			return false
		case AlongEdges:
			g := n.Parent.Edges()
			if i := g.index(n); g.Reaches(i, i) {
				return true
			}
		}
	}
	return false
}

// certain tells whether n surely ran when top, which is n or a node above it, has ended or was gone past.
func (n *Node) certain(top *Node) bool {
	for c := n; ; c = c.Parent {
		if c.conditional() || c != n && (c.continues() || c.Has(catch)) {
			return false
		}
		if c == top {
			return true
		}
		if !c.follows(n) {
			return false
		}
	}
}

// follows tells whether c surely ran when its parent did; what is asked is whether n did, which is c or a node below it.
func (c *Node) follows(n *Node) bool {
	p := c.Parent
	if p.idle() || p.partial() {
		return false
	}
	switch c.Stand() {
	case Choice, Aside, ForEach:
		return false
	case Together: // where failures are forgiven a branch has ended, but not what is in it
		return field(p.Kind.Fields, onError) == nil || p.Text(onError) != "continue" || c == n
	case AlongEdges:
		g := p.Edges()
		return g.sure(g.index(c))
	}
	return true
}
