package audit

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"github.com/flowrun/flowrun/engine"
)

// maxLine bounds a line, in bytes: the largest input as JSON, in which a byte may take six.
const maxLine = 400 << 20

// Report is what a check of a trail came to.
type Report struct {
	File    string   `json:"file"`
	OK      bool     `json:"ok"`
	Lines   int      `json:"lines"`   // that were checked and are as they were written
	Runs    int      `json:"runs"`    // of which they tell
	Open    []string `json:"open"`    // runs whose last event is not their end: they go on, were cut off, or it was removed
	Torn    []int    `json:"torn"`    // numbers of lines that a crash tore and the next line marks
	Last    string   `json:"last"`    // the signature of the last line; empty where there is none
	Problem *Problem `json:"problem"` // the first; nil where all is well
}

// Problem is where a trail is not as it was written.
type Problem struct {
	Line    int    `json:"line"` // from 1
	What    string `json:"what"` // changed, removed, inserted, reordered, torn or cut
	Message string `json:"message"`
}

// Verify checks a trail, also while others add to it. since is the signature of a line that must be in it, such as the
// last of an earlier check; empty: none. The error says why the file could not be checked at all.
func Verify(path string, key Key, since string) (*Report, error) {
	if since != "" && !isSignature(since) {
		return nil, fmt.Errorf("a signature has %d digits from 0 to f, unlike %q", digits, since)
	}
	f, _, err := regular(path, os.O_RDONLY, os.Stat)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if err := lock(f, true); err != nil { // lest it end in half a line that is being written
		return nil, err
	}
	info, err := f.Stat()
	unlock(f)
	if err != nil {
		return nil, bare(err)
	}
	r, err := verify(f, info.Size(), key, since)
	if r != nil {
		r.File = path
	}
	return r, bare(err)
}

// verify checks so many bytes.
func verify(f io.ReaderAt, size int64, key Key, since string) (*Report, error) {
	c := &checker{Report: &Report{Open: []string{}, Torn: []int{}}, key: key, last: first, runs: map[string]bool{}}
	lines := newLines(f, size)
	line, err := lines.next()
	found := since == ""
	for err == nil && c.Problem == nil {
		var next text
		if next, err = lines.next(); err != nil && err != io.EOF && err != errLong {
			break
		}
		if c.marked(line, next) {
			line, err = next, nil
			continue
		}
		c.check(line)
		found = found || c.last == since
		line = next
	}
	switch {
	case err != nil && err != io.EOF && err != errLong:
		return nil, err
	case err == errLong && c.Problem == nil:
		c.problem("changed", "it is longer than any that flowrun writes")
	case c.Problem != nil && c.Problem.What == unclear:
		if c.Problem, err = c.explain(newLines(f, size)); err != nil {
			return nil, err
		}
	case c.Problem == nil && !found:
		c.problem("cut", "the line with the signature "+since+" is gone: lines were cut off at the end")
	}
	c.end()
	return c.Report, nil
}

// checker goes through a trail from its beginning.
type checker struct {
	*Report
	key  Key
	at   int             // the number of the line that was looked at last
	last string          // the signature of the last line that fits
	odd  signed          // that fits, but does not follow it
	runs map[string]bool // whether they have ended
	mark bool            // the next line marks a torn one
}

// unclear is what is wrong with a line that does not follow the one before: why takes a look at the others.
const unclear = ""

func (c *checker) problem(what, message string) { c.Problem = &Problem{c.at + 1, what, message} }

// marked tells whether a line is torn, and the next one says so.
func (c *checker) marked(line, next text) bool {
	s, ok := parse(next.bytes)
	if !ok || !next.whole || s.previous != c.last || !s.fits(c.key) {
		return false
	}
	m, ok := s.markOf()
	if said := mark(line.bytes); !ok || m.Bytes != said.Bytes || m.Digest != said.Digest {
		return false
	}
	c.at++
	c.Torn = append(c.Torn, c.at)
	c.mark = true
	return true
}

// check looks at one line.
func (c *checker) check(line text) {
	s, ok := parse(line.bytes)
	switch {
	case !line.whole:
		c.problem("torn", "it has no end: a crash tore it or the file was cut in it; the next run that adds to the file marks it and goes on")
		return
	case !ok:
		c.problem("changed", "it is not as it was written: it has no signature")
		return
	case !s.fits(c.key):
		message := "it was changed: its signature does not fit"
		if c.at == 0 {
			message = "it was changed, or the key is another: its signature does not fit"
		}
		c.problem("changed", message)
		return
	case s.previous != c.last:
		c.odd = s
		c.problem(unclear, "")
		return
	}
	if _, ok := s.markOf(); ok && !c.mark {
		c.problem("removed", "the torn line that it marks was changed or removed")
		return
	}
	c.mark = false
	c.at++
	c.Lines++
	c.last, c.Last = s.signature, s.signature
	c.note(s)
}

// note takes note of the run that a line tells of.
func (c *checker) note(s signed) {
	var e struct {
		Run  string           `json:"run_id"`
		Type engine.EventType `json:"event"`
	}
	if json.Unmarshal(append(s.event[:len(s.event):len(s.event)], '}'), &e) != nil || e.Type == tornEvent {
		return
	}
	switch e.Type {
	case engine.WorkflowCompleted, engine.WorkflowFailed, engine.WorkflowCancelled, engine.WorkflowWaiting:
		c.runs[e.Run] = true
	default:
		c.runs[e.Run] = false
	}
}

// explain says why a line does not follow the one before it, by what else is there.
func (c *checker) explain(lines *lines) (*Problem, error) {
	at := c.Problem.Line
	repeats, after, successor, follows := 0, 0, 0, 0
	for n := 1; ; n++ {
		line, err := lines.next()
		if err == io.EOF || err == errLong {
			break
		}
		if err != nil {
			return nil, err
		}
		s, ok := parse(line.bytes)
		switch {
		case !ok || !s.fits(c.key):
		case n < at && s.signature == c.odd.signature:
			repeats = n
		case n < at && s.signature == c.odd.previous:
			follows = n
		case n > at && s.signature == c.odd.previous && after == 0:
			after = n
		case n > at && s.previous == c.last && successor == 0:
			successor = n
		}
	}
	switch {
	case repeats > 0:
		return &Problem{at, "inserted", fmt.Sprintf("it was inserted: it is line %d once more", repeats)}, nil
	case after > 0:
		return &Problem{at, "reordered", fmt.Sprintf("it stood behind line %d: lines were reordered", after)}, nil
	case successor > at:
		return &Problem{at, "inserted", fmt.Sprintf("it was inserted: line %d follows the one before it", successor)}, nil
	case follows > 0:
		return &Problem{at, "inserted", fmt.Sprintf("it follows line %d: what stands between them was inserted", follows)}, nil
	case at == 1:
		return &Problem{at, "removed", "lines before it were removed: it is not the first that was written"}, nil
	}
	return &Problem{at, "removed", fmt.Sprintf("lines between line %d and this one were removed", at-1)}, nil
}

func (c *checker) end() {
	c.OK = c.Problem == nil
	c.Runs = len(c.runs)
	for run, ended := range c.runs {
		if !ended {
			c.Open = append(c.Open, run)
		}
	}
	slices.Sort(c.Open)
}

// lines reads a file line by line.
type lines struct {
	in    *bufio.Reader
	spare [2][]byte // two lines are looked at together
	n     int
}

// text is a line without its newline.
type text struct {
	bytes []byte
	whole bool // it had one
}

var errLong = errors.New("a line is too long")

func newLines(f io.ReaderAt, size int64) *lines {
	return &lines{in: bufio.NewReaderSize(io.NewSectionReader(f, 0, size), 64<<10)}
}

// next is the next line, which stays as it is until the one after it was read; io.EOF where there is none.
func (l *lines) next() (text, error) {
	l.n = 1 - l.n
	b := l.spare[l.n][:0]
	for {
		piece, err := l.in.ReadSlice('\n')
		b = append(b, piece...)
		l.spare[l.n] = b
		switch {
		case len(b) > maxLine:
			return text{}, errLong
		case err == bufio.ErrBufferFull:
		case err == io.EOF && len(b) > 0:
			return text{b, false}, nil
		case err != nil:
			return text{}, err
		default:
			return text{b[:len(b)-1], true}, nil
		}
	}
}
