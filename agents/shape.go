package agents

import (
	"encoding/json"
	"slices"
	"strings"
)

// format is how a provider's answers are held to a schema.
type format int

const (
	byWord     format = iota // the model is told the schema in words
	jsonObject               // it is told, and held to some JSON object
	toldSchema               // it is told, and held to the schema: the provider does not show it, or not to every model
	jsonSchema               // it is held to the schema, which the provider shows it
)

// shaper is a model that may keep to the schema of a question without being told it in words.
type shaper interface {
	// Shapes tells whether it does for q. It is the same for equal questions.
	Shapes(q Question) bool
}

// subset is a part of JSON Schema: the words that may be used, with what they may say where not anything.
type subset map[string]func(v any) bool

// strictly is what OpenAI holds an answer to, apart from the order that all properties must be required:
// https://platform.openai.com/docs/guides/structured-outputs#supported-schemas.
var strictly = subset{
	"type": nil, "properties": nil, "required": nil, "additionalProperties": isFalse, "items": nil, "enum": nil, "const": nil, "anyOf": nil,
	"title": nil, "description": nil, "minimum": nil, "maximum": nil, "exclusiveMinimum": nil, "exclusiveMaximum": nil, "multipleOf": nil,
	"pattern": nil, "format": isFormat, "minItems": nil, "maxItems": nil,
}

// claudes is what Anthropic takes, as its own client has it in lib/transform-json-schema.
var claudes = subset{
	"type": nil, "properties": nil, "required": nil, "additionalProperties": isFalse, "items": nil, "enum": nil, "const": nil, "anyOf": nil, "allOf": nil,
	"title": nil, "description": nil, "format": isFormat, "minItems": func(v any) bool { return v == 0.0 || v == 1.0 },
}

func isFalse(v any) bool { return v == false }

func isFormat(v any) bool {
	name, _ := v.(string)
	return slices.Contains([]string{"date-time", "time", "date", "duration", "email", "hostname", "ipv4", "ipv6", "uuid"}, name)
}

// holds tells whether a schema says nothing else, and whether its objects are closed.
func (s subset) holds(v any) bool {
	schema, ok := v.(map[string]any)
	if !ok {
		return false
	}
	for word, v := range schema {
		may, known := s[word]
		if !known || may != nil && !may(v) {
			return false
		}
	}
	if is(schema, "object") && schema["additionalProperties"] != false {
		return false
	}
	return !slices.ContainsFunc(parts(schema), func(part any) bool { return !s.holds(part) })
}

// demanding tells whether all properties of all objects of a schema are required.
func demanding(v any) bool {
	schema, _ := v.(map[string]any)
	properties, _ := schema["properties"].(map[string]any)
	required, _ := schema["required"].([]any)
	for name := range properties {
		if !slices.Contains(required, any(name)) {
			return false
		}
	}
	return !slices.ContainsFunc(parts(schema), func(part any) bool { return !demanding(part) })
}

// parts are the schemas in a schema.
func parts(schema map[string]any) []any {
	var all []any
	properties, _ := schema["properties"].(map[string]any)
	for _, part := range properties {
		all = append(all, part)
	}
	if items, ok := schema["items"]; ok {
		all = append(all, items)
	}
	for _, word := range []string{"anyOf", "allOf"} {
		several, _ := schema[word].([]any)
		all = append(all, several...)
	}
	return all
}

// is tells whether a schema is for values of a type, among others.
func is(schema map[string]any, name string) bool {
	types, _ := schema["type"].([]any)
	return schema["type"] == name || slices.Contains(types, any(name))
}

// shape is the schema of a question as a provider gets it.
type shape struct {
	format format
	schema json.RawMessage
	strict bool
}

// shape tells how a question's schema is sent.
func (m *remote) shape(q Question) shape {
	if q.Schema == nil {
		return shape{}
	}
	for _, name := range []string{"response_format", "output_config", "output_format"} {
		if _, own := q.Extra[name]; own {
			return shape{} // the author's business
		}
	}
	data, err := q.Schema.MarshalJSON()
	var schema map[string]any
	if err != nil || json.Unmarshal(data, &schema) != nil || schema["type"] != "object" || schema["anyOf"] != nil {
		return shape{} // providers hold answers to objects only
	}
	if m.provider.claude && !claudes.holds(schema) {
		return shape{}
	}
	if len(q.Tools) > 0 && m.provider.format != jsonSchema {
		return shape{} // held to a schema such models call no tools, or the provider refuses both; they are told in words
	}
	return shape{format: m.provider.format, schema: data, strict: strictly.holds(schema) && demanding(schema)}
}

// Shapes tells whether the provider shows the model the schema of a question.
func (m *remote) Shapes(q Question) bool { return m.shape(q).format == jsonSchema }

// inWords is a question whose schema the model is told in words alone.
func (m *remote) inWords(q Question) Question {
	if m.Shapes(q) {
		q.System = instructed(q.System, schemaInstruction(q.Schema))
	}
	q.Schema = nil
	return q
}

// unshaped tells whether a request was refused for the schema in it, as by models that are older than the API.
func unshaped(e *Error) bool {
	if e.Status != 400 && e.Status != 422 {
		return false
	}
	message := strings.ToLower(e.Message)
	return slices.ContainsFunc([]string{"response_format", "response format", "output_config", "output_format", "output format", "schema", "structured output", "grammar", "json mode", "mime type"},
		func(word string) bool { return strings.Contains(message, word) })
}
