package agents

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"

	"github.com/tmc/langchaingo/llms/anthropic"
)

// defaultMaxTokens is the length of an answer where no max_tokens says another: Anthropic wants one, and its older
// models write no more.
const defaultMaxTokens = 8192

// thoughts is how many tokens a model may think by reasoning, beside its answer. The oldest models that think write
// 32,000 in all.
var thoughts = map[string]int{"low": 2048, "medium": 8192, "high": 16384}

// budgeted are the models that think by a budget of tokens, up to Claude 4.5. Later ones choose by themselves, refuse a
// budget and are told an effort: https://platform.claude.com/docs/en/build-with-claude/adaptive-thinking.
var budgeted = regexp.MustCompile(`claude-(3-|(opus|sonnet|haiku)-4(-[0-5])?([-@]\d{8}|-latest)?$)`)

// claude is the dialect of Anthropic's messages, https://platform.claude.com/docs/en/api/messages, and what an answer says
// that langchaingo does not tell. Its names are those of the types of Anthropic's own client, @anthropic-ai/sdk 1.11.
type claude struct {
	outcome
	question Question
	shape    shape
	model    string

	tokens  claudeTokens
	blocks  map[int]*claudePart // those that began
	thought []*claudeThought    // what goes back with the results of calls: https://platform.claude.com/docs/en/build-with-claude/extended-thinking
	size    int                 // of the thoughts
}

// claudePart is a block that comes in pieces: of text, or with a call or a thought.
type claudePart struct {
	text    bool
	call    *pending
	thought *claudeThought
}

type claudeThought struct {
	kind                string
	thinking, signature strings.Builder
	data                string
}

// MarshalJSON writes a thought as it came: one whose words the provider keeps to itself has an empty field for them.
func (t *claudeThought) MarshalJSON() ([]byte, error) {
	if t.kind == "redacted_thinking" {
		return json.Marshal(map[string]string{"type": t.kind, "data": t.data})
	}
	return json.Marshal(map[string]string{"type": t.kind, "thinking": t.thinking.String(), "signature": t.signature.String()})
}

type claudeTokens struct {
	Input   count `json:"input_tokens"` // without what was cached
	Cached  count `json:"cache_read_input_tokens"`
	Written count `json:"cache_creation_input_tokens"`
	Output  count `json:"output_tokens"`
	Details struct {
		Thinking count `json:"thinking_tokens"`
	} `json:"output_tokens_details"`
}

// claudeAnswer is a message, or one frame of it.
type claudeAnswer struct {
	Type    string          `json:"type"`
	Content []*claudeBlock  `json:"content"`
	Usage   json.RawMessage `json:"usage"`
	Error   any             `json:"error"`
	claudeStop

	Index   *float64 `json:"index"` // of the block that a frame is about
	Message struct {
		Usage json.RawMessage `json:"usage"`
	} `json:"message"`
	Block claudeBlock `json:"content_block"`
	Delta struct {
		claudeBlock
		claudeStop
	} `json:"delta"`
}

type claudeBlock struct {
	Type string `json:"type"`
	Text string `json:"text"`

	ID    string          `json:"id"` // of a call
	Name  string          `json:"name"`
	Input json.RawMessage `json:"input"`

	Thinking  string `json:"thinking"`
	Signature string `json:"signature"` // of a thought
	Data      string `json:"data"`      // of one that is hidden

	Partial string `json:"partial_json"` // a piece of the input, in a frame
}

type claudeStop struct {
	Reason  string `json:"stop_reason"`
	Details struct {
		Category    string `json:"category"`
		Explanation string `json:"explanation"`
	} `json:"stop_details"`
}

func (c *claude) ask(ctx context.Context, m *remote, x *exchange) (string, error) {
	llm, err := anthropic.New(
		anthropic.WithHTTPClient(x),
		anthropic.WithBaseURL(m.home.String()),
		anthropic.WithModel(m.name),
		anthropic.WithToken("none"), // the exchange has the key
	)
	if err != nil {
		return "", err
	}
	resp, err := llm.GenerateContent(ctx, conversation(c.question, true))
	if err != nil {
		return "", err
	}
	return resp.Choices[0].Content, nil
}

func (c *claude) authorize(h http.Header, key string) { h.Set("X-Api-Key", key) }

// request sets the parameters, and has the provider remember the system prompt: langchaingo sends it in a form that
// cannot be, sends a temperature of 0 where none is wanted and 2048 for max_tokens.
func (c *claude) request(fields map[string]any) error {
	delete(fields, "temperature")
	if system, ok := fields["system"]; ok {
		fields["system"] = []any{map[string]any{"type": "text", "text": system, "cache_control": map[string]any{"type": "ephemeral"}}}
	}
	if q := c.question; q.Reasoning != "" && q.Temperature != nil && *q.Temperature != 1 {
		return &Error{Kind: BadRequest, Message: "reasoning and temperature do not go together here: leave out one of them"}
	}
	c.settings(fields)
	return withTools(fields, c.question, c.message)
}

// message is one with calls or results as Anthropic has it: thoughts stand first, and the provider remembers the
// conversation up to its last results.
func (c *claude) message(m Message, last bool) ([]any, error) {
	var blocks []any
	for i, r := range m.Results {
		block := map[string]any{"type": "tool_result", "tool_use_id": r.ID, "content": r.Text}
		if r.Failed {
			block["is_error"] = true
		}
		if last && i == len(m.Results)-1 && r.Text != "" {
			block["cache_control"] = map[string]any{"type": "ephemeral"}
		}
		blocks = append(blocks, block)
	}
	if len(m.Calls) == 0 {
		return []any{map[string]any{"role": "user", "content": blocks}}, nil
	}
	if m.Thoughts != nil {
		if err := json.Unmarshal(m.Thoughts, &blocks); err != nil {
			return nil, err
		}
	}
	if strings.TrimSpace(m.Text) != "" { // which is refused
		blocks = append(blocks, map[string]any{"type": "text", "text": m.Text})
	}
	for _, call := range m.Calls {
		blocks = append(blocks, map[string]any{"type": "tool_use", "id": call.ID, "name": c.calling.names.to(call.Name), "input": call.object()})
	}
	return []any{map[string]any{"role": "assistant", "content": blocks}}, nil
}

func (c *claude) thoughts() json.RawMessage {
	if len(c.thought) == 0 {
		return nil
	}
	data, err := json.Marshal(c.thought)
	if err != nil {
		return nil
	}
	return data
}

// settings are the parameters of a question. There is none for a seed, and models after Claude 4.6 refuse temperature and
// top_p: the newest client has no names for them.
func (c *claude) settings(fields map[string]any) {
	q := c.question
	limit := cmp.Or(q.MaxTokens, defaultMaxTokens)
	if q.Temperature != nil {
		fields["temperature"] = *q.Temperature
	}
	if q.TopP != nil {
		fields["top_p"] = *q.TopP
	}
	if len(q.Stop) > 0 {
		fields["stop_sequences"] = q.Stop
	}
	if budget := thoughts[q.Reasoning]; budget > 0 {
		limit += budget // thoughts count as the answer does
		if budgeted.MatchString(c.model) {
			fields["thinking"] = map[string]any{"type": "enabled", "budget_tokens": budget}
		} else {
			fields["thinking"] = map[string]any{"type": "adaptive"}
			fields["output_config"] = map[string]any{"effort": q.Reasoning}
		}
	}
	if c.shape.format == jsonSchema {
		config, ok := fields["output_config"].(map[string]any)
		if !ok {
			config = map[string]any{}
			fields["output_config"] = config
		}
		config["format"] = map[string]any{"type": "json_schema", "schema": c.shape.schema}
	}
	fields["max_tokens"] = limit
	if len(q.Tools) > 0 {
		c.tools(fields)
	}
	andExtras(fields, q.Extra)
}

// tools are those of the question.
func (c *claude) tools(fields map[string]any) {
	var all []any
	for _, t := range c.question.Tools {
		tool := map[string]any{"name": c.calling.names.to(t.Name), "input_schema": t.parameters()}
		if t.Description != "" {
			tool["description"] = t.Description
		}
		all = append(all, tool)
	}
	fields["tools"] = all
	switch choice := c.question.ToolChoice; choice {
	case "":
	case "auto", "none":
		fields["tool_choice"] = map[string]any{"type": choice}
	case "required":
		fields["tool_choice"] = map[string]any{"type": "any"}
	default:
		fields["tool_choice"] = map[string]any{"type": "tool", "name": c.calling.names.to(choice)}
	}
}

func (c *claude) whole(body []byte) (string, error) {
	got, err := c.decode(body)
	if err != nil {
		return "", err
	}
	if got.Content == nil {
		return "", &Error{Kind: BadAnswer, Message: fmt.Sprintf("the answer has no content: %s", body)}
	}
	c.count(got.Usage)
	c.stop(got.claudeStop)
	var text strings.Builder
	for i, b := range got.Content {
		if b == nil {
			continue
		}
		part, err := c.begin(i, *b)
		if err != nil {
			return "", err
		}
		if part.text {
			text.WriteString(b.Text)
		}
	}
	return text.String(), nil
}

// begin is a block of the answer, or its first piece.
func (c *claude) begin(i int, b claudeBlock) (part *claudePart, err error) {
	part = &claudePart{text: b.Type == "text"}
	switch {
	case !c.calling.open:
	case b.Type == "tool_use":
		if part.call, err = c.calling.begin(i); err == nil {
			part.call.whole = b.Input
			c.calling.size += len(b.Input)
			err = c.calling.add(part.call, b.ID, b.Name, nil)
		}
	case b.Type == "thinking", b.Type == "redacted_thinking":
		part.thought = &claudeThought{kind: b.Type, data: b.Data}
		c.thought = append(c.thought, part.thought)
		err = c.goOn(part, b)
	}
	return part, err
}

// goOn takes another piece of a block.
func (c *claude) goOn(part *claudePart, b claudeBlock) error {
	switch {
	case part.call != nil:
		return c.calling.add(part.call, "", "", []byte(b.Partial))
	case part.thought != nil:
		part.thought.thinking.WriteString(b.Thinking)
		part.thought.signature.WriteString(b.Signature)
		if c.size += len(b.Thinking) + len(b.Signature) + len(b.Data); c.size > maxReply {
			return &Error{Kind: BadAnswer, Message: "the answer is too large"}
		}
	}
	return nil
}

// event knows the frames of https://platform.claude.com/docs/en/build-with-claude/streaming, which asks to pass over
// others.
func (c *claude) event(e event) (string, error) {
	if e.name == "error" {
		return "", failure(complaintIn(e.data))
	}
	got, err := c.decode(e.data)
	if err != nil {
		return "", err
	}
	switch got.Type {
	case "message_start":
		c.count(got.Message.Usage)
	case "content_block_start", "content_block_delta":
		return c.block(got)
	case "message_delta":
		c.count(got.Usage)
		c.stop(got.Delta.claudeStop)
	case "message_stop":
		if c.finish != "" {
			return "", io.EOF
		}
		return "", c.end()
	}
	return "", nil
}

// block takes a frame about a block, and gives the text in it.
func (c *claude) block(got claudeAnswer) (string, error) {
	i, ok := placeIn(got.Index)
	if !ok {
		return "", &Error{Kind: BadAnswer, Message: "a piece of the answer has no place in it"}
	}
	part, began := c.blocks[i]
	switch {
	case got.Type == "content_block_start" && began:
		return "", &Error{Kind: BadAnswer, Message: fmt.Sprintf("block %d of the answer begins twice", i)}
	case got.Type == "content_block_start":
		part, err := c.begin(i, got.Block)
		if c.blocks == nil {
			c.blocks = map[int]*claudePart{}
		}
		c.blocks[i] = part
		return part.piece(got.Block.Text), err
	case !began:
		return "", &Error{Kind: BadAnswer, Message: fmt.Sprintf("block %d of the answer goes on and never began", i)}
	}
	return part.piece(got.Delta.Text), c.goOn(part, got.Delta.claudeBlock)
}

// piece is the text in a frame, where its block is of text.
func (p *claudePart) piece(text string) string {
	if !p.text {
		return ""
	}
	return text
}

// end is for a stream without its last frame.
func (c *claude) end() error {
	return &Error{Kind: Network, Message: "the answer broke off: its stream ended before the model did"}
}

func (c *claude) reply(text string) ([]byte, error) {
	return json.Marshal(map[string]any{"content": []any{map[string]any{"type": "text", "text": text}}})
}

// decode reads a message or a frame of one.
func (c *claude) decode(data []byte) (claudeAnswer, error) {
	var got claudeAnswer
	if err := json.Unmarshal(data, &got); err != nil {
		return got, &Error{Kind: BadAnswer, Message: "the answer is no message but " + cmp.Or(string(bytes.TrimSpace(data)), "nothing")}
	}
	if err := reported(got.Error); err != nil {
		return got, err
	}
	return got, nil
}

// count takes a usage: a stream tells it in parts, each with the sum so far.
func (c *claude) count(usage json.RawMessage) {
	if len(usage) == 0 {
		return
	}
	t := &c.tokens
	_ = json.Unmarshal(usage, t) // what is no usage counts nothing
	c.usage.set(t.Input+t.Cached+t.Written, t.Cached, t.Written, t.Output, t.Details.Thinking)
}

func (c *claude) stop(s claudeStop) {
	c.finish = cmp.Or(s.Reason, c.finish)
	if s.Reason == "refusal" {
		c.refusal = cmp.Or(s.Details.Explanation, s.Details.Category, "no reason given")
	}
}
