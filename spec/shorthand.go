package spec

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

var (
	jsonTypes = []string{"string", "integer", "number", "boolean", "object", "array", "null"}
	// keywords of JSON Schema and what they hold: a schema (s), a list (l) or mapping (m) of schemas, data (d).
	keywords = map[string]byte{
		"$schema": 'd', "$id": 'd', "$ref": 'd', "$comment": 'd', "$anchor": 'd', "$dynamicRef": 'd', "$dynamicAnchor": 'd',
		"$defs": 'm', "definitions": 'm', "type": 'd', "enum": 'd', "const": 'd',
		"multipleOf": 'd', "maximum": 'd', "exclusiveMaximum": 'd', "minimum": 'd', "exclusiveMinimum": 'd',
		"maxLength": 'd', "minLength": 'd', "pattern": 'd', "format": 'd',
		"maxItems": 'd', "minItems": 'd', "uniqueItems": 'd', "maxContains": 'd', "minContains": 'd',
		"maxProperties": 'd', "minProperties": 'd', "required": 'd', "dependentRequired": 'd', "dependentSchemas": 'm',
		"properties": 'm', "patternProperties": 'm', "additionalProperties": 's', "propertyNames": 's', "unevaluatedProperties": 's',
		"items": 's', "additionalItems": 's', "prefixItems": 'l', "contains": 's', "unevaluatedItems": 's',
		"allOf": 'l', "anyOf": 'l', "oneOf": 'l', "not": 's', "if": 's', "then": 's', "else": 's',
		"title": 'd', "description": 'd', "default": 'd', "deprecated": 'd', "readOnly": 'd', "writeOnly": 'd', "examples": 'd',
		"contentEncoding": 'd', "contentMediaType": 'd', "contentSchema": 's',
	}
	// A mapping with one of these is a JSON Schema as written. (Others, such as items, may well be fields of the shorthand.)
	telling = []string{"$ref", "$defs", "definitions", "properties", "patternProperties", "additionalProperties", "anyOf", "oneOf", "allOf", "not", "enum", "const", "if", "prefixItems"}
)

// schema reads a JSON Schema or its shorthand; nil where it was refused. An entry, such as a parameter, is a JSON
// Schema also when it says nothing but a default or a description.
func (r *reader) schema(t *tree, entry bool) *Schema {
	problems := r.load.count()
	var doc any
	if entry && t.form == mappingForm && (t.get("default") != nil || t.get("description") != nil || len(t.pairs) == 0) {
		doc = r.jsonSchema(t)
	} else {
		doc = r.schemaDoc(t)
	}
	if r.load.count() > problems {
		return nil
	}
	src, err := json.Marshal(doc)
	if err == nil {
		var s *Schema
		if s, err = newSchema(src, r.load.compiler.regexp); err == nil {
			return s
		}
	}
	r.problem(t, "", "this is no JSON Schema: %s", shorten(err.Error()))
	return nil
}

func isJSONSchema(t *tree) bool {
	if t.form != mappingForm {
		return false
	}
	for _, k := range telling {
		if t.get(k) != nil {
			return true
		}
	}
	typ := t.get("type")
	return typ != nil && (slices.Contains(jsonTypes, typ.text) || typ.form == listForm)
}

// schemaDoc turns the shorthand into JSON Schema.
func (r *reader) schemaDoc(t *tree) any {
	switch {
	case isJSONSchema(t):
		return r.jsonSchema(t)
	case t.form == listForm:
		if len(t.items) != 1 {
			r.problem(t, "a list of texts is [string]", "a list in a schema has one type, that of its items, not %d", len(t.items))
			return nil
		}
		return ordered{{"type", "array"}, {"items", r.schemaDoc(t.items[0])}}
	case t.form == mappingForm && !t.braces:
		return r.closedObject(t)
	}
	word := strings.TrimPrefix(t.text, "optional ")
	switch {
	case word == "any":
		return ordered{}
	case t.form == scalarForm && slices.Contains(jsonTypes, word):
		return ordered{{"type", word}}
	}
	names := append(slices.Clone(jsonTypes), "any")
	r.problem(t, fmt.Sprintf("types are %s; a list is [type], a field that may be missing is: optional type", oneOf(names)),
		"a schema cannot be %s%s", t.what(), DidYouMean(word, names))
	return nil
}

// closedObject is the shorthand's mapping of fields to types.
func (r *reader) closedObject(t *tree) any {
	var properties ordered
	required := []string{}
	for _, p := range t.pairs {
		properties = append(properties, member{p.key.text, r.schemaDoc(p.value)})
		if !strings.HasPrefix(p.value.text, "optional ") {
			required = append(required, p.key.text)
		}
	}
	if properties == nil {
		properties = ordered{}
	}
	return ordered{{"type", "object"}, {"properties", properties}, {"required", required}, {"additionalProperties", false}}
}

// jsonSchema copies a JSON Schema in its order and reports keywords that JSON Schema does not have.
func (r *reader) jsonSchema(t *tree) any {
	if t.form == scalarForm && t.tag == "!!bool" {
		return t.data()
	}
	if t.form != mappingForm {
		r.problem(t, "", "a JSON Schema is a mapping, not %s", t.what())
		return nil
	}
	doc := ordered{}
	for _, p := range t.pairs {
		key := p.key.text
		holds, known := keywords[key]
		if !known && !strings.HasPrefix(key, "x-") {
			all := make([]string, 0, len(keywords))
			for k := range keywords {
				all = append(all, k)
			}
			slices.Sort(all)
			r.problem(p.key, "", "%s is no keyword of JSON Schema%s", quote(key), DidYouMean(key, all))
			continue
		}
		doc = append(doc, member{key, r.keyword(holds, p.value)})
	}
	return doc
}

func (r *reader) keyword(holds byte, t *tree) any {
	switch {
	case holds == 's':
		return r.jsonSchema(t)
	case holds == 'm' && t.form == mappingForm:
		m := ordered{}
		for _, p := range t.pairs {
			m = append(m, member{p.key.text, r.jsonSchema(p.value)})
		}
		return m
	case holds == 'l' && t.form == listForm:
		list := make([]any, len(t.items))
		for i, item := range t.items {
			list[i] = r.jsonSchema(item)
		}
		return list
	}
	return t.data()
}
