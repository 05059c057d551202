package nodes_test

import (
	"context"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/flowrun/flowrun/agents"
	"github.com/flowrun/flowrun/engine"
	"github.com/flowrun/flowrun/nodes"
)

// eavesdropper keeps what a model is asked.
type eavesdropper struct{ questions []agents.Question }

func (s *eavesdropper) Answer(_ context.Context, q agents.Question, _ func(string)) (agents.Answer, error) {
	s.questions = append(s.questions, q)
	return agents.Answer{Text: "seen"}, nil
}

// A model gets the files with the prompt, each of the type that its bytes tell, also when it is asked again.
func TestAttachments(t *testing.T) {
	var model eavesdropper
	set := agents.NewSet(agents.WithProvider("mine", func(string) (agents.Model, error) { return &model, nil }))
	src := "agent: {model: mine/x, attach: [fake.png, photo.txt], output_schema: {a: string}, output_retries: 1}\nprompt: Look."
	photo := "\x89PNG\r\n\x1a\n\x00\x00"
	g := filesOf(t, src, map[string]string{"fake.png": "a text", "photo.txt": photo}, nodes.WithAgents(set))
	try(t, g, nil, engine.WithGrants(engine.Grants{All: true}))
	want := []agents.Attachment{{Name: "fake.png", Type: "text/plain", Data: []byte("a text")}, {Name: "photo.txt", Type: "image/png", Data: []byte(photo)}}
	if len(model.questions) != 2 {
		t.Fatalf("it was asked %d times", len(model.questions))
	}
	for _, q := range model.questions {
		if diff := cmp.Diff(want, q.Messages[0].Attachments); q.Prompt() != "Look." || diff != "" {
			t.Errorf("asked %q with (-want +got):\n%s", q.Prompt(), diff)
		}
	}
}

// Files that are read are no questions: the mock counts on as without them.
func TestAttachedAndCalls(t *testing.T) {
	src := `
loop:
  - agent: {model: mock, attach: [a.txt, "${{ [] }}", "${{ nil }}"], mock: {fail: 1, reply: "${{ call }} ${{ attached }}"}}
    retry: {max_attempts: 2, delay: 1ms}
max_iterations: 2`
	g := filesOf(t, src, map[string]string{"a.txt": "a"})
	differs(t, src, `"3 [\"a.txt\"]"`, try(t, g, nil, engine.WithGrants(engine.Grants{All: true})).said())
}

// An agent's own files stand in place of those of the header's agent that it uses.
func TestAttachNearest(t *testing.T) {
	src := `
agents:
  a: {model: mock, attach: a.txt, mock: {reply: "${{ attached }}"}}
parallel:
  - agent: a
  - agent: {use: a, attach: [b.txt]}
  - agent: {use: a, attach: "${{ input }}"}`
	g := filesOf(t, src, map[string]string{"a.txt": "a", "b.txt": "b"})
	got := try(t, g, []any{"b.txt", "a.txt"}, engine.WithGrants(engine.Grants{All: true}))
	differs(t, src, `["[\"a.txt\"]","[\"b.txt\"]","[\"b.txt\",\"a.txt\"]"]`, got.said())
}

// What cannot be attached is an error that no attempt mends.
func TestUnfitAttachments(t *testing.T) {
	const src = `agent: {model: mock, attach: "${{ input }}"}`
	const at = "p.yaml:1:1: p: "
	long := strings.Repeat("x", 300)
	tests := map[string]struct {
		input any
		want  string
	}{
		"a missing file":      {"missing", `bad_request ` + at + `attaching "missing": no such file or directory`},
		"a program":           {"program.png", `bad_request ` + at + `attaching "program.png": it is neither an image (png, jpeg, gif, webp) nor UTF-8 text`},
		"an unknown image":    {"old.bmp", `bad_request ` + at + `attaching "old.bmp": it is an image of type image/bmp, not png, jpeg, gif or webp`},
		"too large a file":    {"large", `bad_request ` + at + `attaching "large": it is larger than 10 MiB`},
		"too many together":   {[]any{"half", "half", "a.txt"}, `bad_request ` + at + `attaching "a.txt": with it, the files are larger than 20 MiB together`},
		"as much as may be":   {[]any{"half", "half"}, `""`},
		"a number":            {5, `bad_request ` + at + `attach needs paths, not "5"`},
		"an empty path":       {"", `bad_request ` + at + `attach needs paths, not ""`},
		"nothing in a list":   {[]any{nil}, `bad_request ` + at + `attach needs paths, not "null"`},
		"an object":           {map[string]any{"a": "b"}, `bad_request ` + at + `attach needs paths, not "{\"a\":\"b\"}"`},
		"a list in a list":    {[]any{[]any{"a.txt"}}, `bad_request ` + at + `attach needs paths, not "[\"a.txt\"]"`},
		"a NUL in the name":   {"a\x00b", `bad_request ` + at + `attaching "a\x00b": invalid argument`},
		"the longest of name": {long, `bad_request ` + at + `attaching "` + long[:200] + `…": file name too long`},
	}
	g := filesOf(t, src+"\nprompt: ''", map[string]string{
		"a.txt": "a", "program.png": "\x7fELF\x02\x00", "old.bmp": "BM\x9a\x00\x00", "large": strings.Repeat("x", 10<<20+1), "half": strings.Repeat("x", 10<<20),
	})
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got := try(t, g, tt.input, engine.WithGrants(engine.Grants{All: true}))
			differs(t, name, tt.want, got.said())
			for _, e := range got.events {
				if e.Type == engine.StepRetried || e.Type == engine.RunStarted && tt.want != `""` {
					t.Errorf("there was a %s", e.Type)
				}
			}
		})
	}
}
