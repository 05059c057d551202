package engine

import (
	"crypto/sha256"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/flowrun/flowrun/spec"
)

// Graph is a pipeline compiled to run. It does not change; any number of runs may share it.
type Graph struct {
	lang  *Language
	root  *unit
	units map[*spec.Pipeline]*unit
	rates map[string]Rate // of models, the strictest where several are written for one

	window int // the most tokens that an agent recalls; 0 where none does
}

// Pipeline is the file that the graph was compiled from.
func (g *Graph) Pipeline() *spec.Pipeline { return g.root.pipeline }

// Least is the least number of steps that a run needs if nothing fails.
func (g *Graph) Least() int { return g.root.root.least }

// Pipelines are the file and those that it includes, each once, in no certain order.
func (g *Graph) Pipelines() []*spec.Pipeline { return slices.Collect(maps.Keys(g.units)) }

// unit is one file, compiled. Files that include it share it.
type unit struct {
	pipeline *spec.Pipeline
	main     bool
	title    string // by which its agents are known; no other file has it
	root     *vertex
	finally  *vertex
	output   *spec.Expr
	limits   limits
	vertices []*vertex // by the order of their nodes in the document
	named    []*vertex // those whose results expressions read, by slot
	slots    map[string]int
	listed   []*vertex // those that the run's result lists, by row
}

// limits of one file; 0 where it says nothing.
type limits struct {
	steps, visits, concurrency int
	timeout                    time.Duration
	budget                     Allowance
}

// underRoot is where, below the node that includes the file, its finally stands: under its root, lest they share a
// path with each other, or with the finally or a catch of the file around.
func (u *unit) underRoot() string {
	if u.main {
		return ""
	}
	return "/" + u.root.segment
}

const (
	defaultSteps       = 100
	defaultVisits      = 25
	defaultConcurrency = 16

	finallySteps = 10
	finallyTime  = 30 * time.Second
)

// Limits are the fields of the header's section of that name.
func Limits() []spec.Field {
	return []spec.Field{
		{Name: "max_steps", Form: spec.Whole{Min: 1}, Default: defaultSteps, Summary: "steps of the whole run: branches, items and included files count in the one budget"},
		{Name: "max_visits_per_node", Form: spec.Whole{Min: 1}, Default: defaultVisits, Summary: "how often a node may run within one visit of its parent"},
		{Name: "max_concurrency", Form: spec.Whole{Min: 1}, Default: defaultConcurrency, Summary: "leaves of the whole run that ask something of the world at once"},
		{Name: "timeout", Form: spec.Duration{Positive: true}, Summary: "ends the run"},
		{Name: "budget", Form: BudgetForm(), Summary: "what the models of the run may use, those of included files too"},
	}
}

// vertex is a node, compiled.
type vertex struct {
	node      *spec.Node
	kind      *Kind
	body      Body
	segment   string // of its path
	ordinal   int    // among its parent's children
	children  []*vertex
	catch     *vertex
	when      *spec.Expr
	continues bool
	forgets   bool // entered anew, it forgets the names below it: its own rounds keep them
	forks     bool // where it fails, it forgets them, too
	ways      bool // its children stand along edges
	remembers bool // an agent at or below it does
	timeout   time.Duration
	retry     Retry
	caching   Caching
	least     int // steps, if nothing fails
	includes  []*spec.Pipeline
	names     []string // what the expressions of a leaf read
	steps     []string
	says      [sha256.Size]byte // of a leaf: a digest of all that its file says of it, once somebody asked for it
	asked     sync.Once
	slot      int  // of its result among those that expressions read, or none
	slots     span // of the nodes below it and its own
	row       int  // of its result among those that the run's result lists, or none
	rows      span
}

// span is a range of numbers, the last not in it: nodes are numbered in the order of the document, so that those below
// a node are one range.
type span struct{ low, high int }

func (s span) with(o span) span { return span{s.low, max(s.high, o.high)} }

// Compile makes a graph of a checked pipeline, which must be of this language.
func (l *Language) Compile(p *spec.Pipeline) *Graph {
	g := &Graph{lang: l, units: map[*spec.Pipeline]*unit{}}
	g.root = g.unit(p, true)
	g.entitle()
	g.rate()
	g.remember()
	return g
}

// entitle gives each file a title: its name, or where several have that, its path.
func (g *Graph) entitle() {
	named := map[string]int{}
	for p := range g.units {
		named[p.Name]++
	}
	for p, u := range g.units {
		if u.title = p.Name; named[p.Name] > 1 {
			u.title = p.File
		}
	}
}

func (g *Graph) unit(p *spec.Pipeline, main bool) *unit {
	if u := g.units[p]; u != nil {
		return u
	}
	u := &unit{pipeline: p, main: main, output: p.Output, limits: limitsOf(p), vertices: make([]*vertex, len(p.Nodes())), slots: map[string]int{}}
	g.units[p] = u
	vertices := make([]vertex, len(p.Nodes()))
	for _, n := range p.Nodes() {
		u.vertices[n.Order] = &vertices[n.Order]
		g.vertex(u, n)
	}
	for i := len(u.vertices) - 1; i >= 0; i-- { // children before parents
		g.link(u, u.vertices[i])
	}
	u.root = u.vertices[p.Root.Order]
	if p.Finally != nil {
		u.finally = u.vertices[p.Finally.Order]
	}
	return u
}

func limitsOf(p *spec.Pipeline) limits {
	o := p.Header.Record("limits")
	if o == nil {
		return limits{}
	}
	l := limits{timeout: o.Duration("timeout"), budget: AllowanceIn(o, "limits")}
	for name, to := range map[string]*int{"max_steps": &l.steps, "max_visits_per_node": &l.visits, "max_concurrency": &l.concurrency} {
		if o.Has(name) {
			*to = o.Int(name)
		}
	}
	return l
}

func (g *Graph) vertex(u *unit, n *spec.Node) {
	vx := u.vertices[n.Order]
	*vx = vertex{node: n, kind: g.lang.byName[n.Kind.Name], segment: n.Segment(), when: n.Expr("when"), slot: none, row: none}
	if n == u.pipeline.Root && u.main {
		vx.segment = ""
	}
	vx.slots.low, vx.rows.low = len(u.named), len(u.listed)
	if n.IsRead() {
		vx.slot = len(u.named)
		u.slots[n.Name] = vx.slot
		u.named = append(u.named, vx)
	}
	if u.main && n.Name != "" && n != u.pipeline.Root && !n.InItem() {
		vx.row = len(u.listed)
		u.listed = append(u.listed, vx)
	}
	vx.slots.high, vx.rows.high = len(u.named), len(u.listed)
	vx.body = vx.kind.Build(n)
	vx.continues = n.Text("on_error") == "continue" && !ownField(vx.node.Kind, "on_error")
	places := []*spec.Object{n.Object}
	if vx.kind.Settings != nil {
		places = append(places, vx.kind.Settings(n)...)
	}
	if n.Kind.Leaf {
		var tools []*spec.Object
		if vx.kind.Tools != nil {
			tools = vx.kind.Tools(n)
		}
		vx.names, vx.steps = readsOf(slices.Concat(places, tools), vx.body.Reads)
		for _, o := range tools {
			vx.includes = append(vx.includes, o.Pipelines()...)
		}
		places = append(places, u.pipeline.Header.Record("defaults"))
		if !vx.kind.People {
			vx.retry = retryOf(places, vx.kind.Retry)
		}
		if ownField(n.Kind, "cache") {
			vx.caching = cachingIn(places[:len(places)-1])
		}
	}
	for _, o := range places {
		if o != nil && o.Has("timeout") {
			vx.timeout = o.Duration("timeout")
			break
		}
	}
}

// below are the slots of the nodes below, without its own, which comes first.
func (vx *vertex) below() span {
	s := vx.slots
	if vx.slot != none {
		s.low++
	}
	return s
}

func ownField(s *spec.Shape, name string) bool {
	for _, f := range s.Fields {
		if f.Name == name {
			return true
		}
	}
	return false
}

// readsOf gathers what the expressions in some mappings read.
func readsOf(objects []*spec.Object, more []*spec.Expr) (names, steps []string) {
	exprs := slices.Clone(more)
	for _, o := range objects {
		if o != nil {
			exprs = append(exprs, o.AllExprs()...)
		}
	}
	for _, x := range exprs {
		n, s := x.Reads()
		names, steps = append(names, n...), append(steps, s...)
	}
	slices.Sort(names)
	slices.Sort(steps)
	return slices.Compact(names), slices.Compact(steps)
}

func (g *Graph) link(u *unit, vx *vertex) {
	n := vx.node
	if len(n.Children) > 0 {
		vx.children = make([]*vertex, len(n.Children))
	}
	for i, c := range n.Children {
		child := u.vertices[c.Order]
		child.ordinal = i
		vx.children[i] = child
		vx.slots, vx.rows = vx.slots.with(child.slots), vx.rows.with(child.rows)
		vx.remembers = vx.remembers || child.remembers
		switch c.Stand() {
		case spec.Aside:
			vx.catch = child
		case spec.Repeated:
			vx.forgets = true
		case spec.AlongEdges:
			vx.forgets, vx.ways = true, true
		case spec.Together, spec.ForEach:
			vx.forks = true
		}
	}
	vx.remembers = vx.remembers || vx.body.Window > 0
	vx.includes = append(vx.includes, n.Pipelines()...)
	for _, p := range vx.includes {
		u := g.unit(p, false)
		vx.least += u.root.least
		vx.remembers = vx.remembers || u.root.remembers || u.finally != nil && u.finally.remembers
	}
	vx.least = vx.leastSteps(u)
}

// leastSteps is what a visit needs if nothing fails: nothing where it may be skipped.
func (vx *vertex) leastSteps(u *unit) int {
	least := func(n *spec.Node) int { return u.vertices[n.Order].least }
	switch {
	case vx.when != nil:
		return 0
	case vx.kind.Least != nil:
		return vx.kind.Least(vx.node, least)
	case vx.kind.Leaf:
		return 1
	case vx.kind.Idle != nil && vx.kind.Idle(vx.node):
		return 0
	}
	sum, choice := vx.least, -1
	for _, c := range vx.node.Children {
		switch c.Stand() {
		case spec.InSequence, spec.Repeated, spec.Together, spec.First:
			sum += least(c)
		case spec.Choice:
			if l := least(c); choice < 0 || l < choice {
				choice = l
			}
		}
	}
	return sum + max(choice, 0)
}
