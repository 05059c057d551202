package cli

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/flowrun/flowrun/spec"
)

// maxLine bounds a line of the inputs, in bytes.
const maxLine = 16 << 20

// inputLine is one input of a batch, as it stands in its file.
type inputLine struct {
	number  int    // of its first line in the file, from 1
	raw     []byte // with the newline, if it has one; nil where it is too long
	problem string // why it cannot be read
}

// inputs are the inputs of a batch, read one after another: JSON Lines, each line a value, or CSV, each row an object by
// the header. Blank lines are none.
type inputs struct {
	r      *bufio.Reader
	csv    bool
	most   int      // bytes of a line
	header []byte   // of CSV, as it stands in the file
	names  []string // of its columns
	line   int      // number of the line that was read last
}

// newInputs begins to read lines of at most so many bytes, and reads the header of CSV, which must be right.
func newInputs(r io.Reader, isCSV bool, longest int) (*inputs, error) {
	in := &inputs{r: bufio.NewReaderSize(r, 64<<10), csv: isCSV, most: longest}
	if !in.csv {
		return in, nil
	}
	head, err := in.next()
	if errors.Is(err, io.EOF) {
		return nil, errors.New("it has no header")
	}
	if err != nil {
		return nil, err
	}
	if head.problem == "" {
		in.names, err = fields(head.raw)
	} else {
		err = errors.New(head.problem)
	}
	if err != nil {
		return nil, fmt.Errorf("its header: %w", err)
	}
	in.header = head.raw
	for i, name := range in.names {
		switch {
		case name == "":
			return nil, fmt.Errorf("column %d of its header has no name", i+1)
		case slices.Contains(in.names[:i], name):
			return nil, fmt.Errorf("two columns of its header are called %q", name)
		}
	}
	return in, nil
}

// next gives the next input. The error is [io.EOF] behind the last.
func (in *inputs) next() (inputLine, error) {
	for {
		raw, long, err := in.readLine(nil)
		if len(raw) == 0 && !long {
			if err == nil {
				err = io.ErrUnexpectedEOF // it never is
			}
			return inputLine{}, err
		}
		if in.line == 1 {
			raw = bytes.TrimPrefix(raw, []byte("\ufeff"))
		}
		l := inputLine{number: in.line, raw: raw}
		for quoted := false; in.csv && !long && err == nil; {
			if quoted = opens(l.raw[len(l.raw)-len(raw):], quoted); !quoted {
				break
			}
			before := len(l.raw)
			l.raw, long, err = in.readLine(l.raw)
			raw = l.raw[before:]
		}
		switch {
		case err != nil && !errors.Is(err, io.EOF):
			return inputLine{}, err
		case long:
			l.raw, l.problem = nil, fmt.Sprintf("the line is longer than %d MiB", in.most>>20)
		case len(bytes.TrimSpace(l.raw)) == 0:
			continue
		}
		return l, nil
	}
}

// readLine adds a line of the file, with its newline. One with which it would be too long is passed over.
func (in *inputs) readLine(b []byte) (_ []byte, long bool, err error) {
	in.line++
	for {
		part, err := in.r.ReadSlice('\n')
		if long = long || len(b)+len(part) > in.most; !long {
			b = append(b, part...)
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return b, long, err
		}
	}
}

// opens tells whether a quoted field goes on behind a line, at whose beginning it did or did not.
func opens(line []byte, quoted bool) bool {
	begins := !quoted // a field
	for i := 0; i < len(line); i++ {
		switch c := line[i]; {
		case quoted && c == '"' && i+1 < len(line) && line[i+1] == '"':
			i++
		case quoted:
			quoted = c != '"'
		default:
			quoted = begins && c == '"'
			begins = c == ','
		}
	}
	return quoted
}

// fields are those of a row of CSV.
func fields(row []byte) ([]string, error) {
	r := csv.NewReader(bytes.NewReader(row))
	all, err := r.Read()
	if wrong := (*csv.ParseError)(nil); errors.As(err, &wrong) {
		err = wrong.Err
	}
	return all, err
}

// value is what a line stands for. It can be asked while others are read.
func (in *inputs) value(l inputLine, schema *spec.Schema) (any, error) {
	switch {
	case l.problem != "":
		return nil, errors.New(l.problem)
	case !in.csv:
		return spec.ParseJSON(string(bytes.TrimRight(l.raw, "\r\n")))
	}
	texts, err := fields(l.raw)
	if err == nil && len(texts) != len(in.names) {
		err = fmt.Errorf("it has %s, and the header has %d", count(len(texts), "field"), len(in.names))
	}
	if err != nil {
		return nil, fmt.Errorf("the row is not CSV: %w", err)
	}
	row := make(map[string]any, len(texts))
	for i, name := range in.names {
		row[name] = texts[i]
	}
	v, err := spec.Canonical(row)
	if err != nil {
		return nil, err
	}
	return schema.Row(v.(map[string]any)), nil
}
