package nodes

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/flowrun/flowrun/engine"
	"github.com/flowrun/flowrun/spec"
)

const (
	headerTimeout = 60 * time.Second // from the request to the first of the answer, and
	totalTimeout  = 5 * time.Minute  // to its last, where the file sets no timeout
)

var headerName = regexp.MustCompile("^[A-Za-z0-9!#$%&'*+.^_`|~-]+$") // RFC 9110, section 5.1

func request(o *options) engine.Kind {
	return engine.Kind{
		Shape: spec.Shape{
			Name:    "http",
			Summary: "sends an HTTP request",
			Leaf:    true,
			Fields: []spec.Field{
				addressField(),
				methodField(),
				headersField("headers of the request"),
				bodyField(),
				parseField("what the answer is read as"),
				engine.CacheField(),
			},
			Output: func(n *spec.Node) spec.Type { return parsedType(n.Object) },
			Needs: func(n *spec.Node) []spec.Need {
				if o.mockOf(n) != nil {
					return nil
				}
				return []spec.Need{newRequester(n.Object).need(n.Place("http"))}
			},
			Example: `http: https://example.com/search?q=${{ input }}
timeout: 10s
`,
			Grants: "--allow-net=example.com",
		},
		Slot:  true,
		Fails: engine.HTTP,
		Build: func(n *spec.Node) engine.Body {
			r := newRequester(n.Object)
			r.mock = o.mockOf(n)
			return engine.Body{Act: r.act, Uses: literalHost(r.url), Reads: r.mock.reads()}
		},
	}
}

func addressField() spec.Field {
	return spec.Field{Name: "http", Form: spec.Template{Insert: insert, Check: checkAddress("http")}, Summary: "the address; what ${{ }} puts behind a = of its query is encoded"}
}

func methodField() spec.Field {
	return spec.Field{Name: "method", Form: spec.Word{Of: []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"}}, Summary: "without it GET, or POST where there is a body"}
}

func headersField(summary string) spec.Field {
	return spec.Field{Name: "headers", Form: spec.Map{Of: spec.Template{}, Keys: &spec.Text{Pattern: headerName, Is: "the name of a header"}}, Secrets: true, Summary: summary}
}

func bodyField() spec.Field {
	return spec.Field{Name: "body", Form: spec.OneOf{spec.Template{}, spec.Data{}}, Summary: "the body: a text, or data that is sent as JSON"}
}

func newRequester(o *spec.Object) *requester {
	return &requester{url: o.Expr("http"), method: o.Text("method"), headers: o.Entries("headers"), body: o.Expr("body"), parse: o.Text("parse")}
}

// checkAddress finds in a field an address that no request can go to.
func checkAddress(field string) func(prefix string, whole bool) (problem, hint string) {
	return func(prefix string, whole bool) (problem, hint string) {
		for _, scheme := range []string{"http://", "https://"} {
			common := min(len(prefix), len(scheme))
			switch {
			case !strings.EqualFold(prefix[:common], scheme[:common]), whole && common < len(scheme):
			case whole && hostOf(prefix) == "":
				return fmt.Sprintf("%s: %s names no host", field, short(prefix)), ""
			case whole && engine.OddHost(hostOf(prefix)):
				return fmt.Sprintf("%s: the host of %s is a number that programs read in different ways", field, short(prefix)), "write the address as four numbers such as 192.0.2.1"
			default:
				return "", ""
			}
		}
		return fmt.Sprintf("%s: %s is no address", field, short(prefix)), "it begins with https:// or http://"
	}
}

// addressOf reads an address that a request may go to.
func addressOf(address string) (*url.URL, error) {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" {
		return nil, fmt.Errorf("%s is no http or https address", short(address))
	}
	return u, nil
}

// literalHost is the host of an address that the file names literally; empty where only the run knows it.
func literalHost(x *spec.Expr) string {
	prefix, whole := x.Prefix()
	scheme, rest, ok := strings.Cut(prefix, "://")
	if !ok {
		return ""
	}
	end := strings.IndexAny(rest, "/?#")
	if end < 0 {
		if !whole {
			return ""
		}
		end = len(rest)
	}
	return hostOf(scheme + "://" + rest[:end])
}

type requester struct {
	mock    *Mock // answers in its place, if there is one
	url     *spec.Expr
	method  string
	headers []spec.Entry
	body    *spec.Expr
	parse   string
	tool    *tool // that it is; nil for a node
}

func (r *requester) need(at spec.Pos) spec.Need { return requestNeed(r.method, r.url, at) }

func (r *requester) act(ctx context.Context, c *engine.Call) (any, error) {
	headers, err := headerLines(c, r.headers)
	if err != nil {
		return nil, err
	}
	req, err := r.request(ctx, c, headers)
	if err != nil {
		return nil, err
	}
	if r.mock != nil {
		return r.mock.answer(ctx, c, req.Method+" "+req.URL.String(), r.parse)
	}
	out, err := engine.Ask(ctx, c, engine.Request[string]{Needs: []spec.Need{{Grant: "net", Name: req.URL.Host}}, Content: func() *engine.Content {
		return contentOf(req, headers)
	}, Keep: parses(r.parse), Do: bounded(r.tool, func(ctx context.Context) (string, error) {
		if !c.Bounded() {
			var cancel context.CancelFunc
			ctx, cancel = context.WithTimeout(ctx, totalTimeout)
			defer cancel()
		}
		return send(req.WithContext(ctx), c)
	})})
	if err != nil {
		return nil, err
	}
	return parsed(out, r.parse)
}

// headerLines are declared headers with their values, each a single line.
func headerLines(c *engine.Call, entries []spec.Entry) ([]setting, error) {
	headers, err := evaluated(c, entries)
	if err != nil {
		return nil, err
	}
	for _, h := range headers {
		if strings.ContainsAny(h.value, "\r\n\x00") {
			return nil, fmt.Errorf("the header %s must be a single line", h.name)
		}
	}
	return headers, nil
}

// contentOf is all that shapes the answer to a request for which the file declares headers.
func contentOf(req *http.Request, declared []setting) *engine.Content {
	headers := map[string]any{"Host": req.Host}
	for name, values := range req.Header {
		headers[name] = texts(values)
	}
	body, err := req.GetBody()
	if err != nil {
		return nil
	}
	b, _ := io.ReadAll(body) // of a text in memory
	return &engine.Content{Kind: "http", Label: req.Method + " " + req.URL.Host, Here: map[string]any{"headers": headers},
		Value: present(map[string]any{"method": req.Method, "url": req.URL.String(), "headers": disclosed(declared), "body": string(b)})}
}

func (r *requester) request(ctx context.Context, c *engine.Call, headers []setting) (*http.Request, error) {
	address, err := text(c, r.url, nil)
	if err != nil {
		return nil, err
	}
	u, err := addressOf(address)
	if err != nil {
		return nil, err
	}
	method, content, kind := r.method, "", ""
	if r.body != nil {
		v, err := c.Eval(r.body)
		if err != nil {
			return nil, err
		}
		if content, kind = spec.AsText(v), "text/plain; charset=utf-8"; !isText(v) {
			kind = "application/json"
		}
		if method == "" {
			method = http.MethodPost
		}
	}
	u.RawQuery = fit(u.RawQuery)
	req, err := http.NewRequestWithContext(ctx, method, u.String(), strings.NewReader(content))
	if err != nil {
		return nil, fmt.Errorf("making the request: %w", err)
	}
	req.Header.Set("User-Agent", "flowrun")
	if kind != "" {
		req.Header.Set("Content-Type", kind)
	}
	for _, h := range headers {
		if req.Header.Set(h.name, h.value); http.CanonicalHeaderKey(h.name) == "Host" {
			req.Host = h.value // where net/http looks
		}
	}
	return req, nil
}

// insert makes text fit for its place in an address. Behind the = of a query it is a value, whatever it holds; elsewhere
// it may be a part of the address itself.
func insert(before, text string) string {
	i := strings.LastIndexAny(before, "?&=#")
	if i < 0 || before[i] != '=' || !strings.Contains(before[:i], "?") {
		return text
	}
	return strings.ReplaceAll(url.QueryEscape(text), "+", "%20")
}

// fit encodes what no query may hold.
func fit(query string) string {
	var b strings.Builder
	for i := range len(query) {
		if c := query[i]; c <= ' ' || c >= 0x7f || strings.IndexByte("\"<>\\^`{|}", c) >= 0 {
			fmt.Fprintf(&b, "%%%02X", c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

func isText(v any) bool {
	_, ok := v.(string)
	return ok
}

// send makes a request. Each host on the way must be granted.
func send(req *http.Request, c *engine.Call) (string, error) {
	patience := headerTimeout
	if c.Bounded() {
		patience = 0
	}
	client := newClient(c.Grants(), patience)
	resp, err := client.Do(req)
	if err != nil {
		return "", unreached(req, err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxReply+1))
	switch {
	case err != nil:
		return "", unreached(req, err)
	case len(b) > maxReply:
		return "", engine.Errorf(engine.Limit, "the answer is longer than %d MiB", maxReply>>20)
	case resp.StatusCode >= 400:
		return "", refused(resp.Status, strings.TrimSpace(c.Hide(string(b[:min(len(b), 64<<10)]))))
	}
	return string(b), nil
}

func refused(status, why string) error {
	if why == "" {
		return fmt.Errorf("status %s", status)
	}
	return fmt.Errorf("status %s: %s", status, short(why))
}

// unreached classes an error of the transport.
func unreached(req *http.Request, err error) error {
	ctx := req.Context()
	var ours *engine.Error
	var u *url.Error
	var dial *net.OpError
	switch {
	case errors.As(err, &ours):
		return ours
	case context.Cause(ctx) != nil && !errors.Is(ctx.Err(), context.DeadlineExceeded):
		return context.Cause(ctx)
	case errors.As(err, &u) && u.Timeout(), errors.Is(err, context.DeadlineExceeded):
		return engine.Errorf(engine.Timeout, "the request took too long")
	case errors.As(err, &dial) && dial.Op == "dial":
		return engine.Errorf(engine.Network, "cannot reach %s: %w", req.URL.Host, dial.Err)
	case errors.As(err, &u):
		return engine.Errorf(engine.Network, "%w", u.Err)
	}
	return engine.Errorf(engine.Network, "%w", err)
}

// short quotes a value for a message.
func short(v any) string {
	s := spec.AsText(v)
	const most = 200
	if r := []rune(s); len(r) > most {
		s = string(r[:most]) + "…"
	}
	return fmt.Sprintf("%q", s)
}
