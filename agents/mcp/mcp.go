// Package mcp speaks to servers of the Model Context Protocol, over the standard streams of a process or over HTTP, and
// holds them to bounds. It knows nothing of how a process is started, of pipelines, or of models.
package mcp

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	sdk "github.com/modelcontextprotocol/go-sdk/mcp"
)

const (
	maxReply   = 16 << 20 // bytes of a tool's result
	maxLine    = 24 << 20 // bytes of one message: a result, as JSON writes it
	maxTraffic = 64 << 20 // bytes that a server may send for one request; maxLine more for each beside it
	maxTools   = 10_000   // that a server may list
	maxSchema  = 256 << 10
	farewell   = time.Second // for a server's part in the end of a session
)

// Tool is one of a server's.
type Tool struct {
	Name        string          `json:"name"`
	Description string          `json:"description,omitempty"`
	Schema      json.RawMessage `json:"schema,omitempty"` // of its arguments
}

// Result is what a tool gave.
type Result struct {
	Text   string          `json:"text,omitempty"`   // of all its parts; what is no text is only named
	Data   json.RawMessage `json:"data,omitempty"`   // its structured content; nil where there is none
	Failed bool            `json:"failed,omitempty"` // the text says why
}

// Client speaks to one server. It may be used by several goroutines at once.
type Client struct {
	session *sdk.ClientSession
	open    atomic.Int64          // requests that wait for their answer
	traffic atomic.Int64          // bytes since the first of them began, less what those after it may have
	broken  atomic.Pointer[error] // why nothing more is read, where the library would say it in its own way
	gone    atomic.Bool           // a process closed its streams
	cut     context.CancelFunc

	mu    sync.Mutex
	tools []Tool
	stale atomic.Bool // the tools are to be listed anew
}

// Speak begins a session over the streams of a process. Close closes them.
func Speak(ctx context.Context, out io.ReadCloser, in io.WriteCloser) (*Client, error) {
	c := &Client{cut: func() { in.Close(); out.Close() }}
	return c, c.connect(ctx, &sdk.IOTransport{Reader: newLines(c, out), Writer: &sender{in, c}, MaxLineLength: maxLine})
}

// Ended says of an error that it is because the process is gone, and not for what it said.
func (c *Client) Ended(err error) bool {
	var said *jsonrpc.Error
	return c.gone.Load() && !errors.As(err, &said)
}

// Dial begins a session with a server at an address. Requests go through a transport, with some headers.
func Dial(ctx context.Context, address string, headers http.Header, through http.RoundTripper) (*Client, error) {
	c := &Client{}
	var base context.Context
	base, c.cut = context.WithCancel(context.WithoutCancel(ctx))
	client := &http.Client{Transport: &caller{client: c, base: base, headers: headers, through: through}, CheckRedirect: func(*http.Request, []*http.Request) error {
		return errors.New("it redirects, which a server of tools must not")
	}}
	err := c.connect(ctx, &sdk.StreamableClientTransport{Endpoint: address, HTTPClient: client, MaxRetries: -1, DisableStandaloneSSE: true, MaxEventSize: maxLine})
	if err != nil {
		c.cut()
	}
	return c, err
}

func (c *Client) connect(ctx context.Context, t sdk.Transport) error {
	client := sdk.NewClient(&sdk.Implementation{Name: "flowrun", Version: "1"}, &sdk.ClientOptions{
		Capabilities:           &sdk.ClientCapabilities{}, // it gives servers nothing
		ToolListChangedHandler: func(context.Context, *sdk.ToolListChangedRequest) { c.stale.Store(true) },
	})
	session, err := client.Connect(ctx, t, nil)
	if err != nil {
		return c.plain(err)
	}
	c.session = session
	c.stale.Store(true)
	return nil
}

// Close ends the session. A server that does not play its part is left after a second.
func (c *Client) Close() {
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if c.session != nil {
			_ = c.session.Close() // whatever it says, nobody speaks to it any more
		}
	}()
	select {
	case <-ended:
	case <-time.After(farewell):
	}
	c.cut()
	<-ended
}

var toolName = regexp.MustCompile(`^[A-Za-z0-9_./-]{1,128}$`)

// Tools lists the server's tools: again only where it said that they changed, or somebody misses one.
func (c *Client) Tools(ctx context.Context, again bool) ([]Tool, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.stale.CompareAndSwap(true, false) && !again {
		return c.tools, nil
	}
	tools, err := c.list(ctx)
	if err != nil {
		c.stale.Store(true)
		return nil, err
	}
	c.tools = tools
	return tools, nil
}

func (c *Client) list(ctx context.Context) ([]Tool, error) {
	defer c.begin()()
	var tools []Tool
	seen := map[string]bool{}
	cursors := map[string]bool{}
	for cursor := ""; ; {
		page, err := c.session.ListTools(ctx, &sdk.ListToolsParams{Cursor: cursor})
		if err != nil {
			return nil, c.plain(err)
		}
		for _, t := range page.Tools {
			if t == nil || !toolName.MatchString(t.Name) {
				return nil, fmt.Errorf("it lists a tool whose name must have letters, digits and _.-/ only, at most 128: %s", quoted(t))
			}
			if seen[t.Name] {
				return nil, fmt.Errorf("it lists the tool %s twice", t.Name)
			}
			if seen[t.Name] = true; len(seen) > maxTools {
				return nil, fmt.Errorf("it lists more than %d tools", maxTools)
			}
			schema, err := json.Marshal(t.InputSchema)
			if err != nil || len(schema) > maxSchema {
				return nil, fmt.Errorf("the arguments of its tool %s have a schema of more than %d KiB", t.Name, maxSchema>>10)
			}
			tools = append(tools, Tool{t.Name, strings.ToValidUTF8(t.Description, "\uFFFD"), schema})
		}
		if cursor = page.NextCursor; cursor == "" {
			return tools, nil
		}
		if cursors[cursor] || len(cursors) > maxTools {
			return nil, errors.New("its list of tools does not end")
		}
		cursors[cursor] = true
	}
}

// begin is for a request that begins; the function returned is for its end.
func (c *Client) begin() (end func()) {
	if c.open.Add(1) == 1 {
		c.traffic.Store(0)
	} else {
		c.traffic.Add(-maxLine)
	}
	return func() { c.open.Add(-1) }
}

func quoted(t *sdk.Tool) string {
	if t == nil {
		return "null"
	}
	name := []rune(t.Name)
	return fmt.Sprintf("%+q", string(name[:min(len(name), 64)]))
}

// Call calls a tool. The error says what is wrong with the server or what is between; what is wrong with the call is a
// result that failed.
func (c *Client) Call(ctx context.Context, name string, arguments map[string]any) (Result, error) {
	defer c.begin()()
	got, err := c.session.CallTool(ctx, &sdk.CallToolParams{Name: name, Arguments: arguments})
	if err != nil {
		return Result{}, c.plain(err)
	}
	if len(got.InputRequests) > 0 {
		return Result{}, errors.New("it asks for more input, which it does not get here")
	}
	r := Result{Failed: got.IsError}
	var parts []string
	for _, part := range got.Content {
		parts = append(parts, text(part))
	}
	r.Text = strings.ToValidUTF8(strings.Join(parts, "\n"), "\uFFFD")
	if got.StructuredContent != nil && !got.IsError {
		if r.Data, err = structured(got.StructuredContent); err != nil {
			return Result{}, err
		}
	}
	if len(r.Text)+len(r.Data) > maxReply {
		return Result{}, ErrTooMuch
	}
	return r, nil
}

// ErrTooMuch is that of a result or a message that is too long.
var ErrTooMuch = fmt.Errorf("it answered with more than %d MiB", maxReply>>20)

// text is a part of a result as text.
func text(part sdk.Content) string {
	switch part := part.(type) {
	case *sdk.TextContent:
		return part.Text
	case *sdk.ImageContent:
		return fmt.Sprintf("[image %s, %d bytes]", part.MIMEType, len(part.Data))
	case *sdk.AudioContent:
		return fmt.Sprintf("[audio %s, %d bytes]", part.MIMEType, len(part.Data))
	case *sdk.ResourceLink:
		return fmt.Sprintf("[resource %s]", part.URI)
	case *sdk.EmbeddedResource:
		switch r := part.Resource; {
		case r == nil:
		case r.Blob == nil && utf8.ValidString(r.Text):
			return r.Text
		default:
			return fmt.Sprintf("[resource %s, %d bytes]", r.URI, len(r.Blob))
		}
	}
	return "[a part of a kind that is not known]"
}

// plain is an error without what the protocol's library says around those of ours, or in their place.
func (c *Client) plain(err error) error {
	if errors.Is(err, ErrFlood) || c.traffic.Load() > maxTraffic {
		return ErrFlood
	}
	if broken := c.broken.Load(); broken != nil {
		return *broken
	}
	return err
}

// ErrFlood is that of a server which sends more than anybody asked for.
var ErrFlood = fmt.Errorf("it sent more than %d MiB that nobody asked for", maxTraffic>>20)

// metered reads what a server sends, as long as it is not too much.
type metered struct {
	io.ReadCloser
	client *Client
}

func (m *metered) Read(b []byte) (int, error) {
	n, err := m.ReadCloser.Read(b)
	if m.client.traffic.Add(int64(n)) > maxTraffic {
		return 0, ErrFlood
	}
	return n, err
}

// caller sends the requests of a session.
type caller struct {
	client  *Client
	base    context.Context // in which all requests end
	headers http.Header
	through http.RoundTripper
}

func (c *caller) RoundTrip(req *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithCancel(req.Context())
	stop := context.AfterFunc(c.base, cancel)
	end := func() { stop(); cancel() }
	req = req.Clone(ctx)
	for name, values := range c.headers {
		req.Header[name] = values
	}
	resp, err := c.through.RoundTrip(req)
	if err == nil {
		if err = strange(req, resp); err != nil {
			resp.Body.Close()
		}
	}
	if err != nil {
		end()
		return nil, err
	}
	resp.Body = &ending{exactBody(metered{resp.Body, c.client}, resp.Header.Get("Content-Type")), end}
	return resp, nil
}

// strange says of an answer to a call that it is none of the protocol: the library would wait for another.
func strange(req *http.Request, resp *http.Response) error {
	if resp.StatusCode != http.StatusOK || req.Method != http.MethodPost || req.GetBody == nil {
		return nil
	}
	switch kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type")); kind {
	case "application/json", "text/event-stream":
		return nil
	}
	body, err := req.GetBody()
	if err != nil {
		return err
	}
	var m struct {
		ID any `json:"id"`
	}
	if err := json.NewDecoder(body).Decode(&m); err != nil || m.ID == nil {
		return err
	}
	return fmt.Errorf("it answered with %.100q, which is not what a server of tools answers with", resp.Header.Get("Content-Type"))
}

// ending is a body with what is done when it is closed.
type ending struct {
	io.ReadCloser
	end func()
}

func (e *ending) Close() error {
	defer e.end()
	return e.ReadCloser.Close()
}
