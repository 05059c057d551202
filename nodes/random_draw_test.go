package nodes_test

import (
	"fmt"

	"pgregory.net/rapid"
)

// Random pipelines are drawn in two goes: here the tree of nodes with their names and modifiers; then, when it is known
// which names there are, the expressions.

// risk is what may become of a node.
type risk int

const (
	// safe nodes never fail.
	safe risk = iota
	// orderly nodes may fail: always in the same way, and then nothing else was running in them.
	orderly
	// racy nodes may fail; how, and what else ran in them by then, depends on time. They are never caught.
	racy
	// wild nodes may do anything that is well-formed: race, come too late and reach limits. No reference knows how.
	wild
)

// pipelines draws pipelines of about so many nodes, some of which ask for an echo from outside, where that is not empty.
func pipelines(most risk, nodes int, echo string) *rapid.Generator[*pipeline] {
	return rapid.Custom(func(t *rapid.T) *pipeline {
		d := &drawer{T: t, left: nodes, echo: echo}
		p := &pipeline{root: d.file("p", mostDepth, most), input: one[any](d, "in", nil, 7, []any{"x", 2}, object{"a": "b"})}
		if d.chance(4) {
			p.param = d.tag()
		}
		p.root.segment = ""
		return p
	})
}

// mostDepth is how deep containers stand within each other. The outermost node is one.
const mostDepth = 6

// drawer draws the nodes of a pipeline and of the files that it includes.
type drawer struct {
	*rapid.T
	left   int    // nodes that may still be drawn
	named  int    // names given
	last   bool   // drawing what runs finally
	echo   string // an address that answers with what it is sent; empty: nothing outside is asked
	header *header
}

// chance is true in about so many of sixteen draws.
func (d *drawer) chance(n int) bool { return rapid.IntRange(1, 16).Draw(d.T, "chance") > 16-n }

func (d *drawer) number(low, high int) int { return rapid.IntRange(low, high).Draw(d.T, "number") }

// one draws one of some options; the simplest stands first.
func one[T any](d *drawer, options ...T) T { return rapid.SampledFrom(options).Draw(d.T, "one") }

// name gives a name that is new, and sorts behind those before it.
func (d *drawer) name() string {
	d.named++
	return fmt.Sprintf("n%03d", d.named)
}

// file draws a file, whose root is called as the file is.
func (d *drawer) file(name string, depth int, most risk) *node {
	outer := d.header
	h := &header{limits: object{"max_steps": 100_000, "max_visits_per_node": 1000}}
	d.header = h
	d.heading(most)
	root := d.node(depth, most)
	root.name, root.segment, root.header = name, name, h
	if d.chance(5) {
		h.output = &pending
	}
	if !d.last && d.chance(5) {
		d.last = true
		h.finally = d.node(one(d, 0, 1), most.certain())
		if h.finally.name != "" {
			h.finally.name = "last" + h.finally.name
		}
		d.last = false
	}
	root.place()
	d.top(root)
	d.header = outer
	return root
}

// heading draws what stands at the top of a file before its root.
func (d *drawer) heading(most risk) {
	h := d.header
	if most == wild {
		h.limits["max_steps"], h.limits["max_visits_per_node"] = d.number(1, 60), one(d, 25, 1, 2, 4)
		if d.chance(4) {
			h.limits["timeout"] = milliseconds(d.number(1, 200))
		}
	}
	if d.chance(4) {
		h.limits["max_concurrency"] = d.number(1, 3)
	}
	for i := range one(d, 0, 1, 2) {
		a := &node{name: fmt.Sprintf("agent%d", i)}
		d.mocked(a)
		h.agents = append(h.agents, a)
		if d.chance(4) {
			a.attempts = one(d, -1, 2, 4)
		}
	}
	if d.chance(3) {
		h.attempts = one(d, -1, 2, 4)
	}
	if d.chance(3) {
		h.patience = d.timeout(most)
	}
}

// node draws a node of some depth that has at most some risk.
func (d *drawer) node(depth int, most risk) *node {
	d.left--
	n := &node{risk: most}
	if d.chance(1) || most == wild && d.chance(3) {
		n.timeout = d.timeout(most)
	}
	if d.chance(9) {
		n.name = d.name()
	}
	if d.chance(2) {
		n.when = &pending
	}
	within, catches := most, false
	switch d.number(0, 7) {
	case 6:
		n.continues, within = true, max(most, orderly).certain()
	case 7:
		catches, within = true, max(most, orderly).certain()
	}
	kinds := []func(*node, int, risk){d.leaf}
	if depth > 0 && d.left > 0 {
		kinds = []func(*node, int, risk){d.chain, d.parallel, d.forEach, d.graph, d.loop, d.route, d.flow}
		if depth < mostDepth {
			kinds = append(kinds, d.leaf, d.leaf, d.leaf)
		}
	}
	one(d, kinds...)(n, depth-1, within)
	if catches {
		n.catch = d.node(max(depth-2, 0), most)
	}
	return n
}

// certain is the risk of what is absorbed: the reference must know in which way it fails.
func (r risk) certain() risk {
	if r == racy {
		return orderly
	}
	return r
}

// timeout draws one that never strikes, where that matters.
func (d *drawer) timeout(most risk) string {
	if most == wild {
		return milliseconds(d.number(1, 80))
	}
	return "1000h"
}

// fails tells whether a node is to fail: more often where that is absorbed.
func (d *drawer) fails(most risk) bool {
	return most == orderly && d.chance(8) || most == racy && d.chance(6) || most == wild && d.chance(4)
}

func (d *drawer) leaf(n *node, _ int, most risk) {
	if d.chance(4) {
		n.attempts = one(d, -1, 1, 2, 4)
	}
	if d.fails(most) {
		d.failing(n)
		return
	}
	kinds := []string{"set", "wait", "agent", "agent"}
	if d.echo != "" {
		kinds = append(kinds, "exec", "exec", "http", "http")
	}
	switch kind := one(d, kinds...); kind {
	case "exec", "http":
		n.kind, n.value, n.address = kind, &pending, d.echo
	case "set":
		n.kind, n.value = "set", &pending
	case "wait":
		n.kind, n.milliseconds = "wait", d.number(0, 30)
	default:
		d.agent(n)
	}
}

// failing draws a leaf that fails.
func (d *drawer) failing(n *node) {
	switch one(d, "fail", "fail", "agent", "agent", "late wait", "late agent", "set") {
	case "fail":
		n.kind, n.value = "fail", &pending
	case "agent":
		d.agent(n)
		n.bare, n.mends, n.fails, n.failure = false, false, d.number(4, 5), one(d, "server", "rate_limit", "timeout", "network", "auth", "bad_request")
	case "late wait":
		n.kind, n.milliseconds, n.strikes = "wait", d.number(10, 30), true
	case "late agent":
		d.agent(n)
		n.bare, n.milliseconds, n.strikes = false, d.number(10, 30), true
	case "set":
		n.kind, n.value = "set", &breaking
	}
	if n.strikes {
		n.timeout = milliseconds(d.number(1, 5))
	}
}

func (d *drawer) agent(n *node) {
	n.kind = "agent"
	if d.chance(10) {
		n.value = &pending
	}
	d.mocked(n)
	if len(d.header.agents) > 0 && d.chance(6) {
		n.uses, n.bare = one(d, d.header.agents...), d.chance(8)
		n.schema = n.schema && !n.bare
	}
}

// mocked draws how an agent answers; the replies come later.
func (d *drawer) mocked(n *node) {
	n.milliseconds, n.schema = d.number(0, 30), d.chance(4)
	if d.chance(3) {
		n.jitter = d.number(1, 20)
	}
	if d.chance(3) {
		n.mends, n.fails, n.failure = true, d.number(1, 2), one(d, "server", "rate_limit", "timeout", "network")
	}
}

// nodes draws some nodes.
func (d *drawer) nodes(low, high, depth int, most risk) []*node {
	all := make([]*node, d.number(low, high))
	for i := range all {
		all[i] = d.node(depth, most)
	}
	return all
}

func (d *drawer) chain(n *node, depth int, most risk) {
	n.kind, n.nodes = "chain", d.nodes(2, 4, depth, most)
}

func (d *drawer) parallel(n *node, depth int, most risk) {
	n.kind = "parallel"
	n.nodes = d.nodes(2, 4, depth, d.fan(n, most))
	if n.waitFor != nil && most == safe {
		for _, c := range n.nodes { // none is missing
			c.when = nil
		}
	}
}

func (d *drawer) forEach(n *node, depth int, most risk) {
	n.kind, n.value, n.inOrder = "for_each", &pending, d.chance(5)
	if d.chance(4) {
		n.batch = d.number(1, 2)
	}
	if d.chance(4) {
		n.as = "each"
	}
	n.nodes = d.nodes(1, 1, depth, d.fan(n, most))
}

// fan draws what parallel and for_each share, and says what risk their branches may have.
func (d *drawer) fan(n *node, most risk) risk {
	if d.chance(9) {
		n.merge = &pending
	}
	if !n.inOrder && d.chance(6) {
		n.atOnce = d.number(1, 3)
	}
	alone := n.inOrder || n.atOnce == 1
	switch {
	case n.continues:
		if d.chance(6) {
			n.bears = new(int)
			*n.bears = d.number(0, 2)
			if n.risk == safe || n.risk == orderly && !alone {
				*n.bears = 4 // as many as there may be
			}
		}
		return max(most, orderly)
	case d.chance(3) && (n.kind == "parallel" || most != safe):
		n.waitFor = one[any](d, "first", "majority", 1, 2)
		if !n.inOrder && most != wild {
			n.atOnce = 1
		}
		return most.certain()
	case most == orderly && !alone:
		return safe
	}
	return most
}

func (d *drawer) route(n *node, depth int, most risk) {
	n.kind, n.value = "route", &pending
	n.keys = []string{"k0", "k1", "k2 &"}[:d.number(1, 3)]
	if d.chance(6) {
		n.value, n.classifier = nil, &node{kind: "agent"}
		if d.chance(9) {
			n.classifier.name = d.name()
		}
	}
	n.nodes = d.nodes(len(n.keys), len(n.keys), depth, most)
	if d.chance(8) {
		n.otherwise = d.node(depth, most)
	}
	n.strays = n.otherwise != nil || d.fails(most)
}

func (d *drawer) loop(n *node, depth int, most risk) {
	n.kind, n.nodes, n.most = "loop", d.nodes(1, 3, depth, most), d.number(1, 3)
	switch d.number(0, 2) {
	case 0:
		return
	case 1:
		n.until = &pending
	case 2:
		n.while = &pending
	}
	n.lenient = !d.fails(most)
}

// flow draws another file.
func (d *drawer) flow(n *node, depth int, most risk) {
	n.kind = "flow"
	n.nodes = []*node{d.file("f"+d.name(), depth, most)}
	if d.chance(8) {
		n.value = &pending
	}
}

// graph draws a graph. Its edges lead on in some order of the nodes; those that lead back are taken while the node
// itself has not run often. Where it is wide, several nodes may run at once.
func (d *drawer) graph(n *node, depth int, most risk) {
	n.kind = "graph"
	wide := d.chance(11)
	if wide && most == orderly {
		most = safe
	}
	n.nodes = d.nodes(1, 5, depth, most)
	n.edges = make([][]edge, len(n.nodes))
	order := make([]int, len(n.nodes))
	for i, c := range n.nodes {
		order[i] = i
		c.name = d.name()
	}
	order = rapid.Permutation(order).Draw(d.T, "order")
	n.start = order[0]
	for rank, i := range order {
		n.edges[i] = d.edges(order[:rank+1], order[rank+1:], wide, most)
	}
}

// edges draws those of one node. The nodes that are on come later in the order.
func (d *drawer) edges(back, on []int, wide bool, most risk) []edge {
	var all []edge
	switch ends := d.chance(3) || len(on) == 0 && !d.fails(most); {
	case ends:
		return nil
	case len(on) > 0 && d.chance(7):
		for range d.number(1, 3) {
			if all = append(all, edge{to: one(d, on...)}); !wide {
				break
			}
		}
		return all
	}
	if len(on) > 0 && d.chance(11) {
		all = append(all, edge{first: true, when: &pending, to: one(d, on...)})
	}
	if all == nil || d.chance(9) {
		all = append(all, edge{first: true, when: &pending, to: one(d, back...), back: true})
	}
	if len(on) > 0 && !d.fails(most) {
		all = append(all, edge{first: true, to: one(d, on...)})
	}
	return all
}
