package agents

import (
	"net/http"
	"reflect"
	"strings"
	"sync"
	"testing"
)

func TestAnswerStreamed(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("ä€", 100_000) // a line of 500 kB
	tests := map[string]struct {
		frames []string
		want   string
		usage  Usage
	}{
		"text and usage": {
			frames: []string{
				`{"choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}],"usage":null}`,
				`{"choices":[{"index":0,"delta":{"content":"Hel"},"finish_reason":null}]}`,
				`{"choices":[{"index":0,"delta":{"content":"lo"},"finish_reason":null}]}`,
				`{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}`,
				`{"choices":[],"usage":{"prompt_tokens":12,"completion_tokens":3,"total_tokens":15}}`,
				`[DONE]`,
			},
			want: "Hel|lo", usage: Usage{Input: 12, Output: 3, Calls: 1},
		},
		"no end mark behind the finish reason": {
			frames: []string{`{"choices":[{"delta":{"content":"ok"},"finish_reason":"stop"}]}`},
			want:   "ok", usage: Usage{Calls: 1, Untold: true},
		},
		"text behind the finish reason": {
			frames: []string{`{"choices":[{"delta":{"content":"o"},"finish_reason":"stop"}]}`, `{"choices":[{"delta":{"content":"k"}}]}`, `[DONE]`},
			want:   "o|k", usage: Usage{Calls: 1, Untold: true},
		},
		"comments, other events and carriage returns": {
			frames: []string{": working\n\n", "event: ping\n\n", "id: 7\r\nretry: 10\r\ndata: {\"choices\":[{\"delta\":{\"content\":\"ok\"},\r\ndata: \"finish_reason\":\"stop\"}]}\r\n\r\n", `[DONE]`},
			want:   "ok", usage: Usage{Calls: 1, Untold: true},
		},
		"null choices, other indexes and usage in fractions": {
			frames: []string{
				`{"choices":[null]}`, `{"choices":null}`, `{}`,
				`{"choices":[{"index":-1,"delta":{"content":"x"}},{"index":1,"delta":{"content":"y"},"finish_reason":"length"}]}`,
				`{"choices":[null,{"index":0.0,"delta":{"content":"ok"},"finish_reason":"stop"}],"usage":{"prompt_tokens":12.0,"completion_tokens":-1}}`,
				"data:[DONE] \n\n",
			},
			want: "ok", usage: Usage{Input: 12, Calls: 1, Untold: true},
		},
		"tool calls that nobody asked for": {
			frames: []string{
				`{"choices":[{"delta":{"tool_calls":[{"index":-3,"function":{"arguments":"{}"}}]}}]}`,
				`{"choices":[{"delta":{"content":"ok"},"finish_reason":"stop"}]}`,
			},
			want: "ok", usage: Usage{Calls: 1, Untold: true},
		},
		"a line that langchaingo gives up on": {
			frames: []string{`{"choices":[{"delta":{"content":"` + long + `"},"finish_reason":"stop"}]}`, `[DONE]`},
			want:   long, usage: Usage{Calls: 1, Untold: true},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := serve(t, streams(tt.frames...))
			var heard pieces
			got, err := f.model(t).Answer(t.Context(), hello(), heard.hear)
			if err != nil {
				t.Fatal(err)
			}
			if want := strings.ReplaceAll(tt.want, "|", ""); got.Text != want {
				t.Errorf("text is %.100q, want %.100q", got.Text, want)
			}
			if said := strings.Join(heard, "|"); tt.want != long && said != tt.want {
				t.Errorf("heard %q, want %q", said, tt.want)
			}
			if all := strings.Join(heard, ""); all != got.Text {
				t.Errorf("heard %.100q, and the text is %.100q", all, got.Text)
			}
			if got.Usage != tt.usage {
				t.Errorf("usage is %+v, want %+v", got.Usage, tt.usage)
			}
		})
	}
}

func TestAnswerWhole(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		body  string
		want  string
		usage Usage
	}{
		"text and usage": {
			`{"id":"c1","choices":[{"index":0,"message":{"role":"assistant","content":"Hello","refusal":null},"finish_reason":"stop"}],"usage":{"prompt_tokens":12,"completion_tokens":3}}`,
			"Hello", Usage{Input: 12, Output: 3, Calls: 1},
		},
		"an error that is none": {
			`{"error":null,"choices":[{"message":{"content":"Hello"}}]}`,
			"Hello", Usage{Calls: 1, Untold: true},
		},
		"more tokens than there are": {
			`{"choices":[{"message":{"content":"Hello"}}],"usage":{"prompt_tokens":1e30,"completion_tokens":3}}`,
			"Hello", Usage{Output: 3, Calls: 1, Untold: true},
		},
		"tokens that were cached, written and thought": {
			`{"choices":[{"message":{"content":"Hello"}}],"usage":{"prompt_tokens":100,"prompt_tokens_details":{"cached_tokens":60,"cache_write_tokens":30},` +
				`"completion_tokens":50,"completion_tokens_details":{"reasoning_tokens":40}}}`,
			"Hello", Usage{Input: 100, Cached: 60, Written: 30, Output: 50, Reasoning: 40, Calls: 1},
		},
		"tokens that DeepSeek remembered": {
			`{"choices":[{"message":{"content":"Hello"}}],"usage":{"prompt_tokens":100,"prompt_cache_hit_tokens":64,"prompt_cache_miss_tokens":36,"completion_tokens":5}}`,
			"Hello", Usage{Input: 100, Cached: 64, Output: 5, Calls: 1},
		},
		"parts that are more than the whole": {
			`{"choices":[{"message":{"content":"Hello"}}],"usage":{"prompt_tokens":10,"prompt_tokens_details":{"cached_tokens":8,"cache_write_tokens":8},` +
				`"completion_tokens":5,"completion_tokens_details":{"reasoning_tokens":40}}}`,
			"Hello", Usage{Input: 10, Cached: 8, Written: 2, Output: 5, Reasoning: 5, Calls: 1},
		},
		"usage that is nonsense": {
			`{"choices":[{"message":{"content":"Hello"}}],"usage":{"prompt_tokens":"12","prompt_tokens_details":"none","completion_tokens":-3,"completion_tokens_details":{"reasoning_tokens":null}}}`,
			"Hello", Usage{Calls: 1, Untold: true},
		},
		"usage that is none": {
			`{"choices":[{"message":{"content":"Hello"}}],"usage":"free"}`,
			"Hello", Usage{Calls: 1, Untold: true},
		},
		"parts, thoughts among them": {
			`{"choices":[{"message":{"content":[{"type":"thinking","thinking":[{"type":"text","text":"Hm."}]},{"type":"text","text":"Hel"},{"type":"text","text":"lo"}]}}]}`,
			"Hello", Usage{Calls: 1, Untold: true},
		},
		"a null choice, and one too many": {
			`{"choices":[null,{"message":{"content":"Hello"},"finish_reason":"stop"},{"index":1,"message":{"content":"x"}}]}`,
			"Hello", Usage{Calls: 1, Untold: true},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := serve(t, says(200, "application/json", tt.body))
			got, err := f.model(t).Answer(t.Context(), hello(), nil)
			if err != nil {
				t.Fatal(err)
			}
			if want := (Answer{Text: tt.want, Usage: tt.usage}); !reflect.DeepEqual(got, want) {
				t.Errorf("got %+v, want %+v", got, want)
			}
		})
	}
}

func TestRequest(t *testing.T) {
	t.Parallel()
	zero, half, seed := 0.0, 0.5, 0
	full := Question{
		System: "Be <brief>.",
		Messages: []Message{
			{Text: "one"}, {Model: true, Text: "two"}, {Text: "three"},
		},
		Temperature: &zero, TopP: &half, MaxTokens: 100, Stop: []string{"END"}, Seed: &seed, Reasoning: "low",
		Extra: map[string]any{"user": "u1", "top_p": 0.25, "big": int64(9007199254740993), "stream": true, "none": nil},
	}
	const messages = `"messages":[{"content":"Be \u003cbrief\u003e.","role":"system"},{"content":"one","role":"user"},` +
		`{"content":"two","role":"assistant"},{"content":"three","role":"user"}]`
	tests := map[string]struct {
		ref      string
		question Question
		streamed bool
		want     string
	}{
		"all there is": {
			"openai/gpt-4.1", full, false,
			`{"big":9007199254740993,"max_completion_tokens":100,` + messages + `,"model":"gpt-4.1","none":null,` +
				`"reasoning_effort":"low","seed":0,"stop":["END"],"temperature":0,"top_p":0.25,"user":"u1"}`,
		},
		"a temperature that langchaingo leaves out": {
			"openai/o3-mini", Question{Messages: hello().Messages, Temperature: &half}, false,
			`{"messages":[{"content":"hello","role":"user"}],"model":"o3-mini","temperature":0.5}`,
		},
		"a provider that is strict about names": {
			"mistral/mistral-small", full, true,
			`{"big":9007199254740993,"max_tokens":100,` + messages + `,"model":"mistral-small","none":null,"random_seed":0,` +
				`"reasoning_effort":"low","stop":["END"],"stream":true,"temperature":0,"top_p":0.25,"user":"u1"}`,
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := serve(t, func(w http.ResponseWriter, r *http.Request) {
				if tt.streamed {
					streams(`{"choices":[{"delta":{"content":"ok"},"finish_reason":"stop"}]}`)(w, r)
					return
				}
				says(200, "application/json", `{"choices":[{"message":{"content":"ok"}}]}`)(w, r)
			})
			keys := env{"OPENAI_API_KEY": secret, "MISTRAL_API_KEY": secret, "TOGETHER_API_KEY": secret}
			m, err := NewSet(WithEnv(keys.lookup), WithClient(f.Client())).Open(tt.ref, f.URL+"/v1/")
			if err != nil {
				t.Fatal(err)
			}
			if _, err := m.Answer(t.Context(), tt.question, listener(tt.streamed)); err != nil {
				t.Fatal(err)
			}
			asked := f.asked()
			if len(asked) != 1 {
				t.Fatalf("asked %d times", len(asked))
			}
			if asked[0].body != tt.want {
				t.Errorf("\n got %s\nwant %s", asked[0].body, tt.want)
			}
			if asked[0].path != "/v1/chat/completions" {
				t.Errorf("path is %s", asked[0].path)
			}
			if got := asked[0].header.Get("Authorization"); got != "Bearer "+secret {
				t.Errorf("authorization is %q", got)
			}
		})
	}
}

func TestRequestOfUnwritableExtra(t *testing.T) {
	t.Parallel()
	f := serve(t, says(200, "application/json", `{}`))
	q := hello()
	q.Extra = map[string]any{"callback": func() {}}
	_, err := f.model(t).Answer(t.Context(), q, nil)
	if got, want := tell(err), "bad_request: writing the request: json: unsupported type: func()"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if n := len(f.asked()); n != 0 {
		t.Errorf("asked %d times", n)
	}
}

// TestFlaws is about answers that came well and are none.
func TestFlaws(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ content, refusal, finish, want string }{
		"empty":                 {"", "", "stop", "model: the answer is empty, finish reason stop, request req_1"},
		"blank":                 {" \\n", "", "stop", "model: the answer is empty, finish reason stop, request req_1"},
		"a tool call":           {"", "", "tool_calls", "model: the answer is empty, finish reason tool_calls, request req_1"},
		"cut by its length":     {"half an", "", "length", "length: the answer was cut off at its limit of tokens; raise max_tokens, request req_1"},
		"nothing but thoughts":  {"", "", "model_length", "length: the answer was cut off at its limit of tokens; raise max_tokens, request req_1"},
		"filtered":              {"half an", "", "content_filter", "content_filter: the provider's content filter stopped the answer, request req_1"},
		"refused":               {"", "I can't help.", "stop", "refusal: the model refuses to answer: I can't help., request req_1"},
		"given up":              {"half an", "", "error", "server: the provider gave up in the middle of the answer: error, request req_1"},
		"refused in many words": {"", strings.Repeat("no ", 1000), "stop", "refusal: the model refuses to answer: " + strings.Repeat("no ", 90) + "…, request req_1"},
	}
	for name, tt := range tests {
		message := `{"content":"` + tt.content + `","refusal":"` + tt.refusal + `"}`
		usage := `"usage":{"prompt_tokens":12,"completion_tokens":3}`
		modes := map[string]http.HandlerFunc{
			"streamed": streams(`{"choices":[{"delta":`+message+`,"finish_reason":null}]}`, `{"choices":[{"delta":{},"finish_reason":"`+tt.finish+`"}],`+usage+`}`, `[DONE]`),
			"whole":    says(200, "application/json", `{"choices":[{"message":`+message+`,"finish_reason":"`+tt.finish+`"}],`+usage+`}`, "X-Request-Id", "req_1"),
		}
		for mode, handler := range modes {
			t.Run(name+"/"+mode, func(t *testing.T) {
				t.Parallel()
				f := serve(t, handler)
				got, err := f.model(t).Answer(t.Context(), hello(), listener(mode == "streamed"))
				if tell(err) != tt.want {
					t.Errorf("\n got %s\nwant %s", tell(err), tt.want)
				}
				if want := (Answer{Usage: Usage{Input: 12, Output: 3, Calls: 1}}); !reflect.DeepEqual(got, want) {
					t.Errorf("got %+v, want %+v: it must be paid for", got, want)
				}
				if n := len(f.asked()); n != 1 {
					t.Errorf("asked %d times", n)
				}
			})
		}
	}
}

func TestManyAtOnce(t *testing.T) {
	t.Parallel()
	f := serve(t, streams(`{"choices":[{"delta":{"content":"o"}}]}`, `{"choices":[{"delta":{"content":"k"},"finish_reason":"stop"}]}`, `[DONE]`))
	m := f.model(t)
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			got, err := m.Answer(t.Context(), hello(), func(string) {})
			if err != nil || got.Text != "ok" {
				t.Errorf("got %q, %v", got.Text, err)
			}
		})
	}
	wg.Wait()
}

// Some servers answer in one piece whatever they are asked.
func TestServerThatDoesNotStream(t *testing.T) {
	t.Parallel()
	f := serve(t, says(200, "application/json", `{"choices":[{"message":{"content":"all at once"},"finish_reason":"stop"}],"usage":{"prompt_tokens":3,"completion_tokens":4}}`))
	var heard strings.Builder
	got, err := f.model(t).Answer(t.Context(), hello(), func(piece string) { heard.WriteString(piece) })
	if want := (Answer{Text: "all at once", Usage: Usage{Input: 3, Output: 4, Calls: 1}}); err != nil || !reflect.DeepEqual(got, want) || heard.String() != want.Text {
		t.Errorf("got %+v, heard %q, %v", got, heard.String(), err)
	}
}
