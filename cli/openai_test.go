package cli_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// openAIKey is the key that the fake provider wants.
const openAIKey = "sk-test-8d1f0a7c55"

// openai starts a provider that speaks OpenAI's protocol, and points the script's environment at it: openai ANSWERS
//
// Each line of the file answers one request, the last one all that follow; see [fakeOpenAI.answer]. The bodies of the
// requests are written to asked.jsonl.
func openai(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: openai ANSWERS")
	}
	asked, err := os.Create(ts.MkAbs("asked.jsonl"))
	ts.Check(err)
	server := httptest.NewServer(newFakeOpenAI(asked, strings.Split(strings.TrimSpace(ts.ReadFile(args[0])), "\n")...))
	ts.Defer(func() {
		server.Close()
		asked.Close()
	})
	ts.Setenv("OPENAI_BASE_URL", server.URL+"/v1")
	ts.Setenv("OPENAI_API_KEY", openAIKey)
}

// fakeOpenAI is a provider that answers as it was told.
type fakeOpenAI struct {
	mu      sync.Mutex
	asked   io.Writer // gets the body of each request as a line
	answers []string
}

func newFakeOpenAI(asked io.Writer, answers ...string) *fakeOpenAI {
	return &fakeOpenAI{asked: asked, answers: answers}
}

func (f *fakeOpenAI) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil || r.URL.Path != "/v1/chat/completions" || r.Header.Get("Authorization") != "Bearer "+openAIKey {
		http.Error(w, "no such page", http.StatusNotFound)
		return
	}
	var q struct{ Stream bool }
	if err := json.Unmarshal(body, &q); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	f.answer(w, r, f.next(body), q.Stream)
}

// next keeps a request and gives the line that answers it.
func (f *fakeOpenAI) next(request []byte) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	fmt.Fprintf(f.asked, "%s\n", bytes.TrimSpace(request))
	answer := f.answers[0]
	if len(f.answers) > 1 {
		f.answers = f.answers[1:]
	}
	return answer
}

// answer does what a line says:
//
//	say TEXT                      the answer, in pieces where a stream is asked for
//	full TEXT                     the answer, at which its tokens were used up
//	cut TEXT                      the connection breaks behind the text
//	fail TEXT                     the stream goes on with an error
//	hang TEXT                     nothing follows until the caller leaves
//	status CODE RETRY-AFTER TEXT  an error; - for no header, and $KEY in the text is the key
func (f *fakeOpenAI) answer(w http.ResponseWriter, r *http.Request, line string, stream bool) {
	verb, text, _ := strings.Cut(line, " ")
	finish := "stop"
	if verb == "full" {
		finish = "length"
	}
	switch {
	case verb == "status":
		refuse(w, text)
	case !stream:
		reply(w, text, finish)
	default:
		w.Header().Set("Content-Type", "text/event-stream")
		for piece := range strings.SplitAfterSeq(text, " ") {
			send(w, fmt.Sprintf(`{"choices": [{"index": 0, "delta": {"content": %q}}]}`, piece))
		}
		switch verb {
		case "say", "full":
			send(w, fmt.Sprintf(`{"choices": [{"index": 0, "delta": {}, "finish_reason": %q}]}`, finish))
			send(w, `{"choices": [], "usage": {"prompt_tokens": 11, "completion_tokens": 7}}`)
			send(w, "[DONE]")
		case "fail":
			send(w, `{"error": {"message": "the model fell over", "type": "server_error"}}`)
		case "hang":
			<-r.Context().Done()
		case "cut":
			panic(http.ErrAbortHandler)
		}
	}
}

func send(w http.ResponseWriter, frame string) {
	fmt.Fprintf(w, "data: %s\n\n", frame)
	w.(http.Flusher).Flush()
}

func reply(w http.ResponseWriter, text, finish string) {
	w.Header().Set("Content-Type", "application/json")
	fmt.Fprintf(w, `{"choices": [{"index": 0, "message": {"role": "assistant", "content": %q}, "finish_reason": %q}],
		"usage": {"prompt_tokens": 11, "completion_tokens": 7}}`, text, finish)
}

func refuse(w http.ResponseWriter, how string) {
	parts := strings.SplitN(how, " ", 3)
	code, err := strconv.Atoi(parts[0])
	if err != nil || len(parts) < 3 {
		panic("an answer is written: status CODE RETRY-AFTER TEXT, not " + how)
	}
	w.Header().Set("Content-Type", "application/json")
	if parts[1] != "-" {
		w.Header().Set("Retry-After", parts[1])
	}
	w.WriteHeader(code)
	fmt.Fprintf(w, `{"error": {"message": %q}}`, strings.ReplaceAll(parts[2], "$KEY", openAIKey))
}

// serveOpenAI starts the provider for a Go test; the environment is what flowrun needs to ask it.
func serveOpenAI(t *testing.T, answers ...string) (environment []string) {
	t.Helper()
	server := httptest.NewServer(newFakeOpenAI(io.Discard, answers...))
	t.Cleanup(server.Close)
	return []string{"OPENAI_BASE_URL=" + server.URL + "/v1", "OPENAI_API_KEY=" + openAIKey}
}
