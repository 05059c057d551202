package agents

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/tmc/langchaingo/llms"
)

// remote is a model of a provider.
type remote struct {
	client   *http.Client
	total    time.Duration // that one request may take
	provider Provider
	home     *url.URL
	key      string // empty: the server wants none
	name     string

	wordy atomic.Bool // the provider refused a schema: the model is told in words from now on
}

// Identity is who answers.
func (m *remote) Identity() string {
	return strings.Join([]string{m.provider.Name, m.home.String(), m.name}, " ")
}

// Answer asks once, and a second time in words where the provider does not take the schema of the question.
func (m *remote) Answer(ctx context.Context, q Question, text func(piece string)) (Answer, error) {
	for _, message := range q.Messages {
		for _, a := range message.Attachments {
			if err := a.flaw(); err != nil {
				return Answer{}, err
			}
		}
	}
	if m.wordy.Load() {
		return m.once(ctx, m.inWords(q), text)
	}
	answer, err := m.once(ctx, q, text)
	if e, ok := errors.AsType[*Error](err); !ok || m.shape(q).format == byWord || !unshaped(e) {
		return answer, err
	}
	m.wordy.Store(true)
	again, err := m.once(ctx, m.inWords(q), text)
	again.Usage.Calls += answer.Usage.Calls
	return again, err
}

// once asks langchaingo, and believes the exchange where the two differ.
func (m *remote) once(ctx context.Context, q Question, text func(piece string)) (Answer, error) {
	d := m.dialect(q)
	x := &exchange{client: m.client, total: m.total, home: m.home, key: m.key, text: text, dialect: d}
	answer, err := d.ask(ctx, m, x)
	usage := d.used()
	usage.Calls = x.calls
	usage.Untold = x.owed && !refusedBefore(x.err) && (x.err != nil || usage.Input == 0 || usage.Output == 0 && answer != "")
	none := Answer{Usage: usage}
	if ctx.Err() != nil {
		return none, ctx.Err()
	}
	if x.err != nil {
		return none, x.err
	}
	if err != nil {
		return none, x.fail(&Error{Kind: BadAnswer, Message: err.Error()})
	}
	if err := d.flaw(answer); err != nil {
		return none, x.fail(err)
	}
	return Answer{Text: answer, Usage: usage}, nil
}

// refusedBefore tells whether the provider refused a question before a model worked on it, with status 200 too.
func refusedBefore(err error) bool {
	e, ok := errors.AsType[*Error](err)
	return ok && slices.Contains([]Kind{RateLimit, Auth, BadRequest}, e.Kind)
}

func (m *remote) dialect(q Question) dialect {
	if m.provider.claude {
		return &claude{question: q, shape: m.shape(q), model: m.name}
	}
	return &completion{question: q, shape: m.shape(q), provider: m.provider}
}

// conversation is a question as langchaingo has it.
func conversation(q Question, claude bool) []llms.MessageContent {
	var messages []llms.MessageContent
	if q.System != "" {
		messages = append(messages, llms.TextParts(llms.ChatMessageTypeSystem, q.System))
	}
	for _, message := range q.Messages {
		role := llms.ChatMessageTypeHuman
		if message.Model {
			role = llms.ChatMessageTypeAI
		}
		var parts []llms.ContentPart
		for _, a := range message.Attachments {
			parts = append(parts, a.part(claude))
		}
		messages = append(messages, llms.MessageContent{Role: role, Parts: append(parts, llms.TextPart(message.Text))})
	}
	return messages
}

// outcome is what an answer says beside its text.
type outcome struct {
	finish  string // why the model stopped
	refusal string
	usage   Usage
}

func (o *outcome) used() Usage { return o.usage }

func (o *outcome) flaw(text string) error {
	switch o.finish {
	case "length", "model_length", "max_tokens", "model_context_window_exceeded": // Mistral and Anthropic tell their two limits apart
		return &Error{Kind: Length, Message: "the answer was cut off at its limit of tokens; raise max_tokens"}
	case "content_filter":
		return &Error{Kind: Filtered, Message: "the provider's content filter stopped the answer"}
	case "error", "insufficient_system_resource": // OpenRouter and Mistral; DeepSeek
		return &Error{Kind: Server, Message: "the provider gave up in the middle of the answer: " + o.finish}
	case "pause_turn": // Anthropic's, for its own tools
		return &Error{Kind: BadAnswer, Message: "the answer is not finished, finish reason " + o.finish}
	}
	if o.refusal != "" {
		return &Error{Kind: Refusal, Message: "the model refuses to answer: " + o.refusal}
	}
	if strings.TrimSpace(text) == "" {
		return &Error{Kind: BadAnswer, Message: "the answer is empty, finish reason " + cmp.Or(o.finish, "not given")}
	}
	return nil
}

// count is a number of tokens. What can be none leaves it as it is. Some servers write 12.0.
type count int

func (n *count) UnmarshalJSON(data []byte) error {
	if f, err := strconv.ParseFloat(string(data), 64); err == nil && f > 0 && f <= 1<<29 {
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
