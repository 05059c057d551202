package agents

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/flowrun/flowrun/leaktest"
)

func TestMain(m *testing.M) { leaktest.Main(m) }

// secret is the key of every provider that is asked in a test.
const secret = "sk-test-4f1c0d2b9a"

// fake is a provider that answers as it was told and keeps what it was asked.
type fake struct {
	*httptest.Server
	answer   http.HandlerFunc
	mu       sync.Mutex
	requests []request
}

type request struct {
	path   string
	header http.Header
	body   string
}

func serve(t *testing.T, answer http.HandlerFunc) *fake {
	t.Helper()
	f := &fake{answer: answer}
	f.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Errorf("reading the request: %v", err)
		}
		f.mu.Lock()
		f.requests = append(f.requests, request{r.URL.Path, r.Header, string(body)})
		f.mu.Unlock()
		f.answer(w, r)
	}))
	t.Cleanup(f.Close)
	return f
}

func (f *fake) asked() []request {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.requests)
}

// model opens a model of OpenAI that the fake answers for.
func (f *fake) model(t *testing.T) Model {
	t.Helper()
	return open(t, f.Client(), f.URL+"/v1")
}

// open opens a model of OpenAI that is asked elsewhere.
func open(t *testing.T, client *http.Client, baseURL string) Model {
	t.Helper()
	return openAs(t, "openai/gpt-test", client, baseURL)
}

// openAs opens a model of OpenAI or Anthropic that is asked elsewhere.
func openAs(t *testing.T, ref string, client *http.Client, baseURL string) Model {
	t.Helper()
	set := NewSet(WithEnv(env{"OPENAI_API_KEY": secret, "ANTHROPIC_API_KEY": secret}.lookup), WithClient(client))
	m, err := set.Open(ref, baseURL)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// env stands for the environment.
type env map[string]string

func (e env) lookup(name string) (string, bool) {
	v, ok := e[name]
	return v, ok
}

// says answers with a status and a body; header is names and values by turns.
func says(status int, contentType, body string, header ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", contentType)
		for i := 0; i < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(status)
		fmt.Fprint(w, body)
	}
}

// streams answers with an event stream, frame by frame. A frame is the data of an event, or more lines as they are.
func streams(frames ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
		w.Header().Set("X-Request-Id", "req_1")
		for _, f := range frames {
			fmt.Fprint(w, wire(f))
			w.(http.Flusher).Flush()
		}
	}
}

// wire is a frame as it is sent.
func wire(frame string) string {
	if strings.HasSuffix(frame, "\n") {
		return frame
	}
	return "data: " + frame + "\n\n"
}

// roundTrip answers requests without a socket, so that a test may own the clock.
type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// pipe answers with what feed writes. Like a connection it breaks when the request ends, which is when ctx does.
func pipe(contentType string, feed func(ctx context.Context, w io.Writer)) roundTrip {
	return func(r *http.Request) (*http.Response, error) {
		body, w := io.Pipe()
		context.AfterFunc(r.Context(), func() { w.CloseWithError(r.Context().Err()) })
		go func() {
			feed(r.Context(), w)
			if r.Context().Err() == nil {
				w.Close()
			}
		}()
		return &http.Response{StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {contentType}}, Body: body}, nil
	}
}

// pieces hears a streamed answer.
type pieces []string

func (p *pieces) hear(piece string) { *p = append(*p, piece) }

// listener is a func that hears text where a test wants the answer streamed, else nil.
func listener(streamed bool) func(string) {
	if !streamed {
		return nil
	}
	return func(string) {}
}

// tell describes an error in one line: the kind, the message, and how long to wait.
func tell(err error) string {
	e, ok := errors.AsType[*Error](err)
	if !ok {
		return fmt.Sprint(err)
	}
	s := fmt.Sprintf("%s: %v", e.Kind, e)
	if e.RetryAfter > 0 {
		s += fmt.Sprintf(", after %v", e.RetryAfter)
	}
	return s
}

// soon waits for something that must happen at once.
func soon(t *testing.T, what string, done <-chan struct{}) {
	t.Helper()
	select {
	case <-done:
	case <-time.After(10 * time.Second):
		t.Fatalf("%s did not happen", what)
	}
}

// failedCall is the answer beside an error: a request was made, and no tokens are known of.
var failedCall = Answer{Usage: Usage{Calls: 1}}

// brokenCall is the one beside an error that came when a model may have worked already.
var brokenCall = Answer{Usage: Usage{Calls: 1, Untold: true}}

// hello is the question of most tests.
func hello() Question { return Question{Messages: []Message{{Text: "hello"}}} }
