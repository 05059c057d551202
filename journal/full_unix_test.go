//go:build unix

package journal_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/flowrun/flowrun/engine"
	"github.com/flowrun/flowrun/journal"
)

func init() {
	// A process that may write files of so many bytes runs a pipeline; it says what was done and how it ended.
	children["fill"] = func(path string, args []string) error {
		most, err := strconv.ParseUint(args[0], 10, 64)
		if err != nil {
			return err
		}
		signal.Ignore(syscall.SIGXFSZ)
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: most, Max: most}); err != nil {
			return err
		}
		j, err := journal.Open(path)
		if err != nil {
			fmt.Println("opening:", err)
			return nil
		}
		defer j.Close()
		r, err := j.Begin(journal.Head{ID: "r", Workflow: "p"})
		if err != nil {
			fmt.Println("beginning:", err)
			return nil
		}
		defer r.Close()
		turns := &asked{Run: r}
		var late atomic.Int64
		g := graph(&testing.T{}, `{for_each: "1..500", max_concurrency: 4, do: {ask: "${{ prev }}"}, limits: {max_steps: 1000}}`, func(_ context.Context, what any) (any, error) {
			turns.did.Add(1)
			return strings.Repeat("x", 2000), nil
		})
		result, err := engine.Run(context.Background(), g, nil, engine.WithTurns(turns), engine.WithListener(r.Hear))
		if turns.did.Load() > turns.may.Load() {
			late.Add(1)
		}
		fmt.Println("ended:", result.Status, turns.did.Load(), late.Load(), errors.Join(err, r.End(result)))
		return nil
	}
}

// However little room there is, the run ends and says so, asks nothing more, and what was kept is there.
func TestNoRoom(t *testing.T) {
	var completed atomic.Int64
	t.Cleanup(func() {
		if completed.Load() != 1 {
			t.Errorf("%d runs completed", completed.Load())
		}
	})
	for _, kib := range []int{0, 4, 16, 33, 64, 128, 200, 300, 400, 100_000} {
		t.Run(fmt.Sprint(kib, " KiB"), func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "flowrun.db")
			p := start(t, "fill", path, fmt.Sprint(kib<<10))
			said := strings.Join(p.lines(), "\n")
			if err := p.Wait(); err != nil {
				t.Fatalf("%v: %s", err, said)
			}
			if strings.HasPrefix(said, "ended: completed") {
				completed.Add(1)
				return
			}
			if !strings.Contains(said, path) || !strings.Contains(said, "disk full") {
				t.Errorf("it does not say what is wrong: %s", said)
			}
			if !strings.HasPrefix(said, "ended:") {
				return
			}
			var status string
			var did, late int
			if n, err := fmt.Sscanf(said, "ended: %s %d %d", &status, &did, &late); n != 3 || status != "failed" || late != 0 {
				t.Errorf("%s, %v", said, err)
			}
			j := opened(t, path)
			rec, err := j.Get("r")
			if err != nil || rec.Status != journal.Interrupted || rec.Steps > did || rec.Steps < did-4 {
				t.Errorf("kept are %d steps of %d, and it is %s: %v", rec.Steps, did, rec.Status, err)
			}
		})
	}
}

// A file system without room.
func TestFullFileSystem(t *testing.T) {
	dir := t.TempDir()
	if err := mountSmall(dir); err != nil {
		t.Skip("only who may mount one has a small file system: ", err)
	}
	t.Cleanup(func() { _ = unmount(dir) })
	path := filepath.Join(dir, "flowrun.db")
	j := opened(t, path)
	r := begun(t, j, "r")
	n, err := 0, error(nil)
	for err == nil && n < 10_000 {
		n++
		err = r.Record(finished(fmt.Sprintf("/list[%d]/do", n), n, strings.Repeat("x", 2000)))()
	}
	if want := "writing the journal " + path + ": disk full"; err == nil || err.Error() != want {
		t.Errorf("\n got %v\nwant %s", err, want)
	}
	if err := r.End(&engine.Result{Status: engine.Completed}); err == nil {
		t.Error("its end was kept")
	}
	r.Close()
	j.Close()
	if err := os.Truncate(filepath.Join(dir, "filler"), 0); err != nil {
		t.Fatal(err)
	}
	again, err := opened(t, path).Take("r")
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	if kept := again.Find("/").Spent.Steps; kept != n-1 {
		t.Errorf("%d steps are there of %d that were kept", kept, n-1)
	}
}

func TestFileThatIsReadOnly(t *testing.T) {
	dir := t.TempDir()
	if err := mountSmall(dir); err != nil {
		t.Skip("only who may mount one has a file system that is read only: ", err)
	}
	t.Cleanup(func() { _ = unmount(dir) })
	path := filepath.Join(dir, "flowrun.db")
	opened(t, path).Close()
	if err := remountReadOnly(dir); err != nil {
		t.Fatal(err)
	}
	wrong := (*journal.OpenError)(nil)
	if _, err := journal.Open(path); !errors.As(err, &wrong) || wrong.Missing || wrong.Err.Error() != "it cannot be written to" {
		t.Errorf("one that is there: %v", err)
	}
	if _, err := journal.Open(filepath.Join(dir, "other.db")); !errors.As(err, &wrong) || !wrong.Missing {
		t.Errorf("one that is not: %v", err)
	}
}

// A large output for which there is no room says so in the same words as the rest.
func TestNoRoomForALargeOutput(t *testing.T) {
	for cause, want := range map[error]string{
		syscall.ENOSPC: "disk full",
		syscall.EDQUOT: "disk full",
		syscall.EFBIG:  "nothing more can be written (disk full, broken, or a limit on the size of files): a large output: write x: file too large",
	} {
		err := fmt.Errorf("a large output: %w", &os.PathError{Op: "write", Path: "x", Err: cause})
		if got := journal.InWords(err).Error(); got != want {
			t.Errorf("\n got %s\nwant %s", got, want)
		}
	}
}
