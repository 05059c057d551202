package spec

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
	"golang.org/x/text/language"
	"golang.org/x/text/message"
)

// Schema is a JSON Schema that a file asks of a value, written as such or in the shorthand.
type Schema struct {
	json     json.RawMessage // in the order written: models answer in it
	compiled *jsonschema.Schema
	typ      Type
	defaults bool // it has a default
	fallback any
}

// MarshalJSON is the schema as JSON Schema.
func (s *Schema) MarshalJSON() ([]byte, error) { return s.json, nil }

// Default is the value that stands where none is given; ok tells whether the schema has one.
func (s *Schema) Default() (value any, ok bool) { return s.fallback, s.defaults }

// Type is what the schema says of a value before there is one.
func (s *Schema) Type() Type { return s.typ }

// Check says what in v, called name, does not fit the schema; at most five things.
func (s *Schema) Check(name string, v any) error {
	err := s.compiled.Validate(v)
	var invalid *jsonschema.ValidationError
	if !errors.As(err, &invalid) {
		return err
	}
	var all []string
	for _, leaf := range leaves(invalid) {
		all = append(all, problemOf(name, leaf)...)
	}
	slices.Sort(all)
	all = slices.Compact(all)
	if more := len(all) - 5; more > 0 {
		all = append(all[:5], fmt.Sprintf("and %d more", more))
	}
	return errors.New(strings.Join(all, "; "))
}

// leaves are the errors that others are made of; of alternatives only the alternative as a whole.
func leaves(e *jsonschema.ValidationError) []*jsonschema.ValidationError {
	switch e.ErrorKind.(type) {
	case *kind.AnyOf, *kind.OneOf, *kind.Not, *kind.Contains:
		return []*jsonschema.ValidationError{e}
	}
	if len(e.Causes) == 0 {
		return []*jsonschema.ValidationError{e}
	}
	var all []*jsonschema.ValidationError
	for _, c := range e.Causes {
		all = append(all, leaves(c)...)
	}
	return all
}

func problemOf(name string, e *jsonschema.ValidationError) []string {
	at := name
	for _, part := range e.InstanceLocation {
		if _, err := strconv.Atoi(part); err == nil {
			at += "[" + part + "]"
		} else {
			at += "." + part
		}
	}
	at = shorten(at)
	switch k := e.ErrorKind.(type) {
	case *kind.Required:
		return each(k.Missing, at+".%s is missing")
	case *kind.AdditionalProperties:
		return each(k.Properties, at+".%s is unknown")
	case *kind.Type:
		return []string{fmt.Sprintf("%s must be %s, not %s", at, oneOf(k.Want), k.Got)}
	case *kind.Enum:
		return []string{fmt.Sprintf("%s must be %s, not %s", at, shorten(choices(k.Want)), show(mustCanonical(k.Got)))}
	case *kind.AnyOf, *kind.OneOf:
		return []string{at + " fits none, or not exactly one, of the alternatives"}
	}
	return []string{at + ": " + shorten(e.ErrorKind.LocalizedString(message.NewPrinter(language.English)))}
}

func each(names []string, format string) []string {
	out := make([]string, len(names))
	for i, n := range names {
		out[i] = fmt.Sprintf(format, shorten(n))
	}
	return out
}

func choices(values []any) string {
	words := make([]string, len(values))
	for i, v := range values {
		words[i] = AsJSON(mustCanonical(v))
	}
	return oneOf(words)
}

// mustCanonical is for values that came from JSON.
func mustCanonical(v any) any {
	c, err := Canonical(v)
	if err != nil {
		return nil
	}
	return c
}

// NewSchema compiles a JSON Schema. References lead nowhere outside of it.
func NewSchema(src json.RawMessage) (*Schema, error) { return newSchema(src, (&compiler{}).regexp) }

// maxSchema is how many mappings one schema may hold: the library looks through all of them for each.
const maxSchema = 2000

func mappings(doc any) int {
	n := 0
	switch v := doc.(type) {
	case map[string]any:
		n++
		for _, part := range v {
			n += mappings(part)
		}
	case []any:
		for _, part := range v {
			n += mappings(part)
		}
	}
	return n
}

// regexp compiles a pattern of a schema.
func (c *compiler) regexp(pattern string) (jsonschema.Regexp, error) {
	if c.patterns += patternSize(pattern); c.patterns > allPatterns {
		return nil, errPatterns
	}
	re, err := regexp.Compile(pattern)
	if err != nil {
		return nil, err
	}
	return re, nil
}

func newSchema(src json.RawMessage, patterns jsonschema.RegexpEngine) (*Schema, error) {
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(src))
	if err != nil {
		return nil, err
	}
	if n := mappings(doc); n > maxSchema {
		return nil, fmt.Errorf("it has %d parts; at most %d are allowed", n, maxSchema)
	}
	c := jsonschema.NewCompiler()
	c.UseRegexpEngine(patterns)
	c.UseLoader(jsonschema.SchemeURLLoader{}) // the default one reads files
	const self = "flowrun:schema"
	if err := c.AddResource(self, doc); err != nil {
		return nil, err
	}
	compiled, err := c.Compile(self)
	if err != nil {
		return nil, schemaError(err)
	}
	s := &Schema{json: src, compiled: compiled, typ: typeOfSchema(doc)}
	if m, ok := doc.(map[string]any); ok {
		s.fallback, s.defaults = m["default"]
		s.fallback = mustCanonical(s.fallback)
	}
	return s, nil
}

func schemaError(err error) error {
	var invalid *jsonschema.SchemaValidationError
	if errors.As(err, &invalid) {
		var v *jsonschema.ValidationError
		if errors.As(invalid.Err, &v) {
			leaf := leaves(v)[0]
			return errors.New(strings.Join(problemOf("schema", leaf), "; "))
		}
	}
	return err
}

// typeOfSchema is the part of a schema that expressions are checked against. What may be nil or absent is any.
func typeOfSchema(doc any) Type {
	m, ok := doc.(map[string]any)
	if !ok {
		return Any
	}
	for _, k := range []string{"$ref", "anyOf", "oneOf", "allOf", "if", "not"} {
		if m[k] != nil {
			return Any
		}
	}
	switch name, _ := m["type"].(string); name {
	case "boolean":
		return Bool
	case "integer":
		return Integer
	case "number":
		return Number
	case "string":
		return String
	case "array":
		return ListOf(typeOfSchema(m["items"]))
	case "object":
		return objectOfSchema(m)
	}
	if values, _ := m["enum"].([]any); m["type"] == nil && len(values) > 0 {
		for _, v := range values {
			if _, text := v.(string); !text {
				return Any
			}
		}
		return String
	}
	return Any
}

func objectOfSchema(m map[string]any) Type {
	t := Type{base: objectBase, fields: map[string]Type{}, open: m["additionalProperties"] != false || m["patternProperties"] != nil}
	required, _ := m["required"].([]any)
	props, _ := m["properties"].(map[string]any)
	for name := range props {
		t.fields[name] = Any
	}
	for _, name := range required {
		if p, ok := props[fmt.Sprint(name)]; ok {
			t.fields[fmt.Sprint(name)] = typeOfSchema(p)
		}
	}
	return t
}
