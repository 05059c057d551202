package allowed_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/flowrun/flowrun/allowed"
	"github.com/flowrun/flowrun/leaktest"
)

func TestMain(m *testing.M) { leaktest.Main(m) }

var at = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func permission(file, digit string) allowed.Permission {
	return allowed.Permission{File: file, Key: strings.Repeat(digit, 64), Flags: []string{"--allow-exec=echo"}, At: at}
}

func TestStore(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "state", "allowed")
	s := allowed.New(dir)
	if p, err := s.Find("/p.yaml"); p.Key != "" || err != nil {
		t.Errorf("found %v, %v in an empty store", p, err)
	}
	if found, err := s.Forget("/p.yaml"); found || err != nil {
		t.Errorf("forgot %v, %v in an empty store", found, err)
	}
	if all, wrong := s.All(); len(all)+len(wrong) != 0 {
		t.Errorf("an empty store lists %v, %v", all, wrong)
	}
	for _, p := range []allowed.Permission{permission("/p.yaml", "1"), permission("/q.yaml", "2"), permission("/p.yaml", "3")} {
		if err := s.Keep(p); err != nil {
			t.Fatal(err)
		}
	}
	p, err := allowed.New(dir).Find("/p.yaml")
	if want := permission("/p.yaml", "3"); err != nil || p.Key != want.Key || !slices.Equal(p.Flags, want.Flags) || !p.At.Equal(at) {
		t.Errorf("found %v, %v, want %v", p, err, want)
	}
	if all, wrong := s.All(); len(all) != 2 || len(wrong) != 0 {
		t.Errorf("lists %v, %v, want two", all, wrong)
	}
	if found, err := s.Forget("/p.yaml"); !found || err != nil {
		t.Errorf("forgot %v, %v", found, err)
	}
	if p, err := s.Find("/p.yaml"); p.Key != "" || err != nil {
		t.Errorf("found %v, %v, want nothing after it was forgotten", p, err)
	}
	if err := s.Keep(permission(string([]byte{'/', 0xff}), "1")); err != nil {
		t.Fatal(err)
	}
	if p, _ := s.Find(string([]byte{'/', 0xff})); p.Key != "" {
		t.Error("a name that JSON cannot hold was found again under another")
	}
}

// TestWriters lets many record at once: each reads a whole record or none, and nothing is left beside them.
func TestWriters(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	files := []string{"/a.yaml", "/b.yaml"}
	var wg sync.WaitGroup
	errs := make(chan error, 1000)
	for i := range 16 {
		wg.Go(func() {
			s := allowed.New(dir)
			for j := range 10 {
				file := files[(i+j)%2]
				_, err := s.Find(file)
				errs <- errors.Join(s.Keep(permission(file, "abcdef"[j%6:j%6+1])), err)
			}
		})
	}
	wg.Wait()
	close(errs)
	for err := range errs {
		if err != nil {
			t.Error(err)
		}
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != len(files) {
		t.Errorf("the folder holds %v, %v, want one file each", left, err)
	}
}
