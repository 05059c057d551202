package engine

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/flowrun/flowrun/spec"
)

// InvalidError says that a run could not begin: its input, its parameters or what its agents need is not right.
// Nothing ran.
type InvalidError struct {
	Wrong   []string // what was given and does not fit
	Missing []string // what was not given: the input, parameters, keys
}

func (e *InvalidError) Error() string { return strings.Join(slices.Concat(e.Wrong, e.Missing), "\n") }

// orNil is the error, if it says anything.
func (e *InvalidError) orNil() error {
	if len(e.Wrong)+len(e.Missing) == 0 {
		return nil
	}
	return e
}

// PermissionError lists what a pipeline needs and the user did not allow. Nothing ran.
type PermissionError struct{ Needs []spec.Need }

func (e *PermissionError) Error() string {
	return strings.Join(append([]string{"the pipeline needs what was not allowed:"}, ListNeeds(e.Needs)...), "\n")
}

// Check says what would keep a run from beginning, as [Run] would, without beginning it.
func Check(g *Graph, input any, opts ...Option) error {
	return newRun(g, opts).prepare(input)
}

// CheckAll says what would keep all runs from beginning, whatever their inputs are.
func CheckAll(g *Graph, opts ...Option) error {
	r := newRun(g, opts)
	r.anyInput = true
	return r.prepare(nil)
}

// Accepts says what of an input does not fit what the graph takes; [Run] would refuse it.
func (g *Graph) Accepts(input any) error {
	invalid := &InvalidError{}
	accept(g.root.pipeline, input, invalid)
	return invalid.orNil()
}

// prepare finds, before anything runs, what would keep the run from succeeding.
func (r *run) prepare(input any) error {
	p := r.graph.root.pipeline
	needs := p.Needs()
	if r.replay != nil {
		needs = slices.DeleteFunc(slices.Clone(needs), outside)
	}
	if missing := r.grants.missing(needs); len(missing) > 0 {
		return &PermissionError{missing}
	}
	if err := r.rewind(); err != nil {
		return err
	}
	invalid := &InvalidError{}
	if !r.anyInput {
		r.input = accept(p, input, invalid)
	}
	r.params = complete(p, r.params, invalid)
	invalid.Missing = append(invalid.Missing, r.graph.unready()...)
	invalid.Missing = append(invalid.Missing, r.graph.unpriced(r.pool.money())...)
	invalid.Missing = append(invalid.Missing, r.unanswerable()...)
	if err := invalid.orNil(); err != nil {
		return err
	}
	r.environment()
	r.stream.mask = newMask(r.secrets)
	r.rows = make([]*Named, len(r.graph.root.listed))
	return nil
}

// rewind makes the run the one that is replayed, where it is not given to be another.
func (r *run) rewind() error {
	if r.replay == nil {
		return nil
	}
	recorded, err := r.replay.Begin(r.graph.root.pipeline.Name)
	if err != nil {
		return err
	}
	r.info = Info{cmp.Or(r.info.ID, recorded.ID), cmp.Or(r.info.UserID, recorded.UserID), cmp.Or(r.info.SessionID, recorded.SessionID), recorded.StartedAt}
	return nil
}

// accept is the input as the pipeline takes it.
func accept(p *spec.Pipeline, input any, invalid *InvalidError) any {
	value, err := spec.Canonical(input)
	if err != nil {
		invalid.Wrong = append(invalid.Wrong, fmt.Sprintf("the input is no JSON value: %v", err))
		return nil
	}
	value, err = taken(p, value)
	switch {
	case err != nil && value == nil:
		invalid.Missing = append(invalid.Missing, fmt.Sprintf("the input is missing: %v", err))
	case err != nil:
		invalid.Wrong = append(invalid.Wrong, err.Error())
	}
	return value
}

// taken is an input as a file takes it: nil is its default. The error says what does not fit.
func taken(p *spec.Pipeline, input any) (any, error) {
	if p.Input == nil {
		return input, nil
	}
	if fallback, ok := p.Input.Default(); ok && input == nil {
		input = fallback
	}
	return input, p.Input.Check("input", input)
}

// complete is parameters with their defaults.
func complete(p *spec.Pipeline, given map[string]any, invalid *InvalidError) map[string]any {
	params := make(map[string]any, len(p.Params))
	var names []string
	for _, param := range p.Params {
		names = append(names, param.Name)
		v, ok := given[param.Name]
		switch {
		case !ok && !param.HasDefault:
			invalid.Missing = append(invalid.Missing, fmt.Sprintf("the param %s is missing", param.Name))
			continue
		case !ok:
			v = param.Default
		}
		v, err := spec.Canonical(v)
		if err == nil {
			err = param.Schema.Check(param.Name, v)
		}
		if err != nil {
			invalid.Wrong = append(invalid.Wrong, fmt.Sprintf("the param %s does not fit: %v", param.Name, err))
		}
		params[param.Name] = v
	}
	for _, name := range slices.Sorted(maps.Keys(given)) {
		if !slices.Contains(names, name) {
			invalid.Wrong = append(invalid.Wrong, fmt.Sprintf("the pipeline has no param %q%s", name, spec.DidYouMean(name, names)))
		}
	}
	return params
}

// environment looks up the variables that the files declare. One that is not set is nil.
func (r *run) environment() {
	r.env = map[string]any{}
	for _, u := range r.graph.units {
		for _, name := range slices.Concat(u.pipeline.Env(), u.pipeline.Secrets()) {
			if v, ok := r.environ(name); ok {
				r.env[name] = strings.ToValidUTF8(v, "\uFFFD")
			}
		}
		for _, name := range u.pipeline.Secrets() {
			if v, ok := r.environ(name); ok {
				r.secrets = append(r.secrets, v)
			} else if r.replay != nil {
				r.env[name] = "***" // nobody sees it
			}
		}
	}
}

// unready asks every node whether it has what it needs to run.
func (g *Graph) unready() []string {
	seen := map[string]bool{}
	var problems []string
	for _, u := range g.units {
		for _, vx := range u.vertices {
			if vx.body.Ready == nil {
				continue
			}
			if err := vx.body.Ready(); err != nil && !seen[err.Error()] {
				seen[err.Error()] = true
				problems = append(problems, fmt.Sprintf("%s: %v", vx.node.Pos, err))
			}
		}
	}
	slices.Sort(problems)
	return problems
}

// unpriced are the models of nodes within a budget of money that have no known price: what they cost could not be
// counted. around tells that all of the graph is within one.
func (g *Graph) unpriced(around bool) []string {
	seen := map[*unit]bool{}
	var problems []string
	var check func(u *unit, budgeted bool)
	check = func(u *unit, budgeted bool) {
		budgeted = budgeted || u.limits.budget.Cost > 0
		if done, ok := seen[u]; ok && (done || !budgeted) {
			return
		}
		seen[u] = budgeted
		for _, vx := range u.vertices {
			for _, p := range vx.includes {
				check(g.units[p], budgeted)
			}
			if budgeted || vx.body.Allowance.Cost > 0 {
				for _, model := range vx.body.Unpriced {
					problems = append(problems, fmt.Sprintf(
						"%s: the price of %s is not known, and budget.usd needs one (write it under models, or give --prices)", vx.node.Pos, model))
				}
			}
		}
	}
	check(g.root, around)
	slices.Sort(problems)
	return slices.Compact(problems)
}
