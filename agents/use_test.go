package agents

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// called is what a test's tools were asked.
type called []string

// use answers every call with itself.
func (c *called) use(_ context.Context, calls []ToolCall) ([]ToolResult, error) {
	var results []ToolResult
	for _, call := range calls {
		*c = append(*c, call.Name+string(call.Arguments))
		results = append(results, ToolResult{Text: "you said " + string(call.Arguments)})
	}
	return results, nil
}

// reading is a task with a tool whose argument is a path.
func reading(use func(context.Context, []ToolCall) ([]ToolResult, error)) Task {
	t := Task{Question: hello(), Use: use, MaxTurns: 3}
	t.Tools = []Tool{{"files.read_file", "Reads a file.", pathSchema{}}}
	return t
}

// pathSchema wants a path.
type pathSchema struct{}

func (pathSchema) MarshalJSON() ([]byte, error) {
	return []byte(`{"type":"object","properties":{"path":{"type":"string"}},"required":["path"],"additionalProperties":false}`), nil
}

func (pathSchema) Check(name string, v any) error {
	if path, ok := v.(map[string]any)["path"].(string); !ok || path == "" {
		return fmt.Errorf("%s has no path", name)
	}
	return nil
}

// scripted is a model that answers as it is told, and keeps what it is asked.
type scripted struct {
	answers []Answer
	asked   []Question
}

func (s *scripted) Answer(_ context.Context, q Question, text func(string)) (Answer, error) {
	s.asked = append(s.asked, q)
	a := s.answers[min(len(s.asked), len(s.answers))-1]
	if text != nil && a.Text != "" {
		text(a.Text)
	}
	return a, nil
}

// calls makes calls of read_file by their arguments.
func calls(args ...string) []ToolCall {
	var all []ToolCall
	for _, a := range args {
		all = append(all, ToolCall{Name: "files.read_file", Arguments: json.RawMessage(a)})
	}
	return all
}

// TestTurns holds what a model is told of its calls: only the good ones are run, and all results come in their order.
func TestTurns(t *testing.T) {
	t.Parallel()
	m := &scripted{answers: []Answer{
		{Text: "I look.", Calls: append(calls(`{"path":"a"}`, `{"path":""}`, `[1]`, `{"path":"b"}`, `{"path":"c"} {}`, ``),
			ToolCall{ID: "x", Name: "Files.Read_File", Arguments: json.RawMessage(`{}`)}), Thoughts: json.RawMessage(`["hm"]`)},
		{Calls: []ToolCall{{ID: "x", Name: "files.read_file", Arguments: json.RawMessage(`{"path":"d"}`)}}},
		{Text: "no"},
		{Text: `{"score":1}`},
	}}
	var got called
	task := reading(got.use)
	task.Schema, task.Repairs, task.ToolChoice = written(score), 1, "required"
	v, err := Do(t.Context(), m, task, direct, nil)
	if err != nil || fmt.Sprint(v) != "map[score:1]" {
		t.Fatalf("got %v, %v", v, err)
	}
	if want := `files.read_file{"path":"a"} files.read_file{"path":"b"} files.read_file{"path":"d"}`; strings.Join(got, " ") != want {
		t.Errorf("called %v", got)
	}
	said := m.asked[3].Messages
	want := []string{
		"", "user: hello",
		"", `model: I look. call00001 call00002 call00003 call00004 call00005 call00006 x ["hm"]`,
		"", strings.Join([]string{"user: ",
			`call00001 you said {"path":"a"}`,
			`call00002 failed: the arguments do not fit: arguments has no path`,
			`call00003 failed: the arguments are no JSON object`,
			`call00004 you said {"path":"b"}`,
			`call00005 failed: the arguments are no JSON object: the answer is not JSON alone: more text stands behind it`,
			`call00006 failed: the arguments are no JSON object: it ends too early`,
			`x failed: there is no tool "Files.Read_File"; there are files.read_file`}, "\n  "),
		"", "model:  call00008",
		"", "user: \n  call00008 you said {\"path\":\"d\"}",
		"", "model: no",
	}
	var lines []string
	for _, m := range said[:len(said)-1] {
		who := "user: "
		if m.Model {
			who = "model: "
		}
		line := who + m.Text
		for _, c := range m.Calls {
			line += " " + c.ID
		}
		if m.Thoughts != nil {
			line += " " + string(m.Thoughts)
		}
		for _, r := range m.Results {
			line += "\n  " + r.ID + map[bool]string{true: " failed:"}[r.Failed] + " " + r.Text
		}
		lines = append(lines, "", line)
	}
	if !slices.Equal(lines, want) {
		t.Errorf("\n got %s\nwant %s", strings.Join(lines, "\n"), strings.Join(want, "\n"))
	}
	for i, choice := range []string{"required", "", "", ""} {
		if m.asked[i].ToolChoice != choice || len(m.asked[i].Tools) != 1 {
			t.Errorf("question %d has the choice %q and %d tools", i+1, m.asked[i].ToolChoice, len(m.asked[i].Tools))
		}
	}
	if len(task.Messages) != 1 {
		t.Errorf("the task has %d messages now", len(task.Messages))
	}
}

// TestMaxTurns holds that as many turns as are allowed are taken, and no tool is called in one more.
func TestMaxTurns(t *testing.T) {
	t.Parallel()
	for allowed, want := range map[int]string{
		0: "tool: the model called tools once and gave no answer; raise max_turns",
		1: "tool: the model called tools 2 times and gave no answer; raise max_turns",
		2: "<nil>",
	} {
		m := &scripted{answers: []Answer{{Calls: calls(`{"path":"a"}`)}, {Calls: calls(`{"path":"b"}`)}, {Text: "done"}}}
		var got called
		task := reading(got.use)
		task.MaxTurns = allowed
		var kept []bool
		door := func(ctx context.Context, _ Question, ask func(context.Context) (Answer, error), keep func(Answer) bool) (Answer, error) {
			a, err := ask(ctx)
			kept = append(kept, keep(a))
			return a, err
		}
		_, err := Do(t.Context(), m, task, door, nil)
		if tell(err) != want || len(got) != allowed {
			t.Errorf("%d turns: got %s after %d calls", allowed, tell(err), len(got))
		}
		if last := kept[len(kept)-1]; last != (err == nil) || slices.Contains(kept[:len(kept)-1], false) {
			t.Errorf("%d turns: kept %v", allowed, kept)
		}
	}
}

// TestManyCalls holds that no model, of whatever provider, has more calls run in a turn than the bound.
func TestManyCalls(t *testing.T) {
	t.Parallel()
	for n, want := range map[int]string{maxCalls: "<nil>", maxCalls + 1: "model: the answer calls more than 128 tools at once", 10_000: "model: the answer calls more than 128 tools at once"} {
		m := &scripted{answers: []Answer{{Calls: slices.Repeat(calls(`{"path":"a"}`), n)}, {Text: "done"}}}
		var got called
		if _, err := Do(t.Context(), m, reading(got.use), direct, nil); tell(err) != want || (err == nil) != (len(got) == n) {
			t.Errorf("%d at once: got %s after %d calls", n, tell(err), len(got))
		}
	}
}

// TestLookAlikes holds that a tool is known by its name alone, and not by one that looks like it.
func TestLookAlikes(t *testing.T) {
	t.Parallel()
	names := []string{"Files.read_file", "files_read_file", "files.read_file ", "files.rеad_file", "files．read_file", "files.read_file\u200b", "files.read_file\x00", "files", "read_file", "files.read_file.x", ""}
	var tried []ToolCall
	for _, name := range names {
		tried = append(tried, ToolCall{Name: name, Arguments: json.RawMessage(`{"path":"a"}`)})
	}
	m := &scripted{answers: []Answer{{Calls: tried}, {Text: "done"}}}
	var got called
	if _, err := Do(t.Context(), m, reading(got.use), direct, nil); err != nil || got != nil {
		t.Fatalf("called %v, %v", got, err)
	}
	said := m.asked[1].Messages
	for i, r := range said[len(said)-1].Results {
		if want := fmt.Sprintf("there is no tool %q; there are files.read_file", names[i]); r.Text != want || !r.Failed {
			t.Errorf("%q: the model is told %s", names[i], r.Text)
		}
	}
}

// loud is a schema that says all of what it checks.
type loud struct{ pathSchema }

func (loud) Check(_ string, v any) error { return fmt.Errorf("%v is wrong", v) }

// TestLongComplaints holds that a model is not told again all that it wrote.
func TestLongComplaints(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("ä", 1<<19)
	m := &scripted{answers: []Answer{{Calls: append(calls(`{"path":"`+long+`"}`, `{"`+long, long, strings.Repeat("[", 1<<20)),
		ToolCall{Name: long, Arguments: json.RawMessage(`{}`)})}, {Text: "done"}}}
	task := reading(nil)
	task.Tools[0].Schema = loud{}
	if _, err := Do(t.Context(), m, task, direct, nil); err != nil {
		t.Fatal(err)
	}
	said := m.asked[1].Messages
	for i, r := range said[len(said)-1].Results {
		if len(r.Text) > 2*maxComplaint+100 || !r.Failed || !utf8.ValidString(r.Text) {
			t.Errorf("call %d: the model is told %d bytes: %.100q", i, len(r.Text), r.Text)
		}
	}
}

// TestGoOn holds that a conversation which broke off goes on with the results that it has, and its turns count.
func TestGoOn(t *testing.T) {
	t.Parallel()
	m := &Mock{ToolCalls: [][]ToolCall{calls(`{"path":"a"}`), calls(`{"path":"b"}`)}}
	var got called
	var said []Message
	task := reading(got.use)
	task.MaxTurns, task.Attempt, task.ToolChoice = 2, 1, "required"
	broken := errors.New("broke off")
	breaks := true
	door := func(ctx context.Context, q Question, ask func(context.Context) (Answer, error), _ func(Answer) bool) (Answer, error) {
		if said = q.Messages; breaks && len(got) == 1 {
			return Answer{}, broken
		}
		if forced := q.ToolChoice == "required"; forced != (len(got) == 0) {
			t.Errorf("after %d calls the choice is %q", len(got), q.ToolChoice)
		}
		return ask(ctx)
	}
	if _, err := Do(t.Context(), m, task, door, nil); err != broken {
		t.Fatal(err)
	}
	breaks, task.Messages = false, said
	if v, err := Do(t.Context(), m, task, door, nil); err != nil || v != "hello" || strings.Join(got, " ") != `files.read_file{"path":"a"} files.read_file{"path":"b"}` {
		t.Errorf("got %v, %v after %v", v, err, got)
	}
	got, task.MaxTurns = nil, 1
	if _, err := Do(t.Context(), m, task, direct, nil); tell(err) != "tool: the model called tools 2 times and gave no answer; raise max_turns" || got != nil {
		t.Errorf("got %v after %v", err, got)
	}
}

// TestUseThatFails holds that an error of the tools' runner ends the task, and a stop is not taken for an answer.
func TestUseThatFails(t *testing.T) {
	t.Parallel()
	broken := errors.New("no permission")
	ctx, cancel := context.WithCancel(t.Context())
	tests := map[string]struct {
		use  func(context.Context, []ToolCall) ([]ToolResult, error)
		want string
	}{
		"fails":          {func(context.Context, []ToolCall) ([]ToolResult, error) { return nil, broken }, "no permission"},
		"loses a result": {func(context.Context, []ToolCall) ([]ToolResult, error) { return nil, nil }, "1 calls of tools have 0 results"},
		"is stopped":     {func(context.Context, []ToolCall) ([]ToolResult, error) { cancel(); return make([]ToolResult, 1), nil }, "context canceled"},
	}
	for _, name := range []string{"fails", "loses a result", "is stopped"} {
		m := &scripted{answers: []Answer{{Calls: calls(`{"path":"a"}`)}, {Text: "done"}}}
		if _, err := Do(ctx, m, reading(tests[name].use), direct, nil); err == nil || err.Error() != tests[name].want || len(m.asked) != 1 {
			t.Errorf("%s: got %v after %d questions", name, err, len(m.asked))
		}
	}
}

func TestNearest(t *testing.T) {
	t.Parallel()
	var tools []Tool
	for _, name := range []string{"files.read_file", "files.write_file", "web.fetch", "sum", "weather", "web.search"} {
		tools = append(tools, Tool{Name: name})
	}
	tests := map[string]struct {
		tools []Tool
		want  string
	}{
		"files_Read":              {tools, "the nearest of 6 are files.read_file, files.write_file, web.fetch, weather, web.search"},
		"sums":                    {tools[3:5], "there are sum, weather"},
		strings.Repeat("x", 1e6):  {tools[3:4], "there are sum"},
		"":                        {nil, "there are no tools"},
		"\x00\xff control \u202e": {tools[3:4], "there are sum"},
	}
	for name, tt := range tests {
		if got := nearest(name, tt.tools); got != tt.want {
			t.Errorf("%.20q: got %s, want %s", name, got, tt.want)
		}
	}
}

func TestDistance(t *testing.T) {
	t.Parallel()
	for words, want := range map[string]int{"kitten sitting": 3, "a a": 0, "abc ": 3, " abc": 3, "ab ba": 2, "read_file readfile": 1} {
		a, b, _ := strings.Cut(words, " ")
		if got := distance([]rune(a), []rune(b)); got != want {
			t.Errorf("%q and %q: got %d, want %d", a, b, got, want)
		}
	}
}

// TestMockCalls holds that a mock calls its tools turn by turn and then replies, and uses what its bound says.
func TestMockCalls(t *testing.T) {
	t.Parallel()
	m := &Mock{Reply: func(q Question) (string, error) { return fmt.Sprintf("reply %d", q.Call), nil },
		ToolCalls: [][]ToolCall{calls(`{"path":"a"}`, `{"path":"b b"}`), calls(`{"path":"c"}`)}}
	for range 2 { // every conversation begins anew
		var got called
		var used []Usage
		task := reading(got.use)
		task.Call, task.Attempt = 1, 1
		var heard pieces
		door := func(ctx context.Context, q Question, ask func(context.Context) (Answer, error), _ func(Answer) bool) (Answer, error) {
			a, err := ask(ctx)
			if bound := Bound(m, q); bound != a.Usage {
				t.Errorf("bound is %+v, used was %+v", bound, a.Usage)
			}
			used = append(used, a.Usage)
			return a, err
		}
		v, err := Do(t.Context(), m, task, door, heard.hear)
		if err != nil || v != "reply 1" || strings.Join(heard, "|") != "reply |1" {
			t.Errorf("got %v, %v, heard %q", v, err, heard)
		}
		if want := `files.read_file{"path":"a"}|files.read_file{"path":"b b"}|files.read_file{"path":"c"}`; strings.Join(got, "|") != want {
			t.Errorf("called %v", got)
		}
		if want := []Usage{{Input: 1, Output: 5, Calls: 1}, {Input: 13, Output: 2, Calls: 1}, {Input: 18, Output: 2, Calls: 1}}; !slices.Equal(used, want) {
			t.Errorf("used %+v", used)
		}
	}
}
