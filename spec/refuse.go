package spec

import (
	"errors"
	"fmt"
	"regexp/syntax"
	"unicode/utf8"

	"github.com/expr-lang/expr/ast"
)

// refused finds what an expression must not hold, before its types are checked.
type refused struct {
	functions      map[string]Function
	all            *int // instructions of patterns, in this expression and before it
	seen, patterns int
	problem        *exprProblem
}

// tooMany stops a walk: a comparison of three and a ?: hold a node twice, so that small sources make endless trees.
type tooMany struct{}

// Visit is called by the walk.
func (r *refused) Visit(n *ast.Node) {
	if r.seen++; r.seen > maxParts {
		panic(tooMany{})
	}
	if r.problem != nil {
		return
	}
	switch x := (*n).(type) {
	case *ast.BinaryNode:
		if x.Operator == "matches" {
			r.problem = r.pattern(x.Right)
		}
	case *ast.IdentifierNode:
		if x.Value == "$env" {
			r.problem = &exprProblem{message: "there is no $env: name what is read"}
		}
	case *ast.CallNode:
		name, _ := x.Callee.(*ast.IdentifierNode)
		if name == nil {
			return
		}
		if f := r.functions[name.Value]; f.most > 0 && len(x.Arguments) > f.most {
			r.problem = &exprProblem{message: "too many arguments to call " + f.Name}
		}
	}
}

var errPatterns = errors.New("the patterns of all expressions and schemas together are too large: they repeat too much, or are too long")

func (r *refused) pattern(n ast.Node) *exprProblem {
	pattern, ok := n.(*ast.StringNode)
	if !ok {
		return &exprProblem{message: "matches needs a pattern that is written out, not one that is worked out"}
	}
	if r.patterns++; r.patterns > maxPatterns {
		return &exprProblem{message: fmt.Sprintf("at most %d patterns may stand in one expression", maxPatterns)}
	}
	size := patternSize(pattern.Value)
	if size > maxPattern {
		return &exprProblem{message: "the pattern is too large: it repeats too much, or is too long"}
	}
	if *r.all += size; *r.all > allPatterns {
		return &exprProblem{message: errPatterns.Error()}
	}
	return nil
}

// patternSize is about how many instructions a regular expression has; 0 where it is none.
func patternSize(pattern string) int {
	re, err := syntax.Parse(pattern, syntax.Perl)
	if err != nil {
		return 0
	}
	return instructions(re)
}

func instructions(re *syntax.Regexp) int {
	n := 1 + len(re.Rune)/2
	if re.Op == syntax.OpLiteral {
		n = utf8.RuneCountInString(string(re.Rune))
	}
	for _, sub := range re.Sub {
		n += instructions(sub)
	}
	if re.Op == syntax.OpRepeat {
		n *= max(re.Min, re.Max, 1)
	}
	return min(n, maxSteps)
}
