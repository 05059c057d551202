package agents

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"

	"github.com/tmc/langchaingo/llms/openai"
)

// completion is the dialect of OpenAI's chat completions, https://platform.openai.com/docs/api-reference/chat, and what an
// answer says that langchaingo does not tell.
type completion struct {
	outcome
	provider Provider
	question Question
	shape    shape
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
	Content content `json:"content"`
	Refusal string  `json:"refusal"`
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
	return nil
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
	maps.Copy(fields, q.Extra)
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
	return string(first.Message.Content), nil
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
