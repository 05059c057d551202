package spec

import (
	"errors"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// Row reads an object whose fields are texts, as a table has them: a field stays a text where that fits the schema, and
// is read as a value else, as [ParseValue] does; one that is empty then is left out. What fits in neither way stays a
// text. A nil schema takes all as texts.
func (s *Schema) Row(texts map[string]any) map[string]any {
	if s == nil {
		return texts
	}
	var invalid *jsonschema.ValidationError
	if !errors.As(s.compiled.Validate(texts), &invalid) {
		return texts
	}
	for _, leaf := range leaves(invalid) {
		if len(leaf.InstanceLocation) == 0 {
			continue
		}
		field := leaf.InstanceLocation[0]
		text, ok := texts[field].(string)
		if !ok {
			continue // it was read for another reason
		}
		if text == "" {
			delete(texts, field)
		} else if v, err := ParseValue(text); err == nil {
			texts[field] = v
		}
	}
	return texts
}
