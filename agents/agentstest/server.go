// Package agentstest is servers for tests that misbehave by name: one of models, which speaks OpenAI's chat completions
// and Anthropic's messages, and those of tools. It knows nothing of agents.
package agentstest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
)

// What a good answer says and uses, where a [Server] has no other Reply.
const (
	Reply  = "A good answer."
	Input  = 12 // tokens, with what was cached
	Cached = 4
	Output = 3
)

// Server answers like a provider. The name of the model in a request says how: well, or with one of [Faults] or
// [ToolFaults]. Several names, with commas between them, are for calls one after another, and the last for all later
// ones: "503,429,good". The zero value is ready.
type Server struct {
	Reply string     // of good answers, in place of the usual one
	Calls []ToolCall // of answers that call tools; without any the first tool of the request is called

	mu       sync.Mutex
	requests []Request
	calls    map[string]int // by the name of the model
}

// Request is one that the server got.
type Request struct {
	Host   string
	Path   string
	Header http.Header
	Body   []byte
}

// Requests are those that the server got so far, in order.
func (s *Server) Requests() []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Request(nil), s.requests...)
}

func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the client went away
	}
	var asked asked
	_ = json.Unmarshal(body, &asked) // who sends no JSON names no fault
	c := &call{w: w, r: r, claude: strings.HasSuffix(r.URL.Path, "/messages"), stream: asked.Stream, reply: s.Reply, asked: asked, calls: s.Calls}
	if c.reply == "" {
		c.reply = Reply
	}
	w.Header().Set("X-Request-Id", "req_test")
	if c.claude {
		w.Header().Del("X-Request-Id")
		w.Header().Set("Request-Id", "req_test")
	}
	fault(s.count(r, body, asked.Model))(c)
}

// fault is what the server does by a name, or nil.
func fault(name string) func(c *call) {
	if f := toolFaults[name]; f != nil {
		return f
	}
	return faults[name]
}

// count keeps a request and gives the name of the fault that it wants.
func (s *Server) count(r *http.Request, body []byte, model string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests = append(s.requests, Request{Host: r.Host, Path: r.URL.Path, Header: r.Header.Clone(), Body: body})
	if s.calls == nil {
		s.calls = map[string]int{}
	}
	names := strings.Split(model, ",")
	name := names[min(s.calls[model], len(names)-1)]
	s.calls[model]++
	if fault(name) == nil {
		return good
	}
	return name
}

// Listen serves without a socket, so that a test may own the clock. Each address that is dialed is the server's. stop
// ends it and waits.
func (s *Server) Listen() (dial func(ctx context.Context, network, address string) (net.Conn, error), stop func()) {
	l := &listener{conns: make(chan net.Conn), closed: make(chan struct{})}
	server := &http.Server{Handler: s}
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = server.Serve(l) // until it is closed
	}()
	return l.dial, func() {
		server.Close()
		<-served
	}
}

// listener accepts connections that stay in the process.
type listener struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func (l *listener) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	near, far := net.Pipe()
	select {
	case l.conns <- far:
		return near, nil
	case <-l.closed:
		return nil, errors.New("connection refused")
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (l *listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *listener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

func (l *listener) Addr() net.Addr { return &net.UnixAddr{Name: "memory", Net: "unix"} }

// call is one request to be answered.
type call struct {
	w      http.ResponseWriter
	r      *http.Request
	claude bool
	stream bool
	reply  string
	asked  asked
	calls  []ToolCall
}

// send answers with a body; header is names and values by turns.
func (c *call) send(status int, contentType, body string, header ...string) {
	c.begin(status, contentType, header...)
	c.write(body)
}

func (c *call) begin(status int, contentType string, header ...string) {
	c.w.Header().Set("Content-Type", contentType)
	for i := 0; i+1 < len(header); i += 2 {
		c.w.Header().Set(header[i], header[i+1])
	}
	c.w.WriteHeader(status)
}

// write sends what it is given at once, and tells whether somebody still listens.
func (c *call) write(text string) bool {
	_, err := io.WriteString(c.w, text)
	if f, ok := c.w.(http.Flusher); ok && err == nil {
		f.Flush()
	}
	return err == nil
}

// open begins a good answer of its kind, to be written on.
func (c *call) open(header ...string) {
	if c.stream {
		c.begin(200, "text/event-stream; charset=utf-8", header...)
	} else {
		c.begin(200, "application/json", header...)
	}
}

// complain answers with an error.
func (c *call) complain(status int, kind, message string, header ...string) {
	c.send(status, "application/json", c.complaint(kind, message), header...)
}

func (c *call) complaint(kind, message string) string {
	if c.claude {
		return fmt.Sprintf(`{"type":"error","error":{"type":%q,"message":%q},"request_id":"req_test"}`, kind, message)
	}
	return fmt.Sprintf(`{"error":{"message":%q,"type":%q,"param":null,"code":null}}`, message, kind)
}

// answer is the answer in one piece.
type answer struct {
	text    string
	calls   []ToolCall
	finish  string // OpenAI's word; empty: it is left out
	refusal string
	usage   string // what stands there; empty: it is left out
}

// good is what a good provider answers.
func (c *call) good() answer { return answer{text: c.reply, finish: "stop", usage: c.usage()} }

func (c *call) usage() string {
	if c.claude {
		return fmt.Sprintf(`{"input_tokens":%d,"cache_read_input_tokens":%d,"cache_creation_input_tokens":0,"output_tokens":%d}`, Input-Cached, Cached, Output)
	}
	return fmt.Sprintf(`{"prompt_tokens":%d,"completion_tokens":%d,"total_tokens":%d,"prompt_tokens_details":{"cached_tokens":%d}}`, Input, Output, Input+Output, Cached)
}

// stops are Anthropic's words for OpenAI's.
var stops = map[string]string{"stop": "end_turn", "length": "max_tokens", "content_filter": "refusal", "tool_calls": "tool_use"}

// give sends an answer, in frames where a stream was asked for.
func (c *call) give(a answer) {
	c.open()
	if c.stream {
		c.write(strings.Join(c.frames(a), ""))
		return
	}
	c.write(c.whole(a))
}

// whole is an answer in one piece.
func (c *call) whole(a answer) string {
	if c.claude {
		return fmt.Sprintf(`{"id":"msg_1","type":"message","role":"assistant","model":"test","content":[{"type":"text","text":%s}%s]%s%s}`,
			quote(a.text), c.wholeCalls(a), c.stop(a), field("usage", a.usage))
	}
	refusal := "null"
	if a.refusal != "" {
		refusal = quote(a.refusal)
	}
	return fmt.Sprintf(`{"id":"chatcmpl-1","object":"chat.completion","created":1,"model":"test","choices":[{"index":0,"message":{"role":"assistant","content":%s,"refusal":%s%s},"logprobs":null%s}]%s}`,
		quote(a.text), refusal, c.wholeCalls(a), field("finish_reason", nonempty(a.finish)), field("usage", a.usage))
}

// frames is an answer word by word, with the end last.
func (c *call) frames(a answer) []string {
	var frames []string
	if c.claude {
		frames = append(frames,
			event("message_start", `"message":{"id":"msg_1","type":"message","role":"assistant","model":"test","content":[],"stop_reason":null,"stop_sequence":null`+field("usage", a.usage)+`}`),
			event("content_block_start", `"index":0,"content_block":{"type":"text","text":""}`),
			event("ping", `"ok":true`))
		for _, word := range strings.SplitAfter(a.text, " ") {
			frames = append(frames, event("content_block_delta", `"index":0,"delta":{"type":"text_delta","text":`+quote(word)+`}`))
		}
		delta := strings.TrimPrefix(c.stop(a), ",")
		frames = append(frames, event("content_block_stop", `"index":0`))
		return append(append(frames, c.callFrames(a)...),
			event("message_delta", `"delta":{`+delta+`}`+field("usage", a.usage)),
			event("message_stop", `"ok":true`))
	}
	frames = append(frames, chunk(`"delta":{"role":"assistant","content":""},"finish_reason":null`, ""))
	for _, word := range strings.SplitAfter(a.text, " ") {
		frames = append(frames, chunk(`"delta":{"content":`+quote(word)+`},"finish_reason":null`, ""))
	}
	if a.refusal != "" {
		frames = append(frames, chunk(`"delta":{"refusal":`+quote(a.refusal)+`},"finish_reason":null`, ""))
	}
	return append(append(frames, c.callFrames(a)...), chunk(`"delta":{}`+field("finish_reason", nonempty(a.finish)), a.usage), "data: [DONE]\n\n")
}

// stop is why Anthropic's model stopped.
func (c *call) stop(a answer) string {
	reason := stops[a.finish]
	if a.refusal != "" {
		reason = "refusal"
	}
	s := field("stop_reason", nonempty(reason)) + field("stop_sequence", "null")
	if a.refusal != "" {
		s += field("stop_details", `{"type":"refusal","category":null,"explanation":`+quote(a.refusal)+`}`)
	}
	return s
}

func chunk(choice, usage string) string {
	return `data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"test","choices":[{"index":0,` + choice + `}]` + field("usage", usage) + "}\n\n"
}

func event(name, rest string) string {
	return "event: " + name + "\ndata: {\"type\":\"" + name + "\"," + rest + "}\n\n"
}

// field is one more field of an object, or nothing.
func field(name, value string) string {
	if value == "" {
		return ""
	}
	return `,"` + name + `":` + value
}

func nonempty(s string) string {
	if s == "" {
		return ""
	}
	return quote(s)
}

// quote writes a text as JSON, bytes that are no text too.
func quote(s string) string {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if strings.Contains(s, "\xff") {
		return `"` + s + `"`
	}
	_ = e.Encode(s) // a string can be written
	return strings.TrimSpace(b.String())
}
