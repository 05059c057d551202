package agents

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/flowrun/flowrun/agents/agentstest"
)

// pixel is the smallest PNG.
const pixel = "\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x00\x01\x00\x00\x00\x01\x08\x06\x00\x00\x00\x1f\x15\xc4\x89"

// asking is a question to a model.
type asking struct {
	ref      string
	question Question
	streamed bool
}

// requests are questions of all sorts. What is sent for each stands in testdata/requests, to be read and to be held
// against the types of the providers' own clients.
func requests() map[string]asking {
	cold, most, seed := 0.0, 0.9, 7
	asked := func(change func(q *Question)) Question {
		q := Question{System: "You are terse.", Messages: []Message{{Text: "What is an egg?"}}}
		if change != nil {
			change(&q)
		}
		return q
	}
	settings := func(q *Question) {
		q.Temperature, q.TopP, q.Seed = &cold, &most, &seed
		q.MaxTokens, q.Stop = 100, []string{"END", "STOP"}
		q.Extra = map[string]any{"service_tier": "auto"}
	}
	conversation := func(q *Question) {
		q.Messages = append(q.Messages, Message{Model: true, Text: "Food."}, Message{Text: "That is too terse."})
	}
	closed := func(q *Question) { q.Schema = written(score) }
	open := func(q *Question) {
		q.Schema = written(`{"type":"object","properties":{"score":{"type":"integer"},"note":{"type":"string"}},"required":["score"],"additionalProperties":false}`)
	}
	files := func(q *Question) {
		q.Messages[0].Attachments = []Attachment{{"egg.png", "image/png", []byte(pixel)}, {"notes.txt", "text/plain", []byte("An egg is oval.\n")}}
	}
	reasoning := func(q *Question) { q.Reasoning = "medium" }
	tools := func(q *Question) {
		q.Tools = []Tool{{"files.read_file", "Reads a file.", pathSchema{}}, {"now", "", nil}}
	}
	choice := func(choice string) func(q *Question) {
		return func(q *Question) { tools(q); q.ToolChoice = choice }
	}
	results := func(q *Question) {
		tools(q)
		q.Messages = append(q.Messages,
			Message{Model: true, Text: "Let me look.", Calls: []ToolCall{
				{"call_1", "files.read_file", json.RawMessage(`{"path":"egg.txt"}`)}, {"call_2", "now", json.RawMessage(`{}`)}}},
			Message{Results: []ToolResult{{ID: "call_1", Text: "An egg is oval."}, {ID: "call_2", Text: "it is too late", Failed: true}}},
			Message{Model: true, Calls: []ToolCall{{"call_3", "no such tool", json.RawMessage(`{"broken": `)}}},
			Message{Results: []ToolResult{{ID: "call_3", Text: "there is no such tool", Failed: true}}})
	}
	thought := func(q *Question) {
		reasoning(q)
		results(q)
		q.Messages[1].Thoughts = json.RawMessage(`[{"type":"thinking","thinking":"Hm.","signature":"c2ln"},{"type":"redacted_thinking","data":"ZGF0YQ=="}]`)
	}
	all := map[string]asking{
		"anthropic-tools-thinking": {"anthropic/claude-haiku-4-5", asked(thought), true},
		"openai-reasoning":         {"openai/gpt-5", asked(reasoning), false},
		"anthropic-thinking":       {"anthropic/claude-haiku-4-5", asked(reasoning), false},
		"anthropic-effort":         {"anthropic/claude-sonnet-5", asked(reasoning), true},
		"anthropic-everything":     {"anthropic/claude-sonnet-5", asked(func(q *Question) { closed(q); files(q); reasoning(q) }), true},
	}
	for dialect, ref := range map[string]string{"openai": "openai/gpt-4.1-mini", "anthropic": "anthropic/claude-haiku-4-5"} {
		for name, q := range map[string]Question{
			"plain": {Messages: []Message{{Text: "What is an egg?"}}}, "system": asked(nil), "settings": asked(settings), "conversation": asked(conversation),
			"schema": asked(closed), "schema-optional": asked(open), "attachments": asked(files),
			"tools": asked(tools), "tools-required": asked(choice("required")), "tools-none": asked(choice("none")), "tools-one": asked(choice("files.read_file")),
			"tools-results": asked(results), "tools-schema": asked(func(q *Question) { results(q); closed(q) }),
		} {
			all[dialect+"-"+name] = asking{ref, q, false}
		}
		all[dialect+"-streamed"] = asking{ref, asked(nil), true}
	}
	return all
}

// TestRequests holds what is sent against testdata/requests; UPDATE=1 writes it anew.
func TestRequests(t *testing.T) {
	t.Parallel()
	folder := filepath.Join("testdata", "requests")
	kept, err := filepath.Glob(filepath.Join(folder, "*.json"))
	if err != nil {
		t.Fatal(err)
	}
	all := requests()
	for _, file := range kept {
		if _, there := all[strings.TrimSuffix(filepath.Base(file), ".json")]; !there {
			t.Errorf("%s is sent by no test", file)
		}
	}
	for name, tt := range all {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var server agentstest.Server
			local := httptest.NewServer(&server)
			defer local.Close()
			m := openAs(t, tt.ref, local.Client(), local.URL+"/v1")
			if _, err := m.Answer(t.Context(), tt.question, listener(tt.streamed)); err != nil {
				t.Fatal(err)
			}
			asked := server.Requests()
			if len(asked) != 1 {
				t.Fatalf("asked %d times", len(asked))
			}
			key, path := "Bearer "+secret, "/v1/chat/completions"
			got := asked[0].Header.Get("Authorization")
			if strings.HasPrefix(name, "anthropic") {
				key, path, got = secret, "/v1/messages", asked[0].Header.Get("X-Api-Key")
			}
			if asked[0].Path != path || got != key {
				t.Errorf("asked %s with %q", asked[0].Path, got)
			}
			var body bytes.Buffer
			if err := json.Indent(&body, asked[0].Body, "", "  "); err != nil {
				t.Fatal(err)
			}
			body.WriteByte('\n')
			file := filepath.Join(folder, name+".json")
			if os.Getenv("UPDATE") != "" {
				if err := os.WriteFile(file, body.Bytes(), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if body.String() != string(want) {
				t.Errorf("%s holds another request than\n%s", file, body.String())
			}
		})
	}
}

// TestClients has the providers' own clients judge: TypeScript holds the kept requests against their types, and they send
// the same to the server of the tests and read its good answers, in frames with their own parsers.
func TestClients(t *testing.T) {
	modules := os.Getenv("FLOWRUN_NPM")
	if modules == "" {
		t.Skip("FLOWRUN_NPM names no node_modules with openai, @anthropic-ai/sdk and typescript; .ci/run installs them")
	}
	all := requests()
	names := slices.Sorted(maps.Keys(all))
	kept := map[string]json.RawMessage{}
	types := []string{
		`import type { ChatCompletionCreateParamsNonStreaming, ChatCompletionCreateParamsStreaming } from "openai/resources/chat/completions";`,
		`import type { MessageCreateParamsNonStreaming, MessageCreateParamsStreaming } from "@anthropic-ai/sdk/resources/messages";`,
	}
	for i, name := range names {
		data, err := os.ReadFile(filepath.Join("testdata", "requests", name+".json"))
		if err != nil {
			t.Fatal(err)
		}
		kept[name] = data
		kind := map[string]string{"openai": "ChatCompletionCreateParams", "anthropic": "MessageCreateParams"}[strings.SplitN(name, "-", 2)[0]]
		kind += map[bool]string{false: "NonStreaming", true: "Streaming"}[all[name].streamed]
		if name == "anthropic-settings" {
			kind += " & {temperature: number; top_p: number}" // the client forgot what models up to Claude 4.5 take
		}
		types = append(types, fmt.Sprintf("// %s\nexport const request%d: %s = %s;", name, i, kind, data))
	}

	dir := t.TempDir()
	if err := os.Symlink(modules, filepath.Join(dir, "node_modules")); err != nil {
		t.Fatal(err)
	}
	list, err := json.Marshal(kept)
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"requests.ts":   strings.Join(types, "\n"),
		"wrong.ts":      strings.Replace(strings.Join(types, "\n"), `"messages": [`, `"massages": [`, 1),
		"requests.json": string(list),
		"ask.mjs":       ask,
		"package.json":  `{"type": "module"}`,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	check := func(file string) (string, error) {
		return node(t, dir, filepath.Join("node_modules", "typescript", "bin", "tsc"),
			"--noEmit", "--strict", "--skipLibCheck", "--target", "es2022", "--module", "nodenext", "--moduleResolution", "nodenext", file)
	}
	if out, err := check("requests.ts"); err != nil {
		t.Errorf("the requests are not of the clients' types: %v\n%s", err, out)
	}
	if out, err := check("wrong.ts"); err == nil || !strings.Contains(out, "massages") {
		t.Errorf("a wrong request is not found: %v\n%s", err, out)
	}

	server := agentstest.Server{Calls: []agentstest.ToolCall{{Name: "files_read_file", Arguments: `{"path":"an egg","lines":[1,2]}`}}}
	local := httptest.NewServer(&server)
	defer local.Close()
	out, err := node(t, dir, "ask.mjs", local.URL)
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	var said map[string]string
	if err := json.Unmarshal([]byte(out), &said); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for name, ref := range map[string]string{"openai-tools": "openai/call-three", "anthropic-tools": "anthropic/call-three"} {
		for _, streamed := range []bool{false, true} {
			a, err := openAs(t, ref, local.Client(), local.URL+"/v1").Answer(t.Context(), all[name].question, listener(streamed))
			if err != nil {
				t.Fatal(err)
			}
			if got, theirs := strings.ReplaceAll(listed(a.Calls), ".", "_"), said[fmt.Sprintf("%s calls %v", name, streamed)]; got != theirs {
				t.Errorf("%s, streamed %v: we read the calls %s, the client %s", name, streamed, got, theirs)
			}
		}
	}
	asked := slices.DeleteFunc(server.Requests(), func(r agentstest.Request) bool { return strings.Contains(string(r.Body), "call-three") })
	if len(asked) != len(names) {
		t.Fatalf("the clients asked %d times for %d requests", len(asked), len(names))
	}
	for i, name := range names {
		if said[name] != agentstest.Reply {
			t.Errorf("%s: the client reads %q", name, said[name])
		}
		var sent, want bytes.Buffer
		if err := errors.Join(canonical(&sent, asked[i].Body), canonical(&want, kept[name])); err != nil {
			t.Fatal(err)
		}
		if sent.String() != want.String() {
			t.Errorf("%s: the client sends %s, we send %s", name, sent.String(), want.String())
		}
	}
}

// ask is a script that sends requests.json by the providers' clients and prints the texts of the answers.
const ask = `import fs from "node:fs";
import OpenAI from "openai";
import Anthropic from "@anthropic-ai/sdk";
const url = process.argv[2];
const openai = new OpenAI({ apiKey: "k", baseURL: url + "/v1", maxRetries: 0 });
const anthropic = new Anthropic({ apiKey: "k", baseURL: url, maxRetries: 0 });
const said = {};
for (const [name, request] of Object.entries(JSON.parse(fs.readFileSync("requests.json", "utf8")))) {
  let text = "";
  if (name.startsWith("openai")) {
    const answer = await openai.chat.completions.create(request);
    if (request.stream) {
      for await (const chunk of answer) text += chunk.choices[0]?.delta?.content ?? "";
    } else text = answer.choices[0].message.content;
  } else {
    const answer = await anthropic.messages.create(request);
    if (request.stream) {
      for await (const e of answer) if (e.type === "content_block_delta" && e.delta.type === "text_delta") text += e.delta.text;
    } else text = answer.content.map((block) => block.text).join("");
  }
  said[name] = text;
}

// Calls come in pieces that the clients put together.
const kept = JSON.parse(fs.readFileSync("requests.json", "utf8"));
const list = (calls) => calls.map(([id, name, args]) => [id, name, args].join(" ")).join("; ");
const openaiCalls = (answer) => list(answer.choices[0].message.tool_calls.map((call) => [call.id, call.function.name, call.function.arguments]));
const claudeCalls = (answer) => list(answer.content.filter((block) => block.type === "tool_use").map((block) => [block.id, block.name, JSON.stringify(block.input)]));
const asked = { ...kept["openai-tools"], model: "call-three" }, claude = { ...kept["anthropic-tools"], model: "call-three" };
said["openai-tools calls false"] = openaiCalls(await openai.chat.completions.create(asked));
said["openai-tools calls true"] = openaiCalls(await openai.chat.completions.stream(asked).finalChatCompletion());
said["anthropic-tools calls false"] = claudeCalls(await anthropic.messages.create(claude));
said["anthropic-tools calls true"] = claudeCalls(await anthropic.messages.stream(claude).finalMessage());
console.log(JSON.stringify(said));
`

func node(t *testing.T, dir string, args ...string) (string, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "node", args...)
	cmd.Dir = dir
	out, err := cmd.Output()
	if e, ok := errors.AsType[*exec.ExitError](err); ok {
		out = append(out, e.Stderr...)
	}
	return string(out), err
}

// canonical writes JSON with sorted keys.
func canonical(b *bytes.Buffer, data []byte) error {
	var v any
	if err := json.Unmarshal(data, &v); err != nil {
		return err
	}
	return json.NewEncoder(b).Encode(v)
}
