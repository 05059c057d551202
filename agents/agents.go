// Package agents answers prompts: through models of providers, by langchaingo's clients, and through a mock.
// It classifies errors and never retries; it brings answers into the shape that was asked for. It knows nothing of
// pipelines, graphs or events.
package agents

import (
	"context"
	"encoding/json"
	"fmt"
	"time"
)

// Model answers questions. Many may be asked at once.
type Model interface {
	// Answer asks once and ends when ctx does. text, where it is not nil, hears the answer piece by piece as it
	// comes. The error is an [*Error], or that of ctx. An answer that is empty, was cut off, or broke in the middle is
	// an error. The usage is right with an error too: a request that failed is a call, and may have been paid for.
	Answer(ctx context.Context, q Question, text func(piece string)) (Answer, error)
}

// Question is what a model is asked. What is nil, zero or empty is left to the provider. Its JSON is all that shapes the
// answer of a model.
type Question struct {
	System      string         `json:"system,omitempty"`
	Messages    []Message      `json:"messages"` // the last is not the model's
	Temperature *float64       `json:"temperature,omitempty"`
	TopP        *float64       `json:"top_p,omitempty"`
	MaxTokens   int            `json:"max_tokens,omitempty"` // of the answer
	Stop        []string       `json:"stop,omitempty"`
	Seed        *int           `json:"seed,omitempty"`
	Reasoning   string         `json:"reasoning,omitempty"`   // low, medium or high
	Extra       map[string]any `json:"extra,omitempty"`       // put into the request as it is
	Schema      Schema         `json:"schema,omitempty"`      // that the answer should fit; [Do] tells it to models that do not get it by their provider
	Tools       []Tool         `json:"tools,omitempty"`       // that the model may call; their names differ
	ToolChoice  string         `json:"tool_choice,omitempty"` // auto, none, required, or the name of the tool to call

	Past    int `json:"-"` // so many of the first messages are of earlier conversations
	Call    int `json:"-"` // for the mock: the number of this question in its conversation, from 1
	Attempt int `json:"-"` // for the mock: the number of this attempt, from 1
}

// Prompt is the text of the first message of this conversation: what the author asked.
func (q Question) Prompt() string {
	if len(q.Messages) <= q.Past {
		return ""
	}
	return q.Messages[q.Past].Text
}

// turns is how often tools were called in the conversation so far.
func (q Question) turns() int {
	n := 0
	for _, m := range q.Messages {
		if len(m.Calls) > 0 {
			n++
		}
	}
	return n
}

// Message is one turn of a conversation.
type Message struct {
	Model       bool            `json:"model,omitempty"` // the model said it, not the user
	Text        string          `json:"text"`
	Attachments []Attachment    `json:"attachments,omitempty"` // of the user
	Calls       []ToolCall      `json:"calls,omitempty"`       // of the model
	Thoughts    json.RawMessage `json:"thoughts,omitempty"`    // of the answer that made the calls
	Results     []ToolResult    `json:"results,omitempty"`     // for the model: of all calls of the message before; there is no text beside them
}

// Answer is what a model answered: a text, calls of tools, or both. Its JSON is what stays of it where it is kept.
type Answer struct {
	Text     string          `json:"text"`
	Calls    []ToolCall      `json:"calls,omitempty"`
	Thoughts json.RawMessage `json:"thoughts,omitempty"` // that the provider wants back with the results of the calls, in a form of its own
	Usage    Usage           `json:"-"`
}

// Usage counts tokens, 0 where the provider does not say, and requests.
type Usage struct {
	Input     int // with what was cached
	Cached    int // the part of Input that the provider remembered
	Written   int // the part of Input that it will remember now
	Output    int // with the thoughts
	Reasoning int // the part of Output that was thoughts
	Calls     int

	// Untold says that the provider did not tell what the call used, or not all of it: it sent no count, the answer broke
	// off, or nobody waited for its end. It may have to be paid for all the same.
	Untold bool `json:",omitempty"`
}

// Kind is the sort of failure of a model.
type Kind string

// The kinds of failures.
const (
	RateLimit  Kind = "rate_limit"
	Timeout    Kind = "timeout" // of one request
	Auth       Kind = "auth"
	Server     Kind = "server"
	Network    Kind = "network"
	BadRequest Kind = "bad_request"
	BadAnswer  Kind = "model"          // an answer that is no answer
	Refusal    Kind = "refusal"        // the model does not want to answer
	Filtered   Kind = "content_filter" // the provider does not let it answer
	Length     Kind = "length"         // an answer that was cut off at its limit of tokens
	Unfit      Kind = "schema"         // an answer that never got the shape that was asked for
	Endless    Kind = "tool"           // a model that calls tools and never answers
)

// Error is why there is no answer.
type Error struct {
	Kind       Kind
	Status     int // of HTTP; 0 where there was none
	Message    string
	RetryAfter time.Duration // that the provider asks for
	RequestID  string
	// Elsewhere says of an error of kind [BadRequest] that another model may answer the question all the same: this one
	// does not exist, or there is no money left for it.
	Elsewhere bool
	cause     error
}

func (e *Error) Error() string {
	s := e.Message
	if e.Status != 0 {
		s = fmt.Sprintf("%s (status %d)", s, e.Status)
	}
	if e.RequestID != "" {
		s += ", request " + e.RequestID
	}
	return s
}

// Unwrap is what caused the error, if that is known.
func (e *Error) Unwrap() error { return e.cause }
