package nodes_test

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// The reference: what a run of a random pipeline must come to, worked out by a plain sequential interpreter that
// shares no code with flowrun. It knows no goroutines, clock, limits or events. Where something fails while other
// nodes may be running, it goes on as far as those could have come, and gathers the failures with which the run may end.

// account is what the reference says of a run.
type account struct {
	output  any
	failed  []failure         // with one of them the run ends; none: it completes
	told    map[string]string // how every turn ended, in the words of completed, failed and skipped
	leaves  map[string]bool   // the turns that are steps
	forgave int               // failures that the run goes on past
	calls   int               // of models
	most    int               // steps that are not too many
	tooLong bool              // there are more, or values are long, and it was not worked out to its end
}

// failure is why a node failed.
type failure struct {
	kind, message, node string
	item                int // within which it ran, or none
}

// who is the node, with the item that it stands for.
func (f failure) who() string {
	if f.item == none {
		return f.node
	}
	return fmt.Sprintf("%s (item %d)", f.node, f.item)
}

func (f failure) value() any { return object{"kind": f.kind, "message": f.message, "node": f.node} }

// How a turn ended.
func completed(output any) string { return "completed " + asJSON(output) }
func failed(f failure) string     { return "failed " + f.kind + " " + f.node + ": " + f.message }

const skipped = "skipped"

// ending is how a visit ended.
type ending struct {
	value   any       // what the next in a chain receives: where it was skipped, what the node itself received
	failed  []failure // with one of them; none: it did not fail
	skipped bool
}

// result is the output, nil where there is none.
func (o ending) result() any {
	if o.skipped {
		return nil
	}
	return o.value
}

func succeeded(value any) ending            { return ending{value: value} }
func failing(f ...failure) ending           { return ending{failed: f} }
func (v *visit) fail(kind, m string) ending { return failing(failure{kind, m, v.label(), v.nearest()}) }

// reference gives an account of a run.
func reference(p *pipeline, most int) *account {
	a := &account{most: most, told: map[string]string{}, leaves: map[string]bool{}}
	root := &visit{account: a, node: p.root, item: none, count: 1, names: newNames(), input: p.input, prev: p.input}
	root.params = object{"k": cmp.Or[any](p.param, "unset")}
	o := root.file()
	a.output, a.failed = o.value, o.failed
	return a
}

// visit is one execution of a node.
type visit struct {
	*account
	node   *node
	up     *visit
	item   int // its number where it stands for an item, else none
	count  int // from 1 within one visit of the parent
	counts map[*node]int
	asked  int // questions to a model
	names  *names
	locals object
	input  any    // of the file
	params object // of the file
	prev   any
}

const none = -1

// begin prepares the next visit of a node below.
func (v *visit) begin(n *node, prev any, more object) *visit {
	if v.counts == nil {
		v.counts = map[*node]int{}
	}
	v.counts[n]++
	locals := object{}
	maps.Copy(locals, v.locals)
	maps.Copy(locals, more)
	return &visit{account: v.account, node: n, up: v, item: none, count: v.counts[n], names: v.names, locals: locals,
		input: v.input, params: v.params, prev: prev}
}

// nearest is the number of the item within which the visit runs.
func (v *visit) nearest() int {
	for ; v != nil; v = v.up {
		if v.item != none {
			return v.item
		}
	}
	return none
}

// turn names the visit.
func (v *visit) turn() string {
	if v.up == nil {
		return "/"
	}
	turn := v.up.turn()
	if v.item != none {
		turn += fmt.Sprintf("[%d]", v.item)
	}
	turn = strings.TrimSuffix(turn, "/") + "/" + v.node.segment
	if v.count > 1 {
		turn += fmt.Sprintf("#%d", v.count)
	}
	return turn
}

// label is what messages call the node.
func (v *visit) label() string {
	if v.node.name != "" {
		return v.node.name
	}
	return v.node.path()
}

func (v *visit) eval(x *expression, prev any, more object) any {
	return x.value(&scene{v, prev, more})
}

func (v *visit) test(x *expression, prev any, more object) bool { return v.eval(x, prev, more).(bool) }

// file runs a file whose root the visit is: the root, then what gives its output, then what runs finally.
func (v *visit) file() ending {
	o := v.enter()
	o.skipped = false
	if len(o.failed) == 0 && v.node.output != nil {
		o.value = v.eval(v.node.output, o.value, nil)
	}
	if v.node.finally == nil {
		return o
	}
	status, why, prev := "completed", any(nil), o.value
	if len(o.failed) > 0 {
		status, why, prev = "failed", o.failed[0].value(), nil
	}
	before := len(v.leaves)
	last := v.begin(v.node.finally, prev, object{"status": status, "error": why}).enter()
	v.tooLong = v.tooLong || len(v.leaves)-before > 10
	if len(o.failed) == 0 {
		o.failed = last.failed
	}
	return o
}

// enter runs the visit and notes how it ended.
func (v *visit) enter() ending {
	n := v.node
	if n.when != nil && !v.test(n.when, v.prev, nil) {
		v.settle("skipped", nil, nil, skipped)
		return ending{value: v.prev, skipped: true}
	}
	if n.kind == "loop" || n.kind == "graph" { // entered anew, they forget; their own rounds do not
		v.names.forget(n.namesBelow())
	}
	o := v.perform()
	var caught any
	continues := n.continues && !n.isFan()
	if len(o.failed) > 0 && (continues || n.catch != nil) { // only what fails in one way is absorbed
		f := o.failed[0]
		caught = f.value()
		if continues {
			v.forgave++
			v.settle("failed", nil, caught, failed(f))
			return succeeded(nil)
		}
		o = v.begin(n.catch, v.prev, object{"error": caught}).enter()
		o = ending{value: o.result(), failed: o.failed}
	}
	if len(o.failed) > 0 {
		v.settle("failed", nil, o.failed[0].value(), failed(o.failed[0]))
		return o
	}
	v.tooLong = v.tooLong || len(v.leaves) > v.most || len(asJSON(o.value)) > 20_000
	v.settle("completed", o.value, caught, completed(o.value))
	return o
}

func (v *visit) settle(status string, output, caught any, how string) {
	if v.node.name != "" {
		v.names.set(v.node.name, object{"status": status, "output": output, "error": caught, "visits": v.count})
	}
	v.told[v.turn()] = how
}

func (v *visit) perform() ending {
	n := v.node
	if v.tooLong {
		return succeeded(nil)
	}
	switch n.kind {
	case "chain":
		return v.sequence(v.prev, nil)
	case "parallel":
		return v.parallel()
	case "for_each":
		return v.forEach()
	case "route":
		return v.route()
	case "loop":
		return v.loop()
	case "graph":
		return v.graph()
	case "flow":
		return v.flow()
	}
	v.leaves[v.turn()] = true
	switch n.kind {
	case "set":
		if out := v.eval(n.value, v.prev, nil); out != broken {
			return succeeded(out)
		}
		return v.fail("expression", "index out of range: 1 (array length is 1)")
	case "wait", "approve":
		if n.strikes {
			return v.late()
		}
		return succeeded(v.prev)
	case "fail":
		return v.fail("fail", asText(v.eval(n.value, v.prev, nil)))
	case "exec", "http":
		return succeeded(strings.TrimRight(asText(v.eval(n.value, v.prev, nil)), "\r\n"))
	}
	return v.agent()
}

// late is what a timeout makes of a leaf.
func (v *visit) late() ending {
	return v.fail("timeout", "it did not end within its timeout of "+v.node.timeout)
}

// agent tries until the mock does not fail, and asks again for a reply of another shape.
func (v *visit) agent() ending {
	n, m := v.node, v.node.mock()
	tries, written := n.tries()
	passes := slices.Contains([]string{"rate_limit", "server", "timeout", "network"}, m.failure)
	if n.strikes && !written || !n.strikes && !passes { // a timeout of its own is tried again where that is written
		tries = 1
	}
	if n.strikes {
		v.calls += tries
		return v.late()
	}
	v.asked = min(m.fails, tries)
	v.calls += v.asked
	if v.asked == tries {
		return v.fail(m.failure, "the mock fails as told: "+m.failure)
	}
	prompt := v.prev
	switch {
	case n.value != nil:
		prompt = v.eval(n.value, v.prev, nil)
	case n.uses != nil && n.uses.value != nil:
		prompt = v.eval(n.uses.value, v.prev, nil)
	}
	text := ""
	if prompt != nil {
		text = asText(prompt)
	}
	for {
		v.asked++
		v.calls++
		reply, call := text, v.repeats()+v.asked
		if m.replies != nil {
			reply = asText(v.eval(&m.replies[min(call, len(m.replies))-1], v.prev, object{"prompt": text, "call": call}))
		}
		if out, ok := v.accept(reply); ok {
			return succeeded(out)
		}
	}
}

// accept takes a reply that has the right shape.
func (v *visit) accept(reply string) (any, bool) {
	switch {
	case v.node.shaped():
		var s struct {
			N int
			S string
		}
		err := json.Unmarshal([]byte(reply), &s)
		return object{"n": s.N, "s": s.S}, err == nil
	case v.up != nil && v.up.node.classifier == v.node:
		key := strings.TrimSpace(reply)
		return key, slices.Contains(v.up.node.keys, key)
	}
	return reply, true
}

// repeats are the visits beyond the first, of the node and of those around it up to the nearest item or file.
func (v *visit) repeats() int {
	n := 0
	for at := v; at != nil; at = at.up {
		n += at.count - 1
		if at.item != none || at.up != nil && at.up.node.kind == "flow" && at.node != at.up.node.catch {
			break
		}
	}
	return n
}

func (v *visit) sequence(prev any, more object) ending {
	for _, n := range v.node.nodes {
		o := v.begin(n, prev, more).enter()
		if len(o.failed) > 0 {
			return o
		}
		prev = o.value
	}
	return succeeded(prev)
}

func (v *visit) loop() ending {
	n, prev := v.node, v.prev
	for i := 1; ; i++ {
		iteration := object{"iteration": i}
		if n.while != nil && !v.test(n.while, prev, iteration) {
			return succeeded(prev)
		}
		if n.most > 0 && i > n.most {
			break
		}
		o := v.sequence(prev, iteration)
		if len(o.failed) > 0 {
			return o
		}
		prev = o.value
		if n.until != nil && v.test(n.until, prev, iteration) || v.tooLong {
			return o
		}
	}
	why := "until never held"
	if n.while != nil {
		why = "while still held"
	}
	if n.lenient || n.until == nil && n.while == nil {
		return succeeded(prev)
	}
	return v.fail("fail", fmt.Sprintf("reached max_iterations=%d and %s", n.most, why))
}

func (v *visit) route() ending {
	n := v.node
	var key string
	if n.classifier == nil {
		key = asText(v.eval(n.value, v.prev, nil))
	} else {
		o := v.begin(n.classifier, v.prev, nil).enter()
		if len(o.failed) > 0 {
			return o
		}
		key = asText(o.result())
	}
	chosen := n.otherwise
	if i := slices.Index(n.keys, key); i >= 0 {
		chosen = n.nodes[i]
	}
	if chosen == nil {
		return v.fail("fail", fmt.Sprintf("no case for %q, and no default; the cases are %s", key, strings.Join(n.keys, ", ")))
	}
	o := v.begin(chosen, v.prev, nil).enter()
	return ending{value: o.result(), failed: o.failed}
}

// flow runs the root of another file, which has names of its own.
func (v *visit) flow() ending {
	params := object{"k": "unset"}
	if v.node.value != nil {
		params["k"] = v.eval(v.node.value, v.prev, nil)
	}
	root := v.begin(v.node.nodes[0], v.prev, nil)
	root.names, root.locals, root.input, root.params = newNames(), nil, v.prev, params
	return root.file()
}

func (v *visit) parallel() ending {
	var branches []*visit
	for _, n := range v.node.nodes {
		branches = append(branches, v.begin(n, v.prev, nil))
	}
	return v.fanOut(branches, object{})
}

func (v *visit) forEach() ending {
	list := v.eval(v.node.value, v.prev, nil).([]any)
	if size := v.node.batch; size > 0 {
		batches := []any{}
		for b := range slices.Chunk(list, size) {
			batches = append(batches, b)
		}
		list = batches
	}
	do := v.node.nodes[0]
	var items []*visit
	for i, item := range list {
		each := v.begin(do, item, object{v.node.item(): item, "index": i})
		each.item, each.count = i, 1
		each.names = &names{up: v.names, own: do.names(), results: object{}}
		items = append(items, each)
	}
	return v.fanOut(items, object{"items": list})
}

// fan is what comes of the branches of a visit.
type fan struct {
	*visit
	wanted  int // successes that are enough, none: all
	results []any
	errors  []any
	causes  []*failure // of those that failed, by branch
	won     []any      // of those that succeeded
	skipped int
}

// fanOut runs one branch after another. Where several may run at once, each that fails may be the first to fail.
func (v *visit) fanOut(branches []*visit, more object) ending {
	n := v.node
	f := &fan{v, none, make([]any, len(branches)), make([]any, len(branches)), make([]*failure, len(branches)), nil, 0}
	switch w := n.waitFor.(type) {
	case string:
		f.wanted = 1
		if w == "majority" {
			f.wanted = len(branches)/2 + 1
		}
	case int:
		f.wanted = w
	}
	if f.wanted > len(branches) {
		v.names.forget(n.namesBelow()) // a fan-out that failed exports nothing
		return v.fail("fail", fmt.Sprintf("wait_for: %v can never be reached with %d branches", n.waitFor, len(branches)))
	}
	alone := n.inOrder || n.atOnce == 1
	var fatal []failure
	var losers []string
	for i, b := range branches {
		if n.inOrder {
			b.locals["done"] = slices.Clone(f.results[:i])
		}
		o := b.enter()
		switch {
		case o.skipped:
			f.skipped++
		case len(o.failed) == 0:
			f.results[i] = o.value
			f.won = append(f.won, o.value)
		case n.continues, n.waitFor != nil:
			f.causes[i], f.errors[i] = &o.failed[0], o.failed[0].value()
			if n.continues {
				f.results[i] = "ERROR: " + o.failed[0].message
			}
		default:
			fatal = append(fatal, o.failed...)
		}
		if n.kind == "parallel" && (o.skipped || len(o.failed) > 0) {
			losers = append(losers, b.node.names()...)
		}
		if len(f.won) == f.wanted {
			v.names.forget(losers)
			break
		}
		if alone {
			fatal = append(fatal, f.lost()...)
		}
		if alone && len(fatal) > 0 {
			break
		}
	}
	if !alone {
		fatal = append(fatal, f.lost()...)
	}
	if len(fatal) > 0 {
		v.names.forget(n.namesBelow())
		return failing(fatal...)
	}
	v.forgave += f.failures()
	switch {
	case n.merge != nil:
		more["results"], more["errors"] = f.results, f.errors
		return succeeded(v.eval(n.merge, v.prev, more))
	case n.waitFor == "first":
		return succeeded(f.won[0])
	case n.waitFor != nil:
		return succeeded(f.won)
	}
	return succeeded(f.results)
}

func (f *fan) failures() int {
	n := 0
	for _, c := range f.causes {
		if c != nil {
			n++
		}
	}
	return n
}

// lost are the failures of the whole with one of which it ends because too many branches failed.
func (f *fan) lost() []failure {
	n, count := f.node, f.failures()
	switch {
	case n.bears != nil && count > *n.bears:
		var ways []failure
		for _, first := range some(f.causes, *n.bears+1) {
			ways = append(ways, f.all(first, "more branches failed than max_failures=%d allows", *n.bears))
		}
		return ways
	case f.wanted != none && len(f.causes)-count-f.skipped < f.wanted:
		return []failure{f.all(f.causes, "wait_for: %v can no longer be reached, %d of %d branches failed", n.waitFor, count, len(f.causes))}
	}
	return nil
}

// all lists causes, in the order of the branches.
func (f *fan) all(causes []*failure, format string, args ...any) failure {
	message, separator, kind := fmt.Sprintf(format, args...), ": ", ""
	for _, c := range causes {
		if c == nil {
			continue
		}
		message += separator + c.who() + ": " + c.message
		separator = "; "
		if kind == "" || kind == c.kind {
			kind = c.kind
		} else {
			kind = "fail"
		}
	}
	return f.fail(cmp.Or(kind, "fail"), message).failed[0]
}

// some are all choices of k of the causes.
func some(causes []*failure, k int) [][]*failure {
	switch {
	case k == 0:
		return [][]*failure{nil}
	case len(causes) == 0:
		return nil
	}
	ways := some(causes[1:], k)
	if causes[0] != nil {
		for _, rest := range some(causes[1:], k-1) {
			ways = append(ways, append([]*failure{causes[0]}, rest...))
		}
	}
	return ways
}

// names are the latest results of named nodes: of a file, of an item, or on one way through a graph.
type names struct {
	up      *names
	own     []string // those that are kept here, all where there is nothing above
	results object
}

func newNames() *names { return &names{results: object{}} }

// keeper is where the result of a name is kept.
func (n *names) keeper(name string) object {
	for n.up != nil && !slices.Contains(n.own, name) {
		n = n.up
	}
	return n.results
}

func (n *names) get(name string) any         { return n.keeper(name)[name] }
func (n *names) set(name string, result any) { n.keeper(name)[name] = result }

func (n *names) forget(all []string) {
	for _, name := range all {
		delete(n.keeper(name), name)
	}
}
