package agents

import (
	"bytes"
	"encoding/json"
)

// Tool is what a model may call.
type Tool struct {
	Name        string // any text, such as files.read_file; providers are told one that they allow
	Description string
	Schema      Schema // of the arguments, which are an object; nil: any
}

// ToolCall is a model's wish to call a tool.
type ToolCall struct {
	ID        string
	Name      string
	Arguments json.RawMessage // as the model wrote them: they may be no JSON
}

// keptCall is a call in JSON.
type keptCall struct {
	ID        string
	Name      string
	Arguments json.RawMessage
}

// MarshalJSON writes arguments that are no object as a text.
func (c ToolCall) MarshalJSON() ([]byte, error) {
	kept := keptCall(c)
	if args := bytes.TrimSpace(c.Arguments); !json.Valid(args) || args[0] != '{' {
		text, err := json.Marshal(string(c.Arguments))
		if err != nil {
			return nil, err
		}
		kept.Arguments = text
	}
	return json.Marshal(kept)
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (c *ToolCall) UnmarshalJSON(data []byte) error {
	var kept keptCall
	if err := json.Unmarshal(data, &kept); err != nil {
		return err
	}
	*c = ToolCall(kept)
	if bytes.HasPrefix(kept.Arguments, []byte(`"`)) {
		var text string
		if err := json.Unmarshal(kept.Arguments, &text); err != nil {
			return err
		}
		c.Arguments = json.RawMessage(text)
	}
	return nil
}

// ToolResult is what came of a call.
type ToolResult struct {
	ID     string // of the call
	Text   string
	Failed bool
}
