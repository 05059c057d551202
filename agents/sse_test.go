package agents

import (
	"bufio"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

func TestEvents(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ src, want string }{
		"none":                         {"", "EOF"},
		"nothing but comments":         {": a\n\n: b\n", "EOF"},
		"plain":                        {"data: a\n\ndata: b\n\n", `"" "a", "" "b", EOF`},
		"named":                        {"event: error\ndata: a\n\ndata: b\n\n", `"error" "a", "" "b", EOF`},
		"a name without data":          {"event: ping\n\ndata: a\n\n", `"" "a", EOF`},
		"no space behind the colon":    {"data:a\n\n", `"" "a", EOF`},
		"one space of two":             {"data:  a\n\n", `"" " a", EOF`},
		"several lines of data":        {"data: a\ndata: b\n\n", `"" "a\nb", EOF`},
		"carriage returns":             {"data: a\r\n\r\n", `"" "a", EOF`},
		"fields that mean nothing":     {"id: 1\nretry: 2\ndatas: 3\nx\ndata: a\n\n", `"" "a", EOF`},
		"no empty line behind the end": {"data: a\n", `"" "a", EOF`},
		"a cut line":                   {"data: a\n\ndata: b", `"" "a", EOF`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := list(strings.NewReader(tt.src)); got != tt.want {
				t.Errorf("\n got %s\nwant %s", got, tt.want)
			}
			if got := list(iotest.OneByteReader(strings.NewReader(tt.src))); got != tt.want {
				t.Errorf("byte by byte\n got %s\nwant %s", got, tt.want)
			}
		})
	}
}

// TestEventsAreBounded holds for a line of any length and for any number of lines in a frame.
func TestEventsAreBounded(t *testing.T) {
	t.Parallel()
	for _, src := range []string{
		"data: " + strings.Repeat("x", maxReply) + "\n\n",
		strings.Repeat("data: "+strings.Repeat("x", maxReply/2)+"\n", 3),
	} {
		if got, want := list(strings.NewReader(src)), bufio.ErrTooLong.Error(); got != want {
			t.Errorf("got %.100s, want %s", got, want)
		}
	}
}

// list is the events of a stream in one line, up to its error.
func list(r io.Reader) string {
	es := newEvents(r)
	var seen []string
	for {
		e, err := es.next()
		if err != nil {
			return strings.Join(append(seen, err.Error()), ", ")
		}
		seen = append(seen, fmt.Sprintf("%q %q", e.name, e.data))
	}
}

// TestBrokenStreams is about streams that langchaingo takes for answers, or dies of.
func TestBrokenStreams(t *testing.T) {
	t.Parallel()
	const begun = `{"choices":[{"index":0,"delta":{"content":"half an"}}]}`
	tests := map[string]struct {
		frames []string
		want   string
	}{
		"empty":                        {nil, "network: the answer broke off: its stream ended before the model did, request req_1"},
		"an early end":                 {[]string{begun}, "network: the answer broke off: its stream ended before the model did, request req_1"},
		"an end within a frame":        {[]string{begun, "data: {\"choices\":[\n"}, "model: the answer is no chat completion but {\"choices\":[, request req_1"},
		"a frame that is no JSON":      {[]string{begun, `{"choices":oops}`, `[DONE]`}, `model: the answer is no chat completion but {"choices":oops}, request req_1`},
		"a frame of other types":       {[]string{begun, `{"choices":[{"delta":{"content":["x"]}}]}`, `[DONE]`}, `model: the answer is no chat completion but {"choices":[{"delta":{"content":["x"]}}]}, request req_1`},
		"too long a line":              {[]string{begun, `{"choices":[{"delta":{"content":"` + strings.Repeat("x", maxReply) + `"}}]}`}, "model: a piece of the answer is too large, request req_1"},
		"an error of the server":       {[]string{begun, `{"error":{"message":"boom","type":"server_error","code":null}}`}, "server: boom, request req_1"},
		"an error behind the end":      {[]string{`{"choices":[{"delta":{"content":"ok"},"finish_reason":"stop"}]}`, `{"error":{"message":"boom"}}`, `[DONE]`}, "server: boom, request req_1"},
		"an error with a number":       {[]string{begun, `{"error":{"message":"slow down","code":429}}`}, "rate_limit: slow down, request req_1"},
		"an error by its type":         {[]string{begun, `{"error":{"message":"slow down","type":"rate_limit_error"}}`}, "rate_limit: slow down, request req_1"},
		"an error of quota":            {[]string{begun, `{"error":{"message":"pay","type":"insufficient_quota","code":"insufficient_quota"}}`}, "bad_request: pay, request req_1"},
		"an error of authentication":   {[]string{begun, `{"error":{"message":"who?","code":"invalid_api_key"}}`}, "auth: who?, request req_1"},
		"an error that is a word":      {[]string{begun, `{"error":"out of memory"}`}, "server: out of memory, request req_1"},
		"an error without words":       {[]string{begun, `{"error":{}}`}, "server: the provider reports an error and does not say which, request req_1"},
		"an error by the event's name": {[]string{begun, "event: error\ndata: {\"message\":\"boom\",\"code\":503}\n\n"}, "server: boom, request req_1"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := serve(t, streams(tt.frames...))
			got, err := f.model(t).Answer(t.Context(), hello(), func(string) {})
			if tell(err) != tt.want {
				t.Errorf("\n got %s\nwant %s", tell(err), tt.want)
			}
			if got.Text != "" {
				t.Errorf("there is a text beside the error: %q", got.Text)
			}
			if n := len(f.asked()); n != 1 {
				t.Errorf("asked %d times", n)
			}
		})
	}
}
