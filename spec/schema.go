package spec

import (
	"bytes"
	"encoding/json"
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
		{"anyOf", g.variant("file_", l.Header, true)},
	}
	g.node()
	root = append(root, member{"definitions", g.definitions})
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(root); err != nil {
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

// node refers to a node as it stands anywhere.
func (g *generator) node() ordered {
	return g.once("node", func() ordered { return ordered{{"anyOf", g.variant("", nil, false)}} })
}

// nodeWith refers to a node that takes further fields.
func (g *generator) nodeWith(where string, extra []Field) ordered {
	return g.once("node_in_"+where, func() ordered { return ordered{{"anyOf", g.variant(where+"_", extra, false)}} })
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
	o := ordered{{"title", k.Name}, {"description", sentence(k.Summary)}, {"type", "object"}, {"additionalProperties", false}}
	o = append(o, member{"properties", g.shared(fields, k)})
	if top {
		o = append(o, member{"patternProperties", ordered{{"^x-", ordered{{"description", "Free space, for YAML anchors."}}}}})
	}
	o = o.with("required", required(fields, k.Name))
	all := []ordered{{
		{"required", []string{k.Name}},
		{"errorMessage", "a node needs exactly one of: " + strings.Join(g.lang.kindNames(), ", ")},
	}}
	o = append(o, member{"allOf", append(all, rules(slices.Concat(k.Rules, g.lang.Rules))...)})
	return o.with("defaultSnippets", g.snippets(k))
}

func required(fields []Field, but string) []string {
	var names []string
	for _, f := range fields {
		if f.Required && f.Name != but {
			names = append(names, f.Name)
		}
	}
	return names
}

func rules(rs []Rule) []ordered {
	var all []ordered
	for _, r := range rs {
		if len(r.AnyOf) > 0 {
			var any []ordered
			for _, name := range r.AnyOf {
				any = append(any, ordered{{"required", []string{name}}})
			}
			all = append(all, ordered{{"anyOf", any}, {"errorMessage", r.Message}})
		}
		if len(r.NotBoth) > 0 {
			all = append(all, ordered{{"not", ordered{{"required", r.NotBoth}}}, {"errorMessage", r.Message}})
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
		p = append(p, member{f.Name, g.once(owner+"."+f.Name, func() ordered { return describe(f.Form.schema(g), f) })})
	}
	return p
}

// properties of a mapping.
func (g *generator) properties(fields []Field) ordered {
	p := ordered{}
	for i := range fields {
		p = append(p, member{fields[i].Name, describe(fields[i].Form.schema(g), &fields[i])})
	}
	return p
}

func describe(schema ordered, f *Field) ordered {
	schema = slices.Clone(schema).with("description", sentence(f.Summary))
	switch d := f.Default.(type) {
	case nil:
	case string, bool, int, float64:
		schema = append(schema, member{"default", d})
	default:
		schema = append(schema, member{"default", defaultText(d)})
	}
	return schema
}

func (g *generator) snippets(k *Shape) []ordered {
	body := ordered{}
	for i := range k.Fields {
		if f := &k.Fields[i]; i == 0 || f.Required {
			body = append(body, member{f.Name, snippet(f.Form)})
		}
	}
	return []ordered{{{"label", k.Name}, {"description", sentence(k.Summary)}, {"body", body}}}
}

func snippet(f Form) any {
	switch f := f.(type) {
	case OneOf:
		return snippet(f[0])
	case NodeForm:
		return ordered{{"agent", "$1"}}
	case NodeList:
		return []any{ordered{{"agent", "$1"}}}
	case NodeMap:
		return ordered{{"${1:name}", ordered{{"agent", "$2"}}}}
	case List:
		return []any{"$1"}
	}
	return "$1"
}

// templated is a text that holds ${{ }}.
var templated = ordered{{"type", "string"}, {"pattern", `\$\{\{`}}

func (x Text) schema(*generator) ordered {
	o := ordered{{"type", "string"}}
	if x.Pattern != nil {
		o = append(o, member{"pattern", x.Pattern.String()}, member{"patternErrorMessage", "must be " + x.String()})
	}
	return append(o, member{"not", templated})
}

func (NameForm) schema(*generator) ordered {
	return ordered{{"type", "string"}, {"pattern", namePattern.String()},
		{"patternErrorMessage", "use letters, digits and _ (no - or spaces), so that steps.NAME works in expressions"},
		{"not", ordered{{"enum", sortedKeys(reserved)}}}}
}

func (Flag) schema(*generator) ordered { return ordered{{"type", "boolean"}} }

func (x Only) schema(*generator) ordered { return ordered{{"enum", []bool{x.Value}}} }

func (x Whole) schema(*generator) ordered {
	o := ordered{{"type", "integer"}, {"minimum", x.Min}}
	if x.Max > 0 {
		o = append(o, member{"maximum", x.Max})
	}
	return o
}

func (x Real) schema(*generator) ordered {
	return ordered{{"type", "number"}, {"minimum", x.Min}, {"maximum", x.Max}}
}

func (x Duration) schema(*generator) ordered {
	o := ordered{{"type", "string"}, {"pattern", `^(([0-9]+(\.[0-9]*)?|\.[0-9]+)(ns|us|µs|ms|s|m|h))+$`},
		{"patternErrorMessage", "must be " + x.String()}}
	if x.Positive {
		o = append(o, member{"allOf", []ordered{{{"pattern", "[1-9]"}, {"patternErrorMessage", "must be more than nothing"}}}})
	}
	return o
}

func (x Word) schema(*generator) ordered { return ordered{{"enum", x.Of}} }

func (x List) schema(g *generator) ordered {
	o := ordered{{"type", "array"}, {"items", x.Of.schema(g)}}
	if x.Min > 0 {
		o = append(o, member{"minItems", x.Min})
	}
	return o
}

func (x Map) schema(g *generator) ordered {
	o := ordered{{"type", "object"}, {"additionalProperties", x.Of.schema(g)}}
	if x.Names {
		o = append(o, member{"propertyNames", NameForm{}.schema(g)})
	}
	if x.Keys != nil {
		o = append(o, member{"propertyNames", x.Keys.schema(g)})
	}
	return o
}

func (x Record) schema(g *generator) ordered {
	o := ordered{{"type", "object"}, {"additionalProperties", false}, {"properties", g.properties(x.Fields)}}
	o = o.with("required", required(x.Fields, ""))
	if all := rules(x.Rules); len(all) > 0 {
		o = append(o, member{"allOf", all})
	}
	return o
}

func (Raw) schema(*generator) ordered { return ordered{{"type", "object"}} }

// Alternatives of different types become one schema, which gives better messages than a choice of schemas.
func (x OneOf) schema(g *generator) ordered {
	var merged ordered
	var types []string
	seen := map[string]bool{}
	var all []ordered
	mergeable := true
	for _, f := range x {
		s := f.schema(g)
		all = append(all, s)
		for _, m := range s {
			names := typeNames(m)
			for _, n := range names {
				mergeable = mergeable && !seen[n]
				seen[n] = true
			}
			types = append(types, names...)
			if m.name != "type" {
				mergeable = mergeable && !seen["key "+m.name] && m.name != "enum" && m.name != "$ref" && m.name != "not" && m.name != "allOf"
				seen["key "+m.name] = true
				merged = append(merged, m)
			}
		}
	}
	if mergeable && len(types) > 0 {
		return append(ordered{{"type", types}}, merged...)
	}
	return ordered{{"anyOf", all}}
}

func typeNames(m member) []string {
	if m.name != "type" {
		return nil
	}
	switch t := m.value.(type) {
	case string:
		return []string{t}
	case []string:
		return t
	}
	return nil
}

func (Ref) schema(*generator) ordered { return ordered{{"type", "string"}} }

func (Code) schema(*generator) ordered {
	return ordered{{"type", []string{"string", "number", "boolean"}}, {"not", templated}}
}

func (x Template) schema(*generator) ordered {
	if x.Marked {
		return ordered{{"type", "string"}, {"pattern", `\$\{\{`}}
	}
	return ordered{{"type", []string{"string", "number", "boolean"}}}
}

func (x Data) schema(*generator) ordered {
	if x.Mapping {
		return ordered{{"type", "object"}}
	}
	return ordered{{"type", []string{"object", "array"}}}
}

func (SchemaForm) schema(*generator) ordered {
	return ordered{{"type", []string{"object", "array", "string"}}}
}

func (NodeForm) schema(g *generator) ordered { return g.node() }

func (NodeList) schema(g *generator) ordered {
	return ordered{{"type", "array"}, {"minItems", 1}, {"items", g.node()}}
}

func (x NodeMap) schema(g *generator) ordered {
	of := g.node()
	o := ordered{{"type", "object"}, {"minProperties", 1}}
	if x.Named {
		o = append(o, member{"propertyNames", NameForm{}.schema(g)})
		of = g.nodeWith("graph", x.Extra)
	}
	return append(o, member{"additionalProperties", of})
}

func (Target) schema(*generator) ordered { return ordered{{"type", "string"}} }

func (Include) schema(*generator) ordered { return ordered{{"type", "string"}} }

// sentence makes a summary one.
func sentence(s string) string {
	if s == "" {
		return ""
	}
	return strings.ToUpper(s[:1]) + s[1:] + "."
}
