package cli

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/flowrun/flowrun/engine"
	"github.com/flowrun/flowrun/spec"
)

// eventFile writes events as JSON Lines. A nil eventFile writes nothing.
type eventFile struct {
	file io.WriteCloser
	buf  *bufio.Writer
	json *json.Encoder
	err  error // the first
}

type nopCloser struct{ io.Writer }

func (nopCloser) Close() error { return nil }

func newEventFile(f io.WriteCloser) *eventFile {
	buf := bufio.NewWriter(f)
	return &eventFile{file: f, buf: buf, json: json.NewEncoder(buf)}
}

// hear writes an event. Whoever reads along sees each step at once.
func (e *eventFile) hear(event engine.Event) {
	if e.err == nil {
		e.err = e.json.Encode(event)
	}
	if e.err == nil && event.Type != engine.ModelDelta {
		e.err = e.buf.Flush()
	}
}

func (e *eventFile) close() error {
	if e == nil {
		return nil
	}
	if e.err == nil {
		e.err = e.buf.Flush()
	}
	if err := e.file.Close(); e.err == nil {
		e.err = err
	}
	if e.err != nil {
		return fmt.Errorf("writing the events: %w", e.err)
	}
	return nil
}

// streamed prints the text of the pipeline's last agents as it comes. A nil streamed prints nothing.
type streamed struct {
	out  io.Writer
	from map[spec.Pos]bool // the nodes to hear
	text strings.Builder   // of the latest execution
	turn string
	open bool // the line is not ended
}

func (s *streamed) hear(e engine.Event) {
	if e.Type != engine.ModelDelta || !s.from[e.Pos] {
		return
	}
	if e.Turn != s.turn { // another answer
		s.end()
		s.turn = e.Turn
		s.text.Reset()
	}
	s.text.WriteString(e.Text)
	if e.Text != "" {
		fmt.Fprint(s.out, e.Text)
		s.open = !strings.HasSuffix(e.Text, "\n")
	}
}

// said tells whether an output was printed already.
func (s *streamed) said(output any) bool {
	text, ok := output.(string)
	return ok && s != nil && s.turn != "" && s.text.String() == text
}

// end ends a line that was begun.
func (s *streamed) end() {
	if s != nil && s.open {
		fmt.Fprintln(s.out)
		s.open = false
	}
}

// lastAgents finds the agents whose text becomes the output of a pipeline: what stands last.
func lastAgents(p *spec.Pipeline) map[spec.Pos]bool {
	last := map[spec.Pos]bool{}
	if p.Output != nil {
		return last
	}
	var find func(n *spec.Node)
	find = func(n *spec.Node) {
		var sequence *spec.Node
		for _, c := range n.Children {
			switch c.Stand() {
			case spec.InSequence, spec.Repeated:
				sequence = c
			case spec.Choice, spec.Aside:
				find(c)
			}
		}
		if sequence != nil {
			find(sequence)
		}
		if n.Kind.Name == "agent" {
			last[n.Pos] = true
		}
	}
	find(p.Root)
	return last
}
