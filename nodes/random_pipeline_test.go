package nodes_test

import (
	"encoding/json"
	"fmt"
	"strings"
)

// A random pipeline as a tree: the file's text is printed from it, and the reference works out what a run must be.

// pipeline is a file to run on an input. Files that it includes hang below its flow nodes.
type pipeline struct {
	root  *node
	input any
	slots int // limits.max_concurrency, or 0
}

// node is a node of any kind, with those fields set that its kind has.
type node struct {
	kind      string
	name      string      // empty: none
	when      *expression // nil: none
	timeout   bool        // one that never strikes
	continues bool        // on_error: continue
	catch     *node       // or nil

	nodes []*node     // of containers, in the order written; of a route its cases, of a flow the other file's root
	value *expression // of set, fail, for_each and route; of a flow its param, of an agent its prompt, or nil

	milliseconds int          // of a wait, and the latency of an agent
	attempts     int          // of a leaf: retry.max_attempts; 0: no retry written, -1: retry: false
	replies      []expression // of an agent; nil: the prompt is echoed
	schema       bool         // of an agent: output_schema {n: integer, s: string}
	fails        int          // of an agent: that many attempts
	failure      string       // of an agent: how

	merge   *expression // of parallel and for_each, or nil
	atOnce  int         // of those: max_concurrency, or 0
	batch   int         // of for_each, or 0
	inOrder bool        // of for_each

	until, while *expression // of a loop, or nil
	most         int         // of a loop: max_iterations, or 0
	lenient      bool        // of a loop: on_limit: continue

	keys       []string // of a route's cases
	strays     bool     // of a route: its key may be none of them
	otherwise  *node    // of a route: the default, or nil
	classifier *node    // of a route, in place of value

	start int      // of a graph
	edges [][]edge // of each node of a graph

	up      *node  // the node around it; nil for the root
	segment string // of its path; empty for the root
}

// edge leads to a node of a graph: where it says when, only if that holds and no edge before it did.
type edge struct {
	to    int
	first bool        // next: is a list of conditions
	when  *expression // nil: always
	back  bool        // it may lead to a node that ran before
}

// child is a node below another with its segment of the path.
type child struct {
	segment string
	*node
}

// below are the nodes directly below, the catch last.
func (n *node) below() []child {
	var all []child
	if n.classifier != nil {
		all = append(all, child{"route", n.classifier})
	}
	for i, c := range n.nodes {
		switch n.kind {
		case "for_each":
			all = append(all, child{"do", c})
		case "route":
			all = append(all, child{fmt.Sprintf("cases[%d]", i), c})
		default:
			all = append(all, child{fmt.Sprintf("%s[%d]", n.kind, i), c})
		}
	}
	if n.otherwise != nil {
		all = append(all, child{"default", n.otherwise})
	}
	if n.catch != nil {
		all = append(all, child{"catch", n.catch})
	}
	return all
}

// place tells the nodes below where they are.
func (n *node) place() {
	for _, c := range n.below() {
		c.up, c.node.segment = n, c.segment
		if c.name != "" {
			c.node.segment = c.name
		}
		c.place()
	}
}

// namesBelow are the names of the nodes below; those of an included file are its own.
func (n *node) namesBelow() []string {
	var names []string
	for _, c := range n.below() {
		if n.kind != "flow" || c.node == n.catch {
			names = append(names, c.names()...)
		}
	}
	return names
}

func (n *node) names() []string {
	if n.name == "" {
		return n.namesBelow()
	}
	return append([]string{n.name}, n.namesBelow()...)
}

// readable are the names at or below the node that can be read behind it.
func (n *node) readable() []string {
	names := n.within()
	if n.name != "" {
		names = append(names, n.name)
	}
	if n.catch != nil {
		names = append(names, n.catch.readable()...)
	}
	return names
}

// within are the names in a node's body that can be read behind it: those within an item, or in another file, cannot.
func (n *node) within() []string {
	if n.kind == "flow" || n.kind == "for_each" {
		return nil
	}
	var names []string
	for _, c := range n.below() {
		if c.node != n.catch {
			names = append(names, c.readable()...)
		}
	}
	return names
}

// What follows prints the files, as JSON, which is YAML too.

type object = map[string]any

// files are the texts of the pipeline's file and of those that it includes, by name.
func (p *pipeline) files() map[string]string {
	root := p.root.yaml()
	limits := object{"max_steps": 100_000, "max_visits_per_node": 1000}
	if p.slots > 0 {
		limits["max_concurrency"] = p.slots
	}
	root["limits"] = limits
	files := map[string]string{"p": indented(root)}
	p.root.included(files)
	return files
}

func (n *node) included(files map[string]string) {
	if n.kind == "flow" {
		other := n.nodes[0].yaml()
		other["params"] = object{"k": object{"default": "unset"}}
		files[n.nodes[0].name] = indented(other)
	}
	for _, c := range n.below() {
		c.included(files)
	}
}

// GoString shows the files where rapid tells what it drew.
func (p *pipeline) GoString() string {
	var b strings.Builder
	fmt.Fprintf(&b, "input %s", asJSON(p.input))
	for name, text := range p.files() {
		fmt.Fprintf(&b, "\n--- %s.yaml\n%s", name, text)
	}
	return b.String()
}

func indented(v any) string {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		panic(err)
	}
	return string(b)
}

// put sets a key where it is to be set.
func put(m object, key string, set bool, value any) {
	if set {
		m[key] = value
	}
}

func (n *node) yaml() object {
	m := n.body()
	put(m, "name", n.name != "" && !n.isStation(), n.name)
	put(m, "when", n.when != nil, n.when)
	put(m, "timeout", n.timeout, "1000h")
	put(m, "on_error", n.continues, "continue")
	put(m, "retry", n.attempts < 0, false)
	put(m, "retry", n.attempts > 0, object{"max_attempts": n.attempts, "delay": "1ms"})
	put(m, "merge", n.merge != nil, n.merge)
	put(m, "max_concurrency", n.atOnce > 0, n.atOnce)
	if n.catch != nil {
		m["catch"] = n.catch.yaml()
	}
	return m
}

// body is what only the kind has.
func (n *node) body() object {
	m := object{}
	switch n.kind {
	case "set", "fail":
		m[n.kind] = n.value
	case "wait":
		m["wait"] = milliseconds(n.milliseconds)
	case "agent":
		m["agent"] = n.settings()
		put(m, "prompt", n.value != nil, n.value)
	case "chain", "parallel", "loop":
		m[n.kind] = yamlOf(n.nodes)
		put(m, "until", n.until != nil, n.until)
		put(m, "while", n.while != nil, n.while)
		put(m, "max_iterations", n.most > 0, n.most)
		put(m, "on_limit", n.lenient, "continue")
	case "for_each":
		m["for_each"], m["do"] = n.value, n.nodes[0].yaml()
		put(m, "batch", n.batch > 0, n.batch)
		put(m, "in_order", n.inOrder, true)
	case "route":
		cases := object{}
		for i, c := range n.nodes {
			cases[n.keys[i]] = c.yaml()
		}
		m["route"], m["cases"] = n.value, cases
		if n.classifier != nil {
			m["route"] = n.classifier.yaml()
		}
		if n.otherwise != nil {
			m["default"] = n.otherwise.yaml()
		}
	case "graph":
		stations := object{}
		for i, c := range n.nodes {
			station := c.yaml()
			if len(n.edges[i]) > 0 {
				station["next"] = n.next(i)
			}
			stations[c.name] = station
		}
		m["graph"], m["start"] = stations, n.nodes[n.start].name
	case "flow":
		m["flow"] = "./" + n.nodes[0].name + ".yaml"
		put(m, "with", n.value != nil, object{"k": n.value})
	}
	return m
}

func (n *node) settings() object {
	mock := object{"latency": milliseconds(n.milliseconds)}
	if n.replies != nil {
		mock["reply"] = n.replies
	}
	if n.fails > 0 {
		mock["fail"], mock["error"] = n.fails, n.failure
	}
	m := object{"model": "mock", "mock": mock}
	if n.schema {
		m["output_schema"] = object{"n": "integer", "s": "string"}
	}
	return m
}

func (n *node) next(i int) any {
	list := []any{}
	for _, e := range n.edges[i] {
		to := n.nodes[e.to].name
		switch {
		case !e.first:
			list = append(list, to)
		case e.when == nil:
			list = append(list, object{"to": to})
		default:
			list = append(list, object{"to": to, "when": e.when})
		}
	}
	return list
}

// isStation tells whether the node is one of a graph, whose key is its name.
func (n *node) isStation() bool { return n.up != nil && n.up.kind == "graph" && n != n.up.catch }

func yamlOf(nodes []*node) []object {
	var list []object
	for _, n := range nodes {
		list = append(list, n.yaml())
	}
	return list
}

func milliseconds(n int) string { return fmt.Sprintf("%dms", n) }
