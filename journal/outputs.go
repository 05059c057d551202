package journal

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/flowrun/flowrun/engine"
	"github.com/flowrun/flowrun/spec"
)

// inline is how many bytes a value may have that stands in the file itself.
const inline = 256 << 10

// folder is what lies beside the file: large values, and what tells who owns a run.
type folder string

func (f folder) make() error { return os.MkdirAll(string(f), 0o700) }

func (f folder) outputs() string { return filepath.Join(string(f), "outputs") }

// output is the file of a large value, which is named after its content.
func (f folder) output(hash string) string { return filepath.Join(f.outputs(), hash) }

// large are the values of a row that stand in files of their own: the hash of each, by what it is in the row.
type large struct {
	hashes map[string]string
	blobs  map[string][]byte
}

// take takes a value out of a row if it is large, and gives what stands there instead.
func (l *large) take(what string, v engine.Value) engine.Value {
	if v.V == nil {
		return v
	}
	b := spec.AppendJSON(nil, v.V)
	if len(b) <= inline {
		return v
	}
	if l.hashes == nil {
		l.hashes, l.blobs = map[string]string{}, map[string][]byte{}
	}
	sum := sha256.Sum256(b)
	hash := hex.EncodeToString(sum[:])
	l.hashes[what], l.blobs[hash] = hash, b
	return engine.Value{}
}

// column is how a row names its large values.
func (l *large) column() string {
	if len(l.hashes) == 0 {
		return ""
	}
	b, _ := json.Marshal(l.hashes) // texts always can
	return string(b)
}

// size is about how many bytes the values take.
func (l *large) size() (n int) {
	for _, b := range l.blobs {
		n += len(b)
	}
	return n
}

// keep writes the values of a run's row. It is done within a transaction: nobody else removes a file meanwhile.
func (l *large) keep(t *tx, f folder, run int64) error {
	for hash, b := range l.blobs {
		if err := f.keep(hash, b); err != nil {
			return fmt.Errorf("a large output: %w", err)
		}
		if err := t.exec("INSERT OR IGNORE INTO outputs (hash, run) VALUES (?, ?)", hash, run); err != nil {
			return err
		}
	}
	return nil
}

// keep writes a value aside and renames it.
func (f folder) keep(hash string, b []byte) error {
	if info, err := os.Lstat(f.output(hash)); err == nil && info.Mode().IsRegular() && info.Size() == int64(len(b)) {
		return nil
	}
	if err := os.MkdirAll(f.outputs(), 0o700); err != nil {
		return err
	}
	aside, err := os.CreateTemp(f.outputs(), ".new-") // for its owner alone
	if err != nil {
		return err
	}
	_, err = aside.Write(b)
	if err == nil {
		err = aside.Sync()
	}
	if failed := aside.Close(); err == nil {
		err = failed
	}
	if err == nil {
		err = os.Rename(aside.Name(), f.output(hash))
	}
	if err != nil {
		_ = os.Remove(aside.Name())
		return err
	}
	return syncFolder(f.outputs())
}

// filler puts large values back into what was read.
type filler struct {
	folder folder
	hashes map[string]string
	err    error
}

func (f folder) filler(column string) (*filler, error) {
	fill := &filler{folder: f}
	if column == "" {
		return fill, nil
	}
	return fill, strictly(column, &fill.hashes)
}

func (f *filler) fill(what string, v engine.Value) engine.Value {
	hash, ok := f.hashes[what]
	if !ok {
		return v
	}
	delete(f.hashes, what)
	full, err := f.folder.read(hash)
	if err != nil && f.err == nil {
		f.err = err
	}
	return full
}

// done tells whether all values were found, each where it belongs.
func (f *filler) done() error {
	for what := range f.hashes {
		return fmt.Errorf("it has a large value for %s, which it has not", quoted(what))
	}
	return f.err
}

// read reads a value, which must have its hash.
func (f folder) read(hash string) (engine.Value, error) {
	if len(hash) != 2*sha256.Size || strings.Trim(hash, "0123456789abcdef") != "" {
		return engine.Value{}, errors.New("the name of a large output is no hash")
	}
	info, err := os.Lstat(f.output(hash)) // before it is opened: opening a FIFO would wait for a writer
	if err == nil && !info.Mode().IsRegular() {
		err = errors.New("it is not a regular file")
	}
	var b []byte
	if err == nil {
		b, err = readAll(f.output(hash))
	}
	if err != nil {
		return engine.Value{}, fmt.Errorf("a large output cannot be read: %w", err)
	}
	if sum := sha256.Sum256(b); hex.EncodeToString(sum[:]) != hash {
		return engine.Value{}, fmt.Errorf("the large output %s was changed", f.output(hash))
	}
	v, err := spec.ParseJSON(string(b))
	return engine.Value{V: v}, err
}

const mostOfOne = 1 << 30 // bytes of a large output that are read

func readAll(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, mostOfOne))
}

// strictly reads JSON into what it must fit: no unknown fields, nothing after it.
func strictly(s string, into any) error {
	d := json.NewDecoder(bytes.NewReader([]byte(s)))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return err
	}
	if _, err := d.Token(); err != io.EOF {
		return errors.New("something follows")
	}
	return nil
}

// quoted shows a text from a row in a message.
func quoted(s string) string {
	if len(s) > 100 {
		s = s[:100] + "..."
	}
	return fmt.Sprintf("%q", s)
}
