package nodes

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/flowrun/flowrun/engine"
	"github.com/flowrun/flowrun/spec"
)

func graph() engine.Kind {
	own := spec.Local{Name: "prev", Summary: "the node's own output", Type: func(n *spec.Node) spec.Type { return n.After() }}
	next := spec.Field{
		Name: "next", Moment: spec.AfterNode, Locals: []spec.Local{own},
		Summary: "where the output goes: a node, a list of nodes that all get it, or a list of {when, to} of which the first that holds gets it",
		Form: spec.OneOf{spec.Target{}, spec.List{Min: 1, Of: spec.OneOf{spec.Target{}, spec.Record{Fields: []spec.Field{
			{Name: "when", Form: spec.Code{Want: spec.Bool}, Summary: "the edge is taken where this holds; without it, always"},
			{Name: "to", Form: spec.Target{}, Required: true, Summary: "the node it leads to"},
		}}}}},
	}
	return engine.Kind{
		Shape: spec.Shape{
			Name:    "graph",
			Summary: "runs nodes along edges, which may join and lead back",
			Fields: []spec.Field{
				{Name: "graph", Form: spec.NodeMap{Stand: spec.AlongEdges, Named: true, Extra: []spec.Field{next}}, Summary: "the nodes by name, each with next"},
				{Name: "start", Form: spec.Target{Child: true}, Required: true, Summary: "the node that runs first"},
			},
			Start: func(n *spec.Node) string { return n.Text("start") },
			Next:  edgesOf,
			Check: checkEdges,
			Example: `input: {type: integer, default: 0}
graph:
  add: {set: prev + 1, next: [{when: prev < 3, to: add}, {to: done}]}
  done: {set: '"counted to " + string(prev)'}
start: add
`,
		},
		Least: leastWay,
		Build: func(n *spec.Node) engine.Body {
			g := newDigraph(n)
			return engine.Body{Decide: g.run}
		},
	}
}

// edgesOf are the edges that lead from a node of a graph, in the order written.
func edgesOf(n *spec.Node) []spec.Edge {
	if to := n.Text("next"); to != "" {
		return []spec.Edge{{Name: to}}
	}
	var edges []spec.Edge
	for _, e := range n.List("next") {
		switch e := e.(type) {
		case string:
			edges = append(edges, spec.Edge{Name: e})
		case *spec.Object:
			edges = append(edges, spec.Edge{Name: e.Text("to"), When: e.Expr("when"), Only: true})
		}
	}
	return edges
}

// checkEdges reports a list that mixes both sorts of edges, and edges behind one that always holds.
func checkEdges(n *spec.Node, problem func(field, hint, message string)) {
	for _, c := range n.Nodes("graph") {
		edges := edgesOf(c)
		for i, e := range edges {
			switch {
			case e.Only != edges[0].Only:
				problem("graph", "all of [a, b] are taken, the first that holds of [{when: ..., to: a}, {to: b}]", c.Name+": next mixes names and {when, to}")
				return
			case e.Only && e.When == nil && i+1 < len(edges):
				problem("graph", "an edge without when is the last", c.Name+": next goes on behind an edge that is always taken")
				return
			}
		}
	}
}

// leastWay is the least number of steps from the start to where the graph can end.
func leastWay(n *spec.Node, child func(*spec.Node) int) int {
	g := n.Edges()
	const far = 1 << 30
	way := make([]int, len(g.Nodes))
	for i := range way {
		way[i] = far
	}
	for changed := true; changed; {
		changed = false
		for i, node := range g.Nodes {
			if least := min(far, child(node)+onward(g.Out[i], way)); least < way[i] {
				way[i], changed = least, true
			}
		}
	}
	if way[g.Start] >= far { // it cannot end by itself
		return child(g.Nodes[g.Start])
	}
	return way[g.Start]
}

// onward is the least that must follow a node: of edges that are all taken the longest, for they may join again; of
// others the shortest.
func onward(out []spec.Edge, way []int) int {
	least := 0
	for k, e := range out {
		if !e.Only {
			least = max(least, way[e.To])
		} else if k == 0 || way[e.To] < least {
			least = way[e.To]
		}
	}
	return least
}

// digraph is a graph ready to run.
type digraph struct {
	*spec.Edges
	below [][]string // of each node, the names at or below it that expressions read
}

func newDigraph(n *spec.Node) *digraph {
	g := &digraph{Edges: n.Edges()}
	for _, c := range g.Nodes {
		g.below = append(g.below, c.ReadBelow())
	}
	return g
}

// traffic is what moves through a graph while it runs, and what is kept of that.
type traffic struct {
	g       *digraph
	again   []int                // nodes that ran when an earlier run was cut
	Due     map[int]*visitor     `json:"due"` // nodes to which an edge has delivered, by number
	Running map[int]*visitor     `json:"running"`
	Visits  map[int]int          `json:"visits"`
	Ends    map[int]engine.Value `json:"ends"`    // outputs of the nodes at which ways ended
	Results lane                 `json:"results"` // of those ways
}

// visitor is what edges deliver to a node: values, and the named results known on the ways that they came.
type visitor struct {
	Values []delivery `json:"values"`
	Lane   lane       `json:"lane"`
}

type delivery struct {
	Edge  int          `json:"edge"` // -1: the graph's own input
	Value engine.Value `json:"value"`
}

// lane is the named results on one way. Where ways meet, what the node with more visits left behind counts, and what
// it forgot is forgotten.
type lane struct {
	Visits map[int]int             `json:"visits,omitempty"` // of the graph's nodes on the way
	Names  map[string]engine.Named `json:"names,omitempty"`
}

func (l *lane) take(g *digraph, o lane) {
	if len(o.Visits) == 0 {
		return
	}
	if l.Visits == nil {
		l.Visits = map[int]int{}
	}
	if l.Names == nil { // as of a lane that was kept without any
		l.Names = map[string]engine.Named{}
	}
	for node, visits := range o.Visits {
		if visits < l.Visits[node] {
			continue
		}
		l.Visits[node] = visits
		for _, name := range g.below[node] {
			if n, ok := o.Names[name]; ok {
				l.Names[name] = n
			} else {
				delete(l.Names, name)
			}
		}
	}
}

func (g *digraph) run(v *engine.Visit) (any, error) {
	t := &traffic{g: g, Due: map[int]*visitor{}, Running: map[int]*visitor{}, Visits: map[int]int{}, Ends: map[int]engine.Value{}}
	if state, ok := v.State(); ok {
		if err := t.load(state); err != nil {
			return nil, err
		}
	} else {
		t.deliver(g.Start, delivery{-1, engine.Value{V: v.Prev()}}, lane{})
	}
	arrive := func(j engine.Job, o engine.Outcome) error { return t.arrive(v, j, o) }
	if err := v.Together(engine.Jobs{AtOnce: v.Concurrency(), Next: t.depart, Ended: arrive}); err != nil {
		return nil, err
	}
	v.Adopt(t.Results.Names)
	return t.output(), nil
}

func (t *traffic) deliver(to int, d delivery, l lane) {
	if t.Due[to] == nil {
		t.Due[to] = &visitor{}
	}
	t.Due[to].Values = append(t.Due[to].Values, d)
	t.Due[to].Lane.take(t.g, l)
}

// depart gives the next node that may run: due, and neither running itself nor within reach of what runs or is due.
// When nothing runs and due nodes wait only for each other, the first written runs.
func (t *traffic) depart() (engine.Job, bool) {
	if len(t.again) > 0 {
		i := t.again[0]
		t.again = t.again[1:]
		return t.job(i), true
	}
	first := -1
	for _, i := range slices.Sorted(maps.Keys(t.Due)) {
		if first < 0 {
			first = i
		}
		if !t.waits(i) {
			return t.start(i), true
		}
	}
	if first >= 0 && len(t.Running) == 0 {
		return t.start(first), true
	}
	return engine.Job{}, false
}

func (t *traffic) waits(i int) bool {
	for k := range t.Running {
		if k == i || t.g.Reaches(k, i) {
			return true
		}
	}
	for k := range t.Due {
		if k != i && t.g.Reaches(k, i) {
			return true
		}
	}
	return false
}

func (t *traffic) start(i int) engine.Job {
	t.Running[i] = t.Due[i]
	delete(t.Due, i)
	t.Visits[i]++
	return t.job(i)
}

func (t *traffic) job(i int) engine.Job {
	d := t.Running[i]
	names := d.Lane.Names
	if names == nil {
		names = map[string]engine.Named{}
	}
	return engine.Job{Node: t.g.Nodes[i], Key: i, Visit: t.Visits[i], Prev: d.received(), Names: names, Past: d.Lane.Visits}
}

// received is the one value bare, or a list in the order of the edges where there are several.
func (d *visitor) received() any {
	slices.SortStableFunc(d.Values, func(a, b delivery) int { return cmp.Compare(a.Edge, b.Edge) })
	if len(d.Values) == 1 {
		return d.Values[0].Value.V
	}
	list := make([]any, len(d.Values))
	for i, v := range d.Values {
		list[i] = v.Value.V
	}
	return list
}

// arrive hears that a node has ended and lets its output go along its edges.
func (t *traffic) arrive(v *engine.Visit, j engine.Job, o engine.Outcome) error {
	if o.Err != nil {
		return o.Err
	}
	i := j.Key
	var way lane
	way.take(t.g, t.Running[i].Lane)
	if len(t.g.below[i]) > 0 || v.Remembers(t.g.Nodes[i]) {
		way.take(t.g, lane{map[int]int{i: t.Visits[i]}, o.Names})
	}
	delete(t.Running, i)
	taken := false
	for _, e := range t.g.Out[i] {
		if e.When != nil {
			holds, err := v.Along(way.Names).Test(e.When, o.Value)
			if err != nil {
				return err
			}
			if !holds {
				continue
			}
		}
		taken = true
		t.deliver(e.To, delivery{e.Number, engine.Value{V: o.Value}}, way)
		if e.Only {
			break
		}
	}
	if !taken {
		if len(t.g.Out[i]) > 0 {
			return engine.Errorf(engine.Fail, "no next of %s holds", t.g.Nodes[i].Name)
		}
		t.Ends[i] = engine.Value{V: o.Result()}
		t.Results.take(t.g, way)
	}
	v.SaveAfter(o, t.state)
	return nil
}

// output is that of the node that ended the graph, or an object by name where several did.
func (t *traffic) output() any {
	outputs := map[string]any{}
	for i, out := range t.Ends {
		if len(t.Ends) == 1 {
			return out.V
		}
		outputs[t.g.Nodes[i].Name] = out.V
	}
	return outputs
}

// state is the traffic as a value.
func (t *traffic) state() any {
	b, err := json.Marshal(t)
	if err != nil {
		panic(err) // it holds canonical values only
	}
	v, err := spec.ParseJSON(string(b))
	if err != nil {
		panic(err)
	}
	return v
}

func (t *traffic) load(state any) error {
	if err := json.Unmarshal([]byte(spec.AsJSON(state)), t); err != nil {
		return fmt.Errorf("reading where the graph was: %w", err)
	}
	if !t.sound() {
		return engine.Errorf(engine.Internal, "what was kept of its position is not of this graph")
	}
	t.again = slices.Sorted(maps.Keys(t.Running))
	return nil
}

// sound tells whether what was kept, which is data and may be anything, is of the graph's nodes.
func (t *traffic) sound() bool {
	known := func(i int) bool { return i >= 0 && i < len(t.g.Nodes) }
	if t.Due == nil || t.Running == nil || t.Visits == nil || t.Ends == nil {
		return false
	}
	for _, moving := range []map[int]*visitor{t.Due, t.Running} {
		for i, d := range moving {
			if !known(i) || d == nil {
				return false
			}
			for k := range d.Lane.Visits {
				if !known(k) {
					return false
				}
			}
		}
	}
	for i := range t.Running {
		if t.Visits[i] < 1 {
			return false
		}
	}
	for i := range t.Ends {
		if !known(i) {
			return false
		}
	}
	return true
}
