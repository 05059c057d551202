package mcp

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"os"
)

// The library reads the numbers of structured content as floats, which lose the last digits of large integers. So it
// gets that content as a text.

// exact is a message with its structured content, if it has some, as a text.
func exact(message []byte) []byte {
	if !bytes.Contains(message, []byte(`"structuredContent"`)) {
		return message
	}
	var all, result map[string]json.RawMessage
	if json.Unmarshal(message, &all) != nil || json.Unmarshal(all["result"], &result) != nil {
		return message
	}
	content, ok := result["structuredContent"]
	if !ok || string(content) == "null" {
		return message
	}
	result["structuredContent"] = marshalled(string(content))
	all["result"] = marshalled(result)
	return marshalled(all)
}

// structured is structured content as JSON, from what the library made of it.
func structured(content any) (json.RawMessage, error) {
	text, ok := content.(string)
	if !ok {
		return marshalled(content), nil // of a message that exact did not know
	}
	if err := json.Unmarshal([]byte(text), new(any)); err != nil { // as where a number fits nowhere
		return nil, fmt.Errorf("reading its structured content: %w", err)
	}
	return json.RawMessage(text), nil
}

func marshalled(v any) json.RawMessage {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err) // of what was read as JSON
	}
	return b
}

// lines reads messages, a line each, with what exact makes of them. What is no message is an error that shows it.
type lines struct {
	io.Closer
	client *Client
	from   *bufio.Reader
	prefix string // of lines that hold messages; others go through as they are
	loose  bool   // a message took several lines: they go through as they are
	rest   []byte // of a line that was read
	err    error
}

// newLines reads what a process writes.
func newLines(c *Client, out io.ReadCloser) *lines {
	return &lines{Closer: out, client: c, from: bufio.NewReaderSize(&metered{out, c}, 64<<10)}
}

// exactBody reads an answer of a server at an address: one message, or events.
func exactBody(body metered, contentType string) io.ReadCloser {
	kind, _, _ := mime.ParseMediaType(contentType)
	if kind == "text/event-stream" {
		return &lines{Closer: body, client: body.client, from: bufio.NewReaderSize(&body, 64<<10), prefix: "data:"}
	}
	return &whole{metered: body}
}

func (l *lines) Read(b []byte) (int, error) {
	for len(l.rest) == 0 {
		if l.err != nil {
			return 0, l.err
		}
		l.rest, l.err = l.line()
	}
	n := copy(b, l.rest)
	l.rest = l.rest[n:]
	return n, nil
}

// line is the next one, with its end.
func (l *lines) line() (line []byte, err error) {
	for {
		part, err := l.from.ReadSlice('\n')
		if first := len(line) == 0; first && l.prefix == "" && !l.loose && odd(part) {
			return nil, l.breaks(fmt.Errorf("it wrote to its standard output what is no message: %.100q", bytes.TrimSpace(part)))
		}
		if line = append(line, part...); len(line) > maxLine {
			return nil, l.breaks(ErrTooMuch)
		}
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
		case err != nil:
			if l.prefix == "" && errors.Is(err, io.EOF) {
				l.client.gone.Store(true)
			}
			return line, err
		default:
			return l.exact(line), nil
		}
	}
}

// breaks keeps why nothing more is read of a process.
func (l *lines) breaks(err error) error {
	if l.prefix == "" {
		l.client.broken.CompareAndSwap(nil, &err)
	}
	return err
}

// odd says that no message begins like this.
func odd(line []byte) bool {
	line = bytes.TrimSpace(line)
	return len(line) > 0 && line[0] != '{' && line[0] != '['
}

func (l *lines) exact(line []byte) []byte {
	message, ok := bytes.CutPrefix(line, []byte(l.prefix))
	switch {
	case !ok || l.loose || len(bytes.TrimSpace(message)) == 0:
		return line
	case !json.Valid(message):
		l.loose = l.prefix == ""
		return line
	}
	return append(append([]byte(l.prefix), bytes.TrimSpace(exact(message))...), '\n')
}

// whole is a body that is one message.
type whole struct {
	metered
	message io.Reader // once it was read
}

func (w *whole) Read(b []byte) (int, error) {
	if w.message == nil {
		message, err := io.ReadAll(&w.metered)
		if err != nil {
			return 0, err
		}
		w.message = bytes.NewReader(exact(message))
	}
	return w.message.Read(b)
}

// sender writes to a process, and knows when it no longer reads.
type sender struct {
	io.WriteCloser
	client *Client
}

func (s *sender) Write(b []byte) (int, error) {
	n, err := s.WriteCloser.Write(b)
	if err != nil && !errors.Is(err, os.ErrClosed) {
		s.client.gone.Store(true)
	}
	return n, err
}
