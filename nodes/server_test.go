package nodes_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/flowrun/flowrun/agents/agentstest"
	"github.com/flowrun/flowrun/engine"
	"github.com/flowrun/flowrun/spec"
)

// fake is a header with the tools of a server with a fault; every process of the test can be told by the mark.
func fake(t *testing.T, fault, more string) (header, mark string) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	mark = fmt.Sprintf("MARK=%s-%d", strings.NewReplacer("/", "-", " ", "-").Replace(t.Name()), time.Now().UnixNano())
	return fmt.Sprintf("tools: {s: {mcp: {command: [%q], environment: {%s: %s, MARK: %q}}%s}}\n", self, agentstest.MCPFault, fault, strings.TrimPrefix(mark, "MARK="), more), mark
}

// noneLives waits for the processes with a mark to end, where the system shows them.
func noneLives(t *testing.T, mark string) {
	t.Helper()
	if runtime.GOOS != "linux" {
		return
	}
	for began := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		var alive []string
		all, _ := filepath.Glob("/proc/[0-9]*/environ")
		for _, file := range all {
			if environ, err := os.ReadFile(file); err == nil && strings.Contains("\x00"+string(environ), "\x00"+mark+"\x00") {
				alive = append(alive, file)
			}
		}
		if len(alive) == 0 {
			return
		}
		if time.Since(began) > 10*time.Second {
			t.Fatalf("still there: %v", alive)
		}
	}
}

var everything = engine.WithGrants(engine.Grants{All: true})

// TestServers calls tools of servers with and without faults: what breaks is an error of the node that says what broke,
// and no process is left.
func TestServers(t *testing.T) {
	t.Parallel()
	echo := "tool: s.echo\nargs: {text: hello}"
	tests := map[string]struct{ fault, more, node, want string }{
		"a text":                   {"none", "", echo, "hello"},
		"structured content":       {"none", "", "tool: s.add\nargs: {a: 1, b: 2}", `{"sum":3}`},
		"a result that failed":     {"none", "", "tool: s.fail", "tool: it cannot be done"},
		"no such tool":             {"none", "", "tool: s.ecko", `tool: s has no tool ecko, did you mean "echo"?`},
		"arguments that are none":  {"none", "", "tool: s.echo\nargs: {txt: 1}", "schema: args.text is missing; args.txt is unknown"},
		"the environment":          {"none", "", "chain: [{tool: s.environ}, {set: 'filter(map(split(prev, \"\n\"), split(#, \"=\")[0]), not (# in [\"PATH\", \"HOME\", \"LANG\", \"MCP_FAULT\", \"MARK\"]))'}]", "[]"},
		"a crash":                  {"crash", "", echo, "tool: s: the server ended (exit status 3): out of cheese"},
		"a crash at once":          {"stillborn", "", echo, "tool: s: the server ended (exit status 3): out of cheese"},
		"no answer":                {"hang", ", timeout: 1s", echo, "timeout: s did not end within its timeout of 1s"},
		"no answer at all":         {"mute", ", timeout: 1s", echo, "timeout: s did not end within its timeout of 1s"},
		"a slow start":             {"slow", "", echo, "hello"},
		"a start that is too slow": {"slow", ", timeout: 100ms", echo, "timeout: s did not end within its timeout of 100ms"},
		"a line without end":       {"flood", "", echo, `tool: s: it wrote to its standard output what is no message: "` + strings.Repeat("x", 100) + `"`},
		"messages without end":     {"chatter", "", echo, "tool: s: it sent more than 64 MiB that nobody asked for"},
		"more than is allowed":     {"huge", "", echo, "limit: s: it answered with more than 16 MiB"},
		"no signals":               {"deaf", "", echo, "hello"},
		"children":                 {"orphan", "", echo, "hello"},
		"answers of others":        {"wrong", ", timeout: 1s", echo, "timeout: s did not end within its timeout of 1s"},
		"no message":               {"garbage", "", echo, `tool: s: it wrote to its standard output what is no message: "<html>"`},
		"no message at once":       {"greets", "", echo, `tool: s: it wrote to its standard output what is no message: "Hello, I am listening."`},
		"a session refused":        {"refuses", "", echo, `tool: s: calling "initialize": no licence`},
		"another protocol":         {"ancient", "", echo, `tool: s: unsupported protocol version: "1999-01-01"`},
		"a number of no size":      {"none", "", "tool: s.vast", "tool: s: reading its structured content: json: cannot unmarshal number 1e400 into Go value of type float64"},
		"large integers":           {"none", "", "tool: s.exact", `{"id":9007199254740993,"of":[-9007199254740993,0.5,"\u0001"]}`},
		"tools that change":        {"changes", "", "chain: [{tool: s.tool1}, {tool: s.tool2}, {tool: s.tool1}]", `tool: s has no tool tool1, did you mean "tool3"?`},
		"very many tools":          {"many", "", "tool: s.tool9999", "tool: no such tool"},
		"tools without end":        {"endless", ", timeout: 5m", "tool: s.tool1", "tool: s: it lists more than 10000 tools"},
		"a name that is none":      {"names", "", echo, `tool: s: it lists a tool whose name must have letters, digits and _.-/ only, at most 128: "re\u0430d\u202e"`},
		"two of one name":          {"twice", "", echo, "tool: s: it lists the tool echo twice"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			header, mark := fake(t, tt.fault, tt.more)
			result, err := engine.Run(t.Context(), graphOf(t, header+tt.node), nil, everything)
			got := ""
			var failed *engine.Error
			switch {
			case errors.As(err, &failed):
				got = string(failed.Kind) + ": " + failed.Message
			case err != nil:
				t.Fatal(err)
			default:
				got = text(result.Output)
			}
			if got != tt.want {
				t.Errorf("\n got %s\nwant %s", got, tt.want)
			}
			noneLives(t, mark)
		})
	}
}

// TestServerOfARun holds that all nodes of a run share a server, and that a run which is cancelled leaves none.
func TestServerOfARun(t *testing.T) {
	t.Parallel()
	header, mark := fake(t, "orphan", "")
	g := graphOf(t, header+"for_each: 1..20\ndo: {tool: s.echo, args: {text: 'n ${{ item }}'}}\nmerge: len(results)")
	if result, err := engine.Run(t.Context(), g, nil, everything); err != nil || text(result.Output) != "20" {
		t.Errorf("got %v, %v", result, err)
	}
	noneLives(t, mark)

	header, mark = fake(t, "hang", "")
	ctx, cancel := context.WithCancel(t.Context())
	called := func(e engine.Event) {
		if e.Type == engine.ToolCalled {
			cancel()
		}
	}
	g = graphOf(t, header+"agent: {model: mock, tools: [s], mock: {tool_calls: [{tool: s.echo, args: {text: x}}]}}")
	if _, err := engine.Run(ctx, g, nil, everything, engine.WithListener(called)); err == nil || !strings.Contains(err.Error(), "cancelled") {
		t.Errorf("got %v", err)
	}
	noneLives(t, mark)
}

// TestServersOfAgents gives agents servers: too many tools at once are refused, one by its name is not.
func TestServersOfAgents(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ fault, tools, want string }{
		"a server":        {"none", "s", "hello"},
		"a tool and more": {"none", "s.echo, s", "hello"},
		"too many":        {"many", "s", "s has 10000 tools, more than the 128 that an agent can be given together: name those that it needs, such as s.tool0000"},
		"one of many":     {"many", "s.tool0007", "done"},
		"one that is not": {"none", "s.eko", `s has no tool eko`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			header, mark := fake(t, tt.fault, "")
			var got string
			heard := engine.WithListener(func(e engine.Event) {
				if e.Type == engine.ToolReturned {
					got = text(e.Output)
				}
			})
			src := "agent: {model: mock, tools: [" + tt.tools + "], mock: {tool_calls: [{tool: s.echo, args: {text: hello}}], reply: done}}"
			result, err := engine.Run(t.Context(), graphOf(t, header+src), nil, everything, heard)
			switch {
			case err != nil:
				got = err.Error()
			case got == "":
				got = text(result.Output) // the tool that was called is not among those given
			}
			if !strings.Contains(got, tt.want) {
				t.Errorf("\n got %s\nwant %s", got, tt.want)
			}
			noneLives(t, mark)
		})
	}
}

// TestServerAtAnAddress calls tools over HTTP, with a header that holds a secret.
func TestServerAtAnAddress(t *testing.T) {
	t.Parallel()
	server := sdk.NewServer(&sdk.Implementation{Name: "test", Version: "1"}, nil)
	type in struct {
		Text string `json:"text"`
	}
	sdk.AddTool(server, &sdk.Tool{Name: "echo"}, func(_ context.Context, _ *sdk.CallToolRequest, args in) (*sdk.CallToolResult, any, error) {
		return &sdk.CallToolResult{Content: []sdk.Content{&sdk.TextContent{Text: args.Text}, &sdk.ImageContent{MIMEType: "image/png", Data: []byte("abc")}}}, nil, nil
	})
	handler := sdk.NewStreamableHTTPHandler(func(*http.Request) *sdk.Server { return server }, nil)
	ts := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer key" {
			http.Error(w, "who are you?", http.StatusUnauthorized)
			return
		}
		handler.ServeHTTP(w, r)
	}))
	defer ts.Close()
	src := "secrets: [KEY]\ntools: {s: {mcp: {url: '" + ts.URL + "', headers: {Authorization: 'Bearer ${{ secrets.KEY }}'}}}}\ntool: s.echo\nargs: {text: hello}"
	run := func(key string) (string, error) {
		result, err := engine.Run(t.Context(), graphOf(t, src), nil, everything, engine.WithEnviron(func(string) (string, bool) { return key, true }))
		if err != nil {
			return "", err
		}
		return text(result.Output), nil
	}
	if got, err := run("key"); err != nil || got != "hello\n[image image/png, 3 bytes]" {
		t.Errorf("got %q, %v", got, err)
	}
	var failed *engine.Error
	if _, err := run("another"); !errors.As(err, &failed) || failed.Kind != engine.Tool || strings.Contains(failed.Message, "another") {
		t.Errorf("got %v", err)
	}
	_, err := engine.Run(t.Context(), graphOf(t, src), nil, engine.WithGrants(engine.Grants{By: map[string]engine.Grant{"mcp": {Names: []string{"s"}}, "env": {Any: true}}}))
	if want := "--allow-net=" + strings.TrimPrefix(ts.URL, "http://"); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("got %v, want %s", err, want)
	}
}

// text is an output as text.
func text(v any) string { return spec.AsText(v) }
