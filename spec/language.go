// Package spec knows what a pipeline file says: it reads YAML into checked nodes with their places, compiles their
// expressions and templates against what each may read, and describes the language as JSON Schema and as pages.
// It knows nothing of running, of agents, or of any kind of node by name: kinds are shapes that it is given.
package spec

import "slices"

// Language is what a file may say. It does not change once it is made.
type Language struct {
	Kinds  []Shape // of nodes, in the order of the documentation
	Common []Field // what every node takes
	Header []Field // what only the top of a file takes, in the order in which they are read
	Rules  []Rule  // between the fields that every node takes

	byName map[string]*Shape
}

// NewLanguage puts the parts together. A mistake in them is one of flowrun's own and panics.
func NewLanguage(kinds []Shape, common []Field, rules []Rule, header []Field) *Language {
	l := &Language{Kinds: kinds, Common: common, Header: header, Rules: rules, byName: map[string]*Shape{}}
	for i := range l.Kinds {
		s := &l.Kinds[i]
		if l.byName[s.Name] != nil || len(s.Fields) == 0 || s.Fields[0].Name != s.Name {
			panic("spec: the kind " + s.Name + " is there twice, or its first field is not its own key")
		}
		l.byName[s.Name] = s
		for _, f := range l.Common {
			if own := field(s.Fields, f.Name) != nil; own || f.Leaves && !s.Leaf {
				continue
			}
			s.all = append(s.all, f)
		}
		s.all = append(slices.Clone(s.Fields), s.all...)
	}
	return l
}

// Kind is the shape of a kind, nil where there is none of that name.
func (l *Language) Kind(name string) *Shape { return l.byName[name] }

func (l *Language) kindNames() []string {
	names := make([]string, len(l.Kinds))
	for i, k := range l.Kinds {
		names[i] = k.Name
	}
	return names
}

// localsOf lists where a local is known: the kinds in whose nodes it is, or the fields.
func (l *Language) localsOf(name string) []string {
	var places []string
	add := func(place string, f Field) {
		if slices.ContainsFunc(f.Locals, func(l Local) bool { return l.Name == name }) && !slices.Contains(places, place) {
			places = append(places, place)
		}
	}
	var fields []string
	kinds := map[string][]string{} // by field
	for _, k := range l.Kinds {
		nodes := slices.ContainsFunc(k.Fields, func(f Field) bool {
			_, holds := standOf(f.Form)
			return holds && slices.ContainsFunc(f.Locals, func(l Local) bool { return l.Name == name })
		})
		for _, f := range k.Fields {
			if nodes {
				add(k.Name, f)
			} else if slices.ContainsFunc(f.Locals, func(l Local) bool { return l.Name == name }) {
				if kinds[f.Name] == nil {
					fields = append(fields, f.Name)
				}
				kinds[f.Name] = append(kinds[f.Name], k.Name)
			}
		}
	}
	for _, f := range fields {
		places = append(places, f+" of "+oneOf(kinds[f]))
	}
	for _, f := range slices.Concat(l.Common, l.Header) {
		add(f.Name, f)
	}
	return places
}

// everywhere are the names that every expression knows, but for the locals of some fields.
var everywhere = []string{"input", "params", "env", "secrets", "run", "prev", "steps"}

// Shape is how a kind of node is written and how its children stand.
type Shape struct {
	Name    string
	Summary string // what a node of the kind does, in one sentence without a subject
	Fields  []Field
	Leaf    bool   // has no children and counts as a step when it runs
	Rules   []Rule // between its fields
	Example string // a whole pipeline that runs without network or grants, unless Grants says otherwise
	Grants  string // flags that the example needs
	Output  func(n *Node) Type
	// Partial tells whether some of the children may be unfinished, or have failed, when the node completes.
	Partial func(n *Node) bool
	// Idle tells whether the node may complete without having run its children at all.
	Idle func(n *Node) bool
	// Check reports what the fields' own forms and the rules cannot find.
	Check func(n *Node, problem func(field, hint, message string))
	// Needs lists what the node reaches for outside, which the user must allow.
	Needs func(n *Node) []Need
	// Start and Next are the edges between children that stand AlongEdges.
	Start func(n *Node) string
	Next  func(child *Node) []Edge

	all []Field
}

// All are the fields of the shape and those that every such node takes.
func (s *Shape) All() []Field { return s.all }

// Rule is a condition between the fields of a mapping.
type Rule struct {
	AnyOf   []string // at least one of them is there
	NotBoth []string // not all of them are there
	Only    string   // is there only beside one of
	With    []string
	Message string
	Hint    string
}

// Field is a key of a mapping: how its value is written and when it is read.
type Field struct {
	Name     string
	Summary  string
	Form     Form
	Required bool
	Default  any    // of the type that the form gives
	Leaves   bool   // of the common fields: only leaves take it
	Moment   Moment // when its expressions are read
	Secrets  bool   // its expressions may read secrets
	Locals   []Local
	Renames  string // its value is the name by which the children read the local of that name
	Unused   string // of a section of the header: warns of an entry that nothing names
	// Params is the field beside it whose entries, schemas by name, its expressions read as params in place of the file's.
	Params string
}

// Moment is when the expressions of a field are read.
type Moment uint8

const (
	Before        Moment = iota // before the children run
	AfterChildren               // when they have run
	AfterNode                   // when the node itself has ended
)

// Local is a name that the expressions or the nodes of one field may read beside those that are known everywhere.
type Local struct {
	Name    string
	Summary string
	Type    func(n *Node) Type // nil: any
	With    string             // the flag beside the field without which the nodes cannot read the name; empty: none
}

// Edge leads from one node to another. A kind gives the name and the condition; [Node.Edges] adds the numbers.
type Edge struct {
	Name   string // of the node that it leads to
	When   *Expr  // nil: always
	Only   bool   // of a node's edges that say so, the first whose condition holds is taken
	To     int    // the node among [Edges.Nodes]
	Number int    // of the edge, in the order written
}

// Need is something outside that a file reaches for.
type Need struct {
	Grant string // exec, net, env, read or mcp
	Name  string // the command, host, variable, path or server; empty where it is known only when it runs
	Pos   Pos
	What  string // exactly, as the file writes it: the command line or the address; empty where the name says all
	Why   string // there is no name, where it is not that an expression makes it
}

// Flag is the command line's flag that grants it.
func (n Need) Flag() string {
	if n.Name == "" {
		return "--allow-" + n.Grant
	}
	return "--allow-" + n.Grant + "=" + n.Name
}

// Stand is how the nodes of a field stand to each other.
type Stand uint8

const (
	InSequence Stand = iota // one after another, each with the output of the one before
	Repeated                // in sequence, again and again
	Together                // at once, each with what the node received
	ForEach                 // many times at once, each with an item of its own
	Choice                  // one of them at most
	First                   // before all others
	AlongEdges              // as their edges say
	Aside                   // instead of the others when they failed
)

func field(fields []Field, name string) *Field {
	for i := range fields {
		if fields[i].Name == name {
			return &fields[i]
		}
	}
	return nil
}

func fieldNames(fields []Field) []string {
	names := make([]string, len(fields))
	for i, f := range fields {
		names[i] = f.Name
	}
	return names
}
