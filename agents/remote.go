package agents

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/tmc/langchaingo/llms"
)

// remote is a model of a provider.
type remote struct {
	client   *http.Client
	provider Provider
	home     *url.URL
	key      string // empty: the server wants none
	name     string

	wordy [2]atomic.Bool // the provider refused a schema, or one beside tools: the model is told in words from now on
}

// idle is a model of a provider that is not to be asked.
type idle struct{ remote }

func (*idle) Answer(context.Context, Question, func(string)) (Answer, error) {
	return Answer{}, &Error{Kind: BadRequest, Message: "this model is not to be asked"}
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
	wordy := &m.wordy[0]
	if len(q.Tools) > 0 {
		wordy = &m.wordy[1]
	}
	if wordy.Load() {
		return m.once(ctx, m.inWords(q), text)
	}
	answer, err := m.once(ctx, q, text)
	if e, ok := errors.AsType[*Error](err); !ok || m.shape(q).format == byWord || !unshaped(e) {
		return answer, err
	}
	wordy.Store(true)
	again, err := m.once(ctx, m.inWords(q), text)
	again.Usage.Calls += answer.Usage.Calls
	return again, err
}

// once asks langchaingo, and believes the exchange where the two differ.
func (m *remote) once(ctx context.Context, q Question, text func(piece string)) (Answer, error) {
	d := m.dialect(q)
	x := &exchange{client: m.client, home: m.home, key: m.key, text: text, dialect: d}
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
	a := Answer{Text: answer, Calls: d.called(), Usage: usage}
	if len(a.Calls) > 0 {
		a.Thoughts = d.thoughts()
	}
	return a, nil
}

// refusedBefore tells whether the provider refused a question before a model worked on it, with status 200 too.
func refusedBefore(err error) bool {
	e, ok := errors.AsType[*Error](err)
	return ok && slices.Contains([]Kind{RateLimit, Auth, BadRequest}, e.Kind)
}

func (m *remote) dialect(q Question) dialect {
	o := outcome{calling: newCalling(q)}
	if m.provider.claude {
		return &claude{outcome: o, question: q, shape: m.shape(q), model: m.name}
	}
	return &completion{outcome: o, question: q, shape: m.shape(q), provider: m.provider}
}

// conversation is a question as langchaingo has it. Calls of tools and their results are put into the request behind
// it: its clients send one of several, and lose the text beside them.
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

// withTools puts what langchaingo was not told into the messages of a request: write gives those that stand for one with
// calls or results. The last messages of a request are the question's.
func withTools(fields map[string]any, q Question, write func(m Message, last bool) ([]any, error)) error {
	sent, _ := fields["messages"].([]any)
	before := len(sent) - len(q.Messages)
	if before < 0 {
		return &Error{Kind: BadRequest, Message: "the request lacks messages"}
	}
	all := slices.Clone(sent[:before])
	for i, m := range q.Messages {
		if len(m.Calls)+len(m.Results) == 0 {
			all = append(all, sent[before+i])
			continue
		}
		messages, err := write(m, i == len(q.Messages)-1)
		if err != nil {
			return &Error{Kind: BadRequest, Message: fmt.Sprintf("writing a message about tools: %v", err)}
		}
		all = append(all, messages...)
	}
	fields["messages"] = all
	return nil
}

// andExtras completes the fields of a request with an author's own. Tools of both go together: a provider's own tools
// stand beside the agent's.
func andExtras(fields, extra map[string]any) {
	tools, _ := fields["tools"].([]any)
	maps.Copy(fields, extra)
	if theirs, ok := extra["tools"].([]any); ok && len(tools) > 0 {
		fields["tools"] = slices.Concat(tools, theirs)
	}
}

// outcome is what an answer says beside its text.
type outcome struct {
	calling calling
	finish  string // why the model stopped
	refusal string
	usage   Usage
}

func (o *outcome) used() Usage { return o.usage }

func (o *outcome) called() []ToolCall { return o.calling.all() }

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
	if len(o.calling.list) > 0 {
		return nil
	}
	if o.calling.open && (o.finish == "tool_calls" || o.finish == "tool_use") {
		return &Error{Kind: BadAnswer, Message: "the model stopped to call tools, and calls none"}
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
