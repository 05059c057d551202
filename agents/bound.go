package agents

import (
	"encoding/json"
	"strconv"
)

// What a question may use beside its bytes.
const (
	// overhead is the most tokens that a provider puts around a message.
	overhead = 16
	// shapeOverhead is the most tokens by which a provider explains a schema, or that there are tools.
	shapeOverhead = 1000
	// imageTokens is more than any provider counts for an image. The most is gpt-4o-mini's 2,833 and 5,667 for each of up
	// to 8 tiles: https://platform.openai.com/docs/guides/images-vision#calculating-costs.
	imageTokens = 50_000
)

// Bound is the most that asking m once may use. A token of a text has at least one byte, so bytes are counted. Output is 0
// where nothing bounds it. A model may know better by a method Bound(Question) Usage.
func Bound(m Model, q Question) Usage {
	if b, ok := m.(interface{ Bound(Question) Usage }); ok {
		return b.Bound(q)
	}
	return Usage{Input: inputBound(q), Output: q.MaxTokens, Calls: 1}
}

func inputBound(q Question) int {
	n := overhead + len(q.System)
	for _, said := range q.Messages {
		n += overhead + len(said.Text) + len(said.Thoughts)
		for _, c := range said.Calls {
			n += 2*overhead + len(c.ID) + len(c.Name) + len(c.object())
		}
		for _, r := range said.Results {
			n += 2*overhead + len(r.ID) + len(r.Text)
		}
		for _, a := range said.Attachments {
			if a.image() {
				n += imageTokens
			} else {
				n += overhead + len(a.Name) + len(a.Data)
			}
		}
	}
	if q.Schema != nil {
		schema, _ := q.Schema.MarshalJSON()
		n += shapeOverhead + len(schema)
	}
	if len(q.Tools) > 0 {
		n += shapeOverhead
	}
	for _, t := range q.Tools {
		schema, _ := json.Marshal(t.parameters())
		n += 2*overhead + maxName + len(t.Description) + len(schema)
	}
	if len(q.Extra) > 0 {
		extra, _ := json.Marshal(q.Extra) // the provider's own tools, for one
		n += shapeOverhead + len(extra)
	}
	return n
}

// Bound counts what the request says, an extra's limit and number of answers too.
func (m *remote) Bound(q Question) Usage {
	fields := map[string]any{}
	m.dialect(q).settings(fields)
	u := Usage{Input: inputBound(q), Calls: 1}
	if q.Schema != nil {
		u.Input += len(schemaInstruction(q.Schema)) // where the provider does not take it
	}
	for _, name := range []string{"max_tokens", "max_completion_tokens"} {
		u.Output = max(u.Output, whole(fields[name]))
	}
	u.Output *= max(1, whole(fields["n"]))
	return u
}

// whole is a number of the settings, or 0.
func whole(v any) int {
	data, err := json.Marshal(v)
	if err != nil {
		return 0
	}
	f, err := strconv.ParseFloat(string(data), 64)
	if err != nil || f < 0 {
		return 0
	}
	return int(min(f, 1<<29)) // no model writes as much
}
