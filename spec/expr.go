package spec

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"sync"

	"github.com/expr-lang/expr/vm"
)

// Expr is something in a file that is worked out when the pipeline runs: an expression, a text with ${{ }}, or data
// that holds such texts. It does not change and many runs may evaluate it at once.
type Expr struct {
	Pos   Pos
	form  exprForm
	tree  *tree
	want  Type
	node  *Node    // whose field it is; nil in the header
	under []*Field // from the node's or header's own field inwards
	lines *lines   // of its file

	declares *declares // whose params it reads; nil: the file's

	insert func(before, text string) string // of its [Template]

	apart bool    // its parts are wanted
	parts []*Expr // of code, what its outermost operator joins
	op    string  // that operator, or the function that is called

	source string // of code and templates
	typ    Type
	root   term
	spends bool     // a part of it needs a budget
	kept   bool     // its value is a part of what it reads
	names  []string // what it reads, sorted, steps left out
	steps  []string // the steps that it reads, sorted
}

type exprForm uint8

const (
	codeForm exprForm = iota
	templateForm
	dataForm
)

// Env is what expressions read.
type Env interface {
	// Value is what a name stands for now, nil where that is nothing.
	Value(name string) any
	// Step is what steps.NAME stands for now, nil while the node has no result.
	Step(name string) any
}

// Values is an [Env] that is data: the names, and under "steps" what is known of nodes by name.
type Values map[string]any

// Value gives a name's value.
func (v Values) Value(name string) any { return v[name] }

// Step gives what is known of a node.
func (v Values) Step(name string) any {
	steps, _ := v["steps"].(map[string]any)
	return steps[name]
}

// Collect gathers from env what some expressions read, so that they can be evaluated elsewhere or later; nil where they
// read nothing.
func Collect(env Env, names, steps []string) Values {
	if len(names) == 0 && len(steps) == 0 {
		return nil
	}
	vars := make(Values, len(names)+1)
	vars.collect(env, names, steps)
	return vars
}

func (v Values) collect(env Env, names, steps []string) {
	for _, n := range names {
		v[n] = env.Value(n)
	}
	if len(steps) > 0 {
		results := make(map[string]any, len(steps))
		for _, n := range steps {
			results[n] = env.Step(n)
		}
		v["steps"] = results
	}
}

// Type is what is known of the value.
func (x *Expr) Type() Type { return x.typ }

// Reads lists the names and the steps that the value depends on, each sorted.
func (x *Expr) Reads() (names, steps []string) { return x.names, x.steps }

// Source is an expression or a template as it is written; empty for data.
func (x *Expr) Source() string { return x.source }

// Written is data as the file writes it, before anything is worked out; plain tells whether it holds no expression. It is
// for [Shape.Check].
func (x *Expr) Written() (v any, plain bool) { return x.tree.data(), !x.tree.templated() }

// Constant is the value of a text or of data that holds no expression.
func (x *Expr) Constant() (any, bool) {
	c, ok := x.root.(constant)
	return c.value, ok
}

// Prefix is the text before the first expression in a template; whole tells whether that is all of it.
func (x *Expr) Prefix() (text string, whole bool) {
	switch t := x.root.(type) {
	case constant:
		return AsText(t.value), true
	case template:
		if c, ok := t.parts[0].(constant); ok {
			return AsText(c.value), false
		}
	}
	return "", false
}

// EvalError is an expression that failed when it ran.
type EvalError struct {
	Pos     Pos
	Message string
	Limit   bool // it reached a bound on what an expression may take
}

func (e *EvalError) Error() string { return e.Message }

// Eval works out the value, canonical. It takes at most what docs/expressions.md says. Its error is an [*EvalError].
func (x *Expr) Eval(env Env) (v any, err error) {
	if c, ok := x.root.(constant); ok {
		return c.value, nil
	}
	if v, err = x.eval(env); err != nil {
		return nil, x.fail(err)
	}
	if !x.want.admits(v) {
		return nil, x.fail(fmt.Errorf("it must give %s, not %s", x.want, show(v)))
	}
	return v, nil
}

// scratch is maps for what an evaluation reads: no value keeps them, and making them is much of what a small expression
// would cost.
var scratch = sync.Pool{New: func() any { return Values{} }}

func (x *Expr) eval(env Env) (any, error) {
	e := &evaluation{}
	given, whole := env.(Values)
	if whole && !x.spends {
		e.vars = given
	} else {
		vars := scratch.Get().(Values)
		defer func() { clear(vars); scratch.Put(vars) }()
		if whole {
			maps.Copy(vars, given)
		} else {
			vars.collect(env, x.names, x.steps)
		}
		e.vars = vars
	}
	if x.spends {
		e.budget = newBudget()
		e.vars[budgetName] = e.budget
	}
	v, err := x.root.eval(e)
	switch {
	case err != nil:
		return nil, err
	case x.kept:
		return Canonical(v)
	}
	return bounded(v)
}

// bounded makes a value canonical that is not larger than a value may be.
func bounded(v any) (any, error) {
	c := canon{left: maxResult, each: valueSize, depth: maxLevels, full: errResult}
	return c.value(v)
}

// fail puts the place into an error, once.
func (x *Expr) fail(err error) error {
	var at *EvalError
	if errors.As(err, &at) {
		return at
	}
	return evalError(x.Pos, err, err.Error())
}

func evalError(at Pos, err error, message string) *EvalError {
	var limit *limitError
	return &EvalError{at, message, errors.As(err, &limit)}
}

// evaluation is one working out of an [Expr].
type evaluation struct {
	vars   map[string]any
	budget *budget
}

// term is a part of an [Expr].
type term interface {
	eval(e *evaluation) (any, error)
}

type constant struct{ value any }

func (c constant) eval(*evaluation) (any, error) { return c.value, nil }

// code is one compiled expression.
type code struct {
	pos Pos
	program
}

func (c code) eval(e *evaluation) (any, error) {
	machine := vm.VM{MemoryBudget: math.MaxUint} // it counts entries; the budget knows how large they are
	v, err := machine.Run(c.code, e.vars)
	if err != nil {
		return nil, evalError(c.pos, err, explain(err))
	}
	return v, nil
}

// template is text with expressions between.
type template struct {
	parts  []term
	insert func(before, text string) string // nil: as it is
}

func (t template) eval(e *evaluation) (any, error) {
	var b strings.Builder
	for _, part := range t.parts {
		v, err := part.eval(e)
		if err != nil {
			return nil, err
		}
		if v, err = bounded(v); err != nil {
			return nil, err
		}
		s := AsText(v)
		if _, literal := part.(constant); t.insert != nil && !literal {
			s = t.insert(b.String(), s)
		}
		if b.Len()+len(s) > maxResult {
			return nil, errResult
		}
		b.WriteString(s)
	}
	return b.String(), nil
}

type listTerm []term

func (l listTerm) eval(e *evaluation) (any, error) {
	out := make([]any, len(l))
	for i, part := range l {
		var err error
		if out[i], err = part.eval(e); err != nil {
			return nil, err
		}
	}
	return out, nil
}

type objectTerm struct {
	keys  []string
	parts []term
}

func (o objectTerm) eval(e *evaluation) (any, error) {
	out := make(map[string]any, len(o.keys))
	for i, part := range o.parts {
		v, err := part.eval(e)
		if err != nil {
			return nil, err
		}
		out[o.keys[i]] = v
	}
	return out, nil
}

// compile makes the expression ready to run, within what a scope lets it read.
func (x *Expr) compile(with *compiler, s *scope) {
	s.reads = reads{}
	switch x.form {
	case codeForm:
		x.root, x.typ = x.code(with, s, x.tree.text, x.tree.start(x.lines))
	case templateForm:
		x.root, x.typ = x.template(with, s, x.tree)
	case dataForm:
		x.root, x.typ = x.data(with, s, x.tree), typeOfData(x.tree)
	}
	c, whole := x.root.(code)
	x.kept = whole && c.kept
	x.names, x.steps = s.reads.sorted()
	x.source = x.tree.text
	if x.apart && whole {
		x.takeApart(with, s)
	}
	x.tree, x.lines = nil, nil
}

func (x *Expr) code(c *compiler, s *scope, src string, at Pos) (term, Type) {
	p, typ, problem := c.compile(src, s)
	if problem == nil && !fits(typ, x.want) {
		problem = &exprProblem{message: fmt.Sprintf("%s must give %s, not %s", x.under[len(x.under)-1].Name, x.want, typ)}
	}
	if problem != nil {
		problem = cmp.Or(s.hyphen(src), problem)
		if problem.hint == "" && problem.syntax && x.tree.plain && x.tree.comment != "" {
			problem.hint = "YAML reads \" #\" as the start of a comment; quote the expression"
		}
		s.report(at, problem.hint, problem.message)
		return constant{}, Any
	}
	x.spends = x.spends || p.spends
	return code{at, p}, typ
}

func fits(typ, want Type) bool {
	return want.base == anyBase || typ.base == anyBase || typ.base == want.base || want.base == numberBase && typ.base == integerBase
}

// template compiles a text. One that is a single ${{ }} gives the expression's own value.
func (x *Expr) template(c *compiler, s *scope, t *tree) (term, Type) {
	parts, err := splitTemplate(t.text)
	places := t.marks(x.lines)
	if err != nil {
		hint := ""
		if t.plain && t.comment != "" {
			hint = "YAML reads \" #\" as the start of a comment; quote the text"
		}
		at := t.start(x.lines)
		if strings.Contains(t.text, "\n") && err.mark < len(places) { // the start of many lines would say little
			at = places[err.mark]
		}
		s.report(at, hint, err.message)
		return constant{}, Any
	}
	var out []term
	for _, p := range parts {
		if !p.code {
			out = append(out, constant{p.text})
			continue
		}
		at := t.Pos
		if p.mark < len(places) {
			at = places[p.mark]
		}
		part, typ := x.code(c, s, p.text, at)
		if len(parts) == 1 {
			return part, typ
		}
		out = append(out, part)
	}
	if len(out) == 0 {
		return constant{""}, String
	}
	if len(out) == 1 {
		return out[0], String
	}
	return template{out, x.insert}, String
}

// data compiles a list or mapping. Parts without expressions stay as they are.
func (x *Expr) data(c *compiler, s *scope, t *tree) term {
	switch {
	case t.form == listForm:
		out := make(listTerm, len(t.items))
		for i, item := range t.items {
			out[i] = x.data(c, s, item)
		}
		return out.folded()
	case t.form == mappingForm && t.braces:
		s.report(t.Pos, "YAML reads {{ }} as a mapping; write ${{ }}", "a mapping cannot be a key")
		return constant{}
	case t.form == mappingForm:
		var out objectTerm
		for _, p := range t.pairs {
			out.keys = append(out.keys, p.key.text)
			out.parts = append(out.parts, x.data(c, s, p.value))
		}
		return out.folded()
	case t.isText() && strings.Contains(t.text, "${{"):
		part, _ := x.template(c, s, t)
		return part
	case t.isText() && t.plain && s.looksKnown(t.text):
		s.report(t.Pos, fmt.Sprintf("write ${{ %s }} for its value, ${{ %q }} for the text", t.text, t.text), fmt.Sprintf("%s is text here, not an expression", t.text))
	}
	return constant{t.data()}
}

func (l listTerm) folded() term {
	values := make([]any, len(l))
	for i, part := range l {
		c, ok := part.(constant)
		if !ok {
			return l
		}
		values[i] = c.value
	}
	return constant{values}
}

func (o objectTerm) folded() term {
	values := make(map[string]any, len(o.keys))
	for i, part := range o.parts {
		c, ok := part.(constant)
		if !ok {
			return o
		}
		values[o.keys[i]] = c.value
	}
	return constant{values}
}

// typeOfData knows of written data only that it is a list or an object.
func typeOfData(t *tree) Type {
	if t.form == listForm {
		return ListOf(Any)
	}
	return Type{base: objectBase, open: true}
}

// reads gathers what an expression reads.
type reads struct{ names, steps []string }

func (r *reads) name(n string) { r.names = append(r.names, n) }

func (r *reads) step(n string) { r.steps = append(r.steps, n) }

func (r *reads) sorted() (names, steps []string) { return sortedSet(r.names), sortedSet(r.steps) }

func sortedSet(names []string) []string {
	slices.Sort(names)
	return slices.Compact(names)
}
