package nodes_test

import (
	"maps"
	"slices"
)

// How the reference runs a graph: one due node after another.

// traffic is what moves through a graph.
type traffic struct {
	v       *visit
	due     map[int]*parcel
	stuck   map[int]bool // nodes that failed: what they could reach never runs
	failed  []failure
	outputs object // of the nodes where ways ended
	ends    way    // what is known there
}

// parcel is what edges deliver to a node.
type parcel struct {
	values []delivery
	way    way
}

type delivery struct {
	edge  int
	value any
}

// way is what is known of named nodes on a way through a graph, and how often the graph's nodes had run by then.
type way struct {
	visits  map[int]int
	results object
}

func newWay() way { return way{map[int]int{}, object{}} }

// join adds another way: of each node of the graph the later visit counts, with what it forgot.
func (w way) join(g *node, other way) {
	for i, visits := range other.visits {
		if visits <= w.visits[i] {
			continue
		}
		w.visits[i] = visits
		for _, name := range g.nodes[i].names() {
			if r, ok := other.results[name]; ok {
				w.results[name] = r
			} else {
				delete(w.results, name)
			}
		}
	}
}

func (v *visit) graph() ending {
	t := &traffic{v: v, due: map[int]*parcel{}, stuck: map[int]bool{}, outputs: object{}, ends: newWay()}
	t.deliver(v.node.start, -1, v.prev, newWay())
	for i, ok := t.next(); ok; i, ok = t.next() {
		t.pass(i)
	}
	if len(t.failed) > 0 {
		return failing(t.failed...)
	}
	for name, r := range t.ends.results {
		v.names.set(name, r)
	}
	if len(t.outputs) == 1 {
		for _, out := range t.outputs {
			return succeeded(out)
		}
	}
	return succeeded(t.outputs)
}

func (t *traffic) deliver(to, edge int, value any, w way) {
	if t.due[to] == nil {
		t.due[to] = &parcel{way: newWay()}
	}
	p := t.due[to]
	p.values = append(p.values, delivery{edge, value})
	p.way.join(t.v.node, w)
}

// next is the first due node to which no way leads from another due node; where each waits for another, the first.
func (t *traffic) next() (int, bool) {
	due := slices.Sorted(maps.Keys(t.due))
	busy := slices.AppendSeq(slices.Clone(due), maps.Keys(t.stuck))
	for _, i := range due {
		if !t.stuck[i] && !slices.ContainsFunc(busy, func(k int) bool { return k != i && t.v.node.reaches(k, i) }) {
			return i, true
		}
	}
	if len(due) == 0 || len(t.stuck) > 0 {
		return 0, false
	}
	return due[0], true
}

// pass runs a due node and lets its output go on.
func (t *traffic) pass(i int) {
	g, p := t.v.node, t.due[i]
	delete(t.due, i)
	n := g.nodes[i]
	known := &names{up: t.v.names, own: g.namesBelow(), results: maps.Clone(p.way.results)}
	visit := t.v.begin(n, p.received(), nil)
	visit.names = known
	o := visit.enter()
	if len(o.failed) > 0 {
		t.fail(i, o.failed...)
		return
	}
	w := newWay()
	w.join(g, p.way)
	w.join(g, way{map[int]int{i: visit.count}, known.results})
	along := *t.v
	along.names = known
	taken := false
	for k, e := range g.edges[i] {
		if e.when != nil && !along.test(e.when, o.value, nil) {
			continue
		}
		taken = true
		t.deliver(e.to, g.edgesBefore(i)+k, o.value, w)
		if e.first {
			break
		}
	}
	switch {
	case taken:
	case len(g.edges[i]) > 0:
		t.fail(i, t.v.fail("fail", "no next of "+n.name+" holds").failed...)
	default:
		t.outputs[n.name] = o.result()
		t.ends.join(g, w)
	}
}

func (t *traffic) fail(i int, causes ...failure) {
	t.stuck[i] = true
	t.failed = append(t.failed, causes...)
}

// received is the one value bare, or a list in the order of the edges.
func (p *parcel) received() any {
	slices.SortStableFunc(p.values, func(a, b delivery) int { return a.edge - b.edge })
	if len(p.values) == 1 {
		return p.values[0].value
	}
	var list []any
	for _, d := range p.values {
		list = append(list, d.value)
	}
	return list
}

func (n *node) edgesBefore(i int) int {
	count := 0
	for _, edges := range n.edges[:i] {
		count += len(edges)
	}
	return count
}

// reaches tells whether a way of one edge or more leads from node i of a graph to j.
func (n *node) reaches(i, j int) bool {
	seen := map[int]bool{}
	for todo := []int{i}; len(todo) > 0; todo = todo[1:] {
		for _, e := range n.edges[todo[0]] {
			if !seen[e.to] {
				seen[e.to] = true
				todo = append(todo, e.to)
			}
		}
	}
	return seen[j]
}
