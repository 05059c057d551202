package spec

import (
	"reflect"

	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/vm/runtime"
)

// budgetName is the variable in which a program finds its [budget]. No expression can spell it.
const budgetName = " budget"

// guard rewrites a checked expression so that whatever could take long, grow or leave the numbers of JSON goes through
// functions of ours. What costs next to nothing stays as expr-lang compiles it. A guarded expression is not given to
// expr-lang's optimizer, which calculates with numbers that wrap around.
type guard struct {
	functions map[string]Function
	weights   map[*ast.PredicateNode]weight
	spends    bool // the program needs a budget
}

// Visit is called by the walk, for children before their parents.
func (g *guard) Visit(n *ast.Node) {
	switch x := (*n).(type) {
	case *ast.UnaryNode:
		if x.Operator == "-" {
			g.negative(n, x)
		}
	case *ast.BinaryNode:
		g.binary(n, x)
	case *ast.MemberNode:
		g.key(&x.Property)
	case *ast.SliceNode:
		g.key(&x.From)
		g.key(&x.To)
		if !x.Node.Nature().IsArray() {
			*n = g.pay(x, charged(slice), x.Node, orNil(x.From), orNil(x.To))
		}
	case *ast.PairNode:
		g.key(&x.Key)
	case *ast.ArrayNode:
		if list, ok := literals(x); ok {
			constant := &ast.ConstantNode{Value: list}
			constant.SetNature(*x.Nature())
			ast.Patch(n, constant)
		}
	case *ast.PredicateNode:
		g.weights[x] = g.weigh(x)
	case *ast.BuiltinNode:
		builtins[x.Name](g, n, x)
	case *ast.CallNode:
		if name, ok := x.Callee.(*ast.IdentifierNode); ok && g.functions[name.Value].call != nil {
			*n = g.pay(x, charged(g.functions[name.Value].call), x.Arguments...)
		}
	}
}

func (g *guard) negative(n *ast.Node, x *ast.UnaryNode) {
	var literal ast.Node
	switch of := x.Node.(type) {
	case *ast.IntegerNode:
		literal = &ast.IntegerNode{Value: -of.Value}
	case *ast.FloatNode:
		literal = &ast.FloatNode{Value: -of.Value}
	default:
		*n = call(x, negate, x.Node)
		return
	}
	literal.SetNature(*x.Node.Nature())
	ast.Patch(n, literal)
}

func (g *guard) binary(n *ast.Node, x *ast.BinaryNode) {
	literal := isLiteral(x.Left) || isLiteral(x.Right)
	switch x.Operator {
	case "+":
		*n = call(x, add, x.Left, x.Right)
		if !isNumber(x.Left) && !isNumber(x.Right) {
			*n = g.pay(*n, grown, *n)
		}
	case "-":
		*n = call(x, subtract, x.Left, x.Right)
	case "*":
		*n = call(x, multiply, x.Left, x.Right)
	case "/":
		*n = call(x, divide, x.Left, x.Right)
	case "**", "^":
		*n = call(x, power, x.Left, x.Right)
	case "..":
		*n = g.pay(x, charged(span), x.Left, x.Right)
	case "in":
		*n = g.pay(x, charged(func(b *budget, args []any) (any, error) { return b.contains(args[0], args[1]), nil }), x.Left, x.Right)
	case "==", "!=":
		if literal {
			return
		}
		*n = g.pay(x, charged(func(b *budget, args []any) (any, error) { return b.equal(args[0], args[1], 0), nil }), x.Left, x.Right)
		if x.Operator == "!=" {
			not := &ast.UnaryNode{Operator: "not", Node: *n}
			not.SetNature(*x.Nature())
			ast.Patch(n, not)
		}
	case "<", "<=", ">", ">=":
		if !literal && !isNumber(x.Left) && !isNumber(x.Right) {
			g.scan(&x.Left)
		}
	case "startsWith", "endsWith":
		if !literal {
			g.scan(&x.Left)
		}
	case "contains":
		g.scan(&x.Left)
		g.scan(&x.Right)
	case "matches":
		if pattern, ok := x.Right.(*ast.StringNode); ok {
			size := patternSize(pattern.Value)
			x.Left = g.pay(x.Left, func(b, v any) any {
				if s, ok := v.(string); ok {
					b.(*budget).step(int64(len(s)) * int64(1+size/8))
				}
				return v
			}, x.Left)
		}
	}
}

// scan makes a text pay that is not written out.
func (g *guard) scan(n *ast.Node) {
	if !isLiteral(*n) {
		*n = g.pay(*n, scanned, *n)
	}
}

// key guards what selects an element where that is worked out.
func (g *guard) key(n *ast.Node) {
	if *n != nil && !isLiteral(*n) {
		*n = g.pay(*n, key, *n)
	}
}

// loop makes a list pay for the predicates that run over it.
func (g *guard) loop(x *ast.BuiltinNode, more weight) {
	w := g.predicates(x).plus(more)
	x.Arguments[0] = g.pay(x.Arguments[0], func(b, list any) any {
		if n := length(list); n > 0 {
			b.(*budget).step(times(n, int(w.steps)))
			b.(*budget).take(times(n, int(w.bytes)))
		}
		return list
	}, x.Arguments[0])
}

// predicates is what a call takes for each element of its list.
func (g *guard) predicates(x *ast.BuiltinNode) weight {
	w := weight{steps: 1}
	for _, a := range x.Arguments[1:] {
		if p, ok := a.(*ast.PredicateNode); ok {
			w = w.plus(g.weights[p])
		}
	}
	return w
}

// weight is what one run of a predicate takes.
type weight struct{ steps, bytes int64 }

func (w weight) plus(v weight) weight { return weight{w.steps + v.steps, w.bytes + v.bytes} }

func (w weight) minus(v weight) weight { return weight{w.steps - v.steps, w.bytes - v.bytes} }

// weigh leaves the predicates within a predicate aside: their own lists pay for them.
func (g *guard) weigh(p *ast.PredicateNode) weight {
	s := scale{inner: g.weights}
	ast.Walk(&p.Node, &s)
	return s.weight
}

type scale struct {
	weight
	inner map[*ast.PredicateNode]weight
}

// Visit is called by the walk.
func (s *scale) Visit(n *ast.Node) {
	s.steps++
	switch x := (*n).(type) {
	case *ast.MapNode:
		s.steps += mapSize / slotSize
		s.bytes += mapSize + slotSize*int64(len(x.Pairs))
	case *ast.ArrayNode:
		s.bytes += slotSize + slotSize*int64(len(x.Nodes))
	case *ast.CallNode:
		s.bytes += slotSize
	case *ast.PredicateNode:
		s.weight = s.minus(s.inner[x])
		s.steps += loopSteps
	}
}

// span is the operator "..".
func span(b *budget, args []any) (any, error) {
	from, to := runtime.ToInt(args[0]), runtime.ToInt(args[1])
	if to < from {
		return []int{}, nil
	}
	n := to - from + 1
	if n <= 0 { // it wrapped around
		return nil, errMemory
	}
	b.take(times(n, 8))
	b.step(int64(n) / 4)
	return runtime.MakeRange(from, to), nil
}

// grown pays for a text that was made.
func grown(b, v any) any {
	if s, ok := v.(string); ok {
		b.(*budget).take(int64(len(s)))
	}
	return v
}

// scanned pays for a text that will be read.
func scanned(b, v any) any {
	if s, ok := v.(string); ok {
		b.(*budget).read(s)
	}
	return v
}

// charged makes a function with a budget one that expr-lang calls: the budget is its first argument.
func charged(f func(*budget, []any) (any, error)) func(...any) any {
	return func(args ...any) any {
		v, err := f(args[0].(*budget), args[1:])
		if err != nil {
			panic(err)
		}
		return v
	}
}

// pay is a node that calls a function with the budget.
func (g *guard) pay(old ast.Node, fn any, args ...ast.Node) ast.Node {
	g.spends = true
	b := &ast.IdentifierNode{Value: budgetName}
	b.SetLocation(old.Location())
	return call(old, fn, append([]ast.Node{b}, args...)...)
}

func orNil(n ast.Node) ast.Node {
	if n == nil {
		return &ast.NilNode{}
	}
	return n
}

// call is a node that calls a function in place of another node. The compiler has instructions of its own for functions
// of the types that are used here.
func call(old ast.Node, fn any, args ...ast.Node) ast.Node {
	callee := &ast.ConstantNode{Value: fn}
	callee.SetLocation(old.Location())
	callee.SetType(reflect.TypeOf(fn))
	n := &ast.CallNode{Callee: callee, Arguments: args}
	n.SetLocation(old.Location())
	n.SetNature(*old.Nature())
	return n
}

func isLiteral(n ast.Node) bool {
	switch n.(type) {
	case *ast.NilNode, *ast.BoolNode, *ast.IntegerNode, *ast.FloatNode, *ast.StringNode:
		return true
	}
	return false
}

func isNumber(n ast.Node) bool {
	switch n.(type) {
	case *ast.IntegerNode, *ast.FloatNode:
		return true
	}
	return n.Nature().IsNumber()
}

// literals is a list that is written out, so that it need not be made each time.
func literals(x *ast.ArrayNode) ([]any, bool) {
	list := make([]any, len(x.Nodes))
	for i, n := range x.Nodes {
		switch n := n.(type) {
		case *ast.BoolNode:
			list[i] = n.Value
		case *ast.IntegerNode:
			list[i] = n.Value
		case *ast.FloatNode:
			list[i] = n.Value
		case *ast.StringNode:
			list[i] = n.Value
		default:
			return nil, false
		}
	}
	return list, true
}
