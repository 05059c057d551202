package agents

import (
	"cmp"
	"fmt"
	"net/http"
	"reflect"
	"strings"
	"testing"
)

// claudeStream is a good stream of Anthropic's with some frames in the middle.
func claudeStream(middle ...string) []string {
	frames := []string{`{"type":"message_start","message":{"type":"message","role":"assistant","content":[],"usage":{"input_tokens":20,"cache_read_input_tokens":70,"cache_creation_input_tokens":10,"output_tokens":1}}}`}
	frames = append(frames, middle...)
	return append(frames, `{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":30,"output_tokens_details":{"thinking_tokens":25}}}`, `{"type":"message_stop"}`)
}

func TestClaudeStreamed(t *testing.T) {
	t.Parallel()
	told := Usage{Input: 100, Cached: 70, Written: 10, Output: 30, Reasoning: 25, Calls: 1}
	tests := map[string]struct {
		frames []string
		want   string // the pieces, or the error
		usage  Usage
	}{
		"text and pings": {claudeStream(
			`{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}`,
			"event: ping\ndata: {\"type\": \"ping\"}\n\n",
			`{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Hel"}}`,
			`{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"lo"}}`,
			`{"type":"content_block_stop","index":0}`,
		), "Hel|lo", told},
		"thoughts and several texts": {claudeStream(
			`{"type":"content_block_start","index":0,"content_block":{"type":"thinking","thinking":"","text":"x"}}`,
			`{"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"Hm."}}`,
			`{"type":"content_block_delta","index":0,"delta":{"type":"signature_delta","signature":"abc"}}`,
			`{"type":"content_block_start","index":1,"content_block":{"type":"redacted_thinking","data":"abc"}}`,
			`{"type":"content_block_start","index":2,"content_block":{"type":"text","text":"o"}}`,
			`{"type":"content_block_start","index":3,"content_block":{"type":"text"}}`,
			`{"type":"content_block_delta","index":3,"delta":{"type":"text_delta","text":"k"}}`,
			`{"type":"something_new","index":-1}`,
		), "o|k", told},
		"usage that is nonsense": {[]string{
			`{"type":"message_start","message":{"usage":{"input_tokens":"12","output_tokens":-3}}}`,
			`{"type":"content_block_start","index":0,"content_block":{"type":"text","text":"ok"}}`,
			`{"type":"message_delta","delta":{"stop_reason":"stop_sequence"},"usage":"none"}`,
			`{"type":"message_stop"}`,
		}, "ok", Usage{Calls: 1, Untold: true}},
		"a negative index": {claudeStream(`{"type":"content_block_start","index":-1,"content_block":{"type":"text"}}`),
			"model: a piece of the answer has no place in it, request req_1", Usage{Input: 100, Cached: 70, Written: 10, Output: 1, Calls: 1, Untold: true}},
		"an index in parts": {claudeStream(`{"type":"content_block_start","index":0.5,"content_block":{"type":"text"}}`),
			"model: a piece of the answer has no place in it, request req_1", Usage{Input: 100, Cached: 70, Written: 10, Output: 1, Calls: 1, Untold: true}},
		"a block that never began": {claudeStream(`{"type":"content_block_delta","index":1,"delta":{"type":"text_delta","text":"x"}}`),
			"model: block 1 of the answer goes on and never began, request req_1", Usage{Input: 100, Cached: 70, Written: 10, Output: 1, Calls: 1, Untold: true}},
		"a block that begins twice": {claudeStream(`{"type":"content_block_start","index":1,"content_block":{"type":"text"}}`, `{"type":"content_block_start","index":1,"content_block":{"type":"text"}}`),
			"model: block 1 of the answer begins twice, request req_1", Usage{Input: 100, Cached: 70, Written: 10, Output: 1, Calls: 1, Untold: true}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := serve(t, streams(tt.frames...))
			var heard pieces
			got, err := openAs(t, "anthropic/claude-test", f.Client(), f.URL).Answer(t.Context(), hello(), heard.hear)
			said := strings.Join(heard, "|")
			if err != nil {
				said = tell(err)
			} else if all := strings.Join(heard, ""); all != got.Text {
				t.Errorf("heard %q, and the text is %q", all, got.Text)
			}
			if said != tt.want {
				t.Errorf("\n got %s\nwant %s", said, tt.want)
			}
			if got.Usage != tt.usage {
				t.Errorf("usage is %+v, want %+v", got.Usage, tt.usage)
			}
		})
	}
}

func TestClaudeWhole(t *testing.T) {
	t.Parallel()
	const usage = `"usage":{"input_tokens":20,"cache_read_input_tokens":70,"cache_creation_input_tokens":null,"output_tokens":3}`
	tests := map[string]struct{ body, want string }{
		"text":                    {`{"type":"message","content":[{"type":"text","text":"Hello"}],"stop_reason":"end_turn",` + usage + `}`, "Hello"},
		"null blocks, thoughts":   {`{"content":[null,{"type":"redacted_thinking","data":"x"},{"type":"text","text":"Hel"},{"type":"text","text":"lo"}],"stop_reason":"stop_sequence",` + usage + `}`, "Hello"},
		"cut at its limit":        {`{"content":[{"type":"text","text":"Hel"}],"stop_reason":"max_tokens",` + usage + `}`, "length: the answer was cut off at its limit of tokens; raise max_tokens"},
		"cut at the model's":      {`{"content":[],"stop_reason":"model_context_window_exceeded",` + usage + `}`, "length: the answer was cut off at its limit of tokens; raise max_tokens"},
		"a refusal":               {`{"content":[],"stop_reason":"refusal","stop_details":null,` + usage + `}`, "refusal: the model refuses to answer: no reason given"},
		"a refusal with a reason": {`{"content":[],"stop_reason":"refusal","stop_details":{"category":"cyber","explanation":null},` + usage + `}`, "refusal: the model refuses to answer: cyber"},
		"a pause":                 {`{"content":[{"type":"text","text":"Let me see"}],"stop_reason":"pause_turn",` + usage + `}`, "model: the answer is not finished, finish reason pause_turn"},
		"nothing":                 {`{"content":[],"stop_reason":"end_turn",` + usage + `}`, "model: the answer is empty, finish reason end_turn"},
		"no content":              {`{"type":"message",` + usage + `}`, `model: the answer has no content: {"type":"message",` + usage + `}`},
	}
	for name, tt := range tests {
		for _, streamed := range []bool{false, true} { // a server that does not stream
			t.Run(fmt.Sprintf("%s/streamed=%v", name, streamed), func(t *testing.T) {
				t.Parallel()
				f := serve(t, says(200, "application/json", tt.body))
				var heard pieces
				text := heard.hear
				if !streamed {
					text = nil
				}
				got, err := openAs(t, "anthropic/claude-test", f.Client(), f.URL).Answer(t.Context(), hello(), text)
				if said := cmp.Or(got.Text, tell(err)); said != tt.want {
					t.Errorf("\n got %s\nwant %s", said, tt.want)
				}
				want := Usage{Input: 90, Cached: 70, Output: 3, Calls: 1}
				if name == "no content" {
					want = Usage{Calls: 1, Untold: true}
				}
				if got.Usage != want {
					t.Errorf("usage is %+v, want %+v", got.Usage, want)
				}
			})
		}
	}
}

// TestClaudeHeader holds what Anthropic wants in a header, and that its key goes by no other.
func TestClaudeHeader(t *testing.T) {
	t.Setenv("ANTHROPIC_API_KEY", "leaked")
	f := serve(t, says(200, "application/json", `{"content":[{"type":"text","text":"ok"}],"stop_reason":"end_turn"}`))
	if _, err := openAs(t, "anthropic/claude-test", f.Client(), f.URL).Answer(t.Context(), hello(), nil); err != nil {
		t.Fatal(err)
	}
	asked := f.asked()[0]
	if asked.path != "/v1/messages" {
		t.Errorf("path is %s", asked.path)
	}
	for name, want := range map[string]string{"X-Api-Key": secret, "Anthropic-Version": "2023-06-01", "Content-Type": "application/json", "Authorization": ""} {
		if got := asked.header.Get(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	if got := fmt.Sprint(asked.header, asked.body); strings.Contains(got, "leaked") {
		t.Errorf("sent %s", got)
	}
}

func TestReasoningOfClaude(t *testing.T) {
	t.Parallel()
	half, one := 0.5, 1.0
	tests := map[string]struct {
		model string
		q     Question
		want  string // what is sent of it
	}{
		"none":                        {"claude-sonnet-5", Question{}, "<nil> <nil> 8192"},
		"by effort":                   {"claude-sonnet-5", Question{Reasoning: "high", MaxTokens: 100}, "map[type:adaptive] map[effort:high] 16484"},
		"of a model that is unknown":  {"claude-next", Question{Reasoning: "low"}, "map[type:adaptive] map[effort:low] 10240"},
		"of Opus 4.6":                 {"claude-opus-4-6", Question{Reasoning: "low"}, "map[type:adaptive] map[effort:low] 10240"},
		"by a budget":                 {"claude-haiku-4-5", Question{Reasoning: "medium", MaxTokens: 100}, "map[budget_tokens:8192 type:enabled] <nil> 8292"},
		"by a budget, with a date":    {"claude-sonnet-4-20250514", Question{Reasoning: "low"}, "map[budget_tokens:2048 type:enabled] <nil> 10240"},
		"by a budget, elsewhere":      {"anthropic.claude-opus-4-1@20250805", Question{Reasoning: "low"}, "map[budget_tokens:2048 type:enabled] <nil> 10240"},
		"of Claude 3.7":               {"claude-3-7-sonnet-latest", Question{Reasoning: "low"}, "map[budget_tokens:2048 type:enabled] <nil> 10240"},
		"with the one temperature":    {"claude-haiku-4-5", Question{Reasoning: "low", Temperature: &one}, "map[budget_tokens:2048 type:enabled] <nil> 10240"},
		"with another temperature":    {"claude-haiku-4-5", Question{Reasoning: "low", Temperature: &half}, "bad_request: reasoning and temperature do not go together here: leave out one of them"},
		"with a limit of the extras'": {"claude-haiku-4-5", Question{Extra: map[string]any{"max_tokens": 7}}, "<nil> <nil> 7"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			fields := map[string]any{}
			err := (&claude{question: tt.q, model: tt.model}).request(fields)
			got := fmt.Sprint(fields["thinking"], " ", fields["output_config"], " ", fields["max_tokens"])
			if err != nil {
				got = tell(err)
			}
			if got != tt.want {
				t.Errorf("\n got %s\nwant %s", got, tt.want)
			}
		})
	}
}

// TestNoCall holds that a question which is never sent counts as no call.
func TestNoCall(t *testing.T) {
	t.Parallel()
	half := 0.5
	client := &http.Client{Transport: roundTrip(func(*http.Request) (*http.Response, error) {
		t.Error("asked")
		return nil, http.ErrHandlerTimeout
	})}
	q := hello()
	q.Reasoning, q.Temperature = "low", &half
	got, err := openAs(t, "anthropic/claude-test", client, "http://fake.test").Answer(t.Context(), q, nil)
	if err == nil || !reflect.DeepEqual(got, Answer{}) {
		t.Errorf("got %+v, %v", got, err)
	}
}
