package cache_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/flowrun/flowrun/cache"
	"github.com/flowrun/flowrun/leaktest"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv("FLOWRUN_CACHE_TEST"); dir != "" {
		if err := busy(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	leaktest.Main(m)
}

// key is a key as good as any.
func key(of string) string { return fmt.Sprintf("%x", sha256.Sum256([]byte(of))) }

// said is what a store answers, or that it does not.
func said(s *cache.Store, key string) string {
	answer, _, ok := s.Find(key)
	if !ok {
		return "nothing"
	}
	return string(answer)
}

func TestStore(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "deep", "down")
	s := cache.New(dir)
	if got := said(s, key("a")); got != "nothing" {
		t.Errorf("before anything is kept it says %s", got)
	}
	if answers, err := s.Answers(); err != nil || len(answers) > 0 {
		t.Errorf("before anything is kept it has %v, %v", answers, err)
	}
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the folder is there before anything is kept: %v", err)
	}
	before := time.Now()
	s.Keep(key("a"), "what\nis a", []byte("an answer\nof lines\x00"))
	s.Keep(key("b"), "what is b", nil)
	s.Keep(key("b"), strings.Repeat("é\x01", 500), []byte("better"))
	answer, kept, ok := cache.New(dir).Find(key("a"))
	if string(answer) != "an answer\nof lines\x00" || !ok || kept.Before(before) || kept.After(time.Now()) {
		t.Errorf("another store finds %q of %v, %v", answer, kept, ok)
	}
	if got := said(s, key("b")); got != "better" {
		t.Errorf("what was kept again is %s", got)
	}
	answers, err := s.Answers()
	if err != nil || len(answers) != 2 {
		t.Fatalf("it has %v, %v", answers, err)
	}
	if b := answers[0]; b.Key != key("b") || b.Label != strings.Repeat("é\x01", 99)+"é…" || b.Broken {
		t.Errorf("the newest is %+v", b)
	}
	if a := answers[1]; a.Key != key("a") || a.Label != "what\nis a" || !a.Kept.Equal(kept) || a.Size != size(t, dir, a.Key) || a.Broken {
		t.Errorf("the oldest is %+v", a)
	}
	if s.Err() != nil {
		t.Error(s.Err())
	}
}

func size(t *testing.T, dir, name string) int64 {
	t.Helper()
	info, err := os.Stat(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}

// Answers may be private: nobody else reads them.
func TestModes(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("modes are those of Unix")
	}
	dir := filepath.Join(t.TempDir(), "new")
	cache.New(dir).Keep(key("a"), "", nil)
	for name, want := range map[string]fs.FileMode{dir: 0o700 | fs.ModeDir, filepath.Join(dir, key("a")): 0o600} {
		if info, err := os.Stat(name); err != nil || info.Mode() != want {
			t.Errorf("%s has mode %v, want %v; %v", name, info.Mode(), want, err)
		}
	}
}

// What is no key reaches no file.
func TestKeys(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := cache.New(filepath.Join(dir, "in"))
	for _, bad := range []string{"", "a", "../../a", strings.Repeat("A", 64), strings.Repeat("g", 64), strings.Repeat("a", 63), strings.Repeat("a", 65),
		strings.Repeat("../", 21) + "a", strings.Repeat("a", 63) + "\x00", strings.Repeat("a", 63) + "/"} {
		s.Keep(bad, "", []byte("x"))
		if got := said(s, bad); got != "nothing" {
			t.Errorf("%q is taken for a key", bad)
		}
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) > 0 {
		t.Errorf("there are %v, %v", entries, err)
	}
}

// TestBroken puts all kinds of things in the place of an answer. None is an answer, none blocks, and each is replaced
// by the next answer.
func TestBroken(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	cache.New(dir).Keep(key("a"), "what is a", []byte("an answer"))
	whole, err := os.ReadFile(filepath.Join(dir, key("a")))
	if err != nil {
		t.Fatal(err)
	}
	changed := func(old, to string) func(string) error {
		return func(name string) error {
			b := bytes.Replace(whole, []byte(old), []byte(to), 1)
			if bytes.Equal(b, whole) {
				return fmt.Errorf("there is no %q to change", old)
			}
			return os.WriteFile(name, b, 0o600)
		}
	}
	of := func(b []byte) func(string) error {
		return func(name string) error { return os.WriteFile(name, b, 0o600) }
	}
	line := bytes.IndexByte(whole, '\n') + 1
	tests := map[string]func(name string) error{
		"empty":                  of(nil),
		"cut at its end":         of(whole[:len(whole)-1]),
		"cut in its head":        of(whole[:line+10]),
		"cut behind a line":      of(whole[:line]),
		"cut in a line":          of(whole[:line-10]),
		"with something behind":  of(append(slices.Clone(whole), 'x')),
		"twice":                  of(append(slices.Clone(whole), whole...)),
		"garbage":                of(bytes.Repeat([]byte{0, 0xff, '\n'}, 1000)),
		"a large hole":           func(name string) error { return errors.Join(of(whole)(name), os.Truncate(name, 1<<40)) },
		"zeros":                  of(make([]byte, len(whole))),
		"another answer":         changed("an answer", "no answer"),
		"another label":          changed("what is a", "what is b"),
		"of another version":     changed("answer 1 ", "answer 2 "),
		"of another key":         changed(key("a"), key("b")),
		"without a checksum":     of(whole[line:]),
		"a folder":               func(name string) error { return os.Mkdir(name, 0o700) },
		"a folder that is full":  func(name string) error { return os.MkdirAll(filepath.Join(name, "x", "y"), 0o700) },
		"a link to itself":       func(name string) error { return os.Symlink(name, name) },
		"a link to nothing":      func(name string) error { return os.Symlink("absent", name) },
		"a link to a folder":     func(name string) error { return os.Symlink(".", name) },
		"a link to the answer":   func(name string) error { return linked(name, whole) },
		"a file not to be read":  func(name string) error { return errors.Join(of(whole)(name), os.Chmod(name, 0)) },
		"an answer of other key": func(name string) error { return moved(name) },
		"a FIFO":                 fifo,
		"a socket":               socket,
	}
	for name, spoil := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			s := cache.New(dir)
			file := filepath.Join(dir, key("a"))
			if err := spoil(file); err != nil {
				t.Skip(err)
			}
			readable := name == "a file not to be read" && os.Geteuid() == 0
			if got := said(s, key("a")); got != "nothing" && !readable {
				t.Errorf("it answers %.100s", got)
			}
			answers, err := s.Answers()
			if err != nil {
				t.Error(err)
			}
			for _, a := range answers {
				// Only the head is read here.
				if in := name == "another answer" || name == "another label"; a.Key == key("a") && a.Broken == (in || readable) {
					t.Errorf("it is listed as %+v", a)
				}
			}
			s.Keep(key("a"), "what is a", []byte("at last"))
			if got := said(s, key("a")); got != "at last" || s.Err() != nil {
				t.Errorf("then it answers %.100s, %v", got, s.Err())
			}
			if err := errors.Join(os.Remove(file), spoil(file)); err != nil {
				t.Fatal(err)
			}
			if _, _, err := s.Clear(time.Time{}); err != nil {
				t.Errorf("it is not cleared: %v", err)
			}
			if _, err := os.Lstat(file); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("it outlives clearing: %v", err)
			}
		})
	}
}

// linked puts a link to an answer that is whole but for its being a link.
func linked(name string, whole []byte) error {
	return errors.Join(os.WriteFile(name+".real", whole, 0o600), os.Symlink(name+".real", name))
}

// moved puts the answer of another key.
func moved(name string) error {
	s := cache.New(filepath.Dir(name))
	s.Keep(key("other"), "", []byte("of another"))
	return os.Rename(filepath.Join(s.Dir(), key("other")), name)
}

// Where nothing can be kept nothing fails, and the first reason is known.
func TestFailure(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, dir := range map[string]string{"a file": file, "below a file": filepath.Join(file, "x", "y")} {
		s := cache.New(dir)
		if got := said(s, key("a")); got != "nothing" || s.Err() != nil {
			t.Errorf("%s: it answers %s, %v", name, got, s.Err())
		}
		s.Keep(key("a"), "", nil)
		s.Keep(key("b"), "", nil)
		if want := dir + ": not a directory"; s.Err() == nil || runtime.GOOS != "windows" && s.Err().Error() != want {
			t.Errorf("%s: the reason is %v, want %s", name, s.Err(), want)
		}
		if _, err := s.Answers(); err == nil {
			t.Errorf("%s: it lists answers", name)
		}
		if _, _, err := s.Clear(time.Time{}); err == nil {
			t.Errorf("%s: it clears", name)
		}
	}
}

func TestOwn(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("FLOWRUN_CACHE", dir)
	if got := cache.Own().Dir(); got != dir {
		t.Errorf("it is %s, want %s", got, dir)
	}
	t.Setenv("FLOWRUN_CACHE", "")
	if runtime.GOOS != "linux" {
		return
	}
	t.Setenv("XDG_CACHE_HOME", dir)
	if got, want := cache.Own().Dir(), filepath.Join(dir, "flowrun", "answers"); got != want {
		t.Errorf("it is %s, want %s", got, want)
	}
	t.Setenv("XDG_CACHE_HOME", "")
	t.Setenv("HOME", "")
	s := cache.Own()
	s.Keep(key("a"), "", nil)
	if got := said(s, key("a")); got != "nothing" || s.Err() == nil || !strings.Contains(s.Err().Error(), "HOME") {
		t.Errorf("without a home it answers %s, %v", got, s.Err())
	}
	if _, err := s.Answers(); err == nil {
		t.Error("without a home it lists answers")
	}
}

// kept are those of some keys whose answers are there.
func kept(s *cache.Store, keys ...string) []string {
	var there []string
	for _, k := range keys {
		if _, err := os.Stat(filepath.Join(s.Dir(), key(k))); err == nil {
			there = append(there, k)
		}
	}
	return there
}

// age says that a file was used so long ago.
func age(t *testing.T, s *cache.Store, name string, d time.Duration) {
	t.Helper()
	at := time.Now().Add(-d)
	if err := os.Chtimes(filepath.Join(s.Dir(), name), at, at); err != nil {
		t.Fatal(err)
	}
}

// What was used least recently goes first, and what is not the store's stays.
func TestEviction(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := cache.New(dir, cache.WithBounds(64<<10, 16<<10))
	names := []string{"0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "12", "13", "14", "15"}
	for i, name := range names {
		s.Keep(key(name), "", nil)
		age(t, s, key(name), time.Hour-time.Duration(i)*time.Minute)
	}
	if got := kept(s, names...); !cmp.Equal(got, names) {
		t.Fatalf("16 answers of a block each fit, but there are only %v", got)
	}
	for name, d := range map[string]time.Duration{"notes.txt": 100 * time.Hour, ".new-1": 2 * time.Hour} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
		age(t, s, name, d)
	}
	said(s, key("1"))
	s.Keep(key("large"), "", make([]byte, 10<<10)) // three blocks
	want := []string{"1", "4", "5", "6", "7", "8", "9", "10", "11", "12", "13", "14", "15", "large"}
	if got := kept(s, append(names, "large")...); !cmp.Equal(got, want) {
		t.Errorf("there are %v, want %v", got, want)
	}
	if _, err := os.Stat(filepath.Join(dir, "notes.txt")); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Join(dir, ".new-1")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("what was never finished is still there: %v", err)
	}
	s.Keep(key("too large"), "", make([]byte, 16<<10+1))
	if got := said(s, key("too large")); got != "nothing" || s.Err() != nil {
		t.Errorf("an answer above the bound is kept: %v", s.Err())
	}
}

// The bound holds at every moment, whatever the sizes.
func TestBound(t *testing.T) {
	t.Parallel()
	const bound = 256 << 10
	s := cache.New(t.TempDir(), cache.WithBounds(bound, bound))
	most := int64(0)
	for i := range 500 {
		s.Keep(key(fmt.Sprint(i)), "", make([]byte, (i*7919)%(60<<10)))
		if i == 400 {
			s.Keep(key("all"), "", make([]byte, bound-1000))
		}
		entries, err := os.ReadDir(s.Dir())
		if err != nil {
			t.Fatal(err)
		}
		total := int64(0)
		for _, e := range entries {
			total += (size(t, s.Dir(), e.Name()) + 4095) / 4096 * 4096
		}
		if most = max(most, total); total > bound {
			t.Fatalf("after %d answers the folder takes %d bytes, more than %d", i+1, total, bound)
		}
		if _, _, ok := s.Find(key(fmt.Sprint(i))); !ok && i != 400 {
			t.Fatalf("answer %d was not kept", i)
		}
	}
	if most < bound/2 {
		t.Errorf("of %d bytes at most %d were used", bound, most)
	}
	s.Keep(key("more than all"), "", make([]byte, bound))
	if got := said(s, key("more than all")); got != "nothing" || s.Err() != nil {
		t.Errorf("what has no room at all is kept: %v", s.Err())
	}
}

// Old answers go, younger ones stay.
func TestClear(t *testing.T) {
	t.Parallel()
	s := cache.New(t.TempDir())
	s.Keep(key("old"), "", nil)
	_, at, _ := s.Find(key("old"))
	for !time.Now().After(at) { // clocks may be coarse
		runtime.Gosched()
	}
	s.Keep(key("young"), "", []byte("x"))
	_, at, _ = s.Find(key("young"))
	large := size(t, s.Dir(), key("old"))
	if n, bytes, err := s.Clear(at); n != 1 || bytes != large || err != nil {
		t.Errorf("%d answers of %d bytes went, want 1 of %d; %v", n, bytes, large, err)
	}
	if got := kept(s, "old", "young"); !cmp.Equal(got, []string{"young"}) {
		t.Errorf("there are %v", got)
	}
	if n, _, err := s.Clear(time.Time{}); n != 1 || err != nil || len(kept(s, "young")) > 0 {
		t.Errorf("%d answers went, %v", n, err)
	}
}

// Several goroutines use one store, and others another one of the same folder.
func TestTogether(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	errs := make([]error, 4)
	var wg sync.WaitGroup
	for i := range errs {
		wg.Go(func() { errs[i] = busy(dir) })
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Error(err)
	}
}
