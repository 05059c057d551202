package agents

import (
	"cmp"
	"context"
	"math/rand/v2"
	"strings"
	"time"
)

// Mock is a model that needs no network: its answers, delays and failures are written down.
type Mock struct {
	// Reply gives the answer to a question; without it the prompt is echoed.
	Reply   func(q Question) (string, error)
	Latency time.Duration // before the answer is complete
	Jitter  time.Duration // up to so much is added to the latency
	Fail    int           // so many attempts of each execution fail first
	Error   Kind          // how they fail; Server where it is empty
	Message string        // what the failure says; that it is as told where it is empty
	Input   int           // tokens reported; 0: the words of the question
	Output  int           // tokens reported; 0: the words of the answer
	// ToolCalls are the calls of its first answers, turn by turn; then it replies.
	ToolCalls [][]ToolCall
}

// Answer gives what was written down.
func (m *Mock) Answer(ctx context.Context, q Question, text func(string)) (Answer, error) {
	failed := Answer{Usage: Usage{Calls: 1}}
	latency := m.Latency
	if m.Jitter > 0 {
		latency += rand.N(m.Jitter)
	}
	if q.Attempt <= m.Fail {
		if err := sleep(ctx, time.Now().Add(latency)); err != nil {
			return failed, err
		}
		kind := m.Error
		if kind == "" {
			kind = Server
		}
		return failed, &Error{Kind: kind, Message: cmp.Or(m.Message, "the mock fails as told: "+string(kind))}
	}
	a, err := m.answer(q)
	if err != nil {
		return failed, err
	}
	if len(a.Calls) > 0 {
		text = nil // there is none
	}
	if err := speak(ctx, a.Text, time.Now(), latency, text); err != nil {
		return failed, err
	}
	a.Usage = m.usage(q, a)
	return a, nil
}

// answer is calls while there are some for the turn of the conversation, then the reply.
func (m *Mock) answer(q Question) (Answer, error) {
	turn := q.turns()
	switch {
	case turn < len(m.ToolCalls) && len(m.ToolCalls[turn]) > 0:
		return Answer{Calls: m.ToolCalls[turn]}, nil
	case m.Reply == nil:
		return Answer{Text: q.Prompt()}, nil
	}
	reply, err := m.Reply(q)
	return Answer{Text: reply}, err
}

// usage is what is reported for an answer.
func (m *Mock) usage(q Question, a Answer) Usage {
	usage := Usage{Input: m.Input, Output: m.Output, Calls: 1}
	if usage.Input == 0 {
		usage.Input = words(q.System)
		for _, said := range q.Messages {
			usage.Input += words(said.Text) + wordsOf(said.Calls)
			for _, r := range said.Results {
				usage.Input += words(r.Text)
			}
		}
	}
	if usage.Output == 0 {
		usage.Output = words(a.Text) + wordsOf(a.Calls)
	}
	return usage
}

// Bound is exactly what an answer will use.
func (m *Mock) Bound(q Question) Usage {
	a, _ := m.answer(q) // where it fails, nothing is used
	return m.usage(q, a)
}

// speak lets a reply come word by word, spread over the latency.
func speak(ctx context.Context, reply string, from time.Time, latency time.Duration, text func(string)) error {
	if text == nil {
		return sleep(ctx, from.Add(latency))
	}
	pieces := strings.SplitAfter(reply, " ")
	for i, p := range pieces {
		if err := sleep(ctx, from.Add(latency*time.Duration(i+1)/time.Duration(len(pieces)))); err != nil {
			return err
		}
		text(p)
	}
	return nil
}

// sleep waits until a time, or ends with ctx.
func sleep(ctx context.Context, until time.Time) error {
	d := time.Until(until)
	if d <= 0 {
		return ctx.Err()
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func words(s string) int { return len(strings.Fields(s)) }

// wordsOf counts what calls say: the name and the arguments.
func wordsOf(calls []ToolCall) int {
	n := 0
	for _, c := range calls {
		n += words(c.Name) + words(string(c.Arguments))
	}
	return n
}
