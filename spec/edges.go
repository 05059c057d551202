package spec

// Edges are the ways between nodes that stand along edges, known before anything runs.
type Edges struct {
	Nodes []*Node
	Start int       // -1 where the file names no node
	Out   [][]Edge  // by node, in the order written; those that lead nowhere are left out
	reach []nodeSet // reach[i] holds j: a way of one edge or more leads from i to j
	apart [][]bool  // apart[i][j]: a way leads from the start to j that does not pass i; found for i when first asked
}

// Edges gives the ways between the children that stand along edges.
func (n *Node) Edges() *Edges {
	if n.edges == nil {
		n.edges = newEdges(n)
	}
	return n.edges
}

func newEdges(n *Node) *Edges {
	g := &Edges{Start: -1}
	byName := map[string]int{}
	for _, c := range n.Children {
		if c.Stand() == AlongEdges {
			byName[c.Name] = len(g.Nodes)
			g.Nodes = append(g.Nodes, c)
		}
	}
	if !n.broken {
		if i, ok := byName[n.Kind.Start(n)]; ok {
			g.Start = i
		}
	}
	number := 0
	g.Out = make([][]Edge, len(g.Nodes))
	for i, c := range g.Nodes {
		if c.broken {
			g.Out[i] = nil
			continue
		}
		for _, e := range n.Kind.Next(c) {
			if j, ok := byName[e.Name]; ok {
				e.To, e.Number = j, number
				g.Out[i] = append(g.Out[i], e)
				number++
			}
		}
	}
	for i := range g.Nodes {
		g.reach = append(g.reach, newNodeSet(len(g.Nodes)))
		for _, e := range g.Out[i] {
			g.reach[i].add(e.To)
		}
	}
	for k := range g.Nodes { // https://en.wikipedia.org/wiki/Floyd-Warshall_algorithm
		for i := range g.Nodes {
			if g.reach[i].has(k) {
				g.reach[i].unite(g.reach[k])
			}
		}
	}
	g.apart = make([][]bool, len(g.Nodes))
	return g
}

// maxGraph is how many nodes a graph may have: what is known of its ways grows with their square.
const maxGraph = 2000

// nodeSet is a set of nodes by number.
type nodeSet []uint64

func newNodeSet(n int) nodeSet { return make(nodeSet, (n+63)/64) }

func (s nodeSet) add(i int) { s[i/64] |= 1 << (i % 64) }

func (s nodeSet) has(i int) bool { return s[i/64]&(1<<(i%64)) != 0 }

func (s nodeSet) unite(t nodeSet) {
	for i := range s {
		s[i] |= t[i]
	}
}

// from marks the nodes that can be reached from some without passing one of them.
func (g *Edges) from(some []int, avoiding int) []bool {
	seen := make([]bool, len(g.Nodes))
	var todo []int
	visit := func(i int) {
		if i >= 0 && i != avoiding && !seen[i] {
			seen[i] = true
			todo = append(todo, i)
		}
	}
	for _, i := range some {
		visit(i)
	}
	for len(todo) > 0 {
		i := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		for _, e := range g.Out[i] {
			visit(e.To)
		}
	}
	return seen
}

// around marks the nodes to which a way leads from the start that does not pass i.
func (g *Edges) around(i int) []bool {
	if g.apart[i] == nil {
		g.apart[i] = g.from([]int{g.Start}, i)
	}
	return g.apart[i]
}

// Reaches tells whether a way of one edge or more leads from node i to node j.
func (g *Edges) Reaches(i, j int) bool { return g.reach[i].has(j) }

func (g *Edges) index(n *Node) int {
	for i, c := range g.Nodes {
		if c == n {
			return i
		}
	}
	return -1
}

// dominates tells whether every way from the start to j passes i.
func (g *Edges) dominates(i, j int) bool { return i != j && !g.around(i)[j] }

// sure tells whether node i has run whenever the graph has ended: it is on every way to where that can be, or follows
// by edges that are always taken from a node that surely runs.
func (g *Edges) sure(i int) bool {
	if g.Start < 0 || i != g.Start && !g.reach[g.Start].has(i) {
		return false
	}
	onEveryWay := true
	for j := range g.Nodes {
		if len(g.Out[j]) == 0 && i != j && g.around(i)[j] {
			onEveryWay = false
		}
	}
	return onEveryWay || g.always()[i]
}

// always marks the nodes that follow from the start by edges that are always taken.
func (g *Edges) always() []bool {
	seen := make([]bool, len(g.Nodes))
	todo := []int{g.Start}
	for len(todo) > 0 {
		k := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if seen[k] {
			continue
		}
		seen[k] = true
		for _, e := range g.Out[k] {
			if !e.Only {
				todo = append(todo, e.To)
			}
		}
	}
	return seen
}

// delivered is the type of what a node receives: known where a single edge leads to it.
func (n *Node) delivered(child *Node) Type {
	g := n.Edges()
	k := g.index(child)
	var from []*Node
	for i := range g.Nodes {
		for _, e := range g.Out[i] {
			if e.To == k {
				from = append(from, g.Nodes[i])
			}
		}
	}
	switch {
	case k == g.Start && len(from) == 0:
		return n.prev
	case k != g.Start && len(from) == 1:
		return from[0].After()
	}
	return Any
}
