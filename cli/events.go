package cli

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/flowrun/flowrun/engine"
	"github.com/flowrun/flowrun/nodes"
	"github.com/flowrun/flowrun/spec"
)

// eventFile writes events as JSON Lines. A nil eventFile writes nothing.
type eventFile struct {
	file io.WriteCloser
	buf  *bufio.Writer
	line []byte // the latest, to be written over
	due  bool   // a line in the buffer is to be seen
	err  error  // the first
}

type nopCloser struct{ io.Writer }

func (nopCloser) Close() error { return nil }

func newEventFile(f io.WriteCloser) *eventFile {
	return &eventFile{file: f, buf: bufio.NewWriter(f)}
}

// hear writes an event. Whoever reads along sees each step at once, and a burst of them together.
func (e *eventFile) hear(event engine.Event) {
	if e.err != nil {
		return
	}
	e.line = append(event.AppendJSON(e.line[:0]), '\n')
	_, e.err = e.buf.Write(e.line)
	e.due = e.due || event.Type != engine.ModelDelta
	if e.err == nil && e.due && !event.More {
		e.due = false
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
	text strings.Builder   // of the latest answer
	turn string
	open bool  // the line is not ended
	err  error // the first
}

func (s *streamed) hear(e engine.Event) {
	switch e.Type {
	case engine.ModelDelta:
		if s.from[e.Pos] {
			s.print(e)
		}
	case engine.StepRetried, engine.RunStarted, engine.ToolCalled: // another answer follows
		if e.Turn == s.turn {
			s.end()
			s.turn = ""
		}
	case engine.StepCompleted, engine.StepFailed:
		if e.Turn == s.turn {
			s.end()
		}
	}
}

func (s *streamed) print(e engine.Event) {
	if e.Turn != s.turn {
		s.end()
		s.turn = e.Turn
		s.text.Reset()
	}
	s.text.WriteString(e.Text)
	s.write(e.Text)
	s.open = !strings.HasSuffix(s.text.String(), "\n")
}

func (s *streamed) write(text string) {
	if s.err == nil {
		_, s.err = io.WriteString(s.out, text)
	}
}

// said tells whether an output was printed already.
func (s *streamed) said(output any) bool {
	text, ok := output.(string)
	return ok && s != nil && s.turn != "" && s.text.String() == text
}

// end ends a line that was begun.
func (s *streamed) end() {
	if s.open {
		s.write("\n")
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
		if nodes.Speaks(n) {
			last[n.Pos] = true
		}
	}
	find(p.Root)
	return last
}

// events opens where the events of a file's run are written; nil where nobody asked for them.
func (p *program) events(path, file string) (*eventFile, error) {
	switch path {
	case "":
		return nil, nil
	case "-":
		return newEventFile(nopCloser{p.Out}), nil
	}
	if sameFile(path, file) {
		return nil, usage("%s is read, and cannot be written at the same time", path)
	}
	f, err := os.Create(path)
	if err != nil {
		return nil, usage("opening the event file: %v", err)
	}
	return newEventFile(f), nil
}
