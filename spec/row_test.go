package spec_test

import (
	"testing"

	"github.com/flowrun/flowrun/spec"
)

func TestRow(t *testing.T) {
	t.Parallel()
	const schema = `{"type": "object", "required": ["id", "n"], "$defs": {"size": {"type": "number"}}, "properties": {
		"id": {"type": "string"}, "n": {"type": "integer"}, "size": {"$ref": "#/$defs/size"}, "yes": {"type": ["boolean", "null"]},
		"tags": {"type": "array"}, "kind": {"enum": ["a", 1]}, "note": {"type": "string", "minLength": 2}}}`
	s, err := spec.NewSchema([]byte(schema))
	if err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		row  map[string]any
		want string // the row, and what does not fit
	}{
		"texts and numbers":             {map[string]any{"id": "7", "n": "7", "size": "1.5"}, `{"id":"7","n":7,"size":1.5}`},
		"truth, lists and choices":      {map[string]any{"id": "x", "n": "-1", "yes": "true", "tags": `["a", 2]`, "kind": "1"}, `{"id":"x","kind":1,"n":-1,"tags":["a",2],"yes":true}`},
		"empty cells":                   {map[string]any{"id": "", "n": "1", "size": "", "yes": ""}, `{"id":"","n":1}`},
		"an empty cell that must be":    {map[string]any{"id": "", "n": ""}, `{"id":""} input.n is missing`},
		"what is no number":             {map[string]any{"id": "x", "n": "seven"}, `{"id":"x","n":"seven"} input.n must be integer, not string`},
		"what is too short":             {map[string]any{"id": "x", "n": "1", "note": "y"}, `{"id":"x","n":1,"note":"y"} input.note: minLength: got 1, want 2`},
		"a number with leading zeros":   {map[string]any{"id": "007", "n": "007"}, `{"id":"007","n":"007"} input.n must be integer, not string`},
		"a column that nobody declared": {map[string]any{"id": "x", "n": "1", "more": "2"}, `{"id":"x","more":"2","n":1}`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			row := s.Row(tt.row)
			got := spec.AsJSON(row)
			if err := s.Check("input", row); err != nil {
				got += " " + err.Error()
			}
			if got != tt.want {
				t.Errorf("\n got %s\nwant %s", got, tt.want)
			}
		})
	}
	if got := spec.AsJSON((*spec.Schema)(nil).Row(map[string]any{"n": "1"})); got != `{"n":"1"}` {
		t.Errorf("without a schema it is %s", got)
	}
}
