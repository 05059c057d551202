package agents

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
)

// The bounds of what a model may call in one answer.
const (
	maxCalls     = 128
	maxArguments = 1 << 20 // bytes of all calls
	maxName      = 64      // of a tool as providers know it
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

// MarshalJSON writes arguments that are no object, or hold a number that nothing can, as a text.
func (c ToolCall) MarshalJSON() ([]byte, error) {
	kept := keptCall(c)
	var object map[string]any
	if json.Unmarshal(c.Arguments, &object) != nil || object == nil {
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

// object is the arguments as an object: providers take nothing else back.
func (c ToolCall) object() json.RawMessage {
	if args := bytes.TrimSpace(c.Arguments); json.Valid(args) && args[0] == '{' {
		return args
	}
	object, err := json.Marshal(map[string]string{"arguments": string(c.Arguments)})
	if err != nil {
		return json.RawMessage("{}")
	}
	return object
}

// parameters is the schema of a tool's arguments as providers want it: of an object, with properties.
func (t Tool) parameters() map[string]any {
	schema := map[string]any{}
	if t.Schema != nil {
		if data, err := t.Schema.MarshalJSON(); err == nil {
			d := json.NewDecoder(bytes.NewReader(data))
			d.UseNumber()
			_ = d.Decode(&schema) // true, which is no object, says as much as nothing
		}
	}
	if schema == nil {
		schema = map[string]any{}
	}
	delete(schema, "$schema") // which MCP's have and Gemini refuses
	schema["type"] = "object"
	if schema["properties"] == nil {
		schema["properties"] = map[string]any{}
	}
	return schema
}

// names tells the names of tools here from those that a provider knows: up to 64 letters, digits, _ and -.
type names struct{ there, here map[string]string }

// namesOf finds a name for every tool. Where two would look alike, only the one that has that name keeps it. It is the
// same in any order of the tools.
func namesOf(tools []Tool) names {
	n := names{map[string]string{}, map[string]string{}}
	alike := map[string]int{}
	for _, t := range tools {
		alike[strings.ToLower(callable(t.Name))]++
	}
	var others []string
	for _, t := range tools {
		name := callable(t.Name)
		if name == t.Name || len(t.Name) <= maxName && alike[strings.ToLower(name)] == 1 {
			n.set(t.Name, name)
		} else {
			others = append(others, t.Name)
		}
	}
	slices.Sort(others)
	for _, name := range others {
		for sum := sha256.Sum256([]byte(name)); n.there[name] == ""; sum = sha256.Sum256(sum[:]) {
			mark := "_" + hex.EncodeToString(sum[:4])
			there := callable(name)
			if there = there[:min(len(there), maxName-len(mark))] + mark; !n.has(there) {
				n.set(name, there)
			}
		}
	}
	return n
}

func (n names) has(there string) bool {
	_, taken := n.here[there]
	return taken
}

func (n names) set(here, there string) { n.there[here], n.here[there] = there, here }

// to is the name that the provider knows. A model may have called what is no tool.
func (n names) to(name string) string { return cmp.Or(n.there[name], callable(name)) }

// from is the name here.
func (n names) from(name string) string {
	if here, known := n.here[name]; known {
		return here
	}
	return name
}

// callable is a name without what providers do not allow in one.
func callable(name string) string {
	name = strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '_', r == '-':
			return r
		}
		return '_'
	}, name)
	return cmp.Or(name[:min(len(name), maxName)], "_")
}

// calling gathers the calls of one answer.
type calling struct {
	names names
	open  bool // the model was asked to call; what it calls else is passed over
	list  []*pending
	size  int
}

// pending is a call that may not be complete yet.
type pending struct {
	place    int
	id, name string
	args     []byte
	whole    json.RawMessage // arguments that came in one piece; args are others
	extra    json.RawMessage // that the provider wants back with the call
}

func newCalling(q Question) calling {
	return calling{names: namesOf(q.Tools), open: len(q.Tools) > 0 && q.ToolChoice != "none"}
}

// begin adds a call at its place among the others, behind one that has the same.
func (c *calling) begin(place int) (*pending, error) {
	if len(c.list) == maxCalls {
		return nil, tooMany()
	}
	p := &pending{place: place}
	behind := len(c.list)
	for behind > 0 && c.list[behind-1].place > place {
		behind--
	}
	c.list = slices.Insert(c.list, behind, p)
	return p, nil
}

// add completes a call. What it is called and known by comes once, whatever is repeated.
func (c *calling) add(p *pending, id, name string, args []byte) error {
	c.size -= len(p.id) + len(p.name)
	p.id, p.name = cmp.Or(p.id, id), cmp.Or(p.name, name)
	if c.size += len(p.id) + len(p.name) + len(args); c.size > maxArguments {
		return &Error{Kind: BadAnswer, Message: fmt.Sprintf("the tool calls of the answer are too large: more than %d bytes", maxArguments)}
	}
	p.args = append(p.args, args...)
	return nil
}

// at is the newest call at a place, or nil.
func (c *calling) at(place int) *pending {
	for _, p := range slices.Backward(c.list) {
		if p.place == place {
			return p
		}
	}
	return nil
}

// all is the calls in their order, as they are known here.
func (c *calling) all() []ToolCall {
	var all []ToolCall
	for _, p := range c.list {
		args := p.args
		if len(args) == 0 {
			args = p.whole
		}
		if args = bytes.TrimSpace(args); len(args) == 0 || string(args) == "null" {
			args = []byte("{}") // so do many models call what takes nothing
		}
		all = append(all, ToolCall{ID: p.id, Name: c.names.from(p.name), Arguments: args})
	}
	return all
}

func tooMany() error {
	return &Error{Kind: BadAnswer, Message: fmt.Sprintf("the answer calls more than %d tools at once", maxCalls)}
}

// placeIn is a place in an answer that a provider names, from 0.
func placeIn(f *float64) (int, bool) {
	if f == nil || *f < 0 || *f > math.MaxInt32 || *f != math.Trunc(*f) {
		return 0, false
	}
	return int(*f), true
}
