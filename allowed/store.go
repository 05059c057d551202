// Package allowed remembers what a user has allowed pipeline files to do, in a folder of the user's own, one file for each.
// It knows nothing of pipelines: a permission has a key, which stands for all that was shown when it was given.
package allowed

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

const (
	version = 1
	most    = 1 << 20 // bytes of a file
)

// Permission is what was allowed to a file.
type Permission struct {
	File  string    `json:"file"`  // its path from the root
	Key   string    `json:"key"`   // of its content and its needs, 64 hexadecimal digits: another grants nothing
	Flags []string  `json:"flags"` // that would have allowed the same, for people
	At    time.Time `json:"allowed_at"`
}

// Store keeps permissions. What it finds it trusts only where nobody else could have written it. Several processes may use
// a folder at once: a file is written aside and then renamed.
type Store struct {
	dir     string
	missing error // why there is no folder
}

// New is a store in a folder, which is made when it is first needed.
func New(dir string) *Store { return &Store{dir: dir} }

// Own is the store of who runs the program, in [StateFolder].
func Own() *Store {
	dir, err := StateFolder()
	return &Store{filepath.Join(dir, "allowed"), err}
}

// StateFolder is where the program keeps what it must know another time: the folder that FLOWRUN_STATE names, else its own
// in the one for the state of programs: https://specifications.freedesktop.org/basedir-spec/latest. The error says why there is no such place.
func StateFolder() (string, error) {
	if dir := os.Getenv("FLOWRUN_STATE"); dir != "" {
		return dir, nil
	}
	dir := os.Getenv("XDG_STATE_HOME")
	var err error
	switch {
	case filepath.IsAbs(dir):
	case runtime.GOOS == "windows":
		dir, err = os.UserCacheDir()
	default:
		dir, err = os.UserHomeDir()
		dir = filepath.Join(dir, ".local", "state")
	}
	return filepath.Join(dir, "flowrun"), err
}

// Find is what was allowed to a file, the zero Permission where nothing was. An error says why what is there counts for
// nothing.
func (s *Store) Find(file string) (Permission, error) {
	if s.missing != nil {
		return Permission{}, nil
	}
	p, err := s.read(nameOf(file))
	if errors.Is(err, fs.ErrNotExist) {
		return Permission{}, nil
	}
	if err == nil && p.File != file {
		p, err = Permission{}, s.wrong(nameOf(file), errors.New("it is of another pipeline"))
	}
	return p, err
}

// Keep keeps a permission in place of the one that its file had.
func (s *Store) Keep(p Permission) error {
	if s.missing != nil {
		return s.missing
	}
	b, err := json.MarshalIndent(record{version, p}, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(s.dir, ".new-") // for its owner alone
	if err != nil {
		return err
	}
	_, err = f.Write(append(b, '\n'))
	err = cmp.Or(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), filepath.Join(s.dir, nameOf(p.File)))
	}
	if err != nil {
		_ = os.Remove(f.Name())
	}
	return err
}

// Forget takes back what was allowed to a file, and tells whether anything was.
func (s *Store) Forget(file string) (bool, error) {
	if s.missing != nil {
		return false, nil
	}
	err := os.Remove(filepath.Join(s.dir, nameOf(file)))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// All are the permissions that count, by the names of their files' records, and why the others do not.
func (s *Store) All() ([]Permission, []error) {
	if s.missing != nil {
		return nil, nil
	}
	entries, err := os.ReadDir(s.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, []error{err}
	}
	var all []Permission
	var wrong []error
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), ".json") {
			continue
		}
		p, err := s.read(e.Name())
		if err == nil && nameOf(p.File) != e.Name() {
			err = s.wrong(e.Name(), errors.New("it is of another pipeline"))
		}
		if err != nil {
			wrong = append(wrong, err)
		} else {
			all = append(all, p)
		}
	}
	return all, wrong
}

// record is what a file holds.
type record struct {
	Version int `json:"version"`
	Permission
}

// read reads a record that only the user can have written.
func (s *Store) read(name string) (Permission, error) {
	b, err := s.bytes(filepath.Join(s.dir, name))
	if err != nil {
		return Permission{}, s.wrong(name, err)
	}
	var r record
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	err = d.Decode(&r)
	if _, more := d.Token(); err == nil && more != io.EOF {
		err = errors.New("something follows")
	}
	switch {
	case err != nil:
		return Permission{}, s.wrong(name, fmt.Errorf("it is not as flowrun writes it: %w", err))
	case r.Version != version:
		return Permission{}, s.wrong(name, fmt.Errorf("it is of version %d, not %d", r.Version, version))
	case len(r.Key) != 64 || strings.Trim(r.Key, "0123456789abcdef") != "":
		return Permission{}, s.wrong(name, errors.New("it is not as flowrun writes it: the key is none"))
	}
	return r.Permission, nil
}

func (s *Store) bytes(path string) ([]byte, error) {
	info, err := os.Lstat(path) // before it is opened: opening a FIFO would wait for a writer
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, errors.New("it is not a regular file")
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if info, err = f.Stat(); err != nil { // of what was opened
		return nil, err
	}
	if err := private(info); err != nil {
		return nil, err
	}
	b, err := io.ReadAll(io.LimitReader(f, most+1))
	if err == nil && len(b) > most {
		err = fmt.Errorf("it is larger than %d MiB", most>>20)
	}
	return b, err
}

// wrong says which file an error is about, once.
func (s *Store) wrong(name string, err error) error {
	if path := (*fs.PathError)(nil); errors.As(err, &path) {
		err = path.Err
	}
	return fmt.Errorf("%s: %w", filepath.Join(s.dir, name), err)
}

// nameOf is the name of the record of a file.
func nameOf(file string) string {
	sum := sha256.Sum256([]byte(file))
	return hex.EncodeToString(sum[:]) + ".json"
}
