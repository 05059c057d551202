package spec

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/builtin"
	exprcheck "github.com/expr-lang/expr/checker"
	"github.com/expr-lang/expr/checker/nature"
	exprc "github.com/expr-lang/expr/compiler"
	"github.com/expr-lang/expr/conf"
	"github.com/expr-lang/expr/file"
	"github.com/expr-lang/expr/parser"
	"github.com/expr-lang/expr/types"
	"github.com/expr-lang/expr/vm"
)

// compiler turns the source of expressions into programs. It is the one place that knows expr-lang's stages: parsed
// first, an expression says which names it reads, and only those are given types before it is checked.
type compiler struct {
	config *conf.Config
	called map[string]Function // by expressions: ours, and those in place of expr-lang's own
	names  []string            // of all functions

	sources map[string]*source
	natures natures

	parts    int // nodes of all syntax trees that became programs
	patterns int // instructions of all regular expressions
}

func newCompiler() *compiler {
	c := &compiler{config: conf.CreateNew(), called: map[string]Function{}, sources: map[string]*source{}, natures: newNatures()}
	for _, f := range builtin.Builtins {
		if builtins[f.Name] == nil {
			delete(c.config.Builtins, f.Name)
			c.config.Disabled[f.Name] = true // the parser looks here
		}
	}
	for _, f := range slices.Concat(Functions(), overloads) {
		c.called[f.Name] = f
		c.config.Functions[f.Name] = &builtin.Function{Name: f.Name, Types: []reflect.Type{reflect.TypeOf(f.signature).Elem()}}
	}
	c.names = append(slices.Sorted(maps.Keys(c.config.Functions)), slices.Sorted(maps.Keys(c.config.Builtins))...)
	return c
}

// exprProblem says what is wrong with an expression.
type exprProblem struct {
	message, hint string
	syntax        bool
}

// program is a compiled expression.
type program struct {
	code   *vm.Program
	spends bool // it finds its budget under [budgetName]
	kept   bool // its value is a part of what it reads
}

// compile checks an expression within a scope and notes there what it reads.
func (c *compiler) compile(src string, s *scope) (p program, typ Type, problem *exprProblem) {
	defer func() {
		switch r := recover(); r.(type) {
		case nil:
		case tooMany:
			problem = &exprProblem{message: "the expression is too large: comparisons of three and ?: within one another multiply"}
		default: // expr-lang's, over a source that it did not expect
			problem = &exprProblem{message: "this is no expression: " + explain(fmt.Errorf("%v", r)), syntax: true}
		}
	}()
	if problem := tooBig(src); problem != nil {
		return p, Any, problem
	}
	known := c.sources[src]
	var tree *parser.Tree
	if known == nil {
		if tree, problem = c.parse(src, s); problem != nil {
			return p, Any, problem
		}
		known = &source{mentions: c.mentions(tree.Node)}
		c.sources[src] = known
	}
	env, problem := c.env(known.mentions, s)
	if problem != nil {
		return p, Any, problem
	}
	if v := known.variant(env); v != nil {
		return v.program, v.typ, nil
	}
	if tree == nil { // the one that was parsed before was made into a program
		if tree, problem = c.parse(src, s); problem != nil {
			return p, Any, problem
		}
	}
	if p, typ, problem = c.program(tree, env); problem == nil {
		known.keep(variant{env.types, p, typ})
	}
	return p, typ, problem
}

// source is the text of an expression that was parsed, with the programs that it became.
type source struct {
	mentions []mention
	variants []variant
}

// variant is a program with the types for which it was made, one for each mention. Nothing in a program belongs to one
// expression alone, so equal expressions that read equal types have one between them.
type variant struct {
	types []Type
	program
	typ Type
}

const maxVariants = 8 // that are kept of one source, so that to find none takes no time

func (s *source) variant(env *environment) *variant {
	for i := range s.variants {
		if slices.EqualFunc(s.variants[i].types, env.types, Type.Equal) {
			return &s.variants[i]
		}
	}
	return nil
}

func (s *source) keep(v variant) {
	if len(s.variants) < maxVariants {
		s.variants = append(s.variants, v)
	}
}

// parse gives the syntax tree of an expression that holds nothing that is refused.
func (c *compiler) parse(src string, s *scope) (*parser.Tree, *exprProblem) {
	c.config.WithEnv(types.Map{}) // names are functions or variables, nothing of an earlier expression
	tree, err := parser.ParseWithConfig(src, c.config)
	if err != nil {
		return nil, c.syntaxProblem(src, err, s)
	}
	r := refused{functions: c.called, all: &c.patterns}
	ast.Walk(&tree.Node, &r)
	if c.parts += r.seen; c.parts > allParts && r.problem == nil {
		r.problem = &exprProblem{message: fmt.Sprintf("with it, the expressions of the pipeline have more than %d parts, which is the most that they may have", allParts)}
	}
	return tree, r.problem
}

// program makes one of a syntax tree, which it changes.
func (c *compiler) program(tree *parser.Tree, env *environment) (p program, typ Type, problem *exprProblem) {
	c.config.WithEnv(env.byName(c.natures))
	if _, err := exprcheck.Check(tree, c.config); err != nil {
		return p, Any, typeProblem(err, env.known())
	}
	ast.Walk(&tree.Node, loose{})
	typ = c.natures.typeOf(tree.Node.Nature())
	p.kept = isPath(tree.Node)
	g := guard{functions: c.called, weights: map[*ast.PredicateNode]weight{}}
	ast.Walk(&tree.Node, &g)
	p.spends = g.spends
	code, err := exprc.Compile(tree, c.config)
	if err != nil {
		return p, Any, typeProblem(err, nil)
	}
	p.code = code
	reflect.ValueOf(tree.Node).Elem().SetZero() // the program would keep the tree, which is the most of its memory
	return p, typ, nil
}

// isPath tells whether an expression only names a part of what it reads.
func isPath(n ast.Node) bool {
	switch n := n.(type) {
	case *ast.IdentifierNode:
		return true
	case *ast.MemberNode:
		return isLiteral(n.Property) && isPath(n.Node)
	case *ast.ChainNode:
		return isPath(n.Node)
	}
	return false
}

// environment is what one expression reads, with its types.
type environment struct {
	mentions []mention
	types    []Type // of each mention
}

// byName are the types as the expression checker wants them. What is known of a step is an object of the expression's own.
func (e *environment) byName(ns natures) types.Map {
	all, steps := types.Map{}, types.Map{}
	for i, m := range e.mentions {
		if m.step {
			steps[m.name] = ns.fields(e.types[i])
		} else {
			all[m.name] = ns.of(e.types[i])
		}
	}
	if len(steps) > 0 {
		all["steps"] = steps
	}
	return all
}

// known are the fields of the types, for suggestions.
func (e *environment) known() []string {
	var names []string
	for _, t := range e.types {
		names = append(names, t.fieldNames()...)
	}
	return names
}

// env gives types to what an expression names, and notes in the scope what it reads.
func (c *compiler) env(mentions []mention, s *scope) (*environment, *exprProblem) {
	env := &environment{mentions: mentions, types: make([]Type, len(mentions))}
	for i, m := range mentions {
		var problem *exprProblem
		switch {
		case m.callee:
			return nil, &exprProblem{message: fmt.Sprintf("there is no function %s%s", m.name, DidYouMean(m.name, c.names))}
		case m.name == "steps" && !m.step:
			return nil, &exprProblem{message: "steps needs the name of a node: steps.NAME.output"}
		case m.step:
			env.types[i], problem = s.step(m.name, m.optional)
			s.reads.step(m.name)
		default:
			if m.name == "outputs" && !m.base {
				problem = s.wholeOutputs()
			}
			if problem == nil {
				env.types[i], problem = s.name(m.name)
			}
			if problem == nil {
				problem = s.declared(m.name, env.types[i], m.field)
			}
			s.reads.name(m.name)
		}
		if problem != nil {
			return nil, problem
		}
	}
	return env, nil
}

// mention is a name that an expression reads, or a function that is not there.
type mention struct {
	name     string
	step     bool   // steps.NAME
	optional bool   // of a step: ?. or ?? follows, or a comparison with nil
	callee   bool   // it is called
	base     bool   // a literal field stands behind it: outputs.x
	field    string // that field
}

// mentions are the names in an expression, the steps last, each once.
func (c *compiler) mentions(root ast.Node) []mention {
	m := mentioned{bases: map[ast.Node]bool{}, fields: map[ast.Node]string{}, callees: map[ast.Node]bool{}, optional: map[*ast.MemberNode]bool{}, lets: map[string]bool{}}
	ast.Walk(&root, &m)
	var all []mention
	seen := map[mention]bool{}
	add := func(m mention) {
		if !seen[m] {
			seen[m] = true
			all = append(all, m)
		}
	}
	for _, id := range m.idents {
		_, function := c.config.Functions[id.Value]
		switch {
		case m.callees[id] && (function || c.config.Builtins[id.Value] != nil), m.lets[id.Value]:
		case id.Value == "steps" && m.bases[id] && !m.callees[id]:
		default:
			add(mention{name: id.Value, callee: m.callees[id], base: m.bases[id], field: m.fields[id]})
		}
	}
	for _, member := range m.steps {
		add(mention{name: member.Property.(*ast.StringNode).Value, step: true, optional: m.optional[member]})
	}
	return all
}

// mentioned gathers the names in an expression. Children are visited before their parents.
type mentioned struct {
	idents   []*ast.IdentifierNode
	bases    map[ast.Node]bool   // identifiers with a literal field behind: steps.x, outputs.x
	fields   map[ast.Node]string // of those, the field
	callees  map[ast.Node]bool
	steps    []*ast.MemberNode        // steps.NAME
	optional map[*ast.MemberNode]bool // of those, whether ?. or ?? follows, or a comparison with nil
	lets     map[string]bool
}

// Visit is called by the walk.
func (m *mentioned) Visit(n *ast.Node) {
	switch n := (*n).(type) {
	case *ast.IdentifierNode:
		m.idents = append(m.idents, n)
	case *ast.VariableDeclaratorNode:
		m.lets[n.Name] = true
	case *ast.CallNode:
		m.callees[n.Callee] = true
	case *ast.BinaryNode:
		_, left := n.Left.(*ast.NilNode)
		_, right := n.Right.(*ast.NilNode)
		compares := n.Operator == "==" || n.Operator == "!="
		m.bear(n.Left, n.Operator == "??" || compares && right)
		m.bear(n.Right, compares && left)
	case *ast.MemberNode:
		m.bear(n.Node, n.Optional)
		field, literal := n.Property.(*ast.StringNode)
		if id, ok := n.Node.(*ast.IdentifierNode); ok && literal {
			m.fields[id] = field.Value
			if m.bases[id] = true; id.Value == "steps" {
				m.steps, m.optional[n] = append(m.steps, n), false
			}
		}
	}
}

// bear notes of steps.NAME that what stands around it can bear nil.
func (m *mentioned) bear(n ast.Node, nilToo bool) {
	if chain, ok := n.(*ast.ChainNode); ok {
		n = chain.Node
	}
	if step, ok := n.(*ast.MemberNode); ok && nilToo {
		if _, known := m.optional[step]; known {
			m.optional[step] = true
		}
	}
}

// loose takes back what the checker concluded where a value may be nil after all: behind ?. and in comparisons, for
// which the compiler would choose instructions that trust the types.
type loose struct{}

// Visit is called by the walk.
func (loose) Visit(n *ast.Node) {
	switch n := (*n).(type) {
	case *ast.ChainNode:
		n.SetNature(nature.Nature{})
	case *ast.BinaryNode:
		if n.Operator == "==" || n.Operator == "!=" {
			n.Left.SetNature(nature.Nature{})
			n.Right.SetNature(nature.Nature{})
		}
	}
}

var (
	called  = regexp.MustCompile(`([A-Za-z_]\w*)\(`)
	wording = regexp.MustCompile(`^([A-Za-z]\w*)[\w ,.;:'!?-]* [\w ,.;:'!?-]*$`)
	working = regexp.MustCompile(`\s[?:-](\s|$)|\s(and|or|in|not|matches|contains|startsWith|endsWith)$`) // operators that no text has there
)

// syntaxProblem words what the parser complains of. It stumbles over the arguments of a function that it does not know.
func (c *compiler) syntaxProblem(src string, err error, s *scope) *exprProblem {
	code := texts.ReplaceAllString(src, " ")
	if i := strings.IndexAny(code, "\"'`"); i >= 0 {
		code = code[:i] // a text that does not end
	}
	for _, m := range called.FindAllStringSubmatch(code, -1) {
		if !slices.Contains(c.names, m[1]) {
			return &exprProblem{message: fmt.Sprintf("there is no function %s%s", m[1], DidYouMean(m[1], c.names))}
		}
	}
	p := &exprProblem{message: "this is no expression: " + explain(err), syntax: true}
	m := wording.FindStringSubmatch(src)
	if m == nil || working.MatchString(src) || reserved[m[1]] || m[1] == "steps" {
		return p
	}
	if _, known := s.find(m[1]); !known {
		p.hint = fmt.Sprintf("a text in an expression has quotes of its own: '%q'", src)
	}
	return p
}

var unknownField = regexp.MustCompile(`^unknown field (\w+)$`)

func typeProblem(err error, known []string) *exprProblem {
	message := explain(err)
	if m := unknownField.FindStringSubmatch(message); m != nil {
		message = fmt.Sprintf("unknown field %q%s", m[1], DidYouMean(m[1], known))
	}
	return &exprProblem{message: message}
}

var goTypes = strings.NewReplacer(
	"map[string]interface {}", "object", "[]interface {}", "list", "interface {}", "any",
	"float64", "number", "int64", "integer", "bool", "boolean", "%!s(<nil>)", "nil", "<nil>", "nil", "unknown", "any")

// conversion is how a builtin complains of a value of the wrong type.
var conversion = regexp.MustCompile(`interface conversion: (?:interface \{\}|any) is (.+), not (.+)`)

// fieldOfText is how the virtual machine complains of a field of a text: it takes the name for an index.
var fieldOfText = regexp.MustCompile(`^invalid operation: int\(string\)`)

// goInt is the type, not the function.
var goInt = regexp.MustCompile(`\bint\b([^(]|$)`)

// explain is an error of expr-lang in the words of this language, without its copy of the source.
func explain(err error) string {
	message := err.Error()
	var fe *file.Error
	if errors.As(err, &fe) {
		message = fe.Message
	}
	message, _, _ = strings.Cut(message, "\n")
	if len(message) > maxQuoted {
		message = strings.ToValidUTF8(message[:maxQuoted], "") + "…"
	}
	if strings.HasPrefix(message, "unknown") {
		return message
	}
	if strings.HasSuffix(message, "integer divide by zero") {
		return "a remainder needs a divisor other than 0"
	}
	if fieldOfText.MatchString(message) {
		return "found a text where an object is needed"
	}
	message = conversion.ReplaceAllString(message, "found $1 where $2 is needed")
	return strings.TrimSpace(goInt.ReplaceAllString(goTypes.Replace(message), "integer$1"))
}
