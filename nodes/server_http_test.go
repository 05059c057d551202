package nodes_test

import (
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/flowrun/flowrun/engine"
)

// hostile is a server of tools at an address. It answers a call as it is told, and hears no farewell.
func hostile(t *testing.T, call func(w http.ResponseWriter, r *http.Request, id any)) string {
	t.Helper()
	ts := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var m struct {
			ID     any    `json:"id"`
			Method string `json:"method"`
		}
		if r.Method == http.MethodDelete {
			<-r.Context().Done()
			return
		}
		if err := json.NewDecoder(r.Body).Decode(&m); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		w.Header().Set("Mcp-Session-Id", "one")
		switch m.Method {
		case "initialize":
			answer(w, m.ID, `{"protocolVersion":"2025-06-18","capabilities":{"tools":{}},"serverInfo":{"name":"fake","version":"1"}}`)
		case "tools/list":
			answer(w, m.ID, `{"tools":[{"name":"echo","inputSchema":{"type":"object"}}]}`)
		case "tools/call":
			call(w, r, m.ID)
		default:
			if m.ID == nil {
				w.WriteHeader(http.StatusAccepted)
				return
			}
			w.Header().Set("Content-Type", "application/json")
			fmt.Fprintf(w, `{"jsonrpc":"2.0","id":%v,"error":{"code":-32601,"message":"no such method"}}`, m.ID)
		}
	}))
	t.Cleanup(ts.Close)
	return ts.URL
}

func answer(w http.ResponseWriter, id any, result string) {
	w.Header().Set("Content-Type", "application/json")
	fmt.Fprintf(w, `{"jsonrpc":"2.0","id":%v,"result":%s}`, id, result)
}

// endlessly writes a text until the client is gone, after something else.
func endlessly(w io.Writer, first, text string) {
	if _, err := io.WriteString(w, first); err != nil {
		return
	}
	for {
		if _, err := io.WriteString(w, text); err != nil {
			return
		}
	}
}

// TestServersAtAnAddress has servers at an address misbehave when a tool is called.
func TestServersAtAnAddress(t *testing.T) {
	t.Parallel()
	const begun = `{"jsonrpc":"2.0","id":1,"result":{"content":[{"type":"text","text":"`
	as := func(kind string) func(w http.ResponseWriter) {
		return func(w http.ResponseWriter) { w.Header().Set("Content-Type", kind) }
	}
	stream, whole := as("text/event-stream"), as("application/json")
	long := strings.Repeat("x", 1<<16)
	tests := map[string]struct {
		call func(w http.ResponseWriter, r *http.Request, id any)
		want string // the beginning of the error
	}{
		"an answer without end": {func(w http.ResponseWriter, _ *http.Request, _ any) { whole(w); endlessly(w, begun, long) }, "tool: s: it sent more than 64 MiB that nobody asked for"},
		"a line without end":    {func(w http.ResponseWriter, _ *http.Request, _ any) { stream(w); endlessly(w, "data: "+begun, long) }, "tool: s: "},
		"messages without end": {func(w http.ResponseWriter, _ *http.Request, _ any) {
			stream(w)
			endlessly(w, "", "data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/message\",\"params\":{\"level\":\"info\",\"data\":\""+long+"\"}}\n\n")
		}, "tool: s: it sent more than 64 MiB that nobody asked for"},
		"comments without end": {func(w http.ResponseWriter, _ *http.Request, _ any) { stream(w); endlessly(w, "", ": "+long+"\n") }, "tool: s: "},
		"more than is allowed": {func(w http.ResponseWriter, _ *http.Request, id any) {
			answer(w, id, `{"content":[{"type":"text","text":"`+strings.Repeat("x", 17<<20)+`"}]}`)
		}, "limit: s: it answered with more than 16 MiB"},
		"a bomb": {func(w http.ResponseWriter, _ *http.Request, _ any) {
			whole(w)
			w.Header().Set("Content-Encoding", "gzip")
			endlessly(gzip.NewWriter(w), begun, strings.Repeat("\x00", 1<<20))
		}, "tool: s: it sent more than 64 MiB that nobody asked for"},
		"no answer": {func(_ http.ResponseWriter, r *http.Request, _ any) { <-r.Context().Done() }, "timeout: s did not end within its timeout of 2s"},
		"a stream that says nothing": {func(w http.ResponseWriter, r *http.Request, _ any) {
			stream(w)
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		}, "timeout: s did not end within its timeout of 2s"},
		"another place": {func(w http.ResponseWriter, r *http.Request, _ any) {
			http.Redirect(w, r, "http://169.254.169.254/", http.StatusTemporaryRedirect)
		}, "tool: s: "},
		"a page": {func(w http.ResponseWriter, _ *http.Request, _ any) { as("text/html")(w); io.WriteString(w, "<html>") }, "tool: s: calling"},
		"a failure": {func(w http.ResponseWriter, _ *http.Request, _ any) {
			http.Error(w, "no", http.StatusInternalServerError)
		}, "tool: s: "},
		"another's answer": {func(w http.ResponseWriter, _ *http.Request, _ any) { answer(w, 4711, `{"content":[]}`) }, "timeout: s did not end within its timeout of 2s"},
		"headers without end": {func(w http.ResponseWriter, _ *http.Request, _ any) {
			conn, _, err := w.(http.Hijacker).Hijack()
			if err != nil {
				return
			}
			defer conn.Close()
			endlessly(conn, "HTTP/1.1 200 OK\r\nX: ", long)
		}, "tool: s: "},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			patience := "5m"
			if strings.HasPrefix(tt.want, "timeout") {
				patience = "2s"
			}
			src := "tools: {s: {mcp: {url: '" + hostile(t, tt.call) + "'}, timeout: " + patience + "}}\ntool: s.echo\n"
			result, err := engine.Run(t.Context(), graphOf(t, src), nil, everything)
			var failed *engine.Error
			if !errors.As(err, &failed) {
				t.Fatalf("got %v, %v", result, err)
			}
			got := string(failed.Kind) + ": " + failed.Message
			if !strings.HasPrefix(got, tt.want) || len(got) > 4096 {
				t.Errorf("\n got %.300s\nwant %s", got, tt.want)
			}
		})
	}
}

// TestPageForAServer has the address of a page where that of a server should be: that is said, and not waited for.
func TestPageForAServer(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		status int
		kind   string
		want   string
	}{
		"a page":       {http.StatusOK, "text/html; charset=utf-8", `it answered with "text/html; charset=utf-8", which is not what a server of tools answers with`},
		"no kind":      {http.StatusOK, "", `it answered with "", which is not what a server of tools answers with`},
		"not found":    {http.StatusNotFound, "text/html", "Not Found"},
		"half a call":  {http.StatusOK, "application/json", "EOF"},
		"who are you?": {http.StatusUnauthorized, "text/plain", "Unauthorized"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ts := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header()["Content-Type"] = []string{tt.kind}
				w.WriteHeader(tt.status)
				io.WriteString(w, "{")
			}))
			defer ts.Close()
			_, err := engine.Run(t.Context(), graphOf(t, "tools: {s: {mcp: {url: '"+ts.URL+"'}}}\ntool: s.echo\n"), nil, everything)
			var failed *engine.Error
			if !errors.As(err, &failed) || failed.Kind != engine.Tool || !strings.Contains(failed.Message, tt.want) {
				t.Errorf("got %v", err)
			}
		})
	}
}

// TestAddressesWithoutEnd has an address answer a tool without end: the run ends, and nothing is read on.
func TestAddressesWithoutEnd(t *testing.T) {
	t.Parallel()
	for name, serve := range map[string]http.HandlerFunc{
		"a line": func(w http.ResponseWriter, _ *http.Request) { endlessly(w, "", strings.Repeat("x", 1<<16)) },
		"a bomb": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			endlessly(gzip.NewWriter(w), "", strings.Repeat("x", 1<<20))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ts := httptest.NewServer(serve)
			defer ts.Close()
			src := "tools: {t: {http: '" + ts.URL + "'}}\nagent: {model: mock, tools: [t], mock: {tool_calls: [{tool: t}]}}"
			_, err := engine.Run(t.Context(), graphOf(t, src), nil, everything)
			var failed *engine.Error
			if !errors.As(err, &failed) || failed.Kind != engine.Limit || failed.Message != "the answer is longer than 16 MiB" {
				t.Errorf("got %v", err)
			}
		})
	}
}
