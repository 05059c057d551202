package agents

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// Task is a question whose answer must have a shape: a value that fits a schema, or one of some words.
type Task struct {
	Question
	Choices []string // empty: any text
	Repairs int      // how often to ask again for an answer of another shape

	// Use runs the calls of one turn and gives their results in the order of the calls. An error ends the task: what the
	// model should know of is a result that [ToolResult.Failed]. It is not asked where there are no tools.
	Use      func(ctx context.Context, calls []ToolCall) ([]ToolResult, error)
	MaxTurns int // how often tools may be called before the answer; a turn more is an error of kind [Endless]
}

// Schema is a JSON Schema that says what is wrong with a value.
type Schema interface {
	MarshalJSON() ([]byte, error)
	Check(name string, v any) error
}

// Ask is how questions get out: it asks the world by calling ask, or has the answer from elsewhere. Who keeps answers
// keeps those for which keep is true: one with which the task failed would let it fail for ever.
type Ask func(ctx context.Context, q Question, ask func(ctx context.Context) (Answer, error), keep func(Answer) bool) (Answer, error)

// Do asks a model, gives it the results of the tools that it calls, and asks again until it calls none. Then it asks
// again, with what is wrong, for an answer of another shape. With choices an answer that is still none of them is given
// back as it is; with a schema that is an error of kind [Unfit]. The value is that of the schema, in which numbers are
// [json.Number]s, or else the text. A tool choice other than auto and none is for the first answer. Messages that end with
// results are a conversation that broke off: it goes on, and its turns count.
func Do(ctx context.Context, m Model, t Task, door Ask, text func(string)) (any, error) {
	q := t.Question
	if s, ok := m.(shaper); t.Schema == nil || !ok || !s.Shapes(q) {
		q.System = instructed(q.System, t.instruction())
	}
	q.Messages = slices.Clone(q.Messages)
	ids, turns := newIDs(q.Messages), q.turns()
	for try := 0; ; {
		if turns > 0 && q.ToolChoice != "none" {
			q.ToolChoice = ""
		}
		keep := func(a Answer) bool {
			if len(a.Calls) > 0 {
				return len(a.Calls) <= maxCalls && turns < t.MaxTurns
			}
			_, wrong := t.shape(a.Text)
			return wrong == nil || try < t.Repairs
		}
		a, err := door(ctx, q, func(ctx context.Context) (Answer, error) { return m.Answer(ctx, q, text) }, keep)
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return nil, err
		}
		if len(a.Calls) > maxCalls {
			return nil, tooMany()
		}
		if len(a.Calls) > 0 {
			if turns++; turns > t.MaxTurns {
				return nil, &Error{Kind: Endless, Message: fmt.Sprintf("the model called tools %s and gave no answer; raise max_turns", times(turns))}
			}
			calls := ids.distinct(a.Calls)
			results, err := t.use(ctx, calls)
			if err != nil {
				return nil, err
			}
			q.Messages = append(q.Messages, Message{Model: true, Text: a.Text, Calls: calls, Thoughts: a.Thoughts}, Message{Results: results})
			continue
		}
		v, wrong := t.shape(a.Text)
		if wrong == nil || try >= t.Repairs && t.Schema == nil {
			return v, nil
		}
		if try++; try > t.Repairs {
			return nil, &Error{Kind: Unfit, Message: fmt.Sprintf("the answer does not fit the output_schema: %v (asked %s)", wrong, times(try)), cause: wrong}
		}
		q.Messages = append(q.Messages, Message{Model: true, Text: a.Text},
			Message{Text: fmt.Sprintf("That does not fit: %s. %s", truncateTo(wrong.Error(), maxComplaint), t.instruction())})
		q.Call++
	}
}

// instruction tells a model what shape its answer must have.
func (t Task) instruction() string {
	switch {
	case t.Schema != nil:
		return schemaInstruction(t.Schema)
	case len(t.Choices) > 0:
		return "Answer with one of these words and nothing else: " + strings.Join(t.Choices, ", ")
	}
	return ""
}

func schemaInstruction(s Schema) string {
	schema, err := s.MarshalJSON()
	if err != nil {
		return ""
	}
	return "Answer with one JSON value and nothing else, no explanation and no code fence. It must fit this JSON Schema:\n" + string(schema)
}

// instructed is a system prompt with an instruction at its end.
func instructed(system, instruction string) string {
	return strings.TrimSpace(system + "\n\n" + instruction)
}

// shape takes from an answer what the task wants, or says what is wrong with it.
func (t Task) shape(text string) (any, error) {
	switch {
	case t.Schema != nil:
		v, err := parse(text)
		if err != nil {
			return nil, err
		}
		return v, t.Schema.Check("answer", v)
	case len(t.Choices) > 0:
		word := strings.TrimSpace(text)
		if !slices.Contains(t.Choices, word) {
			return word, fmt.Errorf("%q is none of the words", truncate(word))
		}
		return word, nil
	}
	return text, nil
}

// parse finds the JSON value of an answer: all of it, or what stands in its one code fence.
func parse(text string) (any, error) {
	text = strings.TrimSpace(text)
	v, err := decode(text)
	if err == nil {
		return v, nil
	}
	if _, fenced, ok := strings.Cut(text, "```"); ok {
		if inside, _, ok := strings.Cut(fenced, "```"); ok {
			if first, rest, ok := strings.Cut(inside, "\n"); ok && !strings.ContainsAny(first, "{[\"") {
				inside = rest // the language of the fence
			}
			if v, err := decode(strings.TrimSpace(inside)); err == nil {
				return v, nil
			}
		}
	}
	return nil, err
}

func decode(text string) (any, error) {
	d := json.NewDecoder(bytes.NewReader([]byte(text)))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return nil, fmt.Errorf("the answer is not JSON: it ends too early")
		}
		return nil, fmt.Errorf("the answer is not JSON: %w", err)
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, fmt.Errorf("the answer is not JSON alone: more text stands behind it")
	}
	return v, nil
}

func times(n int) string {
	if n == 1 {
		return "once"
	}
	return fmt.Sprintf("%d times", n)
}

// maxComplaint is how many characters a model is told of what is wrong with a value, which may quote it.
const maxComplaint = 2000

func truncate(s string) string { return truncateTo(s, 200) }

func truncateTo(s string, most int) string {
	if r := []rune(s); len(r) > most {
		return string(r[:most]) + "…"
	}
	return s
}
