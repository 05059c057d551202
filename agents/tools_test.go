package agents

import (
	"encoding/json"
	"testing"
)

// TestKeptCalls holds that a call is read as it was written, whatever the model gave for arguments.
func TestKeptCalls(t *testing.T) {
	t.Parallel()
	for _, args := range []string{`{}`, `{"a":[1.0,9007199254740993]}`, `{"a":`, `"{}"`, `[1]`, `null`, ``, "\"", "{\"a\": nul\x00}"} {
		data, err := json.Marshal(Answer{Calls: []ToolCall{{"c1", "files.read", json.RawMessage(args)}}})
		if err != nil {
			t.Fatalf("%q: %v", args, err)
		}
		var got Answer
		if err := json.Unmarshal(data, &got); err != nil {
			t.Fatalf("%q: %v", args, err)
		}
		if c := got.Calls[0]; c.ID != "c1" || c.Name != "files.read" || string(c.Arguments) != args {
			t.Errorf("%q is read as %+v", args, c)
		}
	}
}
