package agents

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net/http"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/tmc/langchaingo/llms"
	"github.com/tmc/langchaingo/llms/openai"
)

// maxPiece is how many bytes of text langchaingo gets in one line: it gives up on lines of 64 KiB, and JSON may write a
// byte as six.
const maxPiece = 8 << 10

// chat is a model that speaks OpenAI's chat completions, https://platform.openai.com/docs/api-reference/chat.
type chat struct {
	client   *http.Client
	provider Provider
	baseURL  string
	key      string // empty: the server wants none
	name     string
}

// Answer asks langchaingo, and believes the exchange where the two differ.
func (m *chat) Answer(ctx context.Context, q Question, text func(piece string)) (Answer, error) {
	c := &completion{provider: m.provider, question: q, usage: Usage{Calls: 1}}
	x := &exchange{client: m.client, key: m.key, stream: text != nil, dialect: c}
	answer, err := m.ask(ctx, x, q, text)
	none := Answer{Usage: c.usage}
	if ctx.Err() != nil {
		return none, ctx.Err()
	}
	if x.err != nil {
		return none, x.err
	}
	if err != nil {
		return none, x.fail(&Error{Kind: BadAnswer, Message: err.Error()})
	}
	if err := c.flaw(answer); err != nil {
		return none, x.fail(err)
	}
	return Answer{Text: answer, Usage: c.usage}, nil
}

// ask gives the text of an answer. Where x has an error the text may be cut.
func (m *chat) ask(ctx context.Context, x *exchange, q Question, text func(string)) (string, error) {
	// Whatever is not set here langchaingo takes from variables of the environment that are meant for OpenAI.
	llm, err := openai.New(
		openai.WithHTTPClient(x),
		openai.WithBaseURL(m.baseURL),
		openai.WithModel(m.name),
		openai.WithToken(cmp.Or(m.key, "none")),
		openai.WithOrganization(""),
	)
	if err != nil {
		return "", err
	}
	var options []llms.CallOption
	if text != nil {
		options = append(options, llms.WithStreamingFunc(func(_ context.Context, piece []byte) error {
			if len(piece) > 0 {
				text(string(piece))
			}
			return nil
		}))
	}
	resp, err := llm.GenerateContent(ctx, conversation(q), options...)
	if err != nil {
		return "", err
	}
	return resp.Choices[0].Content, nil
}

// conversation is a question as langchaingo has it.
func conversation(q Question) []llms.MessageContent {
	var messages []llms.MessageContent
	if q.System != "" {
		messages = append(messages, llms.TextParts(llms.ChatMessageTypeSystem, q.System))
	}
	for _, message := range q.Messages {
		role := llms.ChatMessageTypeHuman
		if message.Model {
			role = llms.ChatMessageTypeAI
		}
		messages = append(messages, llms.TextParts(role, message.Text))
	}
	return messages
}

// completion is the dialect of chat completions, and what an answer says that langchaingo does not tell.
type completion struct {
	provider Provider
	question Question

	size    int // of the text and the refusal
	finish  string
	refusal string
	usage   Usage
	done    bool // the end was announced
}

// chunk is a completion, or one frame of it.
type chunk struct {
	Choices []*choice       `json:"choices"`
	Usage   json.RawMessage `json:"usage,omitempty"`
	Error   any             `json:"error,omitempty"`
}

type choice struct {
	Index        float64 `json:"index"`
	Message      said    `json:"message"`
	Delta        said    `json:"delta"` // the message of a frame
	FinishReason string  `json:"finish_reason"`
}

type said struct {
	Content string `json:"content"`
	Refusal string `json:"refusal,omitempty"`
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

// count is a number of tokens, 0 where it can be none. Some servers write 12.0.
type count int

func (n *count) UnmarshalJSON(data []byte) error {
	*n = 0
	if f, err := strconv.ParseFloat(string(data), 64); err == nil && f > 0 && f <= math.MaxInt32 {
		*n = count(f)
	}
	return nil
}

// set takes what a provider says of a usage. No part is more than its whole, whatever the provider says.
func (u *Usage) set(input, cached, written, output, reasoning count) {
	u.Input, u.Output = int(input), int(output)
	u.Cached = min(int(cached), u.Input)
	u.Written = min(int(written), u.Input-u.Cached)
	u.Reasoning = min(int(reasoning), u.Output)
}

// request sets the parameters. All are set here: langchaingo sends a temperature of 0 where none is wanted and never
// sends top_p, a seed of 0 or the effort of reasoning.
func (c *completion) request(body io.Reader) ([]byte, error) {
	var fields map[string]any
	if err := json.NewDecoder(body).Decode(&fields); err != nil {
		return nil, &Error{Kind: BadRequest, Message: fmt.Sprintf("reading the request: %v", err)}
	}
	delete(fields, "temperature")
	if c.provider.strict {
		delete(fields, "stream_options")
	}
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
	for name, v := range q.Extra {
		if name != "stream" { // which the caller decides by listening or not
			fields[name] = v
		}
	}
	data, err := json.Marshal(fields)
	if err != nil {
		return nil, &Error{Kind: BadRequest, Message: fmt.Sprintf("writing the request: %v", err)}
	}
	return data, nil
}

// whole gives langchaingo the one choice that was asked for: it panics where one of several is null.
func (c *completion) whole(body []byte, stream bool) ([]byte, error) {
	got, err := c.decode(body)
	if err != nil {
		return nil, err
	}
	first := got.first()
	if first == nil {
		return nil, &Error{Kind: BadAnswer, Message: fmt.Sprintf("the answer has no choices: %s", body)}
	}
	c.finish, c.refusal = first.FinishReason, first.Message.Refusal
	if stream {
		c.done = true
		text, err := frames(first.Message.Content)
		if err != nil {
			return nil, err
		}
		last, err := c.end()
		if err != io.EOF {
			return nil, err
		}
		return append(text, last...), nil
	}
	return encode(choice{Message: said{Content: first.Message.Content}, FinishReason: c.finish})
}

// event gives langchaingo the text of a frame.
func (c *completion) event(e event) ([]byte, error) {
	if string(bytes.TrimSpace(e.data)) == "[DONE]" {
		c.done = true
		return c.end()
	}
	if e.name == "error" {
		return nil, failure(complaintIn(e.data))
	}
	got, err := c.decode(e.data)
	if err != nil {
		return nil, err
	}
	first := got.first()
	if first == nil {
		return nil, nil
	}
	c.finish = cmp.Or(first.FinishReason, c.finish)
	c.refusal += first.Delta.Refusal
	if c.size += len(first.Delta.Content) + len(first.Delta.Refusal); c.size > maxReply {
		return nil, &Error{Kind: BadAnswer, Message: "the answer is too large"}
	}
	return frames(first.Delta.Content)
}

// end is one only where the model said why it stopped, or the server that this is all.
func (c *completion) end() ([]byte, error) {
	if c.finish == "" && !c.done {
		return nil, &Error{Kind: Network, Message: "the answer broke off: its stream ended before the model did"}
	}
	last, err := frame(choice{FinishReason: c.finish})
	if err != nil {
		return nil, err
	}
	return append(last, "data: [DONE]\n\n"...), io.EOF
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

// flaw is what makes a complete answer none, or nil.
func (c *completion) flaw(text string) error {
	switch c.finish {
	case "length", "model_length": // Mistral tells its two limits apart
		return &Error{Kind: Length, Message: "the answer was cut off at its limit of tokens; raise max_tokens"}
	case "content_filter":
		return &Error{Kind: Filtered, Message: "the provider's content filter stopped the answer"}
	case "error", "insufficient_system_resource": // OpenRouter and Mistral; DeepSeek
		return &Error{Kind: Server, Message: "the provider gave up in the middle of the answer: " + c.finish}
	}
	if c.refusal != "" {
		return &Error{Kind: Refusal, Message: "the model refuses to answer: " + c.refusal}
	}
	if strings.TrimSpace(text) == "" {
		return &Error{Kind: BadAnswer, Message: "the answer is empty, finish reason " + cmp.Or(c.finish, "not given")}
	}
	return nil
}

// frames is text as an event stream.
func frames(text string) ([]byte, error) {
	var out []byte
	for text != "" {
		n := min(len(text), maxPiece)
		for n < len(text) && !utf8.RuneStart(text[n]) {
			n--
		}
		piece, err := frame(choice{Delta: said{Content: text[:n]}})
		if err != nil {
			return nil, err
		}
		out, text = append(out, piece...), text[n:]
	}
	return out, nil
}

func frame(c choice) ([]byte, error) {
	data, err := encode(c)
	return fmt.Appendf(nil, "data: %s\n\n", data), err
}

func encode(c choice) ([]byte, error) { return json.Marshal(chunk{Choices: []*choice{&c}}) }
