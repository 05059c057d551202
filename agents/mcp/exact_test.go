package mcp

import (
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

// TestExact holds that structured content comes as a text with all its digits, however it is sent, and that what is not
// such a message goes through as it is.
func TestExact(t *testing.T) {
	t.Parallel()
	const (
		number  = `{"jsonrpc":"2.0","id":1,"result":{"content":[],"structuredContent":{"n":9007199254740993}}}`
		exactly = `{"id":1,"jsonrpc":"2.0","result":{"content":[],"structuredContent":"{\"n\":9007199254740993}"}}`
		nothing = `{"jsonrpc":"2.0","id":1,"result":{"content":[{"type":"text","text":"structuredContent"}],"structuredContent":null}}`
		loose   = "{\n\"jsonrpc\":\"2.0\",\"id\":1,\n\"result\":{}}\n"
	)
	for name, tt := range map[string]struct{ kind, sent, want string }{
		"lines":                {"", number + "\r\n" + nothing + "\n\n" + number + "\n", exactly + "\n" + nothing + "\n\n" + exactly + "\n"},
		"no end of a line":     {"", number, number},
		"a message over lines": {"", loose, loose},
		"events":               {"text/event-stream", "event: message\nid: 1\ndata: " + number + "\n\n: data\n", "event: message\nid: 1\ndata:" + exactly + "\n\n: data\n"},
		"a body":               {"application/json; charset=utf-8", "{\n" + number[1:] + "\n", exactly},
		"no JSON":              {"application/json", `{"structuredContent"`, `{"structuredContent"`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := &Client{}
			from := io.NopCloser(iotest.OneByteReader(strings.NewReader(tt.sent)))
			var r io.Reader = newLines(c, from)
			if tt.kind != "" {
				r = exactBody(metered{from, c}, tt.kind)
			}
			if got, err := io.ReadAll(r); err != nil || string(got) != tt.want {
				t.Errorf("got %v\n%s\nwant\n%s", err, got, tt.want)
			}
		})
	}
}
