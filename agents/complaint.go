package agents

import (
	"bytes"
	"cmp"
	"encoding/json"
	"io"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

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
