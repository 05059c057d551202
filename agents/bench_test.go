package agents

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/tmc/langchaingo/llms"
	"github.com/tmc/langchaingo/llms/anthropic"
	"github.com/tmc/langchaingo/llms/openai"

	"github.com/flowrun/flowrun/agents/agentstest"
)

// replies are good answers of both dialects, as the server of the tests gives them.
func replies(b *testing.B) map[string][]byte {
	b.Helper()
	var server agentstest.Server
	out := map[string][]byte{}
	for dialect, path := range map[string]string{"openai": "/v1/chat/completions", "anthropic": "/v1/messages"} {
		for mode, body := range map[string]string{"whole": "{}", "streamed": `{"stream":true}`} {
			w := &recorder{header: http.Header{}}
			r, err := http.NewRequestWithContext(b.Context(), http.MethodPost, "http://models.test"+path, strings.NewReader(body))
			if err != nil {
				b.Fatal(err)
			}
			server.ServeHTTP(w, r)
			out[dialect+"/"+mode] = w.Bytes()
		}
	}
	return out
}

type recorder struct {
	bytes.Buffer
	header http.Header
}

func (r *recorder) Header() http.Header { return r.header }
func (r *recorder) WriteHeader(int)     {}

// BenchmarkCall is a question and its answer without a network: langchaingo by itself, and with all that stands around
// it. What we add is the difference.
func BenchmarkCall(b *testing.B) {
	for name, reply := range replies(b) {
		dialect, mode, _ := strings.Cut(name, "/")
		contentType := map[string]string{"whole": "application/json", "streamed": "text/event-stream"}[mode]
		client := &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
			if _, err := io.Copy(io.Discard, r.Body); err != nil {
				return nil, err
			}
			return &http.Response{StatusCode: 200, Header: http.Header{"Content-Type": {contentType}}, Body: io.NopCloser(bytes.NewReader(reply))}, nil
		})}
		text := listener(mode == "streamed")
		q := Question{System: "You are terse.", Messages: []Message{{Text: "What is an egg?"}}}

		b.Run(fmt.Sprintf("%s/flowrun", name), func(b *testing.B) {
			b.ReportAllocs()
			set := NewSet(WithEnv(env{"OPENAI_API_KEY": secret, "ANTHROPIC_API_KEY": secret}.lookup), WithClient(client))
			m, err := set.Open(dialect+"/m", "http://models.test/v1")
			if err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				if a, err := m.Answer(b.Context(), q, text); err != nil || a.Text != agentstest.Reply {
					b.Fatal(a, err)
				}
			}
		})
		b.Run(fmt.Sprintf("%s/langchaingo", name), func(b *testing.B) {
			b.ReportAllocs()
			var options []llms.CallOption
			if text != nil {
				options = append(options, llms.WithStreamingFunc(func(context.Context, []byte) error { return nil }))
			}
			for b.Loop() {
				llm, err := alone(dialect, client)
				if err != nil {
					b.Fatal(err)
				}
				resp, err := llm.GenerateContent(b.Context(), conversation(q, dialect == "anthropic"), options...)
				if err != nil || resp.Choices[0].Content != agentstest.Reply {
					b.Fatal(resp, err)
				}
			}
		})
	}
}

// alone is langchaingo's client for one call, without us.
func alone(dialect string, client *http.Client) (llms.Model, error) {
	if dialect == "anthropic" {
		return anthropic.New(anthropic.WithHTTPClient(client), anthropic.WithBaseURL("http://models.test/v1"), anthropic.WithModel("m"), anthropic.WithToken(secret))
	}
	return openai.New(openai.WithHTTPClient(client), openai.WithBaseURL("http://models.test/v1"), openai.WithModel("m"), openai.WithToken(secret))
}
