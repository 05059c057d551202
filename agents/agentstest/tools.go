package agentstest

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// ToolCall is a call of a tool.
type ToolCall struct {
	Name      string // as the request has it
	Arguments string // as JSON, or what a careless model writes in its place
}

// ToolFaults are the names of all that the server does with tools. Those that begin with "call" call once and answer when
// the results of a call are in the request.
func ToolFaults() []string { return slices.Sorted(maps.Keys(toolFaults)) }

// toolFaults is what the server does with tools, by name.
var toolFaults = map[string]func(c *call){
	"call":         func(c *call) { c.tool(c.wanted()...) },
	"call-three":   func(c *call) { w := c.wanted()[0]; c.tool(w, w, w) }, // whose pieces are mixed in a stream
	"call-broken":  func(c *call) { w := c.wanted()[0]; w.Arguments = `{"broken": `; c.tool(w) },
	"call-text":    func(c *call) { w := c.wanted()[0]; w.Arguments = `"text"`; c.tool(w) },
	"call-unknown": func(c *call) { w := c.wanted()[0]; w.Name += "_"; c.tool(w) },
	"call-many":    func(c *call) { c.tool(slices.Repeat(c.wanted()[:1], 10_000)...) },
	"call-huge": func(c *call) {
		w := c.wanted()[0]
		w.Arguments = `{"text":"` + strings.Repeat("x", 1<<20) + `"}`
		c.tool(w)
	},
	"call-cut": func(c *call) {
		if c.answered() {
			c.give(c.good())
			return
		}
		c.open()
		if a := c.calling(c.wanted()...); c.stream {
			frames := c.frames(a)
			c.write(strings.Join(frames[:len(frames)-3], ""))
		} else {
			whole := c.whole(a)
			c.write(whole[:len(whole)*2/3])
		}
	},
	"call-none": func(c *call) { c.give(c.calling()) },
	"forever":   func(c *call) { c.give(c.calling(c.wanted()...)) },
}

// asked is what the server reads of a request.
type asked struct {
	Model  string `json:"model"`
	Stream bool   `json:"stream"`
	Tools  []struct {
		Name     string `json:"name"` // Anthropic's
		Function struct {
			Name string `json:"name"`
		} `json:"function"`
	} `json:"tools"`
	Messages []struct {
		Role    string          `json:"role"`
		Content json.RawMessage `json:"content"`
	} `json:"messages"`
}

// answered tells whether the results of a call are in the request.
func (c *call) answered() bool {
	for _, m := range c.asked.Messages {
		if m.Role == "tool" || strings.Contains(string(m.Content), `"tool_result"`) {
			return true
		}
	}
	return false
}

// wanted is what is called where nothing goes wrong: at least one.
func (c *call) wanted() []ToolCall {
	if len(c.calls) > 0 {
		return c.calls
	}
	if len(c.asked.Tools) == 0 {
		return []ToolCall{{"nothing", "{}"}}
	}
	first := c.asked.Tools[0]
	return []ToolCall{{first.Name + first.Function.Name, "{}"}}
}

// tool calls, or gives a good answer where it did before.
func (c *call) tool(calls ...ToolCall) {
	if c.answered() {
		c.give(c.good())
		return
	}
	c.give(c.calling(calls...))
}

// calling is an answer that calls, and says so before.
func (c *call) calling(calls ...ToolCall) answer {
	return answer{text: "Let me see.", calls: calls, finish: "tool_calls", usage: c.usage()}
}

// wholeCalls is the calls of an answer in one piece.
func (c *call) wholeCalls(a answer) string {
	var calls []string
	for i, one := range a.calls {
		if c.claude {
			input := one.Arguments
			if !json.Valid([]byte(input)) {
				input = quote(input)
			}
			calls = append(calls, fmt.Sprintf(`,{"type":"tool_use","id":"toolu_%d","name":%s,"input":%s}`, i, quote(one.Name), input))
			continue
		}
		calls = append(calls, fmt.Sprintf(`{"id":"call_%d","type":"function","function":{"name":%s,"arguments":%s}}`, i, quote(one.Name), quote(one.Arguments)))
	}
	if c.claude || calls == nil {
		return strings.Join(calls, "")
	}
	return field("tool_calls", "["+strings.Join(calls, ",")+"]")
}

// callFrames is the calls of an answer in pieces: one block after another by Anthropic, mixed by OpenAI.
func (c *call) callFrames(a answer) []string {
	var frames []string
	if c.claude {
		for i, one := range a.calls {
			frames = append(frames, event("content_block_start", fmt.Sprintf(`"index":%d,"content_block":{"type":"tool_use","id":"toolu_%d","name":%s,"input":{}}`, i+1, i, quote(one.Name))))
			for _, piece := range cut(one.Arguments) {
				frames = append(frames, event("content_block_delta", fmt.Sprintf(`"index":%d,"delta":{"type":"input_json_delta","partial_json":%s}`, i+1, quote(piece))))
			}
			frames = append(frames, event("content_block_stop", fmt.Sprintf(`"index":%d`, i+1)))
		}
		return frames
	}
	piece := func(i int, rest string) string {
		return chunk(fmt.Sprintf(`"delta":{"tool_calls":[{"index":%d,%s}]},"finish_reason":null`, i, rest), "")
	}
	var left [][]string
	for i, one := range a.calls {
		frames = append(frames, piece(i, fmt.Sprintf(`"id":"call_%d","type":"function","function":{"name":%s,"arguments":""}`, i, quote(one.Name))))
		left = append(left, cut(one.Arguments))
	}
	for more := true; more; {
		more = false
		for i := range left {
			if len(left[i]) > 0 {
				frames = append(frames, piece(i, `"function":{"arguments":`+quote(left[i][0])+`}`))
				left[i], more = left[i][1:], true
			}
		}
	}
	return frames
}

// cut takes a text into up to eight pieces.
func cut(text string) []string {
	letters := []rune(text)
	var pieces []string
	for part := range slices.Chunk(letters, len(letters)/8+1) {
		pieces = append(pieces, string(part))
	}
	return pieces
}
