package spec

import (
	"slices"

	"github.com/expr-lang/expr/ast"
)

// Parts are what the outermost operator or function of an expression works on, so that a report can say why the
// expression gave what it did: operator is that of it, such as ==, or the name of the function. Parts that are written
// as values are left out, but for those of a comparison. Only [Code] that asks for them has parts.
func (x *Expr) Parts() (operator string, parts []*Expr) { return x.op, x.parts }

// takeApart compiles the parts of an expression that was compiled.
func (x *Expr) takeApart(with *compiler, s *scope) {
	tree, problem := with.parse(x.source, s)
	if problem != nil {
		return
	}
	x.part(with, s, tree.Node)
}

func (x *Expr) part(with *compiler, s *scope, n ast.Node) {
	var parts []ast.Node
	switch n := n.(type) {
	case *ast.BinaryNode:
		x.op, parts = n.Operator, []ast.Node{n.Left, n.Right}
	case *ast.UnaryNode:
		x.op, parts = n.Operator, []ast.Node{n.Node}
	case *ast.BuiltinNode:
		x.op, parts = n.Name, n.Arguments
	case *ast.CallNode:
		x.op, parts = n.Callee.String(), n.Arguments
	}
	compared := x.op == "==" || x.op == "!="
	parts = slices.DeleteFunc(slices.Clone(parts), func(n ast.Node) bool {
		_, predicate := n.(*ast.PredicateNode)
		return predicate || !compared && isWritten(n)
	})
	for _, n := range parts {
		src := n.String()
		p, typ, problem := with.compile(src, s)
		if problem != nil { // the printed form of a part says less than the whole
			continue
		}
		sub := &Expr{Pos: x.Pos, source: src, typ: typ, root: code{x.Pos, p}, spends: p.spends, kept: p.kept, names: x.names, steps: x.steps}
		sub.part(with, s, n)
		x.parts = append(x.parts, sub)
	}
}

// isWritten tells whether a part is a value as it is written.
func isWritten(n ast.Node) bool {
	switch n := n.(type) {
	case *ast.ArrayNode:
		return !slices.ContainsFunc(n.Nodes, func(n ast.Node) bool { return !isWritten(n) })
	case *ast.ConstantNode:
		return true
	}
	return isLiteral(n)
}
