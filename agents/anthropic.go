package agents

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math"
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

	tokens claudeTokens
	blocks map[int]bool // those that began; true: of text
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
	return nil
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
	maps.Copy(fields, q.Extra)
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
	for _, b := range got.Content {
		if b != nil && b.Type == "text" {
			text.WriteString(b.Text)
		}
	}
	return text.String(), nil
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

// block is the text in a frame about a block: others are of thoughts.
func (c *claude) block(got claudeAnswer) (string, error) {
	if got.Index == nil || *got.Index < 0 || *got.Index > math.MaxInt32 || *got.Index != math.Trunc(*got.Index) {
		return "", &Error{Kind: BadAnswer, Message: "a piece of the answer has no place in it"}
	}
	i := int(*got.Index)
	text, began := c.blocks[i]
	if got.Type == "content_block_start" {
		text = got.Block.Type == "text"
		if c.blocks == nil {
			c.blocks = map[int]bool{}
		}
		c.blocks[i] = text
		if began {
			return "", &Error{Kind: BadAnswer, Message: fmt.Sprintf("block %d of the answer begins twice", i)}
		}
		got.Delta.claudeBlock = got.Block
	} else if !began {
		return "", &Error{Kind: BadAnswer, Message: fmt.Sprintf("block %d of the answer goes on and never began", i)}
	}
	if !text {
		return "", nil
	}
	return got.Delta.Text, nil
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
