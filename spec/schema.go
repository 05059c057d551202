package spec

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Schema is the language as a JSON Schema for editors, draft-07: each kind a closed object, of which a node is any. In
// this form yaml-language-server says what is wrong where it is wrong, and completes keys with their summaries.
func (l *Language) Schema() []byte {
	g := &generator{lang: l}
	root := ordered{
		{"$schema", "http://json-schema.org/draft-07/schema#"},
		{"title", "flowrun pipeline"},
		{"description", "A pipeline: one node with a header."},
		{"type", "object"},
		{"errorMessage", "a pipeline must be a mapping with one of: " + strings.Join(l.kindNames(), ", ")},
		{"anyOf", g.variant("file_", l.Header, true)},
	}
	return encoded(append(root, member{"definitions", g.definitions}))
}

func encoded(schema ordered) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(schema); err != nil {
		panic(err)
	}
	return b.Bytes()
}

type generator struct {
	lang        *Language
	definitions ordered
	made        map[string]bool
}

func ref(name string) ordered { return ordered{{"$ref", "#/definitions/" + name}} }

// once makes a definition unless it is there.
func (g *generator) once(name string, make func() ordered) ordered {
	if g.made == nil {
		g.made = map[string]bool{}
	}
	if !g.made[name] {
		g.made[name] = true
		i := len(g.definitions)
		g.definitions = append(g.definitions, member{name, nil}) // its place, before what it uses
		g.definitions[i].value = make()
	}
	return ref(name)
}

// node is a node as it stands anywhere.
func (g *generator) node() ordered {
	kinds := g.once("node", func() ordered { return ordered{{"anyOf", g.variant("", nil, false)}} })
	return g.mapping(kinds)
}

// nodeIn is a node that takes further fields where it stands.
func (g *generator) nodeIn(where string, extra []Field) ordered {
	kinds := g.once("node_in_"+where, func() ordered { return ordered{{"anyOf", g.variant(where+"_", extra, false)}} })
	return g.mapping(kinds)
}

// mapping says that a node is one, outside of the kinds: a choice of which none is a mapping would say so for each.
func (g *generator) mapping(kinds ordered) ordered {
	return ordered{{"type", "object"}, {"errorMessage", "must be a node: a mapping with one of: " + strings.Join(g.lang.kindNames(), ", ")},
		{"allOf", []ordered{kinds}}}
}

// variant refers to each kind with further fields beside its own.
func (g *generator) variant(prefix string, extra []Field, top bool) []ordered {
	all := make([]ordered, len(g.lang.Kinds))
	for i := range g.lang.Kinds {
		k := &g.lang.Kinds[i]
		all[i] = g.once(prefix+k.Name, func() ordered { return g.kind(k, extra, top) })
	}
	return all
}

func (g *generator) kind(k *Shape, extra []Field, top bool) ordered {
	fields := slices.Clone(k.all)
	for _, f := range extra {
		if own := field(fields, f.Name); own != nil {
			*own = f
		} else {
			fields = append(fields, f)
		}
	}
	o := ordered{{"title", k.Name}, {"description", sentence(k.Summary)}, {"additionalProperties", false}}
	o = append(o, member{"properties", g.shared(fields, k)})
	if top {
		o = append(o, member{"patternProperties", ordered{{"^x-", ordered{{"description", "Free space, for YAML anchors."}}}}})
	}
	// The server speaks of the kind that a node resembles most. Its own key, which counts once more here, settles which.
	all := []ordered{{
		{"required", []string{k.Name}},
		{"properties", ordered{{k.Name, true}}},
		{"errorMessage", "a node needs exactly one of: " + strings.Join(g.lang.kindNames(), ", ")},
	}}
	all = append(all, required(k.Name, fields)...)
	o = append(o, member{"allOf", append(all, rules(slices.Concat(k.Rules, g.lang.Rules))...)})
	return append(o, member{"defaultSnippets", snippets(k)})
}

// required asks for the fields of what that must be there; the key of the kind itself is asked for by its node.
func required(what string, fields []Field) []ordered {
	var all []ordered
	for _, f := range fields {
		if f.Required && f.Name != what {
			all = append(all, ordered{{"required", []string{f.Name}}, {"errorMessage", fmt.Sprintf("%s needs %s: %s", what, f.Name, f.Form)}})
		}
	}
	return all
}

// rules puts each message where the server reads it: at what is required or refused.
func rules(rs []Rule) []ordered {
	var all []ordered
	for _, r := range rs {
		if len(r.AnyOf) > 0 {
			var any []ordered
			for _, name := range r.AnyOf {
				any = append(any, ordered{{"required", []string{name}}, {"errorMessage", r.Message}})
			}
			all = append(all, ordered{{"anyOf", any}})
		}
		if n := len(r.NotBoth); n > 0 { // the last is refused where the others stand
			refused := ordered{{"properties", ordered{{r.NotBoth[n-1], false}}}, {"errorMessage", r.Message}}
			all = append(all, ordered{{"if", ordered{{"required", r.NotBoth[:n-1]}}}, {"then", refused}})
		}
		if r.Only != "" {
			refused := ordered{{"properties", ordered{{r.Only, false}}}, {"errorMessage", r.Message}}
			for _, name := range slices.Backward(r.With) {
				refused = ordered{{"if", ordered{{"required", []string{name}}}}, {"else", refused}}
			}
			all = append(all, refused)
		}
	}
	return all
}

// shared are the properties of a kind, each defined once for all the places where the kind may stand.
func (g *generator) shared(fields []Field, k *Shape) ordered {
	p := ordered{}
	for i := range fields {
		f := &fields[i]
		owner := k.Name
		switch {
		case field(k.Fields, f.Name) != nil:
		case field(g.lang.Common, f.Name) != nil && field(g.lang.Header, f.Name) == nil:
			owner = "node"
		case field(g.lang.Header, f.Name) != nil:
			owner = "header"
		default:
			owner = "edges"
		}
		summary := sentence(f.Summary)
		if f.Name == k.Name {
			summary = sentence(k.Summary) + " " + summary
		}
		p = append(p, member{f.Name, g.once(owner+"."+f.Name, func() ordered { return describe(f.Form.schema(g), f, summary) })})
	}
	return p
}

// properties of a mapping.
func (g *generator) properties(fields []Field) ordered {
	p := ordered{}
	for i := range fields {
		p = append(p, member{fields[i].Name, describe(fields[i].Form.schema(g), &fields[i], sentence(fields[i].Summary))})
	}
	return p
}

// describe adds what editors show. Without a title of its own they would take that of the kind read last.
func describe(schema ordered, f *Field, summary string) ordered {
	shown := ordered{{"title", f.Name}}
	if summary != "" {
		shown = append(shown, member{"description", summary})
	}
	// Over a node hovering takes what comes first, and that would be said of the node's kind.
	if within := schema.at("allOf"); holdsNode(f.Form) && within != nil {
		within.value = append([]ordered{shown}, within.value.([]ordered)...)
	}
	schema = append(shown, schema...)
	switch d := f.Default.(type) {
	case nil:
	case string, bool, int, float64:
		schema = append(schema, member{"default", d})
	default:
		schema = append(schema, member{"default", defaultText(d)})
	}
	return schema
}

func holdsNode(f Form) bool {
	_, ok := nodeForm(f)
	return ok
}

func snippets(k *Shape) []ordered {
	body, stops := ordered{}, 0
	for i := range k.Fields {
		if f := &k.Fields[i]; i == 0 || f.Required {
			body = append(body, member{f.Name, snippet(f.Form, &stops)})
		}
	}
	return []ordered{{{"label", k.Name}, {"description", sentence(k.Summary)}, {"body", body}}}
}

// snippet is what is written for a value at first; stops counts the places that are filled in.
func snippet(f Form, stops *int) any {
	switch f := f.(type) {
	case OneOf:
		return snippet(f[0], stops)
	case NodeForm:
		return ordered{{"agent", stop("", stops)}}
	case NodeList:
		return []any{ordered{{"agent", stop("", stops)}}}
	case NodeMap:
		return ordered{{stop("name", stops), ordered{{"agent", stop("", stops)}}}}
	case List:
		return []any{stop("", stops)}
	}
	return stop("", stops)
}

// stop is the next place that is filled in, with a text to start from.
func stop(text string, stops *int) string {
	*stops++
	if text == "" {
		return fmt.Sprintf("$%d", *stops)
	}
	return fmt.Sprintf("${%d:%s}", *stops, text)
}

// typed is a schema of a form that takes values of the types.
func typed(f Form, types ...string) ordered {
	o := ordered{{"type", types}}
	if len(types) == 1 {
		o = ordered{{"type", types[0]}}
	}
	message := "must be " + f.String()
	if types[0] == "integer" || types[0] == "number" {
		message += ", without quotes"
	}
	return append(o, member{"errorMessage", message})
}

// never refuses texts. The language server has one message for every "not", hence a choice.
func never(text ordered, message string) ordered {
	return ordered{{"if", append(ordered{{"type", "string"}}, text...)}, {"then", ordered{{"pattern", "^$"}, {"patternErrorMessage", message}}}}
}

// templated is a text that holds ${{ }}.
var templated = ordered{{"pattern", `\$\{\{`}}

func (x Text) schema(*generator) ordered {
	o := typed(x, "string")
	if x.Pattern != nil {
		o = append(o, member{"pattern", x.Pattern.String()})
	}
	return append(o, member{"allOf", []ordered{never(templated, "takes no ${{ }}: it is read before anything runs")}})
}

func (x NameForm) schema(*generator) ordered {
	return append(typed(x, "string"), ordered{
		{"pattern", namePattern.String()},
		{"patternErrorMessage", "use letters, digits and _ (no - or spaces), so that steps.NAME works in expressions"},
		{"allOf", []ordered{never(ordered{{"enum", slices.Sorted(maps.Keys(reserved))}}, "a word of the language cannot be a name")}},
	}...)
}

func (x Flag) schema(*generator) ordered { return typed(x, "boolean") }

func (x Only) schema(*generator) ordered {
	return ordered{{"enum", []bool{x.Value}}, {"errorMessage", "must be " + x.String()}}
}

func (x Whole) schema(*generator) ordered {
	o := append(typed(x, "integer"), member{"minimum", x.Min})
	if x.Max > 0 {
		o = append(o, member{"maximum", x.Max})
	}
	return o
}

func (x Real) schema(*generator) ordered {
	return append(typed(x, "number"), member{"minimum", x.Min}, member{"maximum", x.Max})
}

func (x Duration) schema(*generator) ordered {
	o := append(typed(x, "string"), member{"pattern", `^(([0-9]+(\.[0-9]*)?|\.[0-9]+)(ns|us|µs|ms|s|m|h))+$`})
	if x.Positive {
		o = append(o, member{"allOf", []ordered{{{"pattern", "[1-9]"}, {"patternErrorMessage", "must be more than nothing"}}}})
	}
	return o
}

func (x Word) schema(*generator) ordered {
	return ordered{{"enum", x.Of}, {"errorMessage", "must be " + x.String()}}
}

func (x List) schema(g *generator) ordered {
	o := append(typed(x, "array"), member{"items", x.Of.schema(g)})
	if x.Min > 0 {
		o = append(o, member{"minItems", x.Min})
	}
	return o
}

func (x Map) schema(g *generator) ordered {
	o := append(typed(x, "object"), member{"additionalProperties", x.Of.schema(g)})
	if x.Names {
		o = append(o, names(g))
	}
	if x.Keys != nil {
		o = append(o, member{"propertyNames", x.Keys.schema(g)})
	}
	return o
}

// names makes the keys of a mapping names.
func names(g *generator) member {
	return member{"propertyNames", append(ordered{{"title", "name"}}, NameForm{}.schema(g)...)}
}

// The keys of a record stand in a schema within, because an errorMessage beside them would be theirs too.
// One that says what it is may be written in many places, so it is defined once.
func (x Record) schema(g *generator) ordered {
	keys := func() []ordered {
		all := []ordered{{{"additionalProperties", false}, {"properties", g.properties(x.Fields)}}}
		return slices.Concat(all, required("this mapping", x.Fields), rules(x.Rules))
	}
	if x.Is == "" {
		return append(typed(x, "object"), member{"allOf", keys()})
	}
	defined := g.once(strings.ReplaceAll(x.Is, " ", "_"), func() ordered { return ordered{{"allOf", keys()}} })
	return append(typed(x, "object"), member{"allOf", []ordered{defined}})
}

func (x Raw) schema(*generator) ordered { return typed(x, "object") }

func (x Literal) schema(*generator) ordered { return ordered{} }

func (x AsWritten) schema(g *generator) ordered { return x.Form.schema(g) }

// Alternatives of different types become one schema, which gives better messages than a choice of schemas. In a choice
// the first speaks for all where they fit as badly.
func (x OneOf) schema(g *generator) ordered {
	var types []string
	var rest ordered
	var conditions, all []ordered
	one := true
	for _, f := range x {
		s := f.schema(g)
		all = append(all, s)
		one = one && s.at("type") != nil
		for _, m := range s {
			switch m.name {
			case "type":
				one = one && !slices.ContainsFunc(typeNames(m), func(t string) bool { return slices.Contains(types, t) })
				types = append(types, typeNames(m)...)
			case "errorMessage":
			case "allOf":
				c := m.value.([]ordered)
				if _, ok := f.(NodeForm); ok { // any other value would fit every kind
					c = []ordered{{{"if", ordered{{"type", "object"}}}, {"then", c[0]}}}
				}
				conditions = append(conditions, c...)
			default:
				one = one && rest.at(m.name) == nil
				rest = append(rest, m)
			}
		}
	}
	keys := recordFields(x)
	if !one {
		for _, s := range all {
			if m := s.at("errorMessage"); m != nil {
				m.value = "must be " + x.String()
			}
		}
		return ordered{{"anyOf", append(all, offer(keys))}}
	}
	o := append(typed(x, types...), rest...)
	if len(keys) > 0 {
		conditions = append(conditions, ordered{{"anyOf", []ordered{offer(keys), {{"properties", ordered{}}}}}})
	}
	if len(conditions) > 0 {
		o = append(o, member{"allOf", conditions})
	}
	return o
}

// offer is a choice that fits nothing. It offers the keys of a mapping where another value may stand as well, for which
// the server offers values alone; and over a choice that fits as a whole hovering shows a jumble of its parts.
func offer(keys []Field) ordered {
	o := ordered{{"title", "nothing"}, {"not", ordered{}}}
	var snippets []ordered
	for _, f := range keys {
		snippets = append(snippets, ordered{{"label", f.Name}, {"description", sentence(f.Summary)}, {"body", "{" + f.Name + ": $1}"}})
	}
	if snippets != nil {
		o = append(o, member{"defaultSnippets", snippets})
	}
	return o
}

func typeNames(m member) []string {
	if t, ok := m.value.(string); ok {
		return []string{t}
	}
	return m.value.([]string)
}

func (x Ref) schema(*generator) ordered { return typed(x, "string") }

func (x Code) schema(*generator) ordered {
	return append(typed(x, "string", "number", "boolean"),
		member{"allOf", []ordered{never(templated, "holds an expression already: write it without ${{ }}")}})
}

func (x Template) schema(*generator) ordered {
	if x.Marked {
		return append(typed(x, "string"), templated...)
	}
	return typed(x, "string", "number", "boolean")
}

func (x Data) schema(*generator) ordered {
	if x.Mapping {
		return typed(x, "object")
	}
	return typed(x, "object", "array")
}

func (x SchemaForm) schema(*generator) ordered { return typed(x, "object", "array", "string") }

func (NodeForm) schema(g *generator) ordered { return g.node() }

func (x NodeList) schema(g *generator) ordered {
	return append(typed(x, "array"), member{"minItems", 1}, member{"items", g.node()})
}

func (x NodeMap) schema(g *generator) ordered {
	o := append(typed(x, "object"), member{"minProperties", 1})
	if x.Named {
		return append(o, names(g), member{"additionalProperties", g.nodeIn("graph", x.Extra)})
	}
	return append(o, member{"additionalProperties", g.node()})
}

func (x Target) schema(*generator) ordered { return typed(x, "string") }

func (x Include) schema(*generator) ordered { return typed(x, "string") }

func (x TemplateFile) schema(*generator) ordered {
	return append(typed(x, "string"), member{"allOf", []ordered{never(templated, "takes no ${{ }}: it is read before anything runs")}})
}

// sentence makes a summary one.
func sentence(s string) string {
	if s == "" {
		return ""
	}
	return strings.ToUpper(s[:1]) + s[1:] + "."
}
