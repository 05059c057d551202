// Package audit keeps the events of runs in a file in which nobody can change, add, remove or move a line without the
// key, and checks such a file. Each line is an event in JSON that names the signature of the line before and ends with
// its own. The package knows nothing of what events mean, but which of them end a run.
package audit

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/flowrun/flowrun/engine"
)

// What stands behind the members of an event.
const (
	previousMember  = `,"previous":"`
	quote           = `"`
	signatureMember = `,"signature":"`
	lineEnd         = `"}`
	digits          = 2 * sha256.Size // of a signature

	tail = len(previousMember) + digits + len(quote) + len(signatureMember) + digits + len(lineEnd)
)

// first stands in the first line in place of the signature of the line before.
var first = strings.Repeat("0", digits)

// tornEvent is that of a line which says that the one before it was torn by a crash while it was written.
const tornEvent engine.EventType = "audit_torn"

// torn is what such a line says.
type torn struct {
	Time   time.Time        `json:"time"`
	Event  engine.EventType `json:"event"`
	Bytes  int              `json:"bytes"` // of the torn line
	Digest string           `json:"sha256"`
}

func mark(line []byte) torn {
	sum := sha256.Sum256(line)
	return torn{Event: tornEvent, Bytes: len(line), Digest: hex.EncodeToString(sum[:])}
}

// signed is a line of a trail, in its parts.
type signed struct {
	text      []byte // that is signed: all before the signature
	event     []byte // without its last brace
	previous  string
	signature string
}

// parse takes a line apart, without its newline; ok tells whether it has the form of one. It does not check signatures.
func parse(line []byte) (s signed, ok bool) {
	at := len(line) - tail
	if at < 2 || line[0] != '{' {
		return s, false
	}
	rest := line[at:]
	for _, part := range []struct {
		text string
		into *string
	}{{previousMember, &s.previous}, {quote + signatureMember, &s.signature}} {
		if !bytes.HasPrefix(rest, []byte(part.text)) {
			return s, false
		}
		rest = rest[len(part.text):]
		*part.into = string(rest[:digits])
		rest = rest[digits:]
		if !isSignature(*part.into) {
			return s, false
		}
	}
	s.text, s.event = line[:len(line)-digits-len(signatureMember)-len(lineEnd)], line[:at]
	return s, string(rest) == lineEnd
}

func isSignature(s string) bool { return len(s) == digits && strings.Trim(s, "0123456789abcdef") == "" }

// fits tells whether the line was signed with a key, and is as it was then.
func (s signed) fits(key Key) bool { return hmac.Equal([]byte(key.sign(s.text)), []byte(s.signature)) }

// appendLine adds an event as a line that follows one with a signature, and gives its own.
func (k Key) appendLine(b, event []byte, previous string) (line []byte, signature string) {
	from := len(b)
	b = append(b, event[:len(event)-1]...)
	b = append(append(append(b, previousMember...), previous...), quote...)
	signature = k.sign(b[from:])
	b = append(append(b, signatureMember...), signature...)
	return append(append(b, lineEnd...), '\n'), signature
}

// markOf is what a line says of the one before it, if it is such a line.
func (s signed) markOf() (m torn, ok bool) {
	if !bytes.Contains(s.event, []byte(tornEvent)) {
		return m, false
	}
	err := json.Unmarshal(append(bytes.Clone(s.event), '}'), &m)
	return m, err == nil && m.Event == tornEvent
}

var errIrregular = errors.New("it is not a regular file")

// bare leaves out the path, which whoever tells the error knows.
func bare(err error) error {
	if path := (*fs.PathError)(nil); errors.As(err, &path) {
		return path.Err
	}
	return err
}

// regular opens a file that must be a regular one. What else it is, is known before it is opened: opening a FIFO would wait.
func regular(path string, flags int, look func(string) (fs.FileInfo, error)) (*os.File, fs.FileInfo, error) {
	before, err := look(path)
	switch {
	case err != nil && (flags&os.O_CREATE == 0 || !errors.Is(err, fs.ErrNotExist)):
		return nil, nil, bare(err)
	case err == nil && before.Mode()&fs.ModeSymlink != 0:
		return nil, nil, errors.New("it is a symbolic link: name the file itself")
	case err == nil && !before.Mode().IsRegular():
		return nil, nil, errIrregular
	case err != nil: // another may make it meanwhile: then it is that one
		flags |= os.O_EXCL
	}
	f, err := os.OpenFile(path, flags, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return regular(path, flags&^(os.O_EXCL|os.O_CREATE), look)
	}
	if err != nil {
		return nil, nil, bare(err)
	}
	info, err := f.Stat()
	if err == nil && (!info.Mode().IsRegular() || before != nil && !os.SameFile(before, info)) {
		err = errIrregular
	}
	if err != nil {
		f.Close()
		return nil, nil, bare(err)
	}
	return f, info, nil
}
