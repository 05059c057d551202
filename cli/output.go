package cli

import (
	"bytes"
	"encoding/json"
	"io"
	"strings"

	"github.com/flowrun/flowrun/engine"
)

// printOutput prints a text as it is, with a newline where it lacks one, and anything else as JSON for people.
func printOutput(w io.Writer, v any) error {
	if s, ok := v.(string); ok {
		if !strings.HasSuffix(s, "\n") {
			s += "\n"
		}
		_, err := io.WriteString(w, s)
		return err
	}
	return printJSON(w, engine.Value{V: v})
}

// printJSON prints JSON on one line, or indented where that makes it no longer than people would read.
func printJSON(w io.Writer, v any) error {
	var line bytes.Buffer
	e := json.NewEncoder(&line)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return err
	}
	const most, deepest = 1 << 20, 32
	if line.Len() <= most && levels(line.Bytes()) <= deepest {
		var lines bytes.Buffer
		if err := json.Indent(&lines, line.Bytes(), "", "  "); err != nil {
			return err
		}
		line = lines
	}
	_, err := w.Write(line.Bytes())
	return err
}

// levels is how deep the lists and objects of a JSON text nest.
func levels(text []byte) int {
	depth, deepest, quoted := 0, 0, false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '[' || c == '{':
			depth++
			deepest = max(deepest, depth)
		case c == ']' || c == '}':
			depth--
		}
	}
	return deepest
}
