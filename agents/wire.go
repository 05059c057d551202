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
	"mime"
	"net"
	"net/http"
	"net/url"
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
