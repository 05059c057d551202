package agents

import (
	"bufio"
	"bytes"
	"io"
)

// event is one frame of an event stream, https://html.spec.whatwg.org/multipage/server-sent-events.html.
type event struct {
	name string // empty for the plain ones
	data []byte
}

// events reads frames. Comments, which servers send to keep a connection open, are none.
type events struct{ lines *bufio.Scanner }

func newEvents(r io.Reader) *events {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxReply)
	lines.Split(wholeLines)
	return &events{lines}
}

// wholeLines splits like [bufio.ScanLines], but leaves out what stands behind the last line feed: that was cut off.
func wholeLines(data []byte, _ bool) (advance int, token []byte, err error) {
	i := bytes.IndexByte(data, '\n')
	if i < 0 {
		return 0, nil, nil
	}
	return i + 1, bytes.TrimSuffix(data[:i], []byte("\r")), nil
}

// next is the next frame that has data, or [io.EOF]. A last frame whose empty line is missing counts.
func (es *events) next() (event, error) {
	var e event
	for es.lines.Scan() {
		line := es.lines.Bytes()
		if len(line) == 0 && e.data != nil {
			return e, nil
		}
		if len(line) == 0 {
			e = event{}
			continue
		}
		field, value, _ := bytes.Cut(line, []byte(":"))
		value = bytes.TrimPrefix(value, []byte(" "))
		switch string(field) {
		case "event":
			e.name = string(value)
		case "data":
			if e.data != nil {
				value = append([]byte("\n"), value...)
			}
			e.data = append(e.data, value...)
		}
		if len(e.data) > maxReply {
			return event{}, bufio.ErrTooLong
		}
	}
	if err := es.lines.Err(); err != nil {
		return event{}, err
	}
	if e.data == nil {
		return event{}, io.EOF
	}
	return e, nil
}
