package agentstest

import (
	"compress/gzip"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"
)

const good = "good"

// Faults are the names of all that the server does wrong, and "good".
func Faults() []string { return slices.Sorted(maps.Keys(faults)) }

const page = "<!DOCTYPE html>\n<html><body>502 Bad Gateway</body></html>"

// faults is what the server does by name. Each does its like in both dialects, streaming and not.
var faults = map[string]func(c *call){
	good: func(c *call) { c.give(c.good()) },

	// What is refused by a status.
	"400":    func(c *call) { c.complain(400, "invalid_request_error", "no such parameter") },
	"401":    func(c *call) { c.complain(401, "authentication_error", "incorrect API key: "+c.key()) }, // an echo of the key
	"403":    func(c *call) { c.complain(403, "permission_error", "not for you") },
	"404":    func(c *call) { c.complain(404, "not_found_error", "the model does not exist") },
	"408":    func(c *call) { c.complain(408, "timeout_error", "too slow") },
	"409":    func(c *call) { c.complain(409, "conflict_error", "busy") },
	"413":    func(c *call) { c.complain(413, "request_too_large", "too long") },
	"422":    func(c *call) { c.complain(422, "invalid_request_error", "no such value") },
	"429":    func(c *call) { c.complain(429, "rate_limit_error", "slow down", "Retry-After", "7") },
	"429-ms": func(c *call) { c.complain(429, "rate_limit_error", "slow down", "Retry-After-Ms", "1500") },
	"429-date": func(c *call) {
		c.complain(429, "rate_limit_error", "slow down", "Retry-After", time.Now().Add(time.Minute).UTC().Format(http.TimeFormat))
	},
	"500": func(c *call) { c.complain(500, "api_error", "internal error") },
	"502": func(c *call) { c.send(502, "text/html", page) },
	"503": func(c *call) { c.complain(503, "api_error", "no capacity", "Retry-After", "2") },
	"529": func(c *call) { c.complain(529, "overloaded_error", "overloaded") },

	// What says 200 and is no answer.
	"error-in-200":       func(c *call) { c.complain(200, "rate_limit_error", "slow down") },
	"empty-body":         func(c *call) { c.open() },
	"html":               func(c *call) { c.send(200, "text/html", page) },
	"wrong-content-type": func(c *call) { c.send(200, "text/plain", "hello") },
	"broken-json":        func(c *call) { c.open(); c.write(c.lead() + "{\"choices\": nonsense}\n\n") },
	"null-choices": func(c *call) {
		c.open()
		c.write(c.lead() + `{"choices":[null],"content":null}` + "\n\n")
	},
	"negative-index": func(c *call) {
		c.open()
		if c.claude && c.stream {
			c.write(event("content_block_start", `"index":-1,"content_block":{"type":"text","text":"x"}`) + event("content_block_delta", `"index":-1,"delta":{"type":"text_delta","text":"x"}`))
			return
		}
		c.write(c.lead() + `{"choices":[{"index":-1,"message":{"content":"x"},"delta":{"content":"x","tool_calls":[{"index":-3}]},"finish_reason":"stop"}]}` + "\n\n")
	},
	"empty": func(c *call) { a := c.good(); a.text = ""; c.give(a) },

	// What is no whole answer.
	"cut":   func(c *call) { c.half() },
	"reset": func(c *call) { c.half(); panic(http.ErrAbortHandler) },
	"short": func(c *call) { c.half("Content-Length", "100000") },
	"error-frame": func(c *call) {
		c.half()
		if c.stream {
			c.write("event: error\ndata: " + c.complaint("overloaded_error", "overloaded") + "\n\n")
		}
	},
	"broken-frame":   func(c *call) { c.half(); c.write("data: {\"cho\n\n") },
	"no-finish":      func(c *call) { a := c.good(); a.finish = ""; c.give(a) },
	"length":         func(c *call) { a := c.good(); a.finish = "length"; c.give(a) },
	"content-filter": func(c *call) { a := c.good(); a.finish = "content_filter"; c.give(a) },
	"refusal":        func(c *call) { a := c.good(); a.text, a.refusal = "", "I would rather not."; c.give(a) },

	// What takes too long or too much.
	"slow": func(c *call) {
		c.open()
		for c.write(" ") && c.wait(time.Second) {
		}
	},
	"endless": func(c *call) {
		c.half()
		for c.write(c.more("on and on ")) && c.wait(time.Second) {
		}
	},
	"silent":     func(c *call) { c.wait(1000 * time.Hour) },
	"headers":    func(c *call) { c.open(); c.write(""); c.wait(1000 * time.Hour) },
	"standstill": func(c *call) { c.half(); c.wait(1000 * time.Hour) },
	"huge-body":  func(c *call) { c.open(); c.flood(c.w, ":"+strings.Repeat(" ", 1<<20-2)+"\n") },
	"huge-line":  func(c *call) { c.open(); c.write(c.lead()); c.flood(c.w, strings.Repeat("x", 1<<20)) },
	"gzip-bomb": func(c *call) {
		c.open("Content-Encoding", "gzip")
		z, _ := gzip.NewWriterLevel(c.w, gzip.BestSpeed) // the level is known
		io.WriteString(z, c.lead())
		c.flood(z, strings.Repeat("x", 1<<20))
		z.Close()
	},

	// What leads astray.
	"redirect":       func(c *call) { c.send(307, "text/plain", "", "Location", "http://elsewhere.test"+c.r.URL.Path) },
	"usage-negative": func(c *call) { a := c.good(); a.usage = c.counts("-5"); c.give(a) },
	"usage-text":     func(c *call) { a := c.good(); a.usage = c.counts(`"many"`); c.give(a) },
	"usage-none":     func(c *call) { a := c.good(); a.usage = ""; c.give(a) },
	"invalid-utf8":   func(c *call) { a := c.good(); a.text = "A \xff answer."; c.give(a) },
	"after-the-end":  func(c *call) { c.give(c.good()); c.write(c.more("more") + c.more("and more")) },
}

// key is the one in the request.
func (c *call) key() string {
	if c.claude {
		return c.r.Header.Get("X-Api-Key")
	}
	return strings.TrimPrefix(c.r.Header.Get("Authorization"), "Bearer ")
}

// lead is what stands in front of the data of a frame.
func (c *call) lead() string {
	if c.stream {
		return "data: "
	}
	return ""
}

// half sends the first half of an answer.
func (c *call) half(header ...string) {
	c.open(header...)
	if c.stream {
		frames := c.frames(c.good())
		c.write(strings.Join(frames[:len(frames)-3], "")) // without the last word, too, in OpenAI's dialect
		return
	}
	whole := c.whole(c.good())
	c.write(whole[:len(whole)/2])
}

// more is some more of an answer.
func (c *call) more(text string) string {
	switch {
	case !c.stream:
		return c.whole(answer{text: text})
	case c.claude:
		return event("content_block_delta", `"index":0,"delta":{"type":"text_delta","text":`+quote(text)+`}`)
	}
	return chunk(`"delta":{"content":`+quote(text)+`},"finish_reason":null`, "")
}

// counts is a usage in which every number is n.
func (c *call) counts(n string) string {
	if c.claude {
		return `{"input_tokens":` + n + `,"output_tokens":` + n + `}`
	}
	return `{"prompt_tokens":` + n + `,"completion_tokens":` + n + `}`
}

// wait takes its time, and tells whether somebody still listens.
func (c *call) wait(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-c.r.Context().Done():
		return false
	}
}

// flood sends one gigabyte, as far as somebody takes it.
func (c *call) flood(w io.Writer, megabyte string) {
	for range 1 << 10 {
		if _, err := io.WriteString(w, megabyte); err != nil {
			return
		}
	}
}
