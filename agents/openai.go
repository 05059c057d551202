package agents

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/tmc/langchaingo/llms/openai"
)

// completion is the dialect of OpenAI's chat completions, https://platform.openai.com/docs/api-reference/chat, and what an
// answer says that langchaingo does not tell.
type completion struct {
	outcome
	provider Provider
	question Question
	shape    shape

	thought strings.Builder // what the model thought, in DeepSeek's field
}

// chunk is a completion, or one frame of it.
type chunk struct {
	Choices []*choice       `json:"choices"`
	Usage   json.RawMessage `json:"usage"`
	Error   any             `json:"error"`
}

type choice struct {
	Index        float64 `json:"index"`
	Message      said    `json:"message"`
	Delta        said    `json:"delta"` // the message of a frame
	FinishReason string  `json:"finish_reason"`
}

type said struct {
	Content content         `json:"content"`
	Refusal string          `json:"refusal"`
	Calls   json.RawMessage `json:"tool_calls"`
	Thought json.RawMessage `json:"reasoning_content"`
}

// callPiece is a call, or a piece of one. Some servers leave out the type or repeat it, so it is not looked at.
type callPiece struct {
	Index    *float64 `json:"index"` // of the call among those of the answer
	ID       string   `json:"id"`
	Function struct {
		Name      string   `json:"name"`
		Arguments callText `json:"arguments"`
	} `json:"function"`
	Extra json.RawMessage `json:"extra_content"` // Gemini's: https://ai.google.dev/gemini-api/docs/thought-signatures
}

// callText is arguments, which are a text. Some servers write the object itself.
type callText string

func (c *callText) UnmarshalJSON(data []byte) error {
	switch data[0] {
	case '"', 'n':
		return json.Unmarshal(data, (*string)(c))
	}
	*c = callText(data)
	return nil
}

// content is a text. Mistral's models that think send a list of parts, thoughts and texts.
type content string

func (c *content) UnmarshalJSON(data []byte) error {
	if data[0] != '[' {
		return json.Unmarshal(data, (*string)(c))
	}
	var parts []struct{ Type, Text string }
	if err := json.Unmarshal(data, &parts); err != nil {
		return err
	}
	*c = ""
	for _, part := range parts {
		if part.Type == "text" {
			*c += content(part.Text)
		}
	}
	return nil
}

type tokens struct {
	Prompt        count `json:"prompt_tokens"`
	PromptDetails struct {
		Cached  count `json:"cached_tokens"`
		Written count `json:"cache_write_tokens"`
	} `json:"prompt_tokens_details"`
	Completion        count `json:"completion_tokens"`
	CompletionDetails struct {
		Reasoning count `json:"reasoning_tokens"`
	} `json:"completion_tokens_details"`

	Hits count `json:"prompt_cache_hit_tokens"` // DeepSeek's word: https://api-docs.deepseek.com/guides/kv_cache
}

func (c *completion) ask(ctx context.Context, m *remote, x *exchange) (string, error) {
	// Whatever is not set here langchaingo takes from variables of the environment that are meant for OpenAI.
	llm, err := openai.New(
		openai.WithHTTPClient(x),
		openai.WithBaseURL(m.home.String()),
		openai.WithModel(m.name),
		openai.WithToken("none"), // the exchange has the key
		openai.WithOrganization(""),
	)
	if err != nil {
		return "", err
	}
	resp, err := llm.GenerateContent(ctx, conversation(c.question, false))
	if err != nil {
		return "", err
	}
	return resp.Choices[0].Content, nil
}

func (c *completion) authorize(h http.Header, key string) { h.Set("Authorization", "Bearer "+key) }

// request sets the parameters. All are set here: langchaingo sends a temperature of 0 where none is wanted and never
// sends top_p, a seed of 0 or the effort of reasoning.
func (c *completion) request(fields map[string]any) error {
	delete(fields, "temperature")
	if !c.provider.strict {
		fields["stream_options"] = map[string]any{"include_usage": true}
	}
	c.settings(fields)
	return withTools(fields, c.question, c.message)
}

// message is one with calls or results as OpenAI has it: every result is one of its own.
func (c *completion) message(m Message, _ bool) ([]any, error) {
	var all []any
	for _, r := range m.Results {
		text := r.Text
		if r.Failed {
			text = "ERROR: " + text
		}
		all = append(all, map[string]any{"role": "tool", "tool_call_id": r.ID, "content": text})
	}
	if len(m.Calls) == 0 {
		return all, nil
	}
	var back completionThoughts
	if m.Thoughts != nil {
		if err := json.Unmarshal(m.Thoughts, &back); err != nil {
			return nil, err
		}
	}
	said := map[string]any{"role": "assistant", "content": nil}
	if m.Text != "" {
		said["content"] = m.Text
	}
	if back.Reasoning != "" {
		said["reasoning_content"] = back.Reasoning
	}
	var calls []any
	for i, call := range m.Calls {
		one := map[string]any{
			"id": call.ID, "type": "function",
			"function": map[string]any{"name": c.calling.names.to(call.Name), "arguments": string(call.object())},
		}
		if i < len(back.Extras) && string(back.Extras[i]) != "null" {
			one["extra_content"] = back.Extras[i]
		}
		calls = append(calls, one)
	}
	said["tool_calls"] = calls
	return append(all, said), nil
}

// completionThoughts is what goes back with the results of calls: DeepSeek refuses them without its model's thoughts,
// https://api-docs.deepseek.com/guides/thinking_mode, and Gemini without the signature of each call.
type completionThoughts struct {
	Reasoning string            `json:"reasoning_content,omitempty"`
	Extras    []json.RawMessage `json:"extra_content,omitempty"`
}

func (c *completion) thoughts() json.RawMessage {
	t := completionThoughts{Reasoning: c.thought.String()}
	for i, p := range c.calling.list {
		if p.extra != nil {
			t.Extras = append(t.Extras, make([]json.RawMessage, i+1-len(t.Extras))...)
			t.Extras[i] = p.extra
		}
	}
	if t.Reasoning == "" && t.Extras == nil {
		return nil
	}
	data, err := json.Marshal(t)
	if err != nil {
		return nil
	}
	return data
}

// settings are the parameters of a question.
func (c *completion) settings(fields map[string]any) {
	q := c.question
	if q.Temperature != nil {
		fields["temperature"] = *q.Temperature
	}
	if q.TopP != nil {
		fields["top_p"] = *q.TopP
	}
	if q.MaxTokens > 0 {
		fields[cmp.Or(c.provider.limit, "max_tokens")] = q.MaxTokens
	}
	if len(q.Stop) > 0 {
		fields["stop"] = q.Stop
	}
	if q.Seed != nil {
		fields[cmp.Or(c.provider.seed, "seed")] = *q.Seed
	}
	if q.Reasoning != "" {
		fields["reasoning_effort"] = q.Reasoning
	}
	switch c.shape.format {
	case jsonObject:
		fields["response_format"] = map[string]any{"type": "json_object"}
	case toldSchema, jsonSchema:
		fields["response_format"] = map[string]any{
			"type":        "json_schema",
			"json_schema": map[string]any{"name": "answer", "schema": c.shape.schema, "strict": c.shape.strict},
		}
	}
	if len(q.Tools) > 0 {
		c.tools(fields)
	}
	andExtras(fields, q.Extra)
}

// tools are those of the question.
func (c *completion) tools(fields map[string]any) {
	var all []any
	for _, t := range c.question.Tools {
		function := map[string]any{"name": c.calling.names.to(t.Name), "parameters": t.parameters()}
		if t.Description != "" {
			function["description"] = t.Description
		}
		all = append(all, map[string]any{"type": "function", "function": function})
	}
	fields["tools"] = all
	switch choice := c.question.ToolChoice; choice {
	case "":
	case "auto", "none", "required":
		fields["tool_choice"] = choice
	default:
		fields["tool_choice"] = map[string]any{"type": "function", "function": map[string]any{"name": c.calling.names.to(choice)}}
	}
}

// whole takes the one choice that was asked for.
func (c *completion) whole(body []byte) (string, error) {
	got, err := c.decode(body)
	if err != nil {
		return "", err
	}
	first := got.first()
	if first == nil {
		return "", &Error{Kind: BadAnswer, Message: fmt.Sprintf("the answer has no choices: %s", body)}
	}
	c.finish, c.refusal = first.FinishReason, first.Message.Refusal
	if err := c.take(first.Message, true); err != nil {
		return "", err
	}
	return string(first.Message.Content), nil
}

// take gathers the calls of a message or of a piece of one, and the thoughts beside them.
func (c *completion) take(s said, whole bool) error {
	if !c.calling.open {
		return nil
	}
	var thought string
	if len(s.Thought) > 0 && json.Unmarshal(s.Thought, &thought) == nil { // what is no text is not DeepSeek's
		c.thought.WriteString(thought)
	}
	if c.thought.Len() > maxReply {
		return &Error{Kind: BadAnswer, Message: "the answer is too large"}
	}
	if len(s.Calls) == 0 {
		return nil
	}
	var pieces []*callPiece
	if err := json.Unmarshal(s.Calls, &pieces); err != nil {
		return &Error{Kind: BadAnswer, Message: fmt.Sprintf("the tool calls of the answer cannot be read: %v", err)}
	}
	for _, p := range pieces {
		if p == nil {
			continue
		}
		to, err := c.call(p, whole)
		if err != nil {
			return err
		}
		if err := c.calling.add(to, p.ID, p.Function.Name, []byte(p.Function.Arguments)); err != nil {
			return err
		}
		if len(p.Extra) > 0 && string(p.Extra) != "null" {
			to.extra = p.Extra
		}
	}
	return nil
}

// call is what a piece belongs to. Pieces come by the index of their call, in any order. Gemini gives all calls the same
// index and an id of their own; some servers give no index.
func (c *completion) call(p *callPiece, whole bool) (*pending, error) {
	end := len(c.calling.list)
	if whole {
		return c.calling.begin(end)
	}
	place, ok := placeIn(p.Index)
	switch {
	case p.Index != nil && !ok:
		return nil, &Error{Kind: BadAnswer, Message: "a piece of a tool call has no place in the answer"}
	case place >= maxCalls:
		return nil, tooMany()
	}
	var to *pending
	var another bool
	if ok {
		to = c.calling.at(place)
		another = to != nil && p.ID != "" && to.id != "" && p.ID != to.id
	} else if place = end; end > 0 {
		to = c.calling.list[end-1]
		another = p.ID == "" || p.ID != to.id
	}
	if to == nil || another && to.name != "" && p.Function.Name != "" {
		return c.calling.begin(place)
	}
	return to, nil
}

func (c *completion) event(e event) (string, error) {
	if string(bytes.TrimSpace(e.data)) == "[DONE]" {
		return "", c.end()
	}
	if e.name == "error" {
		return "", failure(complaintIn(e.data))
	}
	got, err := c.decode(e.data)
	if err != nil {
		return "", err
	}
	first := got.first()
	if first == nil {
		return "", nil
	}
	c.finish = cmp.Or(first.FinishReason, c.finish)
	if len(c.refusal) < maxError {
		c.refusal += first.Delta.Refusal
	}
	if err := c.take(first.Delta, false); err != nil {
		return "", err
	}
	return string(first.Delta.Content), nil
}

// end is one only where the model said why it stopped. A server's own mark is not enough: some send it behind what broke
// off before them.
func (c *completion) end() error {
	if c.finish == "" {
		return &Error{Kind: Network, Message: "the answer broke off: its stream ended before the model did"}
	}
	return io.EOF
}

// reply leaves out why the model stopped: langchaingo panics at some reasons.
func (c *completion) reply(text string) ([]byte, error) {
	return json.Marshal(map[string]any{"choices": []any{map[string]any{"message": map[string]any{"content": text}}}})
}

// decode reads a completion or a frame of one, and takes its usage.
func (c *completion) decode(data []byte) (chunk, error) {
	var got chunk
	if err := json.Unmarshal(data, &got); err != nil {
		return chunk{}, &Error{Kind: BadAnswer, Message: "the answer is no chat completion but " + cmp.Or(string(data), "nothing")}
	}
	if err := reported(got.Error); err != nil {
		return chunk{}, err
	}
	if len(got.Usage) > 0 && string(got.Usage) != "null" {
		var u tokens
		_ = json.Unmarshal(got.Usage, &u) // what is no usage counts nothing
		c.usage.set(u.Prompt, max(u.PromptDetails.Cached, u.Hits), u.PromptDetails.Written, u.Completion, u.CompletionDetails.Reasoning)
	}
	return got, nil
}

// first is the choice that was asked for, or nil. Some servers write null in place of one, or send more.
func (c chunk) first() *choice {
	for _, one := range c.Choices {
		if one != nil && one.Index == 0 {
			return one
		}
	}
	return nil
}
