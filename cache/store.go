// Package cache keeps answers in a folder, one file an answer, for runs in several processes at once. It knows nothing of
// who was asked or how: an answer has a key, and a label for people.
package cache

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	mostInAll  = 256 << 20
	mostOfOne  = 16 << 20
	block      = 4 << 10 // of a disk; a file takes whole ones
	unfinished = ".new-" // begins the names of files that are being written
	forgotten  = time.Hour
)

// Store keeps answers in a folder. It may be used by several goroutines, and the folder by several processes: a file is
// written aside and then renamed, and what is found is checked. The folder is made when the first answer is kept.
type Store struct {
	dir        string
	missing    error // why there is no folder
	inAll, one int64 // bounds

	mu     sync.Mutex // held while an answer is kept
	left   int64      // that may be kept before the folder is measured again
	failed error
}

// Option changes how answers are kept.
type Option func(*Store)

// WithBounds bounds the bytes that the folder takes, and those of one answer; by default 256 MiB and 16 MiB. Where there
// is no room the answers go that were used least recently; an answer that is too large is not kept. Another process that
// keeps answers at the same time may go past the bound by a sixteenth of it.
func WithBounds(inAll, one int64) Option {
	return func(s *Store) { s.inAll, s.one = inAll, one }
}

// New is a store in a folder. Nothing is read or written before it is used.
func New(dir string, opts ...Option) *Store {
	s := &Store{dir: dir, inAll: mostInAll, one: mostOfOne}
	for _, o := range opts {
		o(s)
	}
	return s
}

// Own is the store of who runs the program: in the folder that FLOWRUN_CACHE names, else among the user's caches.
func Own() *Store {
	if dir := os.Getenv("FLOWRUN_CACHE"); dir != "" {
		return New(dir)
	}
	dir, err := os.UserCacheDir()
	s := New(filepath.Join(dir, "flowrun", "answers"))
	s.missing = err
	return s
}

// Dir is the folder.
func (s *Store) Dir() string { return s.dir }

// Err is the first reason why an answer could not be kept.
func (s *Store) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.failed
}

// Find gives the answer of a key and when it was kept. A file that is not as it was written is no answer.
func (s *Store) Find(key string) (answer []byte, kept time.Time, ok bool) {
	if !isKey(key) || s.missing != nil {
		return nil, time.Time{}, false
	}
	b, err := s.read(s.path(key), s.one+maxHead)
	if err != nil {
		return nil, time.Time{}, false
	}
	h, answer, ok := decode(b)
	if !ok || h.Key != key {
		return nil, time.Time{}, false
	}
	now := time.Now()
	_ = os.Chtimes(s.path(key), now, now) // a folder that is read only forgets what was used
	return answer, time.Unix(0, h.Kept), true
}

// read reads at most so many bytes of a regular file.
func (s *Store) read(path string, most int64) ([]byte, error) {
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
	return io.ReadAll(io.LimitReader(f, most))
}

// Keep keeps the answer of a key in place of what was there. Why it could not is known to [Store.Err].
func (s *Store) Keep(key, label string, answer []byte) {
	if !isKey(key) || int64(len(answer)) > s.one {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.keep(key, encode(head{Key: key, Kept: time.Now().UnixNano(), Label: label}, answer)); err != nil && s.failed == nil {
		s.failed = s.wrong(err)
	}
}

func (s *Store) keep(key string, b []byte) error {
	if s.missing != nil {
		return s.missing
	}
	n := takes(int64(len(b)))
	if n > s.inAll {
		return nil
	}
	if err := s.makeRoom(n); err != nil {
		return err
	}
	f, err := s.create()
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err = cmp.Or(err, f.Close()); err == nil {
		err = put(f.Name(), s.path(key))
	}
	if err != nil {
		_ = os.Remove(f.Name())
	}
	if errors.Is(err, fs.ErrNotExist) { // who cleared the folder took it
		return nil
	}
	return err
}

// create begins a file, in a folder that is made where it is not there.
func (s *Store) create() (*os.File, error) {
	f, err := os.CreateTemp(s.dir, unfinished)
	if !errors.Is(err, fs.ErrNotExist) {
		return f, err
	}
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return nil, err
	}
	return os.CreateTemp(s.dir, unfinished)
}

// put gives a file the name of an answer, whatever has that name.
func put(file, name string) error {
	err := os.Rename(file, name)
	if err == nil {
		return nil
	}
	if info, _ := os.Lstat(name); info == nil || !info.IsDir() {
		return err
	}
	if err := os.RemoveAll(name); err != nil {
		return err
	}
	return os.Rename(file, name)
}

// makeRoom makes room for so many bytes. The folder is measured only where so much was kept since the last time that it
// may be full.
func (s *Store) makeRoom(n int64) error {
	if n <= s.left {
		s.left -= n
		return nil
	}
	found, err := s.files()
	if err != nil {
		return err
	}
	var total int64
	for _, f := range found {
		total += takes(f.info.Size())
	}
	slices.SortStableFunc(found, func(a, b file) int { return a.info.ModTime().Compare(b.info.ModTime()) })
	room := max(n, s.inAll/16)
	for _, f := range found {
		full := total+room > s.inAll
		if f.key == "" {
			full = time.Since(f.info.ModTime()) > forgotten
		}
		if !full {
			continue
		}
		if err := s.remove(f); err != nil {
			return err
		}
		total -= takes(f.info.Size())
	}
	s.left = room - n
	return nil
}

// takes is how many bytes of a disk a file takes.
func takes(size int64) int64 { return (size + block - 1) / block * block }

// file is what the folder holds under the name of an answer, or of a file that is being written.
type file struct {
	name string
	key  string // empty: it is being written
	info fs.FileInfo
}

// files are those in the folder that are the store's.
func (s *Store) files() ([]file, error) {
	if s.missing != nil {
		return nil, s.missing
	}
	entries, err := os.ReadDir(s.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var found []file
	for _, e := range entries {
		f := file{name: e.Name()}
		if isKey(f.name) {
			f.key = f.name
		} else if !strings.HasPrefix(f.name, unfinished) {
			continue
		}
		if f.info, err = e.Info(); err == nil { // else another process has just removed it
			found = append(found, f)
		}
	}
	return found, nil
}

func (s *Store) remove(f file) error {
	if f.info.IsDir() {
		return os.RemoveAll(s.path(f.name))
	}
	if err := os.Remove(s.path(f.name)); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// Answer describes what is kept under a key.
type Answer struct {
	Key    string    `json:"key"`
	Label  string    `json:"label"`
	Kept   time.Time `json:"kept_at"`
	Size   int64     `json:"size"` // of its file, in bytes
	Broken bool      `json:"broken,omitempty"`
}

// Answers is what is kept, the newest first.
func (s *Store) Answers() ([]Answer, error) {
	found, err := s.files()
	if err != nil {
		return nil, s.wrong(err)
	}
	answers := []Answer{}
	for _, f := range found {
		if f.key != "" {
			answers = append(answers, s.describe(f))
		}
	}
	slices.SortStableFunc(answers, func(a, b Answer) int { return b.Kept.Compare(a.Kept) })
	return answers, nil
}

// describe reads only the head of a file.
func (s *Store) describe(f file) Answer {
	a := Answer{Key: f.key, Kept: f.info.ModTime(), Size: f.info.Size(), Broken: true}
	b, err := s.read(s.path(f.name), maxHead)
	if err != nil {
		return a
	}
	h, begins, ok := readHead(b)
	if ok && h.Key == f.key && int64(begins)+h.Size == a.Size {
		a.Label, a.Kept, a.Broken = h.Label, time.Unix(0, h.Kept), false
	}
	return a
}

// Clear removes what was kept before a time, or everything where that is zero. It gives how many answers went, and the
// bytes of their files.
func (s *Store) Clear(before time.Time) (answers int, size int64, err error) {
	found, err := s.files()
	if err != nil {
		return 0, 0, s.wrong(err)
	}
	for _, f := range found {
		a := s.describe(f)
		if !before.IsZero() && !a.Kept.Before(before) {
			continue
		}
		if err := s.remove(f); err != nil {
			return answers, size, s.wrong(err)
		}
		if f.key != "" {
			answers++
			size += a.Size
		}
	}
	return answers, size, nil
}

func (s *Store) path(name string) string { return filepath.Join(s.dir, name) }

// wrong says of the folder what was said of one of its files, whose name tells nothing.
func (s *Store) wrong(err error) error {
	if err == s.missing {
		return err
	}
	var path *fs.PathError
	var link *os.LinkError
	switch {
	case errors.As(err, &path):
		err = path.Err
	case errors.As(err, &link):
		err = link.Err
	}
	return fmt.Errorf("%s: %w", s.dir, err)
}

// isKey tells whether a text is a key: nothing else becomes the name of a file.
func isKey(s string) bool {
	return len(s) == 64 && strings.Trim(s, "0123456789abcdef") == ""
}
