package nodes_test

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// A random pipeline as a tree: the file's text is printed from it, and the reference works out what a run must be.

// pipeline is a file to run on an input. Files that it includes hang below its flow nodes.
type pipeline struct {
	root  *node
	input any
	param any // the param k, or nil: its default
	heard *witness
}

// header is what stands at the top of a file.
type header struct {
	agents   []*node
	attempts int         // defaults: retry, as of a leaf
	patience string      // defaults: timeout, or empty
	output   *expression // or nil
	finally  *node       // or nil
	limits   object
}

// node is a node of any kind, with those fields set that its kind has.
type node struct {
	kind      string
	name      string      // empty: none
	when      *expression // nil: none
	timeout   string      // empty: none
	continues bool        // on_error: continue
	catch     *node       // or nil
	risk      risk        // of the node as those around it see it
	*header               // of a file's root

	nodes []*node     // of containers, in the order written; of a route its cases, of a flow the other file's root
	value *expression // of set, fail, for_each and route; of a flow its param, of an agent its prompt, or nil

	milliseconds int          // of a wait, and the latency of an agent
	attempts     int          // of a leaf: retry.max_attempts; 0: no retry written, -1: retry: false
	replies      []expression // of an agent; nil: the prompt is echoed
	schema       bool         // of an agent: output_schema {n: integer, s: string}
	fails        int          // of an agent: that many attempts
	failure      string       // of an agent: how
	mends        bool         // of an agent: it fails less often than it tries
	strikes      bool         // of a leaf: its timeout ends it each time
	jitter       int          // of an agent, in milliseconds
	uses         *node        // of an agent: that of the header, or nil
	bare         bool         // of an agent: only the header says what it answers

	merge   *expression // of parallel and for_each, or nil
	atOnce  int         // of those: max_concurrency, or 0
	waitFor any         // of those, or nil
	bears   *int        // of those: max_failures, or nil
	batch   int         // of for_each, or 0
	inOrder bool        // of for_each
	as      string      // of for_each; empty: item

	until, while *expression // of a loop, or nil
	most         int         // of a loop: max_iterations, or 0
	lenient      bool        // of a loop: on_limit: continue

	address string // of http

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
	if n.header != nil && n.finally != nil {
		n.finally.up, n.finally.segment = n, cmp.Or(n.finally.name, "finally")
		n.finally.place()
	}
}

// path names the node, the same in every visit.
func (n *node) path() string {
	if n.up == nil {
		return "/"
	}
	return strings.TrimSuffix(n.up.path(), "/") + "/" + n.segment
}

// file is the root of the node's file.
func (n *node) file() *node {
	for n.header == nil {
		n = n.up
	}
	return n
}

// mock is where it stands what an agent answers.
func (n *node) mock() *node {
	if n.bare {
		return n.uses
	}
	return n
}

// shaped tells whether an agent has an output_schema.
func (n *node) shaped() bool { return n.schema || n.uses != nil && n.uses.schema }

// tries are the attempts that a leaf makes at most, and whether that is written.
func (n *node) tries() (most int, written bool) {
	most = 1
	if n.kind == "agent" {
		most = 3
	}
	places := []int{n.file().header.attempts, n.attempts}
	if n.uses != nil {
		places = []int{n.file().header.attempts, n.uses.attempts, n.attempts}
	}
	for _, attempts := range places {
		if attempts != 0 {
			most, written = max(attempts, 1), attempts > 0
		}
	}
	return most, written
}

// isLast tells whether the node is, or is below, one that runs finally.
func (n *node) isLast() bool {
	for ; n.up != nil; n = n.up {
		if n.up.header != nil && n.up.finally == n {
			return true
		}
	}
	return false
}

// lingers tells whether something runs finally within the node, whatever stops it.
func (n *node) lingers() bool {
	lingers := false
	n.each(func(m *node) { lingers = lingers || m != n && m.header != nil && m.finally != nil })
	return lingers
}

// isFan tells whether the node runs branches or items.
func (n *node) isFan() bool { return n.kind == "parallel" || n.kind == "for_each" }

// isLeaf tells whether an execution of the node is a step.
func (n *node) isLeaf() bool {
	return slices.Contains([]string{"agent", "set", "wait", "approve", "fail", "exec", "http"}, n.kind)
}

// item is what a for_each calls its item.
func (n *node) item() string { return cmp.Or(n.as, "item") }

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

// files are the pipeline's file and those that it includes, by name.
func (p *pipeline) files() map[string]object {
	files := map[string]object{}
	p.root.each(func(n *node) {
		if n.header != nil {
			files[n.name] = n.yaml()
		}
	})
	return files
}

// each calls f for the node and all below it, those of the files that it includes among them.
func (n *node) each(f func(*node)) {
	f(n)
	for _, c := range n.below() {
		c.each(f)
	}
	if n.header != nil && n.finally != nil {
		n.finally.each(f)
	}
}

// GoString shows the files where rapid tells what it drew.
func (p *pipeline) GoString() string {
	var b strings.Builder
	fmt.Fprintf(&b, "input %s", asJSON(p.input))
	for name, file := range p.files() {
		text, err := json.MarshalIndent(file, "", "  ")
		if err != nil {
			panic(err)
		}
		fmt.Fprintf(&b, "\n--- %s.yaml\n%s", name, text)
	}
	return b.String()
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
	put(m, "timeout", n.timeout != "", n.timeout)
	put(m, "on_error", n.continues, "continue")
	putRetry(m, n.attempts)
	put(m, "merge", n.merge != nil, n.merge)
	put(m, "max_concurrency", n.atOnce > 0, n.atOnce)
	put(m, "wait_for", n.waitFor != nil, n.waitFor)
	put(m, "max_failures", n.bears != nil, n.bears)
	if n.catch != nil {
		m["catch"] = n.catch.yaml()
	}
	if n.header != nil {
		n.header.put(m)
	}
	return m
}

// put sets a file's keys that are no node's.
func (h *header) put(m object) {
	m["params"], m["env"], m["limits"] = object{"k": object{"default": "unset"}}, []string{"E"}, h.limits
	agents := object{}
	for _, a := range h.agents {
		agents[a.name] = a.settings()
	}
	put(m, "agents", len(agents) > 0, agents)
	defaults := object{"model": "mock"}
	put(defaults, "timeout", h.patience != "", h.patience)
	putRetry(defaults, h.attempts)
	m["defaults"] = defaults
	put(m, "output", h.output != nil, h.output)
	if h.finally != nil {
		m["finally"] = h.finally.yaml()
	}
}

func putRetry(m object, attempts int) {
	put(m, "retry", attempts < 0, false)
	put(m, "retry", attempts > 0, object{"max_attempts": attempts, "delay": "1ms"})
}

// body is what only the kind has.
func (n *node) body() object {
	m := object{}
	switch n.kind {
	case "set", "fail":
		m[n.kind] = n.value
	case "wait":
		m["wait"] = milliseconds(n.milliseconds)
	case "approve":
		m["approve"] = "Go on?"
	case "agent":
		switch {
		case n.bare:
			m["agent"] = n.uses.name
		default:
			m["agent"] = n.settings()
		}
		put(m, "prompt", n.value != nil, n.value)
	case "exec":
		m["exec"] = []any{"echo", n.value}
	case "http":
		m["http"], m["body"] = n.address, n.value
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
		put(m, "as", n.as != "", n.as)
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
	put(mock, "jitter", n.jitter > 0, milliseconds(n.jitter))
	if n.replies != nil {
		mock["reply"] = n.replies
	}
	if n.fails > 0 {
		mock["fail"], mock["error"] = n.fails, n.failure
	}
	m := object{"mock": mock}
	if n.uses != nil {
		m["use"] = n.uses.name
	}
	if n.schema {
		m["output_schema"] = object{"n": "integer", "s": "string"}
	}
	if n.kind == "" { // of a header
		m["memory"] = object{"scope": "session", "max_tokens": 10 + 15*len(n.replies)}
		put(m, "prompt", n.value != nil, n.value)
		putRetry(m, n.attempts)
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
func (n *node) isStation() bool {
	return n.up != nil && n.up.kind == "graph" && slices.Contains(n.up.nodes, n)
}

func yamlOf(nodes []*node) []object {
	var list []object
	for _, n := range nodes {
		list = append(list, n.yaml())
	}
	return list
}

func milliseconds(n int) string { return fmt.Sprintf("%dms", n) }
