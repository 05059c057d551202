package spec

import (
	"fmt"
	"iter"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// scope is what one expression may read: names with their types, and the steps that have run before it.
type scope struct {
	*checker
	x     *Expr
	reads reads
}

func (s *scope) report(at Pos, hint, message string) { s.problemAt(at, hint, "%s", message) }

// name gives the type of a name.
func (s *scope) name(name string) (Type, *exprProblem) {
	if t, ok := s.find(name); ok {
		return t(), nil
	}
	if name == "secrets" {
		return Any, &exprProblem{message: "secrets may be read in environment and headers only"}
	}
	if hint := s.elsewhere(name); hint != "" {
		return Any, &exprProblem{message: "unknown name " + name, hint: hint}
	}
	words := append(s.names(), s.load.compiler.names...)
	if near := nearest(name, append(words, "steps")); near != "" {
		return Any, &exprProblem{message: fmt.Sprintf("unknown name %s, did you mean %q?", name, near)}
	}
	hint := ""
	if s.reader.names[name] != nil {
		hint = fmt.Sprintf("the output of the node is steps.%s.output", name)
	}
	return Any, &exprProblem{message: "unknown name " + name, hint: hint}
}

// elsewhere says where a name is known that is not known here, if anywhere.
func (s *scope) elsewhere(name string) string {
	for n := s.x.node; n != nil && n.Parent != nil; n = n.Parent {
		for _, l := range n.Field.Locals {
			switch {
			case l.Name != name:
			case !n.Parent.gives(l):
				return fmt.Sprintf("%s is known with %s: true", name, l.With)
			default:
				return fmt.Sprintf("%s is called %s here", name, n.Parent.LocalName(name))
			}
		}
	}
	if strings.EqualFold(name, "null") {
		return "an expression writes nil"
	}
	if places := s.load.lang.localsOf(name); len(places) > 0 {
		return fmt.Sprintf("%s is known inside %s", name, oneOf(places))
	}
	return ""
}

// declared refuses a parameter or an environment variable that the header does not declare.
func (s *scope) declared(name string, typ Type, field string) *exprProblem {
	if own := s.x.declares; name == "params" && field != "" && own != nil && len(own.entries()) == 0 {
		return &exprProblem{
			message: fmt.Sprintf("params.%s is not declared", field),
			hint:    fmt.Sprintf("add it beside this: params: {%s: string}", field),
		}
	} else if name == "params" && field != "" && own == nil && len(s.p.Params) == 0 {
		return &exprProblem{
			message: fmt.Sprintf("params.%s is not declared", field),
			hint:    fmt.Sprintf("add it to the top of the file: params: {%s: string}", field),
		}
	}
	if _, declares := typ.fields[field]; (name == "env" || name == "secrets") && field != "" && !declares {
		return &exprProblem{
			message: fmt.Sprintf("%s.%s is not declared%s", name, field, DidYouMean(field, typ.fieldNames())),
			hint:    fmt.Sprintf("add it to the top of the file: %s: [%s]", name, field),
		}
	}
	return nil
}

// names are all that the expression may read, steps left out, sorted.
func (s *scope) names() []string {
	var names []string
	for name := range s.known() {
		names = append(names, name)
	}
	return sortedSet(names)
}

// find gives the type of a name, to be asked for where it is needed; false where nothing here is called so.
func (s *scope) find(name string) (func() Type, bool) {
	for known, typ := range s.known() {
		if known == name {
			return typ, true
		}
	}
	return nil, false
}

// known are the names that the expression may read, steps left out: those nearest to it first, which hide others.
func (s *scope) known() iter.Seq2[string, func() Type] {
	return func(yield func(string, func() Type) bool) {
		n := s.x.node
		for _, f := range slices.Backward(s.x.under) {
			for _, l := range slices.Backward(f.Locals) {
				if !yield(l.Name, l.typeIn(s.locals())) {
					return
				}
			}
			if f.Secrets && !yield("secrets", s.secrets) {
				return
			}
		}
		for ; n != nil && n.Field != nil; n = n.Parent {
			for _, l := range slices.Backward(n.Field.Locals) {
				if n.Parent.gives(l) && !yield(n.Parent.LocalName(l.Name), l.typeIn(n.Parent)) {
					return
				}
			}
		}
		running := !s.ended || !s.x.after()
		if running && !yield("prev", s.prev) || running && !yield("run", runType) {
			return
		}
		_ = yield("input", s.input) && yield("params", s.params) && yield("env", s.env)
	}
}

// locals is the node whose locals those of a field are: in a sheet they are the pipeline's.
func (s *scope) locals() *Node {
	if s.ended {
		return s.p.Root
	}
	return s.x.node
}

func (s *scope) prev() Type {
	switch {
	case s.x.node != nil:
		return s.x.node.prev
	case s.x.under[0].Moment != Before && !s.ended: // the header's output
		return s.p.Root.After()
	}
	return Any
}

// gives tells whether the nodes below n can read a local.
func (n *Node) gives(l Local) bool { return l.With == "" || n.broken || n.Bool(l.With) }

func (l Local) typeIn(n *Node) func() Type {
	return func() Type {
		if l.Type == nil || n != nil && n.broken {
			return Any
		}
		return l.Type(n)
	}
}

// LocalName is the name by which the nodes below n read one of its locals.
func (n *Node) LocalName(local string) string {
	if n == nil {
		return local
	}
	for _, f := range n.fields {
		if f.Renames == local && n.Text(f.Name) != "" {
			return n.Text(f.Name)
		}
	}
	return local
}

// heads are the types of what the header declares. They are made once, so that equal expressions read equal types.
type heads struct{ input, params, env, secrets Type }

func headsOf(p *Pipeline) heads {
	h := heads{env: textsType(p.env), secrets: textsType(p.secret)}
	if p.Input != nil {
		h.input = p.Input.Type()
	}
	params := map[string]Type{}
	for _, param := range p.Params {
		params[param.Name] = param.Schema.Type()
	}
	h.params = ObjectOf(params)
	return h
}

func (s *scope) input() Type { return s.heads.input }
func (s *scope) params() Type {
	if s.x.declares != nil {
		return s.x.declares.params()
	}
	return s.heads.params
}
func (s *scope) env() Type     { return s.heads.env }
func (s *scope) secrets() Type { return s.heads.secrets }

// textsType is an object of texts; a variable that is not set is nil.
func textsType(names []string) Type {
	fields := map[string]Type{}
	for _, n := range names {
		fields[n] = Any
	}
	return ObjectOf(fields)
}

var run = ObjectOf(map[string]Type{"id": String, "user_id": String, "session_id": String, "started_at": String, "key": String})

func runType() Type { return run }

// stepType is what steps.NAME is for a node.
func stepType(n *Node) Type {
	return ObjectOf(map[string]Type{"output": n.Result(), "status": String, "error": Any, "visits": Integer})
}

// step gives the type of steps.NAME and finds out whether the node has run when the expression is read. guarded tells
// that the expression can bear it if not.
func (s *scope) step(name string, guarded bool) (Type, *exprProblem) {
	target := s.reader.names[name]
	if target == nil || target.Object == nil {
		return Any, &exprProblem{message: fmt.Sprintf("steps.%s: no node is named %q%s", name, name, DidYouMean(name, s.stepNames()))}
	}
	if s.ended {
		return s.stepAfter(target)
	}
	sure, problem := s.hasRun(target)
	switch {
	case problem != "":
		return Any, &exprProblem{message: fmt.Sprintf("steps.%s cannot be read here: %s", name, problem)}
	case !sure && !guarded:
		return Any, &exprProblem{
			message: fmt.Sprintf("steps.%s may not have run when this is read", name),
			hint:    fmt.Sprintf("write steps.%s?.output, which is nil then", name),
		}
	}
	target.read = true
	return stepType(target), nil
}

var (
	hyphenated = regexp.MustCompile(`\bsteps\.(\w+(?:-\w+)+)`)
	texts      = regexp.MustCompile("\"(?:[^\"\\\\]|\\\\.)*\"|'(?:[^'\\\\]|\\\\.)*'|`[^`]*`")
)

// hyphen explains what goes wrong where an expression names a node by a word with a hyphen; nil where it does not.
func (s *scope) hyphen(src string) *exprProblem {
	if len(src) > maxSource {
		return nil
	}
	m := hyphenated.FindStringSubmatch(texts.ReplaceAllString(src, `""`))
	if m == nil {
		return nil
	}
	fixed := strings.ReplaceAll(m[1], "-", "_")
	hint := fmt.Sprintf("name the node %s and write steps.%s", fixed, fixed)
	if s.reader.names[fixed] != nil {
		hint = fmt.Sprintf("did you mean steps.%s?", fixed)
	}
	return &exprProblem{message: fmt.Sprintf("the - in %s is a minus: the name of a node holds none", m[0]), hint: hint}
}

// stepNames are the names of the nodes, sorted once for all messages.
func (s *scope) stepNames() []string {
	if s.sorted == nil {
		s.sorted = slices.Sorted(maps.Keys(s.reader.names))
	}
	return s.sorted
}

// wholeOutputs refuses outputs as a whole where a branch has no name.
func (s *scope) wholeOutputs() *exprProblem {
	for _, c := range s.x.node.Children {
		if c.Stand() == Together && c.Name == "" {
			return &exprProblem{
				message: fmt.Sprintf("outputs as a whole needs a name for every branch; the one on line %d has none", c.Pos.Line),
				hint:    "give it a name, or use results, the list",
			}
		}
	}
	return nil
}

var (
	pathPattern = regexp.MustCompile(`^([A-Za-z_]\w*)((?:\??\.\w+|\[-?\d+\])*)$`)
	firstWord   = regexp.MustCompile(`^\w*`)
)

// looksKnown tells whether a text in data reads as an expression that the author surely meant. A single word may well be
// a text, unless it is what the nodes of a file work on: prev, input, the locals of for_each and loop.
func (s *scope) looksKnown(text string) bool {
	m := pathPattern.FindStringSubmatch(text)
	if m == nil {
		return false
	}
	first, rest := m[1], m[2]
	field := firstWord.FindString(strings.TrimLeft(rest, "?."))
	if first == "steps" {
		return s.reader.names[field] != nil
	}
	typ, known := s.find(first)
	switch {
	case !known:
		return false
	case first == "prev" || first == "input":
		return true
	case rest == "":
		return s.worksOn(first)
	case first == "error": // which may be nil, so that it has no type
		return slices.Contains([]string{"message", "kind", "node"}, field)
	}
	t := typ()
	_, has := t.fields[field]
	return has || t.base == anyBase || t.base == listBase && rest[0] == '['
}

// worksOn tells whether a name is a local of the nodes that run again and again.
func (s *scope) worksOn(name string) bool {
	for n := s.x.node; n != nil && n.Parent != nil; n = n.Parent {
		again := n.Stand() == ForEach || n.Stand() == Repeated
		if again && slices.ContainsFunc(n.Field.Locals, func(l Local) bool { return n.Parent.LocalName(l.Name) == name }) {
			return true
		}
	}
	return false
}
