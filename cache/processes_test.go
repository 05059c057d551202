package cache_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/flowrun/flowrun/cache"
)

// busy keeps and finds answers under the same few keys as others that do so, in a folder that is too small for them all.
// What it finds must be an answer that somebody kept, whole.
func busy(dir string) error {
	s := cache.New(dir, cache.WithBounds(160<<10, 64<<10))
	found := 0
	for i := range 300 {
		k := key(fmt.Sprint(i % 11))
		answer := strings.Repeat(fmt.Sprintf("%s %d %d\n", k, os.Getpid(), i), 1+i*37%400)
		s.Keep(k, "busy", []byte(answer))
		k = key(fmt.Sprint(i * 5 % 11))
		got, kept, ok := s.Find(k)
		if !ok {
			continue
		}
		found++
		line, _, _ := bytes.Cut(got, []byte("\n"))
		if !bytes.HasPrefix(line, []byte(k)) || !bytes.Equal(got, bytes.Repeat(append(line, '\n'), len(got)/(len(line)+1))) {
			return fmt.Errorf("%s has the answer %.200q", k, got)
		}
		if since := time.Since(kept); since < -time.Minute || since > time.Hour {
			return fmt.Errorf("%s was kept %s ago", k, since)
		}
		if i%50 == 49 {
			if _, err := s.Answers(); err != nil {
				return err
			}
		}
		if i == 250 {
			if _, _, err := s.Clear(time.Time{}); err != nil {
				return err
			}
		}
	}
	if found == 0 {
		return errors.New("nothing was found")
	}
	return s.Err()
}

// TestProcesses lets several processes write and read the same answers at once.
func TestProcesses(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	errs := make([]error, 4)
	var wg sync.WaitGroup
	for i := range errs {
		wg.Go(func() {
			cmd := exec.Command(os.Args[0])
			cmd.Env = append(os.Environ(), "FLOWRUN_CACHE_TEST="+dir)
			if out, err := cmd.CombinedOutput(); err != nil {
				errs[i] = fmt.Errorf("%w: %s", err, out)
			}
		})
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Error(err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), ".") {
			t.Errorf("%s was left behind", e.Name())
		}
	}
}
