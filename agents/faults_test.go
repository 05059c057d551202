package agents

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"github.com/flowrun/flowrun/agents/agentstest"
)

// outcomes is what becomes of every fault: the answer, or the kind of error with what else is certain.
type outcomes struct {
	all   string
	other map[string]string // where it differs: by dialect, by whole or streamed, or by both
	took  time.Duration     // of the test's own clock
}

func (o outcomes) of(dialect, mode string) string {
	for _, where := range []string{dialect + " " + mode, mode, dialect} {
		if s, ok := o.other[where]; ok {
			return s
		}
	}
	return o.all
}

// TestFaults asks a server that does every wrong there is, in both dialects, streaming and not, over Go's whole HTTP and
// by a clock of its own. Nothing is left behind: the bubble waits for every goroutine in it.
func TestFaults(t *testing.T) {
	t.Parallel()
	const (
		whole, streamed = "whole", "streamed"
		openai, claude  = "openai", "anthropic"
		broke           = "network: the answer broke off: "
	)
	ended := broke + "its stream ended before the model did, request req_test"
	tests := map[string]outcomes{
		"good": {all: agentstest.Reply},

		"400":      {all: "bad_request: no such parameter (status 400), request req_test"},
		"401":      {all: "auth: incorrect API key: *** (status 401), request req_test"},
		"403":      {all: "auth: not for you (status 403), request req_test"},
		"404":      {all: "bad_request: the model does not exist (status 404), request req_test"},
		"408":      {all: "timeout: too slow (status 408), request req_test"},
		"409":      {all: "server: busy (status 409), request req_test"},
		"413":      {all: "bad_request: too long (status 413), request req_test"},
		"422":      {all: "bad_request: no such value (status 422), request req_test"},
		"429":      {all: "rate_limit: slow down (status 429), request req_test, after 7s"},
		"429-ms":   {all: "rate_limit: slow down (status 429), request req_test, after 1.5s"},
		"429-date": {all: "rate_limit: slow down (status 429), request req_test, after 1m0s"},
		"500":      {all: "server: internal error (status 500), request req_test"},
		"502":      {all: "server: bad gateway (status 502), request req_test"},
		"503":      {all: "server: no capacity (status 503), request req_test, after 2s"},
		"529":      {all: "server: overloaded (status 529), request req_test"},

		"error-in-200": {all: "rate_limit: slow down, request req_test"},
		"empty-body": {other: map[string]string{
			openai + " " + whole: "model: the answer is no chat completion but nothing, request req_test",
			claude + " " + whole: "model: the answer is no message but nothing, request req_test",
			streamed:             ended,
		}},
		"html": {other: map[string]string{
			openai + " " + whole: "model: the answer is no chat completion but <!DOCTYPE html> <html><body>502 Bad Gateway</body></html>, request req_test",
			claude + " " + whole: "model: the answer is no message but <!DOCTYPE html> <html><body>502 Bad Gateway</body></html>, request req_test",
			streamed:             "model: the answer is no event stream but text/html: <!DOCTYPE html> <html><body>502 Bad Gateway</body></html>, request req_test",
		}},
		"wrong-content-type": {other: map[string]string{
			openai + " " + whole: "model: the answer is no chat completion but hello, request req_test",
			claude + " " + whole: "model: the answer is no message but hello, request req_test",
			streamed:             "model: the answer is no event stream but text/plain: hello, request req_test",
		}},
		"broken-json": {other: map[string]string{
			openai: `model: the answer is no chat completion but {"choices": nonsense}, request req_test`,
			claude: `model: the answer is no message but {"choices": nonsense}, request req_test`,
		}},
		"null-choices": {other: map[string]string{
			openai + " " + whole: `model: the answer has no choices: {"choices":[null],"content":null}, request req_test`,
			claude + " " + whole: `model: the answer has no content: {"choices":[null],"content":null}, request req_test`,
			streamed:             ended,
		}},
		"negative-index": {other: map[string]string{
			openai + " " + whole:    `model: the answer has no choices: {"choices":[{"index":-1,"message":{"content":"x"},"delta":{"content":"x","tool_calls":[{"index":-3}]},"finish_reason":"stop"}]}, request req_test`,
			claude + " " + whole:    `model: the answer has no content: {"choices":[{"index":-1,"message":{"content":"x"},"delta":{"content":"x","tool_calls":[{"index":-3}]},"finish_reason":"stop"}]}, request req_test`,
			openai + " " + streamed: ended,
			claude + " " + streamed: "model: a piece of the answer has no place in it, request req_test",
		}},
		"empty": {other: map[string]string{
			openai: "model: the answer is empty, finish reason stop, request req_test",
			claude: "model: the answer is empty, finish reason end_turn, request req_test",
		}},

		"cut": {all: ended, other: map[string]string{
			openai + " " + whole: "model: the answer is no chat completion but HALF, request req_test",
			claude + " " + whole: "model: the answer is no message but HALF, request req_test",
		}},
		"reset": {all: broke + "unexpected EOF, request req_test"},
		"short": {all: broke + "unexpected EOF, request req_test"},
		"error-frame": {all: "server: overloaded, request req_test", other: map[string]string{
			openai + " " + whole: "model: the answer is no chat completion but HALF, request req_test",
			claude + " " + whole: "model: the answer is no message but HALF, request req_test",
		}},
		"broken-frame": {other: map[string]string{
			openai + " " + streamed: `model: the answer is no chat completion but {"cho, request req_test`,
			claude + " " + streamed: `model: the answer is no message but {"cho, request req_test`,
			openai + " " + whole:    `model: the answer is no chat completion but HALFdata: {"cho, request req_test`,
			claude + " " + whole:    `model: the answer is no message but HALFdata: {"cho, request req_test`,
		}},
		"no-finish": {all: ended, other: map[string]string{whole: agentstest.Reply}}, // the JSON is whole
		"length":    {all: "length: the answer was cut off at its limit of tokens; raise max_tokens, request req_test"},
		"content-filter": {other: map[string]string{
			openai: "content_filter: the provider's content filter stopped the answer, request req_test",
			claude: "refusal: the model refuses to answer: no reason given, request req_test",
		}},
		"refusal": {all: "refusal: the model refuses to answer: I would rather not., request req_test"},

		"slow":       {all: "timeout: the answer was not complete within 30m0s, request req_test", took: endurance},
		"endless":    {all: "timeout: the answer was not complete within 30m0s, request req_test", took: endurance},
		"silent":     {all: "timeout: the answer did not begin within 10m0s", took: patience},
		"headers":    {all: "timeout: the answer stood still for 5m0s, request req_test", took: silence},
		"standstill": {all: "timeout: the answer stood still for 5m0s, request req_test", took: silence},
		"huge-body":  {all: "model: the answer is too large, request req_test"},
		"huge-line": {all: "model: a piece of the answer is too large, request req_test", other: map[string]string{
			whole: "model: the answer is too large, request req_test",
		}},
		"gzip-bomb": {all: "model: a piece of the answer is too large, request req_test", other: map[string]string{
			whole: "model: the answer is too large, request req_test",
		}},

		"redirect":       {all: "bad_request: redirects are refused, and this one leads to elsewhere.test (status 307), request req_test"},
		"usage-negative": {all: agentstest.Reply},
		"usage-text":     {all: agentstest.Reply},
		"usage-none":     {all: agentstest.Reply},
		"invalid-utf8":   {all: "A \ufffd answer."},
		"after-the-end": {all: agentstest.Reply, other: map[string]string{
			openai + " " + whole: "model: the answer is no chat completion but TWICE, request req_test",
			claude + " " + whole: "model: the answer is no message but TWICE, request req_test",
		}},
	}
	for _, name := range agentstest.Faults() {
		if _, there := tests[name]; !there {
			t.Errorf("%s is not tested", name)
		}
	}
	for name, tt := range tests {
		if !slices.Contains(agentstest.Faults(), name) {
			t.Errorf("%s is no fault", name)
		}
		for _, dialect := range []string{openai, claude} {
			for _, mode := range []string{whole, streamed} {
				t.Run(name+"/"+dialect+"/"+mode, func(t *testing.T) {
					t.Parallel()
					synctest.Test(t, func(t *testing.T) {
						meet(t, dialect+"/"+name, mode == streamed, tt.of(dialect, mode), tt.took)
					})
				})
			}
		}
	}
}

// meet asks a server that has a fault, and holds what comes of it.
func meet(t *testing.T, ref string, streamed bool, want string, took time.Duration) {
	var server agentstest.Server
	dial, stop := server.Listen()
	defer stop()
	transport := newTransport()
	transport.DialContext = dial
	defer transport.CloseIdleConnections()
	m := openAs(t, ref, &http.Client{Transport: transport}, "http://models.test/v1")

	var heard pieces
	text := heard.hear
	if !streamed {
		text = nil
	}
	start := time.Now()
	got, err := m.Answer(t.Context(), hello(), text)
	if since := time.Since(start); since != took {
		t.Errorf("took %v, want %v", since, took)
	}
	said := got.Text
	if err != nil {
		said = tell(err)
		if got.Text != "" {
			t.Errorf("there is an answer beside the error: %q", got.Text)
		}
	}
	prefix, suffix, quoted := strings.Cut(want, "HALF")
	if !quoted {
		prefix, suffix, quoted = strings.Cut(want, "TWICE")
	}
	if said != want && !(quoted && err != nil && strings.HasPrefix(said, prefix+"{") && strings.HasSuffix(said, suffix)) {
		t.Errorf("\n got %s\nwant %s", said, want)
	}
	if all := strings.Join(heard, ""); streamed && err == nil && all != got.Text {
		t.Errorf("heard %q, and the text is %q", all, got.Text)
	}
	if !utf8.ValidString(said) || strings.Contains(fmt.Sprintf("%+v %#v", err, err), secret) {
		t.Errorf("got %q", said)
	}
	asked := server.Requests()
	if len(asked) != 1 || got.Usage.Calls != 1 {
		t.Errorf("asked %d times, counted %d", len(asked), got.Usage.Calls)
	}
	for _, r := range asked {
		if r.Host != "models.test" {
			t.Errorf("asked %s", r.Host)
		}
	}
	usage := Usage{Calls: 1, Untold: true}
	if err == nil && !strings.Contains(ref, "/usage-") {
		usage = Usage{Input: agentstest.Input, Cached: agentstest.Cached, Output: agentstest.Output, Calls: 1}
	}
	if err == nil && got.Usage != usage {
		t.Errorf("usage is %+v, want %+v", got.Usage, usage)
	}
	// Nothing is owed for what was refused, and what a whole answer tells is all, good or not.
	e, _ := errors.AsType[*Error](err)
	told := e != nil && (e.Status != 0 || slices.Contains([]Kind{Length, Refusal, Filtered, RateLimit}, e.Kind) || strings.Contains(e.Message, "is empty"))
	if err != nil && got.Usage.Untold == told {
		t.Errorf("usage is %+v after %v", got.Usage, err)
	}
}
