package audit

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/flowrun/flowrun/engine"
)

const (
	most   = 1 << 20          // bytes of events that wait to be written
	often  = time.Second      // how often lines are made durable at least, while there are new ones
	others = 10 * time.Second // how long another process may keep the file locked
)

// Log adds the events of a run to a trail. Other runs, and other processes, may add to the same at once. It is for one
// goroutine at a time.
type Log struct {
	key  Key
	path string
	file *os.File

	end    int64  // of the last line that is known
	last   string // its signature
	events []byte // that wait to be written, a line each
	line   []byte // the latest, to be written over
	synced time.Time
	dirty  bool // what is written is not durable yet
	err    error
}

// Open opens a trail to add to, and makes it where there is none. The error says why it is none, or that its last line was
// not signed with the key.
func Open(path string, key Key) (*Log, error) {
	f, _, err := regular(path, os.O_RDWR|os.O_CREATE|os.O_APPEND, os.Lstat)
	if err != nil {
		return nil, err
	}
	l := &Log{key: key, path: path, file: f, last: first, synced: time.Now()}
	err = l.locked(func(size int64) error {
		line, _, err := lastLine(f, size)
		if err != nil || line == nil {
			return err
		}
		if s, ok := parse(line); !ok {
			return errors.New("it is no audit trail: its last line has no signature")
		} else if !s.fits(key) {
			return errors.New("its last line was signed with another key, or changed: flowrun audit verify tells more")
		}
		return nil
	})
	if err == nil {
		err = keepEntry(path)
	}
	if err != nil {
		f.Close()
		return nil, bare(err)
	}
	return l, nil
}

// Hear adds an event; failed hears, once, why that cannot be done any more. What models say while they say it is left out.
// What is heard together is written together; it is durable within a second of the next event, at once where a person
// decided something, and when the log is closed.
func (l *Log) Hear(e engine.Event, failed func(error)) {
	if l.err != nil {
		return
	}
	if e.Type != engine.ModelDelta {
		l.line = append(e.AppendJSON(l.line[:0]), '\n')
		l.events = append(l.events, l.line...)
	}
	decided := e.Type == engine.ApprovalGiven
	if e.More && len(l.events) < most && !decided {
		return
	}
	l.write()
	if decided || time.Since(l.synced) >= often {
		l.sync()
	}
	if l.err != nil {
		failed(l.err)
	}
}

// Close writes what is left and makes it durable. The error is the first that there was.
func (l *Log) Close() error {
	l.write()
	l.sync()
	if err := l.file.Close(); l.err == nil {
		l.err = bare(err)
	}
	return l.err
}

func (l *Log) sync() {
	if l.err != nil || !l.dirty {
		return
	}
	l.err = bare(l.file.Sync())
	l.dirty, l.synced = false, time.Now()
}

func (l *Log) write() {
	if l.err != nil || len(l.events) == 0 {
		return
	}
	l.err = bare(l.locked(l.add))
	l.events = l.events[:0]
	if l.err == nil {
		l.err = l.there()
	}
	l.dirty = true
}

// add writes what waits behind what is in the file, which is locked and has a size.
func (l *Log) add(size int64) error {
	var out []byte
	switch {
	case size < l.end:
		return errors.New("it was cut while the run went on: lines that stood in it are gone")
	case size > l.end: // others wrote meanwhile
		line, rest, err := lastLine(l.file, size)
		if err != nil {
			return err
		}
		if l.last = first; line != nil {
			s, ok := parse(line)
			if !ok {
				return errors.New("somebody else wrote to it: its last line has no signature")
			}
			l.last = s.signature
		}
		if len(rest) > 0 {
			out = append(out, '\n')
			m := mark(rest)
			m.Time = time.Now().UTC()
			event, err := json.Marshal(m)
			if err != nil {
				return err
			}
			out, l.last = l.key.appendLine(out, event, l.last)
		}
	}
	for event := range bytes.Lines(l.events) {
		out, l.last = l.key.appendLine(out, event[:len(event)-1], l.last)
	}
	if n, err := l.file.Write(out); err != nil {
		whole := bytes.LastIndexByte(out[:n], '\n') + 1
		_ = l.file.Truncate(size + int64(whole)) // half a line helps nobody; where it stays, it is marked later
		return err
	}
	l.end = size + int64(len(out))
	return nil
}

// there says why the file that is written to is not the one that has its name.
func (l *Log) there() error {
	named, err := os.Lstat(l.path)
	if errors.Is(err, fs.ErrNotExist) {
		return errors.New("it was removed or renamed while the run went on")
	}
	if err != nil {
		return bare(err)
	}
	open, err := l.file.Stat()
	if err == nil && !os.SameFile(named, open) {
		return errors.New("another file took its place while the run went on")
	}
	return bare(err)
}

// locked does something while no other process writes to the file.
func (l *Log) locked(do func(size int64) error) error {
	if err := lock(l.file, false); err != nil {
		return err
	}
	defer unlock(l.file)
	info, err := l.file.Stat()
	if err != nil {
		return err
	}
	return do(info.Size())
}

// lock waits for others to give a file free.
func lock(f *os.File, reading bool) error {
	pause := time.Millisecond
	for until := time.Now().Add(others); ; {
		ok, err := tryLock(f, reading)
		if ok || err != nil {
			return err
		}
		if time.Now().After(until) {
			return fmt.Errorf("another process has kept it locked for %s", others)
		}
		time.Sleep(pause)
		pause = min(2*pause, 20*time.Millisecond)
	}
}

// lastLine is the last line of so many bytes of a file that has its newline, nil where there is none, and the torn one
// behind it, if there is one.
func lastLine(f *os.File, size int64) (line, rest []byte, err error) {
	block := int64(64 << 10)
	var b []byte
	ends := 0 // newlines in b
	for size > 0 && ends < 2 {
		n := min(block, size)
		size, block = size-n, 2*block
		more := make([]byte, n, int(n)+len(b))
		if _, err := f.ReadAt(more, size); err != nil {
			return nil, nil, err
		}
		ends += bytes.Count(more, []byte("\n"))
		b = append(more, b...)
		if len(b) > maxLine {
			return nil, nil, errors.New("it is no audit trail: its last line is too long")
		}
	}
	at := bytes.LastIndexByte(b, '\n')
	if at < 0 {
		return nil, b, nil
	}
	line, rest = b[:at], b[at+1:]
	return line[bytes.LastIndexByte(line, '\n')+1:], rest, nil
}
