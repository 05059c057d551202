package agents

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"strings"
	"testing"
)

// written is a schema as it is written, which every JSON value fits but the word "unfit".
type written string

func (w written) MarshalJSON() ([]byte, error) { return []byte(w), nil }

func (w written) Check(_ string, v any) error {
	if v == "unfit" {
		return errors.New("it is unfit")
	}
	return nil
}

const score = `{"type":"object","properties":{"score":{"type":"integer"}},"required":["score"],"additionalProperties":false}`

func TestShape(t *testing.T) {
	t.Parallel()
	closed := func(property string) string {
		return `{"type":"object","properties":{"a":` + property + `},"required":["a"],"additionalProperties":false}`
	}
	tests := map[string]struct {
		schema            string
		openai, anthropic string
	}{
		"closed and demanding": {score, "schema, strict", "schema"},
		"nested":               {closed(closed(`{"type":["string","null"],"enum":["x",null]}`)), "schema, strict", "schema"},
		"lists":                {closed(`{"type":"array","items":{"type":"string","format":"date"},"minItems":1}`), "schema, strict", "schema"},
		"long lists":           {closed(`{"type":"array","items":{"type":"string"},"minItems":2}`), "schema, strict", "words"},
		"bounds":               {closed(`{"type":"integer","minimum":1,"maximum":10}`), "schema, strict", "words"},
		"choices":              {closed(`{"anyOf":[{"type":"string"},` + score + `]}`), "schema, strict", "schema"},
		"an optional property": {`{"type":"object","properties":{"a":{"type":"string"}},"additionalProperties":false}`, "schema", "schema"},
		"optional, deeper":     {closed(`{"type":"array","items":{"type":"object","properties":{"b":{"type":"string"}},"additionalProperties":false}}`), "schema", "schema"},
		"open":                 {`{"type":"object","properties":{"a":{"type":"string"}},"required":["a"]}`, "schema", "words"},
		"open, deeper":         {closed(`{"type":["object","null"]}`), "schema", "words"},
		"a map":                {`{"type":"object","additionalProperties":{"type":"string"}}`, "schema", "words"},
		"references":           {closed(`{"$ref":"#/$defs/x"}`), "schema", "words"},
		"one of several":       {closed(`{"oneOf":[{"type":"string"}]}`), "schema", "words"},
		"all of several":       {closed(`{"allOf":[{"type":"string"}]}`), "schema", "schema"},
		"anything":             {closed(`true`), "schema", "words"},
		"an unknown form":      {closed(`{"type":"string","format":"iri"}`), "schema", "words"},
		"a list":               {`{"type":"array","items":{"type":"string"}}`, "words", "words"},
		"a choice":             {`{"type":"object","anyOf":[` + score + `]}`, "words", "words"},
		"true":                 {`true`, "words", "words"},
	}
	tell := func(s shape) string {
		switch {
		case s.format == byWord:
			return "words"
		case s.strict:
			return "schema, strict"
		}
		return "schema"
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for ref, want := range map[string]string{"openai/m": tt.openai, "anthropic/m": tt.anthropic} {
				m := openAs(t, ref, http.DefaultClient, "").(*remote)
				q := Question{Schema: written(tt.schema)}
				if got := strings.TrimSuffix(tell(m.shape(q)), map[bool]string{true: ", strict"}[ref != "openai/m"]); got != want {
					t.Errorf("%s: got %s, want %s", ref, got, want)
				}
				q.Extra = map[string]any{"response_format": 1}
				if m.Shapes(q) {
					t.Errorf("%s: the author's own format is overruled", ref)
				}
			}
		})
	}
}

// TestSchemaIsTold holds where a schema stands in a request: in words, in a field, or both.
func TestSchemaIsTold(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ ref, want string }{
		"by the provider":     {"openai/m", `json_schema, strict`},
		"by Anthropic":        {"anthropic/m", `output_config`},
		"to be sure, twice":   {"ollama/m", `words, json_schema, strict`},
		"as any object":       {"deepseek/m", `words, json_object`},
		"to a list's lover":   {"openai/list", `words`},
		"to the author's own": {"openai/extra", `words`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := serve(t, func(w http.ResponseWriter, r *http.Request) {
				says(200, "application/json", `{"choices":[{"message":{"content":"{}"}}],"content":[{"type":"text","text":"{}"}]}`)(w, r)
			})
			set := NewSet(WithEnv(env{"OPENAI_API_KEY": secret, "ANTHROPIC_API_KEY": secret, "DEEPSEEK_API_KEY": secret}.lookup), WithClient(f.Client()))
			m, err := set.Open(tt.ref, f.URL+"/v1")
			if err != nil {
				t.Fatal(err)
			}
			task := Task{Question: hello()}
			task.Schema = written(score)
			switch {
			case strings.HasSuffix(tt.ref, "list"):
				task.Schema = written(`{"type":"array"}`)
			case strings.HasSuffix(tt.ref, "extra"):
				task.Extra = map[string]any{"response_format": map[string]any{"type": "text"}}
			}
			if _, err := Do(t.Context(), m, task, direct, nil); err != nil {
				t.Fatal(err)
			}
			var told []string
			for word, what := range map[string]string{"It must fit this JSON Schema": "words", `"json_schema":{"name"`: "json_schema", `"json_object"`: "json_object", `"output_config":{"format"`: "output_config", `"strict":true`: "strict"} {
				if strings.Contains(f.asked()[0].body, word) {
					told = append(told, what)
				}
			}
			for _, what := range strings.Split(tt.want, ", ") {
				if !strings.Contains(strings.Join(told, " "), what) {
					t.Errorf("told by %v, want %s: %s", told, tt.want, f.asked()[0].body)
				}
			}
			if len(told) != len(strings.Split(tt.want, ", ")) {
				t.Errorf("told by %v, want %s", told, tt.want)
			}
		})
	}
}

// direct is a door that is always open.
func direct(ctx context.Context, _ Question, ask func(context.Context) (Answer, error), _ func(Answer) bool) (Answer, error) {
	return ask(ctx)
}

// TestSchemaIsRefused has a server that knows no schemas: the model is asked again in words, and from then on at once.
func TestSchemaIsRefused(t *testing.T) {
	t.Parallel()
	complaints := map[string]string{
		"openai/m":    `{"error":{"message":"Invalid parameter: 'response_format' of type 'json_schema' is not supported with this model."}}`,
		"anthropic/m": `{"type":"error","error":{"type":"invalid_request_error","message":"output_config.format: Extra inputs are not permitted"}}`,
		"ollama/m":    `{"error":"invalid JSON schema in format"}`,
	}
	for ref, complaint := range complaints {
		for _, streamed := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/streamed=%v", ref, streamed), func(t *testing.T) {
				t.Parallel()
				f := serve(t, nil)
				f.answer = func(w http.ResponseWriter, r *http.Request) {
					asked := f.asked()
					if body := asked[len(asked)-1].body; strings.Contains(body, "response_format") || strings.Contains(body, "output_config") {
						says(400, "application/json", complaint)(w, r)
						return
					} else if n := strings.Count(body, "It must fit"); n != 1 {
						t.Errorf("told %d times in words: %s", n, body)
					}
					says(200, "application/json", `{"choices":[{"message":{"content":"{\"score\":1}"}}],"content":[{"type":"text","text":"{\"score\":1}"}]}`)(w, r)
				}
				m := openAs(t, ref, f.Client(), f.URL+"/v1")
				task := Task{Question: hello()}
				task.Schema = written(score)
				for _, calls := range []int{2, 1} {
					door := func(ctx context.Context, _ Question, ask func(context.Context) (Answer, error), _ func(Answer) bool) (Answer, error) {
						a, err := ask(ctx)
						if a.Usage.Calls != calls {
							t.Errorf("%d calls were counted, want %d", a.Usage.Calls, calls)
						}
						return a, err
					}
					got, err := Do(t.Context(), m, task, door, listener(streamed))
					if err != nil || fmt.Sprint(got) != "map[score:1]" {
						t.Errorf("got %v, %v", got, err)
					}
				}
				if n := len(f.asked()); n != 3 {
					t.Errorf("asked %d times", n)
				}
			})
		}
	}
}

// TestOtherRefusals holds that only a complaint about the schema is asked again.
func TestOtherRefusals(t *testing.T) {
	t.Parallel()
	for want, status := range map[string]int{"bad_request: no such thing (status 400)": 400, "server: bad schema (status 500)": 500} {
		message, _, _ := strings.Cut(strings.SplitN(want, ": ", 2)[1], " (")
		f := serve(t, says(status, "application/json", `{"error":"`+message+`"}`))
		q := hello()
		q.Schema = written(score)
		_, err := f.model(t).Answer(t.Context(), q, nil)
		if got := tell(err); got != want || len(f.asked()) != 1 {
			t.Errorf("got %s after %d calls, want %s", got, len(f.asked()), want)
		}
	}
}

func TestAttachments(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		file Attachment
		want string // the error
	}{
		"an image":          {Attachment{"a.png", "image/png", []byte("\x89PNG\x00")}, "<nil>"},
		"a text":            {Attachment{"a.csv", "text/csv", []byte("a;b")}, "<nil>"},
		"an unknown text":   {Attachment{"Makefile", "application/octet-stream", []byte("all:")}, "<nil>"},
		"another image":     {Attachment{"a.bmp", "image/bmp", []byte("BM\x00")}, "bad_request: a.bmp cannot be attached: it is no image that models take (png, jpeg, gif, webp) and no text"},
		"what is no text":   {Attachment{"a.txt", "text/plain", []byte("\xff\xfe")}, "bad_request: a.txt cannot be attached: it is no image that models take (png, jpeg, gif, webp) and no text"},
		"a text with zeros": {Attachment{"a.txt", "text/plain", []byte("a\x00b")}, "bad_request: a.txt cannot be attached: it is no image that models take (png, jpeg, gif, webp) and no text"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := serve(t, says(200, "application/json", `{"choices":[{"message":{"content":"ok"}}]}`))
			q := hello()
			q.Messages[0].Attachments = []Attachment{tt.file}
			got, err := f.model(t).Answer(t.Context(), q, nil)
			if tell(err) != tt.want {
				t.Errorf("\n got %s\nwant %s", tell(err), tt.want)
			}
			if n := len(f.asked()); n != got.Usage.Calls || (err == nil) != (n == 1) {
				t.Errorf("asked %d times, counted %d", n, got.Usage.Calls)
			}
		})
	}
}

func TestIdentity(t *testing.T) {
	t.Parallel()
	for baseURL, want := range map[string]string{"": "openai https://api.openai.com/v1 gpt-test", "http://host:1/v2/": "openai http://host:1/v2 gpt-test"} {
		if got := open(t, http.DefaultClient, baseURL).(interface{ Identity() string }).Identity(); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

func TestBound(t *testing.T) {
	t.Parallel()
	words := len(schemaInstruction(written(score)))
	tests := map[string]struct {
		ref  string
		q    Question
		want Usage
	}{
		"a text":                  {"openai/m", Question{System: "äh", Messages: []Message{{Text: "hello"}}}, Usage{Input: 16 + 3 + 16 + 5, Calls: 1}},
		"a limit":                 {"openai/m", Question{MaxTokens: 7}, Usage{Input: 16, Output: 7, Calls: 1}},
		"a limit beyond all":      {"openai/m", Question{MaxTokens: math.MaxInt}, Usage{Input: 16, Output: 1 << 29, Calls: 1}},
		"several answers":         {"groq/m", Question{MaxTokens: 7, Extra: map[string]any{"n": 3}}, Usage{Input: 16 + 1000 + len(`{"n":3}`), Output: 21, Calls: 1}},
		"a limit of the extras'":  {"openai/m", Question{Extra: map[string]any{"max_tokens": 9.0}}, Usage{Input: 16 + 1000 + len(`{"max_tokens":9}`), Output: 9, Calls: 1}},
		"a limit that is none":    {"openai/m", Question{Extra: map[string]any{"max_completion_tokens": "x"}}, Usage{Input: 16 + 1000 + len(`{"max_completion_tokens":"x"}`), Calls: 1}},
		"Anthropic's own limit":   {"anthropic/m", Question{}, Usage{Input: 16, Output: 8192, Calls: 1}},
		"Anthropic with thoughts": {"anthropic/m", Question{MaxTokens: 100, Reasoning: "low"}, Usage{Input: 16, Output: 2148, Calls: 1}},
		"files":                   {"openai/m", Question{Messages: []Message{{Attachments: []Attachment{{"n", "text/plain", []byte("1234")}, {"p", "image/png", []byte{0}}}}}}, Usage{Input: 16 + 16 + 16 + 1 + 4 + 50_000, Calls: 1}},
		"a schema":                {"openai/m", Question{Schema: written(score)}, Usage{Input: 16 + 1000 + len(score) + words, Calls: 1}},
		"a program's own model":   {"mine", Question{MaxTokens: 5}, Usage{Input: 16, Output: 5, Calls: 1}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var m Model = own("x")
			if tt.ref != "mine" {
				set := NewSet(WithEnv(env{"OPENAI_API_KEY": secret, "ANTHROPIC_API_KEY": secret, "GROQ_API_KEY": secret}.lookup))
				var err error
				if m, err = set.Open(tt.ref, ""); err != nil {
					t.Fatal(err)
				}
			}
			if got := Bound(m, tt.q); got != tt.want {
				t.Errorf("got %+v, want %+v", got, tt.want)
			}
		})
	}
}

// TestMockBound holds that the mock uses exactly what its bound says.
func TestMockBound(t *testing.T) {
	t.Parallel()
	q := Question{Attempt: 1, System: "Be brief.", Messages: []Message{{Text: "one two three"}}}
	for name, m := range map[string]*Mock{
		"written tokens": {Input: 100, Output: 50},
		"an echo":        {},
		"written in":     {Input: 7},
		"a reply":        {Reply: func(Question) (string, error) { return "x y", nil }},
	} {
		a, err := m.Answer(t.Context(), q, nil)
		if got := Bound(m, q); err != nil || got != a.Usage {
			t.Errorf("%s: bound is %+v, used was %+v (%v)", name, got, a.Usage, err)
		}
	}
}
