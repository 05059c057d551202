package nodes

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/flowrun/flowrun/engine"
	"github.com/flowrun/flowrun/spec"
)

// What parallel and for_each share: how many run at once, what a failure means, and what comes out.

func fanOutFields(locals []spec.Local) []spec.Field {
	return []spec.Field{
		{Name: "merge", Form: spec.Code{}, Moment: spec.AfterChildren, Locals: locals, Summary: "the output, from those of the branches; without it their list"},
		{Name: "max_concurrency", Form: spec.Whole{Min: 1}, Summary: "whole branches at once; without it limits.max_concurrency"},
		{Name: "wait_for", Form: spec.OneOf{spec.Word{Of: []string{"all", "first", "majority"}}, spec.Whole{Min: 1}}, Default: "all",
			Summary: "how many successes complete it; the others are cancelled then"},
		{Name: "on_error", Form: spec.Word{Of: []string{"fail", "continue"}}, Default: "fail",
			Summary: "with continue every branch runs, and a failed one leaves the text ERROR: and its message"},
		{Name: "max_failures", Form: spec.Whole{}, Summary: "more failures than this fail it; only with on_error: continue"},
	}
}

func checkFanOut(n *spec.Node, branches int, problem func(field, hint, message string)) {
	forgives := n.Text("on_error") == "continue"
	if n.Has("max_failures") && !forgives {
		problem("max_failures", "add on_error: continue", "max_failures needs on_error: continue: without it the first failure fails the whole")
	}
	if races(n) && forgives {
		problem("wait_for", "", "wait_for and on_error: continue do not go together: a failure counts already, and is not fatal until enough successes are impossible")
	}
	if want := n.Int("wait_for"); branches > 0 && want > branches {
		problem("wait_for", "", fmt.Sprintf("wait_for: %d can never be reached with %d branches", want, branches))
	}
}

// races tells whether less than all successes will do.
func races(n *spec.Node) bool { return n.Int("wait_for") > 0 || n.Text("wait_for") != "all" }

// forgiving tells whether an entry may hold something else than its branch's output.
func forgiving(n *spec.Node) bool { return races(n) || n.Text("on_error") == "continue" }

// resultsOf is the type of the aligned list.
func resultsOf(entry func(*spec.Node) spec.Type) func(*spec.Node) spec.Type {
	return func(n *spec.Node) spec.Type {
		if n == nil || forgiving(n) {
			return spec.ListOf(spec.Any)
		}
		return spec.ListOf(entry(n))
	}
}

// fanOutType is the type of the whole's output.
func fanOutType(entry func(*spec.Node) spec.Type) func(*spec.Node) spec.Type {
	return func(n *spec.Node) spec.Type {
		switch {
		case n.Expr("merge") != nil:
			return n.Expr("merge").Type()
		case n.Text("wait_for") == "first":
			return entry(n)
		case n.Text("on_error") == "continue":
			return spec.ListOf(spec.Any)
		}
		return spec.ListOf(entry(n))
	}
}

// wanted is how many successes of n complete a fan-out.
func wanted(node *spec.Node, n int) int {
	switch node.Text("wait_for") {
	case "first":
		return 1
	case "majority":
		return n/2 + 1
	}
	if k := node.Int("wait_for"); k > 0 {
		return k
	}
	return n
}

// needed is how many of n branches must run, if nothing fails.
func needed(node *spec.Node, n int) int { return min(wanted(node, n), n) }

// leastOf is what a fan-out needs of the steps that its branches need.
func leastOf(n *spec.Node, each []int) int {
	each = slices.Clone(each)
	slices.Sort(each)
	sum := 0
	for _, e := range each[:needed(n, len(each))] {
		sum += e
	}
	return sum
}

// fanOut is what a node says of how its branches run together.
type fanOut struct {
	node     *spec.Node
	merge    *spec.Expr
	atOnce   int // 0: as many as the run allows
	inOrder  bool
	races    bool
	first    bool
	forgives bool
}

func newFanOut(n *spec.Node) *fanOut {
	return &fanOut{node: n, merge: n.Expr("merge"), atOnce: n.Int("max_concurrency"), races: races(n),
		first: n.Text("wait_for") == "first", forgives: n.Text("on_error") == "continue"}
}

// gathering is what comes of the branches in one visit: lists in their order.
type gathering struct {
	*fanOut
	wanted  int
	outputs []any
	errors  []any
	won     []int // the branches that succeeded, as they ended
	skipped int
	causes  map[int]*engine.Error // of the branches that failed
}

// run runs n branches. job gives one of them; it may read the outputs of those before it where they run in order.
func (f *fanOut) run(v *engine.Visit, n int, job func(i int, sofar []any) engine.Job) (*gathering, error) {
	g := &gathering{fanOut: f, wanted: wanted(f.node, n), outputs: make([]any, n), errors: make([]any, n), causes: map[int]*engine.Error{}}
	if g.wanted > n {
		return nil, g.failed("wait_for: %s can never be reached with %d branches", f.waiting(), n)
	}
	next := 0
	jobs := engine.Jobs{
		AtOnce:  f.atOnce,
		Strict:  f.atOnce > 0,
		InOrder: f.inOrder,
		Next: func() (engine.Job, bool) {
			if next == n {
				return engine.Job{}, false
			}
			j := job(next, g.outputs[:next:next])
			j.Key = next
			next++
			return j, true
		},
		Ended: g.ended,
	}
	if jobs.AtOnce == 0 {
		jobs.AtOnce = v.Concurrency()
	}
	if err := v.Together(jobs); err != nil {
		return nil, err
	}
	for range g.causes {
		v.Forgive()
	}
	return g, nil
}

// ended takes in how a branch ended, and says when that decides the whole.
func (g *gathering) ended(j engine.Job, o engine.Outcome) error {
	switch {
	case o.Skipped:
		g.skipped++
	case o.Err == nil:
		g.outputs[j.Key] = o.Value
		if g.won = append(g.won, j.Key); g.races && len(g.won) == g.wanted {
			return engine.ErrEnough
		}
	case !g.races && !g.forgives:
		return o.Err
	default:
		g.causes[j.Key] = o.Err
		g.errors[j.Key] = map[string]any{"message": o.Err.Message, "kind": string(o.Err.Kind), "node": o.Err.Node}
		if g.forgives {
			g.outputs[j.Key] = "ERROR: " + o.Err.Message
		}
	}
	return g.lost()
}

// lost tells whether there were too many failures.
func (g *gathering) lost() error {
	n := len(g.outputs)
	if most := g.node.Int("max_failures"); g.node.Has("max_failures") && len(g.causes) > most {
		return g.failed("more branches failed than max_failures=%d allows", most)
	}
	if g.races && n-len(g.causes)-g.skipped < g.wanted {
		return g.failed("wait_for: %s can no longer be reached, %d of %d branches failed", g.waiting(), len(g.causes), n)
	}
	return nil
}

// waiting is wait_for as it is written.
func (f *fanOut) waiting() string {
	if k := f.node.Int("wait_for"); k > 0 {
		return fmt.Sprint(k)
	}
	return f.node.Text("wait_for")
}

// maxCauses is how many causes a message lists; the rest are counted.
const maxCauses = 100

// failed lists the causes, in the order of the branches. Its kind is theirs where they agree.
func (g *gathering) failed(format string, args ...any) error {
	kinds := map[engine.ErrorKind]bool{}
	var causes []string
	kind := engine.Fail
	for n, i := range slices.Sorted(maps.Keys(g.causes)) {
		c := g.causes[i]
		kind, kinds[c.Kind] = c.Kind, true
		if n < maxCauses {
			causes = append(causes, c.Who()+": "+c.Message)
		}
	}
	if len(kinds) > 1 {
		kind = engine.Fail
	}
	message := fmt.Sprintf(format, args...)
	if len(causes) > 0 {
		message += ": " + strings.Join(causes, "; ")
	}
	if more := len(g.causes) - len(causes); more > 0 {
		message += fmt.Sprintf("; and %d more", more)
	}
	return &engine.Error{Kind: kind, Message: message}
}

// merged is the output of the whole.
func (g *gathering) merged(v *engine.Visit, more ...engine.Local) (any, error) {
	switch {
	case g.merge != nil:
		locals := append([]engine.Local{{Name: "results", Value: g.outputs}, {Name: "errors", Value: g.errors}}, more...)
		return v.Eval(g.merge, v.Prev(), locals...)
	case g.first:
		return g.outputs[g.won[0]], nil
	case g.races:
		slices.Sort(g.won)
		list := make([]any, len(g.won))
		for i, k := range g.won {
			list[i] = g.outputs[k]
		}
		return list, nil
	}
	return g.outputs, nil
}
