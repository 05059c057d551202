package agents

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestNoAnswer is about bodies with status 200 that are not what was asked for.
func TestNoAnswer(t *testing.T) {
	t.Parallel()
	const page = "<!DOCTYPE html>\n<p>Sign in to your hotel's network, " + secret + "</p>"
	tests := map[string]struct {
		answer   http.HandlerFunc
		streamed bool
		want     string
	}{
		"a page for a stream":         {says(200, "text/html; charset=utf-8", page), true, "model: the answer is no event stream but text/html: <!DOCTYPE html> <p>Sign in to your hotel's network, ***</p>"},
		"text for a stream":           {says(200, "text/plain", "ok"), true, "model: the answer is no event stream but text/plain: ok"},
		"an error for a stream":       {says(200, "application/json", `{"error":{"message":"full","type":"server_error"}}`), true, "server: full"},
		"nothing":                     {says(200, "application/json", ""), false, "model: the answer is no chat completion but nothing"},
		"no choices":                  {says(200, "application/json", `{"choices":[]}`), false, `model: the answer has no choices: {"choices":[]}`},
		"a stream":                    {streams(`{"choices":[]}`), false, `model: the answer is no chat completion but data: {"choices":[]}, request req_1`},
		"more than is read, refused":  {says(500, "text/plain", strings.Repeat("x", maxReply+1)), false, "server: " + strings.Repeat("x", maxQuote-1) + "… (status 500)"},
		"packed as nobody asked":      {says(200, "application/json", "\x1f\x8b", "Content-Encoding", "gzip, gzip"), false, "model: the answer is packed as gzip, gzip, which nobody asked for"},
		"packed, and a stream":        {says(200, "text/event-stream", "\x1f\x8b", "Content-Encoding", "br"), true, "model: the answer is packed as br, which nobody asked for"},
		"packed, and refused":         {says(500, "text/plain", "\x1f\x8b", "Content-Encoding", "zstd"), false, "server: internal server error (status 500)"},
		"not packed, as it says":      {says(200, "application/json", "x", "Content-Encoding", "identity"), false, "model: the answer is no chat completion but x"},
		"no finish reason":            {streams(`{"choices":[{"delta":{"content":"half an"}}]}`, `[DONE]`), true, "network: the answer broke off: its stream ended before the model did, request req_1"},
		"a connection that is closed": {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, false, "network: cannot reach HOST: EOF"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := serve(t, tt.answer)
			got, err := f.model(t).Answer(t.Context(), hello(), listener(tt.streamed))
			want := strings.ReplaceAll(tt.want, "HOST", f.Listener.Addr().String())
			if tell(err) != want {
				t.Errorf("\n got %s\nwant %s", tell(err), want)
			}
			beside := brokenCall
			if strings.Contains(want, "(status ") || strings.Contains(want, "cannot reach") {
				beside = failedCall
			}
			if !reflect.DeepEqual(got, beside) {
				t.Errorf("there is an answer beside the error: %+v", got)
			}
			if n := len(f.asked()); n != 1 {
				t.Errorf("asked %d times", n)
			}
		})
	}
}

func TestConnectionRefused(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	host := l.Addr().String()
	l.Close()
	for _, streamed := range []bool{false, true} {
		_, err = open(t, &http.Client{Transport: newTransport()}, "http://"+host+"/v1").Answer(t.Context(), hello(), listener(streamed))
		want := fmt.Sprintf("network: cannot reach %s: dial tcp %s: connect: connection refused", host, host)
		if tell(err) != want {
			t.Errorf("\n got %s\nwant %s", tell(err), want)
		}
	}
}

func TestRedirectIsRefused(t *testing.T) {
	t.Parallel()
	elsewhere := serve(t, says(200, "application/json", `{"choices":[{"message":{"content":"ok"}}]}`))
	for _, status := range []int{301, 302, 303, 307, 308} {
		for _, streamed := range []bool{false, true} {
			f := serve(t, func(w http.ResponseWriter, r *http.Request) {
				to, _ := url.Parse(elsewhere.URL)
				to.User, to.Path = url.UserPassword("user", secret), "/v1/secret-path"
				http.Redirect(w, r, to.String(), status)
			})
			_, err := f.model(t).Answer(t.Context(), hello(), listener(streamed))
			want := fmt.Sprintf("bad_request: redirects are refused, and this one leads to %s (status %d)", elsewhere.Listener.Addr(), status)
			if tell(err) != want {
				t.Errorf("\n got %s\nwant %s", tell(err), want)
			}
			if n := len(f.asked()); n != 1 {
				t.Errorf("asked %d times", n)
			}
		}
	}
	if n := len(elsewhere.asked()); n != 0 {
		t.Errorf("the other host was asked %d times", n)
	}
}

// TestKeyIsNeverShown has a server that gives the key back wherever it can.
func TestKeyIsNeverShown(t *testing.T) {
	t.Parallel()
	echo := func(status int, contentType, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			key := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
			says(status, contentType, strings.ReplaceAll(body, "KEY", key), "X-Request-Id", "req-"+key)(w, r)
		}
	}
	tests := map[string]struct {
		answer   http.HandlerFunc
		streamed bool
	}{
		"in a complaint":      {echo(401, "application/json", `{"error":{"message":"bad key KEY, KEY"}}`), false},
		"in a text":           {echo(500, "text/plain", "bad key KEY"), false},
		"in a type":           {echo(200, "application/json", `{"error":{"type":"KEY"}}`), false},
		"in a body":           {echo(200, "application/json", `KEY`), false},
		"in a finish reason":  {echo(200, "application/json", `{"choices":[{"message":{},"finish_reason":"KEY"}]}`), false},
		"in a refusal":        {echo(200, "application/json", `{"choices":[{"message":{"refusal":"KEY"}}]}`), false},
		"in a media type":     {echo(200, "KEY/x", ``), true},
		"in a frame":          {echo(200, "text/event-stream", "data: KEY\n\n"), true},
		"in an error's frame": {echo(200, "text/event-stream", "event: error\ndata: KEY\n\n"), true},
		"in a cut quotation":  {echo(200, "text/event-stream", "data: "+strings.Repeat("x", maxQuote-100)+"KEYKEYKEYKEY\n\n"), true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := serve(t, tt.answer)
			_, err := f.model(t).Answer(t.Context(), hello(), listener(tt.streamed))
			got := fmt.Sprintf("%v %+v %#v", err, err, err)
			if err == nil || strings.Contains(got, secret[:8]) || !strings.Contains(got, "***") {
				t.Errorf("got %s", got)
			}
			if n := len(f.asked()); n != 1 {
				t.Errorf("asked %d times", n)
			}
		})
	}
}

func TestCancel(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		streamed bool
		begin    string // what the server sends before it waits
	}{
		"before an answer":             {false, ""},
		"before a stream":              {true, ""},
		"in the middle of an answer":   {false, `{"choices":[`},
		"in the middle of a stream":    {true, wire(`{"choices":[{"delta":{"content":"half an"}}]}`)},
		"in the middle of a frame":     {true, `data: {"choices":[`},
		"between the end and its mark": {true, wire(`{"choices":[{"delta":{"content":"all"},"finish_reason":"stop"}]}`)},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			waiting, gone := make(chan struct{}), make(chan struct{})
			f := serve(t, func(w http.ResponseWriter, r *http.Request) {
				defer close(gone)
				if tt.begin != "" {
					w.Header().Set("Content-Type", "text/event-stream")
					io.WriteString(w, tt.begin)
					w.(http.Flusher).Flush()
				}
				close(waiting)
				<-r.Context().Done()
			})
			m := f.model(t)
			ctx, cancel := context.WithCancelCause(t.Context())
			answered := make(chan struct{})
			go func() {
				defer close(answered)
				got, err := m.Answer(ctx, hello(), listener(tt.streamed))
				if err != context.Canceled {
					t.Errorf("got %v, want that of the context", err)
				}
				if !reflect.DeepEqual(got, brokenCall) {
					t.Errorf("there is an answer beside the error: %+v", got)
				}
			}()
			soon(t, "the request", waiting)
			cancel(errors.New("enough"))
			soon(t, "the answer", answered)
			soon(t, "the end of the request", gone)
			if n := len(f.asked()); n != 1 {
				t.Errorf("asked %d times", n)
			}
		})
	}
}

func TestCancelWhileListening(t *testing.T) {
	t.Parallel()
	f := serve(t, streams(`{"choices":[{"delta":{"content":"half an"}}]}`, `{"choices":[{"delta":{"content":" answer"},"finish_reason":"stop"}]}`, `[DONE]`))
	ctx, cancel := context.WithCancel(t.Context())
	got, err := f.model(t).Answer(ctx, hello(), func(string) { cancel() })
	if err != context.Canceled || !reflect.DeepEqual(got, brokenCall) {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestCancelledBefore(t *testing.T) {
	t.Parallel()
	f := serve(t, says(200, "application/json", `{"choices":[{"message":{"content":"ok"}}]}`))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := f.model(t).Answer(ctx, hello(), nil); err != context.Canceled {
		t.Errorf("got %v", err)
	}
	if n := len(f.asked()); n != 0 {
		t.Errorf("asked %d times", n)
	}
}

// TestSilence owns the clock: what takes minutes here takes none.
func TestSilence(t *testing.T) {
	t.Parallel()
	frame := wire(`{"choices":[{"delta":{"content":"word "}}]}`)
	end := wire(`{"choices":[{"delta":{},"finish_reason":"stop"}]}`) + wire(`[DONE]`)
	tests := map[string]struct {
		transport roundTrip
		streamed  bool
		pause     time.Duration // of the listener, at each word
		deadline  time.Duration // of the question
		timeout   time.Duration // of the program's client
		want      string        // the error, or the answer
		took      time.Duration
	}{
		"no answer": {
			transport: silent,
			want:      "timeout: the answer did not begin within 10m0s", took: patience,
		},
		"no answer before the deadline": {
			transport: silent,
			deadline:  time.Minute,
			want:      "context deadline exceeded", took: time.Minute,
		},
		"no answer before the client's timeout": {
			transport: silent,
			timeout:   time.Minute,
			want:      "timeout: cannot reach fake.test: it took too long", took: time.Minute,
		},
		"an answer that stands still": {
			transport: pipe("application/json", func(ctx context.Context, w io.Writer) { io.WriteString(w, "{"); <-ctx.Done() }),
			want:      "timeout: the answer stood still for 5m0s", took: silence,
		},
		"a stream that stands still": {
			transport: pipe("text/event-stream", func(ctx context.Context, w io.Writer) {
				time.Sleep(silence - 1)
				io.WriteString(w, frame)
				<-ctx.Done()
			}),
			streamed: true,
			want:     "timeout: the answer stood still for 5m0s", took: 2*silence - 1,
		},
		"a stream up to the deadline": {
			transport: pipe("text/event-stream", func(ctx context.Context, w io.Writer) { io.WriteString(w, frame); <-ctx.Done() }),
			streamed:  true, deadline: time.Minute,
			want: "context deadline exceeded", took: time.Minute,
		},
		"a slow stream": {
			transport: pipe("text/event-stream", func(ctx context.Context, w io.Writer) {
				for range 2 {
					time.Sleep(silence - 1)
					io.WriteString(w, ": thinking\n\n")
					time.Sleep(silence - 1)
					io.WriteString(w, frame)
				}
				io.WriteString(w, end)
			}),
			streamed: true,
			want:     "word word ", took: 4 * (silence - 1),
		},
		"a stream that never ends": {
			transport: pipe("text/event-stream", func(ctx context.Context, w io.Writer) {
				for sleep(ctx, time.Now().Add(time.Second)) == nil {
					io.WriteString(w, frame)
				}
			}),
			streamed: true,
			want:     "timeout: the answer was not complete within 30m0s", took: endurance,
		},
		"an answer that comes by the byte": {
			transport: pipe("application/json", func(ctx context.Context, w io.Writer) {
				for sleep(ctx, time.Now().Add(time.Second)) == nil {
					io.WriteString(w, " ")
				}
			}),
			want: "timeout: the answer was not complete within 30m0s", took: endurance,
		},
		"a slow listener": {
			transport: pipe("text/event-stream", func(ctx context.Context, w io.Writer) { io.WriteString(w, frame+frame); io.WriteString(w, end) }),
			streamed:  true, pause: 2 * silence,
			want: "word word ", took: 4 * silence,
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), cmp.Or(tt.deadline, 1000*time.Hour))
				defer cancel()
				asked := 0
				client := &http.Client{Timeout: tt.timeout, Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
					asked++
					return tt.transport(r)
				})}
				var text func(string)
				if tt.streamed {
					text = func(string) { time.Sleep(tt.pause) }
				}
				start := time.Now()
				answer, err := open(t, client, "http://fake.test/v1").Answer(ctx, hello(), text)
				got := answer.Text
				if err != nil {
					got = tell(err)
				}
				if got != tt.want {
					t.Errorf("\n got %s\nwant %s", got, tt.want)
				}
				if took := time.Since(start); took != tt.took {
					t.Errorf("took %v, want %v", took, tt.took)
				}
				if asked != 1 {
					t.Errorf("asked %d times", asked)
				}
			})
		})
	}
}

// silent never answers.
func silent(r *http.Request) (*http.Response, error) {
	<-r.Context().Done()
	return nil, r.Context().Err()
}

// TestPanicOfTheListener holds that a broken listener leaves no request behind.
func TestPanicOfTheListener(t *testing.T) {
	t.Parallel()
	gone := make(chan struct{})
	f := serve(t, func(w http.ResponseWriter, r *http.Request) {
		defer close(gone)
		streams(`{"choices":[{"delta":{"content":"o"}}]}`)(w, r)
		<-r.Context().Done()
	})
	func() {
		defer func() {
			if recover() == nil {
				t.Error("the panic got lost")
			}
		}()
		_, _ = f.model(t).Answer(t.Context(), hello(), func(string) { panic("broken") })
	}()
	soon(t, "the end of the request", gone)
}

func TestEveryStreamIsBounded(t *testing.T) {
	t.Parallel()
	comment := append(bytes.Repeat([]byte(":"), 1<<20), '\n')
	client := &http.Client{Transport: pipe("text/event-stream", func(ctx context.Context, w io.Writer) {
		for {
			if _, err := w.Write(comment); err != nil {
				return
			}
		}
	})}
	_, err := open(t, client, "http://fake.test/v1").Answer(t.Context(), hello(), func(string) {})
	if got, want := tell(err), "model: the answer is too large"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// TestHome holds that nothing goes to another place than the provider's, and the key not even to langchaingo.
func TestHome(t *testing.T) {
	t.Parallel()
	var asked []string
	client := &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
		asked = append(asked, r.URL.String()+" "+r.Header.Get("Authorization"))
		return nil, errors.New("enough")
	})}
	home := &url.URL{Scheme: "https", Host: "models.test", Path: "/v1"}
	for _, address := range []string{
		"https://models.test/v1/chat/completions", "http://models.test/v1/chat/completions", "https://models.test:8443/v1/chat/completions",
		"https://models.test.evil.test/v1", "https://evil.test/?models.test", "https://user@evil.test/v1",
	} {
		x := &exchange{client: client, home: home, key: secret, dialect: &completion{}}
		req := httptest.NewRequest(http.MethodPost, address, strings.NewReader("{}"))
		req.Header.Set("Authorization", "Bearer none")
		if resp, err := x.Do(req); err == nil {
			resp.Body.Close()
			t.Errorf("%s: there is an answer", address)
		}
	}
	if got, want := strings.Join(asked, "\n"), "https://models.test/v1/chat/completions Bearer "+secret; got != want {
		t.Errorf("asked %s, want %s", got, want)
	}
}

// TestProxy runs itself again with proxies in the environment, which Go reads once.
func TestProxy(t *testing.T) {
	if os.Getenv("HTTPS_PROXY") != "http://proxy.test:1" {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestProxy$")
		cmd.Env = append(os.Environ(), "HTTP_PROXY=http://proxy.test:1", "HTTPS_PROXY=http://proxy.test:1", "ALL_PROXY=http://proxy.test:1", "NO_PROXY=near.test")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%v: %s", err, out)
		}
		return
	}
	transport, ok := NewSet().client.Transport.(*http.Transport)
	if !ok {
		t.Fatal("the client has another transport")
	}
	for address, want := range map[string]string{
		"https://models.test/v1":  "http://proxy.test:1",
		"https://near.test/v1":    "<nil>",
		"http://models.test/v1":   "<nil>",
		"http://192.0.2.7:11434/": "<nil>",
	} {
		to, err := transport.Proxy(httptest.NewRequest(http.MethodPost, address, nil))
		if err != nil || fmt.Sprint(to) != want {
			t.Errorf("%s goes through %v (%v), want %s", address, to, err, want)
		}
	}
}

// plain is a dialect whose frames are nothing but text.
type plain struct{ dialect }

func (plain) event(e event) (string, error) { return string(e.data), nil }
func (plain) end() error                    { return io.EOF }

func TestTextIsBounded(t *testing.T) {
	t.Parallel()
	frame := "data: " + strings.Repeat("x", 1<<20) + "\n\n"
	for count, want := range map[int]string{maxReply >> 20: "<nil>", maxReply>>20 + 1: "model: the answer is too large"} {
		heard := 0
		x := &exchange{dialect: plain{}, text: func(piece string) { heard += len(piece) }}
		text, err := x.listen(newEvents(strings.NewReader(strings.Repeat(frame, count))))
		if got := tell(err); got != want || heard != maxReply {
			t.Errorf("got %s, want %s; heard %d bytes", got, want, heard)
		}
		if (err == nil) != (len(text) == maxReply) {
			t.Errorf("the text has %d bytes", len(text))
		}
	}
}

// FuzzAnswer holds that no answer makes langchaingo or its checks panic, and that what counts as one has text or calls
// that can be asked about again.
func FuzzAnswer(f *testing.F) {
	for _, seed := range []string{
		"data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"ok\"},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n",
		"data: {\"choices\":[null]}\n\ndata: {\"choices\":[{\"index\":-1,\"delta\":{\"tool_calls\":[null]}}]}\n\ndata: [DONE]\n\n",
		"event: error\ndata: {\"error\":[[{}]]}\n\n",
		"data:\n\n\r\n:\n\ndata\n",
		"data: " + strings.Join(claudeStream(`{"type":"content_block_start","index":0,"content_block":{"type":"text","text":"ok"}}`), "\n\ndata: ") + "\n\n",
		"data: {\"type\":\"content_block_delta\",\"index\":-1,\"delta\":null}\n\n",
		`{"content":[null,{"type":"text","text":"ok"}],"stop_reason":"end_turn","usage":[]}`,
		`{"choices":[null,{"message":null}],"usage":[]}`,
		`{"choices":[{"message":{"content":"ok"}}]}`,
		`{"choices":[{"message":{"tool_calls":[null,{"id":"c1","function":{"name":"f","arguments":"{"}}]},"finish_reason":"tool_calls"}]}`,
		"data: {\"choices\":[{\"delta\":{\"tool_calls\":[{\"index\":1,\"id\":\"c2\",\"function\":{\"name\":\"web_get\"}},{\"index\":0,\"function\":{\"arguments\":{}}}]}}]}\n\n" +
			"data: {\"choices\":[{\"delta\":{\"tool_calls\":[{\"function\":{\"arguments\":\"{}\"}},{\"index\":-1}],\"reasoning_content\":\"Hm.\"},\"finish_reason\":\"tool_calls\"}]}\n\n",
		`{"content":[{"type":"thinking","signature":"s"},{"type":"tool_use","id":"c1","name":"f","input":[1]},{"type":"tool_use"}],"stop_reason":"tool_use"}`,
		"data: " + strings.Join(claudeStream(`{"type":"content_block_start","index":0,"content_block":{"type":"tool_use","name":"f","input":{"a":1}}}`,
			`{"type":"content_block_delta","index":0,"delta":{"partial_json":"{\"a"}}`, `{"type":"content_block_start","index":1,"content_block":{"type":"redacted_thinking"}}`), "\n\ndata: ") + "\n\n",
		"",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		for _, ref := range []string{"openai/gpt-test", "openai/gpt-test streamed", "anthropic/claude-test", "anthropic/claude-test streamed"} {
			ref, mode, _ := strings.Cut(ref, " ")
			streamed := mode != ""
			contentType := "application/json"
			if streamed {
				contentType = "text/event-stream"
			}
			m := openAs(t, ref, &http.Client{Transport: roundTrip(func(*http.Request) (*http.Response, error) {
				return &http.Response{
					StatusCode: http.StatusOK,
					Header:     http.Header{"Content-Type": {contentType}},
					Body:       io.NopCloser(bytes.NewReader(body)),
				}, nil
			})}, "http://fake.test/v1")
			var heard pieces
			text := heard.hear
			if !streamed {
				text = nil
			}
			q := offering()
			got, err := m.Answer(t.Context(), q, text)
			if err == nil && strings.TrimSpace(got.Text) == "" && len(got.Calls) == 0 {
				t.Errorf("%q counts as an answer", body)
			}
			if len(got.Calls) > 0 {
				q.Messages = append(q.Messages, Message{Model: true, Text: got.Text, Calls: got.Calls, Thoughts: got.Thoughts}, Message{Results: make([]ToolResult, len(got.Calls))})
				fields := map[string]any{"messages": make([]any, len(q.Messages))}
				if err := m.(*remote).dialect(q).request(fields); err != nil {
					t.Errorf("%q cannot be answered: %v", body, err)
				}
				if _, err := json.Marshal([]any{fields, q, got}); err != nil {
					t.Errorf("%q cannot be kept: %v", body, err)
				}
			}
			if err == nil && streamed && strings.Join(heard, "") != got.Text {
				t.Errorf("heard %q of %q", heard, got.Text)
			}
		}
	})
}
