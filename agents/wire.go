package agents

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"mime"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// The bounds of one exchange with a provider.
const (
	maxReply  = 16 << 20  // bytes of an answer, and of one line of its stream
	maxStream = 256 << 20 // bytes of a stream: a frame may be much larger than the word that it brings
	maxError  = 64 << 10  // bytes read of an answer that is an error
	maxQuote  = 300       // characters of a message, where a provider's own words may stand

	// patience is how long a server may take to begin its answer. One that does not stream begins when the model has
	// thought to the end; OpenAI's own clients wait as long.
	patience = 10 * time.Minute
	// silence is how long a server may take between two pieces of its answer: models think in the middle too.
	silence = 5 * time.Minute
	// endurance is how long an answer may take in all: models think.
	endurance = 30 * time.Minute
)

// newTransport is what a [Set] shares between its models.
func newTransport() *http.Transport {
	return &http.Transport{
		Proxy:               proxy,
		DialContext:         dial,
		ForceAttemptHTTP2:   true,
		TLSHandshakeTimeout: 10 * time.Second,
		MaxIdleConns:        100,
		MaxIdleConnsPerHost: 16,
		IdleConnTimeout:     90 * time.Second,
	}
}

// proxy is the one of the environment (HTTPS_PROXY, NO_PROXY) for what it cannot read. A request without encryption goes
// straight to its server, or the proxy would see the question and the key.
func proxy(r *http.Request) (*url.URL, error) {
	if r.URL.Scheme != "https" {
		return nil, nil
	}
	return http.ProxyFromEnvironment(r)
}

// refuseRedirects makes a client return a redirect as the answer. Followed, it would take the question to another host,
// and the key along to another port of the same.
func refuseRedirects(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// dialect is what an [exchange] must know of the API that a provider speaks. One value serves one exchange. Its errors
// are of type [*Error].
type dialect interface {
	// ask asks langchaingo, whose HTTP client is x, and gives the text of the answer.
	ask(ctx context.Context, m *remote, x *exchange) (string, error)
	// authorize puts the key into the header of a request.
	authorize(h http.Header, key string)
	// request completes the request that langchaingo wrote.
	request(fields map[string]any) error
	// whole takes an answer that came in one piece, and gives its text.
	whole(body []byte) (string, error)
	// event takes a piece of an answer that streams, and gives the text in it. Its error is [io.EOF] where that was the
	// last.
	event(e event) (string, error)
	// end is for a stream that ended by itself: [io.EOF] where nothing is missing.
	end() error
	// reply is the answer as langchaingo reads it.
	reply(text string) ([]byte, error)
	// flaw is what makes a complete answer none, or nil.
	flaw(text string) error
	// settings puts the parameters of the question into a request.
	settings(fields map[string]any)
	// used is the tokens that were told, with an error too.
	used() Usage
	// called is the tools that a complete answer calls.
	called() []ToolCall
	// thoughts is what the provider wants back with the results of the calls, or nil.
	thoughts() json.RawMessage
}

// exchange is one request and its answer. It is the HTTP client that langchaingo uses: langchaingo sees no key, no
// stream, no error and no answer but a good one in one piece. What came it gets wrong: it takes broken streams for whole
// ones, forgets the status of errors, and panics or leaks where a provider is careless.
type exchange struct {
	client  *http.Client
	home    *url.URL     // of the provider: the key goes nowhere else
	key     string       // empty: the server wants none
	text    func(string) // hears the answer as it comes; nil: it comes in one piece
	dialect dialect

	calls     int  // 1 where the request was sent
	owed      bool // an answer began, or may have begun: what it used must be paid for
	requestID string
	err       error // why there is no answer: langchaingo rewrites some errors and loses others
}

// Do sends a request and gives langchaingo the answer when it is complete.
func (x *exchange) Do(req *http.Request) (*http.Response, error) {
	reply, err := x.send(req)
	if err != nil {
		return nil, x.fail(err)
	}
	return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: io.NopCloser(bytes.NewReader(reply)), Request: req}, nil
}

// fail keeps an error as the exchange's, in one short line without the key.
func (x *exchange) fail(err error) error {
	if e, ok := errors.AsType[*Error](err); ok {
		e.Message, e.RequestID = x.words(e.Message), x.words(x.requestID)
	}
	if x.err == nil {
		x.err = err
	}
	return err
}

// words makes a provider's text fit for a message. The key goes first: cut in two it would not be found.
func (x *exchange) words(s string) string {
	if x.key != "" {
		s = strings.ReplaceAll(s, x.key, "***")
	}
	s = strings.ToValidUTF8(s[:min(len(s), maxError)], "")
	s = strings.Join(strings.FieldsFunc(s, func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) }), " ")
	if r := []rune(s); len(r) > maxQuote {
		return string(r[:maxQuote-1]) + "…"
	}
	return s
}

// send gives the answer to a request as langchaingo reads it.
func (x *exchange) send(req *http.Request) ([]byte, error) {
	req, err := x.rewrite(req)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancelCause(req.Context())
	defer cancel(nil)
	over := time.AfterFunc(endurance, func() { cancel(timeout("the answer was not complete within %v", endurance)) })
	defer over.Stop()
	b := &body{caller: req.Context(), ctx: ctx, left: maxReply}
	late := time.AfterFunc(patience, func() { cancel(timeout("the answer did not begin within %v", patience)) })
	x.calls++
	resp, err := x.client.Do(req.WithContext(unchecked(ctx, req.URL)))
	late.Stop()
	if err != nil {
		x.owed = ctx.Err() != nil
		if e, ok := errors.AsType[*url.Error](err); ok {
			err = e.Err // without the address, which stands in front already
		}
		return nil, b.broken("cannot reach "+req.URL.Host, err)
	}
	defer resp.Body.Close()
	b.under = resp.Body
	b.timer = time.AfterFunc(silence, func() { cancel(timeout("the answer stood still for %v", silence)) })
	defer b.timer.Stop()
	text, err := x.receive(resp, b)
	if err != nil {
		return nil, err
	}
	return x.dialect.reply(text)
}

// rewrite gives a request the body that the dialect wants, and the key.
func (x *exchange) rewrite(req *http.Request) (*http.Request, error) {
	if req.URL.Scheme != x.home.Scheme || req.URL.Host != x.home.Host {
		return nil, &Error{Kind: BadRequest, Message: fmt.Sprintf("the request goes to %s, not to %s", req.URL.Host, x.home.Host)}
	}
	data, err := x.complete(req.Body)
	if err != nil {
		return nil, err
	}
	out, err := http.NewRequestWithContext(req.Context(), req.Method, req.URL.String(), bytes.NewReader(data))
	if err != nil {
		return nil, &Error{Kind: BadRequest, Message: err.Error()}
	}
	out.Header = req.Header.Clone()
	out.Header.Set("User-Agent", "flowrun")
	for _, name := range []string{"Authorization", "X-Api-Key"} {
		out.Header.Del(name) // langchaingo's: it knows no server without a key, and has none
	}
	if x.key != "" {
		x.dialect.authorize(out.Header, x.key)
	}
	return out, nil
}

// complete gives the body of a request as the dialect wants it.
func (x *exchange) complete(body io.Reader) ([]byte, error) {
	var fields map[string]any
	if err := json.NewDecoder(body).Decode(&fields); err != nil {
		return nil, &Error{Kind: BadRequest, Message: fmt.Sprintf("reading the request: %v", err)}
	}
	if err := x.dialect.request(fields); err != nil {
		return nil, err
	}
	delete(fields, "stream") // an extra's too: the caller decides by listening or not
	if x.text != nil {
		fields["stream"] = true
	} else {
		delete(fields, "stream_options") // which belongs to a stream
	}
	data, err := json.Marshal(fields)
	if err != nil {
		return nil, &Error{Kind: BadRequest, Message: fmt.Sprintf("writing the request: %v", err)}
	}
	return data, nil
}

// receive checks an answer and gives its text.
func (x *exchange) receive(resp *http.Response, b *body) (string, error) {
	x.requestID = cmp.Or(resp.Header.Get("X-Request-Id"), resp.Header.Get("Request-Id"))
	packed := resp.Header.Get("Content-Encoding") // what was asked for is unpacked already
	if packed == "identity" {
		packed = ""
	}
	if resp.StatusCode != http.StatusOK {
		return "", refused(resp, b, packed)
	}
	x.owed = true
	if packed != "" {
		return "", &Error{Kind: BadAnswer, Message: fmt.Sprintf("the answer is packed as %s, which nobody asked for", packed)}
	}
	form, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if x.text != nil && form == "text/event-stream" {
		b.left = maxStream
		return x.listen(newEvents(b))
	}
	data, err := io.ReadAll(b)
	if err != nil {
		return "", err
	}
	if x.text != nil && form != "application/json" {
		return "", &Error{Kind: BadAnswer, Message: fmt.Sprintf("the answer is no event stream but %s: %s", cmp.Or(form, "without a type"), data)}
	}
	text, err := x.dialect.whole(data)
	if err == nil && x.text != nil && text != "" {
		x.text(text) // some servers do not stream
	}
	return text, err
}

// listen gives the text of a stream that was read to its end.
func (x *exchange) listen(frames *events) (string, error) {
	var text strings.Builder
	for {
		piece, err := x.next(frames)
		if text.Len()+len(piece) > maxReply {
			return "", &Error{Kind: BadAnswer, Message: "the answer is too large"}
		}
		if piece != "" {
			text.WriteString(piece)
			x.text(piece)
		}
		if err == io.EOF {
			return text.String(), nil
		}
		if err != nil {
			return "", err
		}
	}
}

// next is the text of the next frame. Its error is [io.EOF] where that was the last.
func (x *exchange) next(frames *events) (string, error) {
	e, err := frames.next()
	switch {
	case err == io.EOF:
		return "", x.dialect.end()
	case err == bufio.ErrTooLong:
		return "", &Error{Kind: BadAnswer, Message: "a piece of the answer is too large"}
	case err != nil:
		return "", err
	}
	return x.dialect.event(e)
}

// refused is the error of an answer with another status than 200.
func refused(resp *http.Response, body io.Reader, packed string) error {
	e := &Error{Kind: kindOf(resp.StatusCode), Status: resp.StatusCode, RetryAfter: retryAfter(resp.Header, time.Now())}
	if to, err := resp.Location(); err == nil && e.Status/100 == 3 {
		e.Message = "redirects are refused, and this one leads to " + to.Host
		return e
	}
	var data []byte
	if packed == "" {
		data, _ = io.ReadAll(io.LimitReader(body, maxError)) // what came of it will do
	}
	c := complaintIn(data)
	switch {
	case slices.Contains(c.names, "insufficient_quota"):
		e.Kind = BadRequest // OpenAI says so with status 429, but waiting does not help
	case slices.Contains(c.names, "api_key_invalid"):
		e.Kind = Auth // Gemini says so with status 400
	}
	e.Elsewhere = e.Status == http.StatusNotFound || e.Status == http.StatusPaymentRequired || c.elsewhere()
	e.Message = cmp.Or(c.message, strings.ToLower(http.StatusText(e.Status)), "no reason given")
	return e
}

// retryAfter is how long a provider asks to wait. See RFC 9110, section 10.2.3; OpenAI and Azure say it in milliseconds
// too, which is more exact.
func retryAfter(h http.Header, now time.Time) time.Duration {
	if ms, err := strconv.ParseFloat(h.Get("Retry-After-Ms"), 64); err == nil {
		return span(ms, time.Millisecond)
	}
	after := h.Get("Retry-After")
	if s, err := strconv.ParseFloat(after, 64); err == nil {
		return span(s, time.Second)
	}
	if t, err := http.ParseTime(after); err == nil {
		return span(float64(t.Sub(now)), time.Nanosecond)
	}
	return 0
}

// span is n times a unit, from 0 to one day: what no [time.Duration] can hold is not meant.
func span(n float64, unit time.Duration) time.Duration {
	if n <= 0 || math.IsNaN(n) {
		return 0
	}
	return time.Duration(min(n, float64(24*time.Hour/unit)) * float64(unit))
}

// body is an answer as it comes. Reading it ends with the caller's context, after a silence, and behind left bytes.
type body struct {
	under  io.Reader
	caller context.Context // of the question; here because a Read has none
	ctx    context.Context // of the request
	timer  *time.Timer
	left   int
}

func (b *body) Read(p []byte) (int, error) {
	b.timer.Reset(silence)
	n, err := b.under.Read(p)
	b.timer.Stop() // the reader may take its time
	if b.left -= n; b.left < 0 {
		return 0, &Error{Kind: BadAnswer, Message: "the answer is too large"}
	}
	if err != nil && err != io.EOF {
		err = b.broken("the answer broke off", err)
	}
	return n, err
}

// broken says why a request ended: because its question did, because the server let it wait, or by itself. Its [*Error]
// unwraps to nothing: who looks for the end of a context must not find that of one request.
func (b *body) broken(what string, err error) error {
	if b.caller.Err() != nil {
		return b.caller.Err()
	}
	if late, ok := errors.AsType[*Error](context.Cause(b.ctx)); ok {
		return late
	}
	if e, ok := errors.AsType[net.Error](err); ok && e.Timeout() {
		return timeout("%s: it took too long", what)
	}
	return &Error{Kind: Network, Message: fmt.Sprintf("%s: %v", what, err)}
}

func timeout(format string, args ...any) *Error {
	return &Error{Kind: Timeout, Message: fmt.Sprintf(format, args...)}
}

// complaint is what a provider says is wrong.
type complaint struct {
	message string
	names   []string // its code, type and status, the innermost first
}

// elsewhere tells whether the names say that the model does not exist, or that there is no money left for it.
func (c complaint) elsewhere() bool {
	return slices.ContainsFunc(c.names, func(name string) bool {
		return slices.Contains([]string{"model_not_found", "model_not_available", "invalid_model", "not_found_error", "notfounderror",
			"insufficient_quota", "billing_error", "402", "404"}, name)
	})
}

// complaintIn finds the complaint in the body of an answer; a page is none.
func complaintIn(body []byte) complaint {
	var v any
	if json.Unmarshal(body, &v) == nil {
		c := complain(v)
		c.message = cmp.Or(c.message, string(body)) // better unread than unsaid
		return c
	}
	if bytes.HasPrefix(bytes.TrimSpace(body), []byte("<")) {
		return complaint{}
	}
	return complaint{message: string(body)}
}

// complain finds the complaint in a JSON value. OpenAI and most others write {"error": {"message", "type", "code"}},
// Gemini puts that into a list, Ollama writes {"error": "text"}, Mistral {"message", "type", "code"} with an object for
// a message where it forwards {"detail": [{"msg"}]}, which is what servers made with FastAPI write.
func complain(v any) complaint {
	switch v := v.(type) {
	case string:
		return complaint{message: v}
	case []any:
		if len(v) > 0 {
			return complain(v[0])
		}
	case map[string]any:
		var c complaint
		for _, key := range []string{"error", "detail", "message", "msg"} {
			inner := complain(v[key])
			c.names = append(c.names, inner.names...)
			if c.message = inner.message; c.message != "" {
				break
			}
		}
		for _, detail := range items(v["details"]) { // Gemini's: https://google.aip.dev/193
			detail, _ := detail.(map[string]any)
			if name := label(detail["reason"]); name != "" {
				c.names = append(c.names, name)
			}
		}
		for _, key := range []string{"code", "type", "status"} {
			if name := label(v[key]); name != "" {
				c.names = append(c.names, name)
			}
		}
		return c
	}
	return complaint{}
}

func items(v any) []any {
	all, _ := v.([]any)
	return all
}

// label is a code, type or status, which some write as a number.
func label(v any) string {
	switch v := v.(type) {
	case string:
		return strings.ToLower(v)
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64)
	}
	return ""
}

// reported is the error that an answer with status 200 has in its "error" field, or nil.
func reported(v any) *Error {
	if v == nil || v == "" || v == false {
		return nil
	}
	return failure(complain(v))
}

// failure is a complaint that came with status 200: what its names do not tell is the server's fault.
func failure(c complaint) *Error {
	e := &Error{Kind: Server, Message: cmp.Or(c.message, strings.Join(c.names, " "), "the provider reports an error and does not say which"), Elsewhere: c.elsewhere()}
	for _, name := range c.names {
		if kind := kindNamed(name); kind != "" {
			e.Kind = kind
			break
		}
	}
	return e
}

func kindOf(status int) Kind {
	switch {
	case status == http.StatusUnauthorized, status == http.StatusForbidden:
		return Auth
	case status == http.StatusRequestTimeout:
		return Timeout
	case status == http.StatusTooManyRequests:
		return RateLimit
	case status >= 500, status == http.StatusConflict: // the providers' own clients try both again
		return Server
	case status >= 300:
		return BadRequest
	}
	return BadAnswer
}

// kindNamed is the kind that a code, type or status stands for, in lower case: OpenAI's, Anthropic's and vLLM's names,
// the ones of gRPC that Gemini uses, and OpenRouter's numbers. It is empty where a name says nothing.
func kindNamed(name string) Kind {
	switch name {
	case "rate_limit_exceeded", "rate_limit_error", "requests", "tokens", "too_many_requests", "resource_exhausted":
		return RateLimit
	case "invalid_api_key", "authentication_error", "permission_error", "permission_denied", "unauthenticated":
		return Auth
	case "insufficient_quota", "context_length_exceeded", "model_not_found", "invalid_request_error", "not_found_error",
		"billing_error", "request_too_large", "badrequesterror", "notfounderror", "invalid_argument", "failed_precondition", "not_found":
		return BadRequest
	case "timeout", "timeout_error", "deadline_exceeded":
		return Timeout
	case "content_filter":
		return Filtered
	}
	if status, err := strconv.Atoi(name); err == nil && status >= 400 {
		return kindOf(status)
	}
	return ""
}
