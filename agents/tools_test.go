package agents

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/flowrun/flowrun/agents/agentstest"
	"pgregory.net/rapid"
)

// TestKeptCalls holds that a call is read as it was written, whatever the model gave for arguments, and is kept as JSON
// whose numbers can be read.
func TestKeptCalls(t *testing.T) {
	t.Parallel()
	for _, args := range []string{`{}`, `{"a":[1.0,9007199254740993]}`, `{"a":`, `"{}"`, `[1]`, `null`, ``, "\"", "{\"a\": nul\x00}", `{"a":1e400}`, `{"a":{"b":[-1e999]}}`} {
		data, err := json.Marshal(Answer{Calls: []ToolCall{{"c1", "files.read", json.RawMessage(args)}}})
		if err != nil {
			t.Fatalf("%q: %v", args, err)
		}
		if err := json.Unmarshal(data, new(any)); err != nil {
			t.Errorf("%q is kept as %s: %v", args, data, err)
		}
		var got Answer
		if err := json.Unmarshal(data, &got); err != nil {
			t.Fatalf("%q: %v", args, err)
		}
		if c := got.Calls[0]; c.ID != "c1" || c.Name != "files.read" || string(c.Arguments) != args {
			t.Errorf("%q is read as %+v", args, c)
		}
	}
}

// offering is a question that offers two tools.
func offering() Question {
	q := hello()
	q.Tools = []Tool{{Name: "f"}, {Name: "web.get"}}
	return q
}

// listed is calls in one line.
func listed(calls []ToolCall) string {
	var all []string
	for _, c := range calls {
		all = append(all, c.ID+" "+c.Name+" "+string(c.Arguments))
	}
	return strings.Join(all, "; ")
}

// TestCallsStreamed has the pieces of calls come as OpenAI's and other servers send them.
func TestCallsStreamed(t *testing.T) {
	t.Parallel()
	const first, second = `{"index":0,"id":"c1","type":"function","function":{"name":"f","arguments":""}}`, `{"index":1,"id":"c2","type":"function","function":{"name":"web_get","arguments":""}}`
	piece := func(rest string) string { return `{"function":{"arguments":` + rest + `}}` }
	tests := map[string]struct {
		pieces []string // of each frame
		finish string   // empty: tool_calls
		want   string
	}{
		"one in pieces":       {[]string{first, `{"index":0,"function":{"arguments":"{\"a\""}}`, `{"index":0,"function":{"arguments":":1}"}}`}, "", `c1 f {"a":1}`},
		"interleaved":         {[]string{first, second, `{"index":1,"function":{"arguments":"{\"u\":"}}`, `{"index":0,"function":{"arguments":"{}"}}`, `{"index":1,"function":{"arguments":"2}"}}`}, "", `c1 f {}; c2 web.get {"u":2}`},
		"two in a frame":      {[]string{first + "," + second, `{"index":1,"function":{"arguments":"{}"}},{"index":0,"function":{"arguments":"{\"a\":1}"}}`}, "", `c1 f {"a":1}; c2 web.get {}`},
		"the second first":    {[]string{second, first}, "", `c1 f {}; c2 web.get {}`},
		"everything repeated": {[]string{first, `{"index":0,"id":"c1","type":"function","function":{"name":"f","arguments":"{\"a\":"}}`, `{"index":0,"id":"c1","type":"function","function":{"name":"f","arguments":"1}"}}`}, "", `c1 f {"a":1}`},
		"no type":             {[]string{`{"index":0,"id":"c1","function":{"name":"f","arguments":"{}"}}`}, "", `c1 f {}`},
		"a new id each time":  {[]string{first, `{"index":0,"id":"c9","function":{"arguments":"{}"}}`}, "", `c1 f {}`},
		"the name late":       {[]string{`{"index":0,"id":"c1"}`, `{"index":0,"function":{"name":"f"}}`, `{"index":0,"function":{"arguments":"{}"}}`}, "", `c1 f {}`},
		"one index for all":   {[]string{`{"index":0,"id":"c1","function":{"name":"f","arguments":"{}"}}`, `{"index":0,"id":"c2","function":{"name":"f","arguments":"{\"a\":1}"}}`}, "", `c1 f {}; c2 f {"a":1}`},
		"no index":            {[]string{`{"id":"c1","function":{"name":"f","arguments":"{"}}`, piece(`"}"`), `{"id":"c2","function":{"name":"web_get","arguments":"{}"}}`}, "", `c1 f {}; c2 web.get {}`},
		"no index and no id":  {[]string{`{"function":{"name":"f","arguments":"{}"}}`, `{"function":{"name":"f","arguments":"{}"}}`}, "", ` f {};  f {}`},
		"an object":           {[]string{`{"index":0,"id":"c1","function":{"name":"f","arguments":{"a":"<1>"}}}`}, "", `c1 f {"a":"<1>"}`},
		"null arguments":      {[]string{`{"index":0,"id":"c1","function":{"name":"f","arguments":null}}`, `null`}, "", `c1 f {}`},
		"broken arguments":    {[]string{`{"index":0,"id":"c1","function":{"name":"f","arguments":"{\"a\": tru"}}`}, "", `c1 f {"a": tru`},
		"an unknown tool":     {[]string{`{"index":0,"id":"c1","function":{"name":"web_gets","arguments":"{}"}}`}, "", `c1 web_gets {}`},
		"the file's name":     {[]string{`{"index":0,"id":"c1","function":{"name":"web.get","arguments":"{}"}}`}, "", `c1 web.get {}`},
		"another reason":      {[]string{first}, "stop", `c1 f {}`},
		"a negative index":    {[]string{`{"index":-1,"id":"c1","function":{"name":"f"}}`}, "", "model: a piece of a tool call has no place in the answer, request req_1"},
		"half an index":       {[]string{`{"index":0.5,"id":"c1","function":{"name":"f"}}`}, "", "model: a piece of a tool call has no place in the answer, request req_1"},
		"a huge index":        {[]string{`{"index":1e300,"id":"c1","function":{"name":"f"}}`}, "", "model: a piece of a tool call has no place in the answer, request req_1"},
		"a large index":       {[]string{`{"index":128,"id":"c1","function":{"name":"f"}}`}, "", "model: the answer calls more than 128 tools at once, request req_1"},
		"nonsense":            {[]string{`7`}, "", "model: the tool calls of the answer cannot be read: json: cannot unmarshal number into Go value of type agents.callPiece, request req_1"},
		"cut by its length":   {[]string{first}, "length", "length: the answer was cut off at its limit of tokens; raise max_tokens, request req_1"},
		"none":                {nil, "", "model: the model stopped to call tools, and calls none, request req_1"},
		"a small name often":  {slices.Repeat([]string{`{"index":0,"id":"` + strings.Repeat("i", 60) + `","function":{"name":"f","arguments":" "}}`}, 20_000), "", strings.Repeat("i", 60) + " f {}"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var frames []string
			for _, p := range tt.pieces {
				frames = append(frames, `{"choices":[{"index":0,"delta":{"content":null,"tool_calls":[`+p+`]},"finish_reason":null}]}`)
			}
			finish := tt.finish
			if finish == "" {
				finish = "tool_calls"
			}
			frames = append(frames, `{"choices":[{"index":0,"delta":{},"finish_reason":"`+finish+`"}]}`, `[DONE]`)
			f := serve(t, streams(frames...))
			var heard pieces
			got, err := f.model(t).Answer(t.Context(), offering(), heard.hear)
			said := listed(got.Calls)
			if err != nil {
				said = tell(err)
			}
			if said != tt.want || got.Text != "" || len(heard) > 0 {
				t.Errorf("\n got %s\nwant %s", said, tt.want)
			}
		})
	}
}

// TestCallsInAnyPieces cuts calls anywhere and mixes the pieces in any order that keeps each call's own.
func TestCallsInAnyPieces(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		type part struct{ id, name, text string }
		var want []ToolCall
		var left [][]part
		for i := range rapid.IntRange(1, 5).Draw(t, "calls") {
			args, _ := json.Marshal(map[string]string{"text": rapid.String().Draw(t, "text")})
			want = append(want, ToolCall{ID: fmt.Sprint("c", i), Name: "web.get", Arguments: args})
			parts := []part{{id: fmt.Sprint("c", i), name: "web_get"}}
			for letters := []rune(string(args)); len(letters) > 0; {
				n := rapid.IntRange(1, len(letters)).Draw(t, "cut")
				parts, letters = append(parts, part{text: string(letters[:n])}), letters[n:]
			}
			left = append(left, parts)
		}
		c := completion{outcome: outcome{calling: newCalling(offering())}}
		for {
			var open []int
			for i := range left {
				if len(left[i]) > 0 {
					open = append(open, i)
				}
			}
			if len(open) == 0 {
				break
			}
			i := rapid.SampledFrom(open).Draw(t, "next")
			p := left[i][0]
			left[i] = left[i][1:]
			data, err := json.Marshal([]any{map[string]any{"index": i, "id": p.id, "function": map[string]any{"name": p.name, "arguments": p.text}}})
			if err != nil {
				t.Fatal(err)
			}
			if err := c.take(said{Calls: data}, false); err != nil {
				t.Fatal(err)
			}
		}
		if got := c.called(); listed(got) != listed(want) {
			t.Errorf("\n got %s\nwant %s", listed(got), listed(want))
		}
	})
}

// TestCallsWhole has calls in one piece, in both dialects.
func TestCallsWhole(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", maxArguments)
	tests := map[string]struct{ openai, anthropic, want string }{
		"two": {
			`{"content":null,"tool_calls":[{"id":"c1","type":"function","function":{"name":"f","arguments":"{\"a\":1}"}},null,{"id":"c2","index":0,"function":{"name":"web_get","arguments":""}}]}`,
			`{"type":"tool_use","id":"c1","name":"f","input":{"a":1}},null,{"type":"tool_use","id":"c2","name":"web_get","input":null}`,
			`c1 f {"a":1}; c2 web.get {}`,
		},
		"one id for both": {
			`{"tool_calls":[{"id":"c1","function":{"name":"f","arguments":"{}"}},{"id":"c1","function":{"name":"f","arguments":"{}"}}]}`,
			`{"type":"tool_use","id":"c1","name":"f","input":{}},{"type":"tool_use","id":"c1","name":"f"}`,
			`c1 f {}; c1 f {}`,
		},
		"what is too large": {
			`{"tool_calls":[{"id":"c1","function":{"name":"f","arguments":"` + long + `"}}]}`,
			`{"type":"tool_use","id":"c1","name":"f","input":"` + long + `"}`,
			"model: the tool calls of the answer are too large: more than 1048576 bytes",
		},
		"a name that is too large": {
			`{"tool_calls":[{"id":"c1","function":{"name":"` + long + `"}}]}`,
			`{"type":"tool_use","id":"c1","name":"` + long + `"}`,
			"model: the tool calls of the answer are too large: more than 1048576 bytes",
		},
	}
	for name, tt := range tests {
		for _, streamed := range []bool{false, true} { // a server that does not stream
			t.Run(fmt.Sprintf("%s/streamed=%v", name, streamed), func(t *testing.T) {
				t.Parallel()
				for ref, body := range map[string]string{
					"openai/m":    `{"choices":[{"message":` + tt.openai + `,"finish_reason":"tool_calls"}]}`,
					"anthropic/m": `{"content":[` + tt.anthropic + `],"stop_reason":"tool_use"}`,
				} {
					f := serve(t, says(200, "application/json", body))
					got, err := openAs(t, ref, f.Client(), f.URL).Answer(t.Context(), offering(), listener(streamed))
					said := listed(got.Calls)
					if err != nil {
						said = tell(err)
					}
					if said != tt.want {
						t.Errorf("%s:\n got %.300s\nwant %s", ref, said, tt.want)
					}
				}
			})
		}
	}
}

// TestClaudeCalls has blocks with calls come in frames, mixed and without a piece of their input.
func TestClaudeCalls(t *testing.T) {
	t.Parallel()
	begin := func(i int, input string) string {
		return fmt.Sprintf(`{"type":"content_block_start","index":%d,"content_block":{"type":"tool_use","id":"c%d","name":"f"%s}}`, i, i, input)
	}
	piece := func(i int, text string) string {
		return fmt.Sprintf(`{"type":"content_block_delta","index":%d,"delta":{"type":"input_json_delta","partial_json":%q}}`, i, text)
	}
	tests := map[string]struct {
		frames []string
		want   string
	}{
		"mixed":            {[]string{begin(1, `,"input":{}`), begin(2, `,"input":{}`), piece(2, `{"b":`), piece(1, ""), piece(1, `{"a":1}`), piece(2, "2}")}, `c1 f {"a":1}; c2 f {"b":2}`},
		"no input":         {[]string{begin(1, `,"input":{}`), piece(1, "")}, `c1 f {}`},
		"all at the start": {[]string{begin(1, `,"input":{"a":1}`), `{"type":"content_block_stop","index":1}`}, `c1 f {"a":1}`},
		"broken":           {[]string{begin(1, ``), piece(1, `{"a`)}, `c1 f {"a`},
		"never begun":      {[]string{piece(1, `{}`)}, "model: block 1 of the answer goes on and never began, request req_1"},
		"many": {func() (all []string) {
			for i := range 129 {
				all = append(all, begin(i, ""))
			}
			return all
		}(), "model: the answer calls more than 128 tools at once, request req_1"},
		"too large": {append([]string{begin(1, "")}, slices.Repeat([]string{piece(1, strings.Repeat("x", 1<<16))}, 17)...),
			"model: the tool calls of the answer are too large: more than 1048576 bytes, request req_1"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := serve(t, streams(claudeStream(tt.frames...)...))
			got, err := openAs(t, "anthropic/m", f.Client(), f.URL).Answer(t.Context(), offering(), func(string) {})
			said := listed(got.Calls)
			if err != nil {
				said = tell(err)
			}
			if said != tt.want {
				t.Errorf("\n got %s\nwant %s", said, tt.want)
			}
		})
	}
}

// TestThoughts holds that what a provider wants back with the results of calls goes back as it came.
func TestThoughts(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		ref    string
		whole  string
		frames []string
		want   string // in the next request
	}{
		"Anthropic's": {
			"anthropic/m",
			`{"content":[{"type":"thinking","thinking":"Hm <b>.","signature":"s1"},{"type":"redacted_thinking","data":"d"},{"type":"thinking","thinking":"","signature":"s2"},{"type":"tool_use","id":"c1","name":"f","input":{}}],"stop_reason":"tool_use"}`,
			claudeStream(
				`{"type":"content_block_start","index":0,"content_block":{"type":"thinking","thinking":"","signature":""}}`,
				`{"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"Hm "}}`,
				`{"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"<b>."}}`,
				`{"type":"content_block_delta","index":0,"delta":{"type":"signature_delta","signature":"s1"}}`,
				`{"type":"content_block_start","index":1,"content_block":{"type":"redacted_thinking","data":"d"}}`,
				`{"type":"content_block_start","index":2,"content_block":{"type":"thinking","thinking":"","signature":"s2"}}`,
				`{"type":"content_block_start","index":3,"content_block":{"type":"tool_use","id":"c1","name":"f","input":{}}}`,
			),
			`[{"signature":"s1","thinking":"Hm \u003cb\u003e.","type":"thinking"},{"data":"d","type":"redacted_thinking"},{"signature":"s2","thinking":"","type":"thinking"},{"id":"c1","input":{},"name":"f","type":"tool_use"}]`,
		},
		"DeepSeek's": {
			"openai/m",
			`{"choices":[{"message":{"content":"","reasoning_content":"Hm.","tool_calls":[{"id":"c1","function":{"name":"f","arguments":"{}"}}]},"finish_reason":"tool_calls"}]}`,
			[]string{
				`{"choices":[{"delta":{"reasoning_content":"H"}}]}`, `{"choices":[{"delta":{"reasoning_content":"m.","content":null}}]}`,
				`{"choices":[{"delta":{"tool_calls":[{"index":0,"id":"c1","function":{"name":"f","arguments":"{}"}}]},"finish_reason":"tool_calls"}]}`,
			},
			`{"content":null,"reasoning_content":"Hm.","role":"assistant","tool_calls":[{"function":{"arguments":"{}","name":"f"},"id":"c1","type":"function"}]}`,
		},
		"Gemini's": {
			"openai/m",
			`{"choices":[{"message":{"tool_calls":[{"id":"c0","function":{"name":"f"}},{"id":"c1","function":{"name":"f","arguments":"{}"},"extra_content":{"google":{"thought_signature":"s"}}}]},"finish_reason":"stop"}]}`,
			[]string{`{"choices":[{"delta":{"tool_calls":[{"index":0,"id":"c0","function":{"name":"f"},"extra_content":null},{"index":0,"id":"c1","function":{"name":"f","arguments":"{}"},"extra_content":{"google":{"thought_signature":"s"}}}]},"finish_reason":"stop"}]}`},
			`[{"function":{"arguments":"{}","name":"f"},"id":"c0","type":"function"},{"extra_content":{"google":{"thought_signature":"s"}},"function":{"arguments":"{}","name":"f"},"id":"c1","type":"function"}]`,
		},
	}
	for name, tt := range tests {
		for _, streamed := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/streamed=%v", name, streamed), func(t *testing.T) {
				t.Parallel()
				f := serve(t, nil)
				f.answer = func(w http.ResponseWriter, r *http.Request) {
					switch asked := f.asked(); {
					case len(asked) > 1:
						says(200, "application/json", `{"choices":[{"message":{"content":"done"}}],"content":[{"type":"text","text":"done"}],"stop_reason":"end_turn"}`)(w, r)
					case streamed:
						streams(tt.frames...)(w, r)
					default:
						says(200, "application/json", tt.whole)(w, r)
					}
				}
				var got called
				task := Task{Question: offering(), Use: got.use, MaxTurns: 1}
				if v, err := Do(t.Context(), openAs(t, tt.ref, f.Client(), f.URL), task, direct, listener(streamed)); err != nil || v != "done" {
					t.Fatalf("got %v, %v", v, err)
				}
				if body := f.asked()[1].body; !strings.Contains(body, tt.want) {
					t.Errorf("%s does not stand in %s", tt.want, body)
				}
			})
		}
	}
}

// TestNoToolsOffered holds that calls which nobody asked for are passed over.
func TestNoToolsOffered(t *testing.T) {
	t.Parallel()
	q := offering()
	q.ToolChoice = "none"
	for ref, body := range map[string]string{
		"openai/m":    `{"choices":[{"message":{"content":"ok","tool_calls":7,"reasoning_content":[]},"finish_reason":"tool_calls"}]}`,
		"anthropic/m": `{"content":[{"type":"text","text":"ok"},{"type":"tool_use","id":"c1","name":"f","input":{}}],"stop_reason":"tool_use"}`,
	} {
		for _, q := range []Question{hello(), q} {
			f := serve(t, says(200, "application/json", body))
			got, err := openAs(t, ref, f.Client(), f.URL).Answer(t.Context(), q, nil)
			if err != nil || got.Text != "ok" || len(got.Calls) > 0 || got.Thoughts != nil {
				t.Errorf("%s: got %+v, %v", ref, got, err)
			}
		}
	}
}

// TestNames holds that every tool has a name of its own that providers allow, whatever the order of the tools.
func TestNames(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("long.", 40)
	tests := map[string]struct {
		tools []string
		want  string
	}{
		"plain":              {[]string{"sum", "read_file", "a-b"}, "sum read_file a-b"},
		"a server's":         {[]string{"files.read_file", "files.write"}, "files_read_file files_write"},
		"look-alikes":        {[]string{"files.read_file", "files_read_file"}, "files_read_file_# files_read_file"},
		"two that change":    {[]string{"a.b", "a/b"}, "a_b_# a_b_#"},
		"case":               {[]string{"Sum", "sum"}, "Sum sum"},
		"case that changes":  {[]string{"files.Read", "files.read"}, "files_Read_# files_read_#"},
		"case of another":    {[]string{"files.Read", "files_read"}, "files_Read_# files_read"},
		"no letter":          {[]string{"ä", "", "_"}, "__# __# _"},
		"long":               {[]string{long + "a", long + "b"}, callable(long)[:55] + "_# " + callable(long)[:55] + "_#"},
		"long and plain":     {[]string{strings.Repeat("x", 65)}, strings.Repeat("x", 55) + "_#"},
		"just not long":      {[]string{strings.Repeat("x", 64)}, strings.Repeat("x", 64)},
		"one that is forged": {[]string{"a.b", "a/b", "a_b_" + mark("a.b")}, "a_b_# a_b_# a_b_" + mark("a.b")},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var tools []Tool
			for _, name := range tt.tools {
				tools = append(tools, Tool{Name: name})
			}
			n := namesOf(tools)
			slices.Reverse(tools)
			back := namesOf(tools)
			for i, want := range strings.Split(tt.want, " ") {
				here := tt.tools[i]
				there := n.to(here)
				if prefix, marked := strings.CutSuffix(want, "#"); marked && (!strings.HasPrefix(there, prefix) || len(there) != len(want)+7) || !marked && there != want {
					t.Errorf("%q is called %s, want %s", here, there, want)
				}
				if n.from(there) != here || back.to(here) != there || callable(there) != there {
					t.Errorf("%q is called %s, which is %q; in another order %s", here, there, n.from(there), back.to(here))
				}
			}
			if len(n.here) != len(tt.tools) {
				t.Errorf("%d tools have %d names", len(tt.tools), len(n.here))
			}
		})
	}
}

// mark is what tells a name from those that look like it.
func mark(name string) string {
	n := namesOf([]Tool{{Name: name}, {Name: callable(name)}})
	return strings.TrimPrefix(n.to(name), callable(name)+"_")
}

// TestExtraTools holds that an author's own tools of the provider stand beside the agent's.
func TestExtraTools(t *testing.T) {
	t.Parallel()
	f := serve(t, says(200, "application/json", `{"content":[{"type":"text","text":"ok"}],"stop_reason":"end_turn"}`))
	q := hello()
	q.Tools = []Tool{{Name: "f", Schema: written(`{"$schema":"http://json-schema.org/draft-07/schema#"}`)}, {Name: "g", Schema: written(`true`)}}
	q.Extra = map[string]any{"tools": []any{map[string]any{"type": "web_search_20250305", "name": "web_search"}}}
	if _, err := openAs(t, "anthropic/m", f.Client(), f.URL).Answer(t.Context(), q, nil); err != nil {
		t.Fatal(err)
	}
	if want := `"tools":[{"input_schema":{"properties":{},"type":"object"},"name":"f"},{"input_schema":{"properties":{},"type":"object"},"name":"g"},{"name":"web_search","type":"web_search_20250305"}]`; !strings.Contains(f.asked()[0].body, want) {
		t.Errorf("sent %s", f.asked()[0].body)
	}
}

// TestSchemaBesideTools holds that only models which call tools all the same are held to a schema by their provider.
func TestSchemaBesideTools(t *testing.T) {
	t.Parallel()
	for ref, want := range map[string]bool{"openai/m": true, "anthropic/m": true, "ollama/m": false} {
		m := openAs(t, ref, http.DefaultClient, "").(*remote)
		q := offering()
		q.Schema = written(score)
		if got := m.shape(q).format != byWord; got != want {
			t.Errorf("%s: held to the schema: %v", ref, got)
		}
	}
	refusals := map[string]string{
		"openai/m":    `{"error":{"message":"Function calling with a response mime type: 'application/json' is unsupported"}}`,
		"anthropic/m": `{"error":{"message":"json mode cannot be combined with tool/function calling"}}`,
	}
	for ref, complaint := range refusals {
		f := serve(t, nil)
		f.answer = func(w http.ResponseWriter, r *http.Request) {
			asked := f.asked()
			if body := asked[len(asked)-1].body; strings.Contains(body, `"tools"`) && strings.Contains(body, `"json_schema"`) {
				says(400, "application/json", complaint)(w, r)
				return
			}
			says(200, "application/json", `{"choices":[{"message":{"content":"{}"}}],"content":[{"type":"text","text":"{}"}],"stop_reason":"end_turn"}`)(w, r)
		}
		m := openAs(t, ref, f.Client(), f.URL)
		q := offering()
		q.Schema = written(score)
		for range 2 {
			if _, err := m.Answer(t.Context(), q, nil); err != nil {
				t.Errorf("%s: %v", ref, err)
			}
		}
		q.Tools = nil
		if _, err := m.Answer(t.Context(), q, nil); err != nil {
			t.Errorf("%s: %v", ref, err)
		}
		asked := f.asked()
		if len(asked) != 4 || !strings.Contains(asked[3].body, `"json_schema"`) {
			t.Errorf("%s: asked %d times, at last %s", ref, len(asked), asked[len(asked)-1].body)
		}
	}
}

// TestToolFaults has a server that calls tools well and badly, in both dialects, streaming and not.
func TestToolFaults(t *testing.T) {
	t.Parallel()
	const (
		read  = `files.read_file{"path":"ä \"quoted\" path"}`
		turns = "tool: the model called tools 4 times and gave no answer; raise max_turns"
		huge  = "model: the tool calls of the answer are too large: more than 1048576 bytes, request req_test"
	)
	tests := map[string]struct {
		want   string // the answer or the error, and by "whole" where it differs
		whole  string
		called string
		result string // of a call that was not run, as the model is told
	}{
		"call":         {want: agentstest.Reply, called: read},
		"call-three":   {want: agentstest.Reply, called: read + read + read},
		"call-broken":  {want: agentstest.Reply, result: "the arguments are no JSON object"},
		"call-text":    {want: agentstest.Reply, result: "the arguments are no JSON object"},
		"call-unknown": {want: agentstest.Reply, result: `there is no tool \"files_read_file_\"; there are files.read_file`},
		"call-many":    {want: "model: the answer calls more than 128 tools at once, request req_test"},
		"call-huge":    {want: huge},
		"call-cut":     {want: "network: the answer broke off: its stream ended before the model did, request req_test", whole: "model: the answer is no "},
		"call-none":    {want: "model: the model stopped to call tools, and calls none, request req_test"},
		"forever":      {want: turns, called: read + read + read},
	}
	for _, name := range agentstest.ToolFaults() {
		if _, there := tests[name]; !there {
			t.Errorf("%s is not tested", name)
		}
	}
	for name, tt := range tests {
		for _, ref := range []string{"openai", "anthropic"} {
			for _, streamed := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s/%s/streamed=%v", name, ref, streamed), func(t *testing.T) {
					t.Parallel()
					server := agentstest.Server{Calls: []agentstest.ToolCall{{Name: "files_read_file", Arguments: `{"path":"ä \"quoted\" path"}`}}}
					local := httptest.NewServer(&server)
					defer local.Close()
					var got called
					var heard pieces
					text := heard.hear
					if !streamed {
						text = nil
					}
					answer, err := Do(t.Context(), openAs(t, ref+"/"+name, local.Client(), local.URL+"/v1"), reading(got.use), direct, text)
					said := fmt.Sprint(answer)
					if err != nil {
						said = tell(err)
					}
					if want := tt.want; !streamed && tt.whole != "" && !strings.HasPrefix(said, tt.whole) || (streamed || tt.whole == "") && said != want {
						t.Errorf("\n got %s\nwant %s", said, want)
					}
					if all := strings.Join(got, ""); all != tt.called {
						t.Errorf("called %s, want %s", all, tt.called)
					}
					if all := strings.Join(heard, ""); streamed && err == nil && all != "Let me see."+agentstest.Reply {
						t.Errorf("heard %q", all)
					}
					asked := server.Requests()
					if last := string(asked[len(asked)-1].Body); !strings.Contains(last, tt.result) {
						t.Errorf("the model is not told %s: %s", tt.result, last)
					}
				})
			}
		}
	}
}

// TestToolsBound holds that tools, calls and results count for what a question may use.
func TestToolsBound(t *testing.T) {
	t.Parallel()
	m := openAs(t, "openai/m", http.DefaultClient, "")
	q := hello()
	plain := Bound(m, q).Input
	q.Tools = reading(nil).Tools
	tools := Bound(m, q).Input
	if want := plain + 1000 + 2*16 + 64 + len("Reads a file.") + len(`{"additionalProperties":false,"properties":{"path":{"type":"string"}},"required":["path"],"type":"object"}`); tools != want {
		t.Errorf("with tools it is %d, want %d", tools, want)
	}
	q.Messages = append(q.Messages, Message{Model: true, Calls: []ToolCall{{"1", "files.read_file", json.RawMessage(`{"path":"a"}`)}}, Thoughts: json.RawMessage(`[1]`)},
		Message{Results: []ToolResult{{ID: "1", Text: "text"}}})
	if got, want := Bound(m, q).Input, tools+16+3+2*16+1+15+12+16+2*16+1+4; got != want {
		t.Errorf("with results it is %d, want %d", got, want)
	}
}
