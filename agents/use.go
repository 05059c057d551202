package agents

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// maxNearest is how many names a model is told that called a tool which it does not have.
const maxNearest = 5

// use runs the calls of one turn that may be run, and tells the model what is wrong with the others.
func (t Task) use(ctx context.Context, calls []ToolCall) ([]ToolResult, error) {
	results := make([]ToolResult, len(calls))
	var good []ToolCall
	var places []int // of the good ones
	for i, c := range calls {
		if wrong := t.wrong(c); wrong != nil {
			results[i] = ToolResult{ID: c.ID, Text: wrong.Error(), Failed: true}
			continue
		}
		good, places = append(good, c), append(places, i)
	}
	if len(good) == 0 {
		return results, nil
	}
	got, err := t.Use(ctx, good)
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		return nil, err
	}
	if len(got) != len(good) {
		return nil, fmt.Errorf("%d calls of tools have %d results", len(good), len(got))
	}
	for i, r := range got {
		r.ID = good[i].ID
		results[places[i]] = r
	}
	return results, nil
}

// wrong is why a call cannot be run, in words for the model; or nil.
func (t Task) wrong(c ToolCall) error {
	i := slices.IndexFunc(t.Tools, func(tool Tool) bool { return tool.Name == c.Name })
	if i < 0 {
		return fmt.Errorf("there is no tool %q; %s", truncate(c.Name), nearest(c.Name, t.Tools))
	}
	v, err := decode(string(c.Arguments))
	if err != nil {
		return fmt.Errorf("the arguments are no JSON object: %s", truncate(strings.TrimPrefix(err.Error(), "the answer is not JSON: ")))
	}
	if _, object := v.(map[string]any); !object {
		return errors.New("the arguments are no JSON object")
	}
	if s := t.Tools[i].Schema; s != nil {
		if err := s.Check("arguments", v); err != nil {
			return fmt.Errorf("the arguments do not fit: %s", truncateTo(err.Error(), maxComplaint))
		}
	}
	return nil
}

// nearest tells a model the tools whose names are most like one that is none.
func nearest(name string, tools []Tool) string {
	if len(tools) == 0 {
		return "there are no tools"
	}
	named := []rune(strings.ToLower(callable(name)))
	type candidate struct {
		name string
		far  int
	}
	var all []candidate
	for _, t := range tools {
		all = append(all, candidate{t.Name, distance(named, []rune(strings.ToLower(callable(t.Name))))})
	}
	slices.SortStableFunc(all, func(a, b candidate) int { return a.far - b.far })
	var names []string
	for _, c := range all[:min(len(all), maxNearest)] {
		names = append(names, c.name)
	}
	if len(all) > maxNearest {
		return fmt.Sprintf("the nearest of %d are %s", len(all), strings.Join(names, ", "))
	}
	return "there are " + strings.Join(names, ", ")
}

// distance is how many letters must be put in, left out or changed to make b of a.
func distance(a, b []rune) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i, x := range a {
		diagonal := row[0]
		row[0] = i + 1
		for j, y := range b {
			cost := diagonal
			if x != y {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, diagonal+1)
		}
	}
	return row[len(b)]
}

// ids are those of the calls in a conversation.
type ids map[string]bool

func newIDs(messages []Message) ids {
	known := ids{}
	for _, m := range messages {
		for _, c := range m.Calls {
			known[c.ID] = true
		}
	}
	return known
}

// distinct gives an id to calls that have none or another's. It is one of nine letters and digits: Mistral takes no others.
func (known ids) distinct(calls []ToolCall) []ToolCall {
	calls = slices.Clone(calls)
	for i := range calls {
		for n := len(known) + 1; calls[i].ID == "" || known[calls[i].ID]; n++ {
			calls[i].ID = fmt.Sprintf("call%05d", n)
		}
		known[calls[i].ID] = true
	}
	return calls
}
