package agents

import (
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"
)

// TestRefusals is about answers that are errors, whether or not a stream was asked for.
func TestRefusals(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		answer http.HandlerFunc
		want   string
	}{
		"401": {
			says(401, "application/json", `{"error":{"message":"Incorrect API key provided: `+secret+`.","type":"invalid_request_error","code":"invalid_api_key"}}`, "X-Request-Id", "req_7"),
			"auth: Incorrect API key provided: ***. (status 401), request req_7",
		},
		"404": {says(404, "application/json", `{"error":{"message":"the model gpt-test does not exist","code":"model_not_found"}}`), "bad_request: the model gpt-test does not exist (status 404)"},
		"400 of Gemini": {
			says(400, "application/json", `[{"error":{"code":400,"message":"API key not valid","status":"INVALID_ARGUMENT"}}]`),
			"bad_request: API key not valid (status 400)",
		},
		"400 of Gemini for a key": {
			says(400, "application/json", `[{"error":{"code":400,"message":"API key not valid. Please pass a valid API key.","status":"INVALID_ARGUMENT","details":[{"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"API_KEY_INVALID","domain":"googleapis.com"}]}}]`),
			"auth: API key not valid. Please pass a valid API key. (status 400)",
		},
		"404 of Ollama": {says(404, "application/json", `{"error":"model 'x' not found"}`), "bad_request: model 'x' not found (status 404)"},
		"422 of Mistral": {
			says(422, "application/json", `{"object":"error","message":{"detail":[{"type":"extra_forbidden","loc":["body","seed"],"msg":"Extra inputs are not permitted"}]},"type":"invalid_request_error"}`),
			"bad_request: Extra inputs are not permitted (status 422)",
		},
		"429 with milliseconds": {
			says(429, "application/json", `{"error":{"message":"slow down"}}`, "Retry-After", "7", "Retry-After-Ms", "6250"),
			"rate_limit: slow down (status 429), after 6.25s",
		},
		"429 without a quota": {
			says(429, "application/json", `{"error":{"message":"You exceeded your current quota","type":"insufficient_quota","code":"insufficient_quota"}}`),
			"bad_request: You exceeded your current quota (status 429)",
		},
		"400 in other words": {says(400, "application/json", `{"errors":["x"]}`), `bad_request: {"errors":["x"]} (status 400)`},
		"529 with nothing":   {says(529, "application/json", ``), "server: no reason given (status 529)"},
		"503 of a proxy":     {says(503, "text/plain", "upstream connect error\x1b[31m\n reset "), "server: upstream connect error [31m reset (status 503)"},
		"204":                {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) }, "model: no content (status 204)"},
		"a long complaint": {
			says(400, "application/json", `{"error":{"message":"`+strings.Repeat("x", 290)+secret+strings.Repeat("y", 1000)+`"}}`),
			"bad_request: " + strings.Repeat("x", 290) + "***yyyyyy… (status 400)",
		},
		"an error with status 200": {
			says(200, "application/json", `{"error":{"message":"slow down, `+secret+`","code":429}}`),
			"rate_limit: slow down, ***",
		},
	}
	for name, tt := range tests {
		for _, streamed := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/streamed=%v", name, streamed), func(t *testing.T) {
				t.Parallel()
				f := serve(t, tt.answer)
				got, err := f.model(t).Answer(t.Context(), hello(), listener(streamed))
				if tell(err) != tt.want {
					t.Errorf("\n got %s\nwant %s", tell(err), tt.want)
				}
				if !reflect.DeepEqual(got, failedCall) {
					t.Errorf("there is an answer beside the error: %+v", got)
				}
				if n := len(f.asked()); n != 1 {
					t.Errorf("asked %d times", n)
				}
			})
		}
	}
}

// TestElsewhere tells what is no fault of the question, by status and by name.
func TestElsewhere(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		answer http.HandlerFunc
		want   bool
	}{
		"no such model":               {says(404, "application/json", `{"error":{"message":"model 'x' not found"}}`), true},
		"no such model, by name":      {says(400, "application/json", `{"error":{"message":"Model Not Exist","code":"model_not_found"}}`), true},
		"no such model, status 200":   {says(200, "application/json", `{"error":{"message":"no endpoints found","code":404}}`), true},
		"no money":                    {says(402, "application/json", `{"error":{"message":"Insufficient Balance"}}`), true},
		"no quota":                    {says(429, "application/json", `{"error":{"message":"quota","code":"insufficient_quota"}}`), true},
		"no money, in Claude's words": {says(400, "application/json", `{"type":"error","error":{"type":"billing_error","message":"credit"}}`), true},
		"a bad parameter":             {says(400, "application/json", `{"error":{"message":"temperature","type":"invalid_request_error"}}`), false},
		"too long a question":         {says(413, "application/json", `{"error":{"message":"too long"}}`), false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := serve(t, tt.answer).model(t).Answer(t.Context(), hello(), nil)
			e, ok := errors.AsType[*Error](err)
			if !ok || e.Kind != BadRequest || e.Elsewhere != tt.want {
				t.Errorf("got %+v", err)
			}
		})
	}
}

func TestRetryAfter(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	tests := map[string]struct {
		header map[string]string
		want   time.Duration
	}{
		"nothing":              {nil, 0},
		"seconds":              {map[string]string{"Retry-After": "30"}, 30 * time.Second},
		"parts of a second":    {map[string]string{"Retry-After": "0.5"}, 500 * time.Millisecond},
		"milliseconds":         {map[string]string{"Retry-After-Ms": "1500", "Retry-After": "2"}, 1500 * time.Millisecond},
		"a date":               {map[string]string{"Retry-After": "Sun, 01 Mar 2026 12:01:00 GMT"}, time.Minute},
		"a date that is over":  {map[string]string{"Retry-After": "Sun, 01 Mar 2026 11:00:00 GMT"}, 0},
		"a date far away":      {map[string]string{"Retry-After": "Fri, 01 Mar 3026 12:00:00 GMT"}, 24 * time.Hour},
		"less than nothing":    {map[string]string{"Retry-After": "-5"}, 0},
		"no number":            {map[string]string{"Retry-After": "NaN"}, 0},
		"no time":              {map[string]string{"Retry-After": "soon"}, 0},
		"more than can be":     {map[string]string{"Retry-After": "1e300"}, 24 * time.Hour},
		"more than can be, ms": {map[string]string{"Retry-After-Ms": "inf"}, 24 * time.Hour},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := http.Header{}
			for k, v := range tt.header {
				h.Set(k, v)
			}
			if got := retryAfter(h, now); got != tt.want {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}
