package journal_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gofrs/flock"

	"github.com/flowrun/flowrun/engine"
	"github.com/flowrun/flowrun/journal"
	"github.com/flowrun/flowrun/leaktest"
)

// children are what a process does that a test started, by name; the first argument is the journal's path.
var children = map[string]func(path string, args []string) error{}

func TestMain(m *testing.M) {
	if do := os.Getenv("JOURNAL_CHILD"); do != "" {
		args := os.Args[1:]
		if err := children[do](args[0], args[1:]); err != nil {
			fmt.Println("error:", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	leaktest.Main(m)
}

// process is another process.
type process struct {
	*exec.Cmd
	in  io.WriteCloser
	out *bufio.Scanner
}

func start(t testing.TB, do string, args ...string) *process {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p := &process{Cmd: exec.Command(exe, args...)}
	p.Env = append(os.Environ(), "JOURNAL_CHILD="+do)
	p.Stderr = os.Stderr
	out, err := p.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.out = bufio.NewScanner(out)
	if p.in, err = p.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = p.Process.Kill()
		_ = p.Wait()
	})
	return p
}

// lines are what is left of what the process says.
func (p *process) lines() (all []string) {
	for p.out.Scan() {
		all = append(all, p.out.Text())
	}
	return all
}

func (p *process) line() string {
	p.out.Scan()
	return p.out.Text()
}

func init() {
	children["own"] = func(path string, _ []string) error {
		j, err := journal.Open(path)
		if err != nil {
			return err
		}
		r, err := j.Begin(journal.Head{ID: "r", Workflow: "w"})
		if err != nil {
			return err
		}
		for n := 1; ; n++ { // until it is killed
			if err := r.Record(finished(fmt.Sprintf("/list[%d]/do", n), n, n))(); err != nil {
				return err
			}
			fmt.Println(n)
		}
	}
	children["take"] = func(path string, args []string) error {
		n, err := strconv.Atoi(args[0])
		if err != nil {
			return err
		}
		j, err := journal.Open(path)
		if err != nil {
			return err
		}
		defer j.Close()
		fmt.Println("ready")
		_, _ = bufio.NewReader(os.Stdin).ReadString('\n')
		for i := range n {
			r, err := j.Take(fmt.Sprint("r", i))
			live := (*journal.LiveError)(nil)
			switch {
			case errors.As(err, &live):
				fmt.Println(i, "lost", live.Owner.PID)
			case err != nil:
				return err
			default:
				defer r.Close()
				fmt.Println(i, "won")
			}
		}
		_, _ = io.Copy(io.Discard, os.Stdin) // owns them until it is told
		return nil
	}
	children["work"] = func(path string, args []string) error {
		long, err := time.ParseDuration(args[0])
		if err != nil {
			return err
		}
		n := 0
		for until := time.Now().Add(long); time.Now().Before(until); n++ {
			if err := session(path, fmt.Sprintf("%d-%d", os.Getpid(), n)); err != nil {
				return err
			}
		}
		fmt.Println(n)
		return nil
	}
}

// session is one of everything that is done with a journal.
func session(path, id string) error {
	j, err := journal.Open(path)
	if err != nil {
		return err
	}
	defer j.Close()
	r, err := j.Begin(journal.Head{ID: id, Workflow: "w", StartedAt: time.Now(), UserID: "u", SessionID: id})
	if err != nil {
		return err
	}
	defer r.Close()
	var all sync.WaitGroup
	errs := make([]error, 8)
	for n := range errs {
		all.Go(func() {
			e := finished(fmt.Sprintf("/list[%d]/do", n), n+1, "x")
			e.Memory = &engine.Memory{Agent: "a", Prompt: "p", Reply: "r"}
			errs[n] = r.Record(e)()
		})
	}
	all.Wait()
	if n := len(id) % 3; n == 0 {
		kept := r.Record(finished("/large", 9, strings.Repeat("large ", 60_000)))
		errs = append(errs, kept())
	}
	errs = append(errs, r.End(&engine.Result{Status: engine.Completed}), r.Close())
	runs, err := j.List(journal.Filter{Limit: 20})
	errs = append(errs, err)
	_, err = j.Turns(id)
	errs = append(errs, err)
	_, err = j.Exchanges("u", id, "a")
	errs = append(errs, err)
	if len(runs) > 10 {
		_, err = j.Prune(journal.Filter{Until: runs[10].StartedAt})
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// A process that is killed leaves a journal that can be opened, with all that it said was kept.
func TestKilledAlone(t *testing.T) {
	t.Parallel()
	for range 5 {
		path := filepath.Join(t.TempDir(), "flowrun.db")
		p := start(t, "own", path)
		for range 20 {
			p.line()
		}
		_ = p.Process.Kill()
		last := 20 + len(p.lines())
		_ = p.Wait()
		r, err := opened(t, path).Take("r")
		if err != nil {
			t.Fatal(err)
		}
		if n := r.Find("/").Spent.Steps; n < last || n > last+1 {
			t.Errorf("%d steps were kept, and it said %d", n, last)
		}
		r.Close()
	}
}

// The run of a process that is killed is free at once, and has all that it said was kept.
func TestKilledOwner(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "flowrun.db")
	j := opened(t, path)
	p := start(t, "own", path)
	for range 20 {
		p.line()
	}
	live := (*journal.LiveError)(nil)
	if _, err := j.Take("r"); !errors.As(err, &live) || live.Owner.PID != p.Process.Pid || !strings.Contains(err.Error(), fmt.Sprint("run r goes on in process ", p.Process.Pid)) {
		t.Errorf("taking it while it goes on: %v", err)
	}
	_ = p.Process.Kill()
	said := p.lines()
	_ = p.Wait()
	if s, err := j.Get("r"); err != nil || s.Status != journal.Interrupted {
		t.Fatalf("%+v, %v", s, err)
	}
	r, err := j.Take("r")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	last := 20
	if len(said) > 0 {
		last, _ = strconv.Atoi(said[len(said)-1])
	}
	if n := r.Find("/").Spent.Steps; n < last {
		t.Errorf("%d steps were kept, and it said %d", n, last)
	}
}

// Who has a run and has not said so yet is not taken for the one before, which was killed.
func TestOwnerThatSaysNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "flowrun.db")
	p := start(t, "own", path)
	p.line()
	_ = p.Process.Kill()
	p.lines()
	_ = p.Wait()
	locks, err := filepath.Glob(path + ".d/owners/*[^n]")
	if err != nil || len(locks) != 1 {
		t.Fatal(locks, err)
	}
	lock := flock.New(locks[0])
	if ok, err := lock.TryLock(); !ok || err != nil {
		t.Fatal(ok, err)
	}
	defer lock.Close()
	live := (*journal.LiveError)(nil)
	if _, err := opened(t, path).Take("r"); !errors.As(err, &live) || live.Owner != (journal.Owner{}) {
		t.Errorf("taking it: %v", err)
	}
}

// Of those who take a run at the same time one gets it, and the others learn who that is.
func TestRaces(t *testing.T) {
	t.Parallel()
	const races = 200
	path := filepath.Join(t.TempDir(), "flowrun.db")
	j := opened(t, path)
	for i := range races {
		begun(t, j, fmt.Sprint("r", i)).Close()
	}
	t.Run("of goroutines", func(t *testing.T) {
		for i := range races {
			var all sync.WaitGroup
			runs, errs := make([]*journal.Run, 2), make([]error, 2)
			for n := range 2 {
				all.Go(func() { runs[n], errs[n] = j.Take(fmt.Sprint("r", i)) })
			}
			all.Wait()
			live := (*journal.LiveError)(nil)
			if err := errors.Join(errs...); (runs[0] == nil) == (runs[1] == nil) || !errors.As(err, &live) || live.Owner.PID != os.Getpid() {
				t.Errorf("race %d: %v", i, err)
			}
			for _, r := range runs {
				if r != nil {
					r.Close()
				}
			}
		}
	})
	t.Run("of processes", func(t *testing.T) {
		var all []*process
		for range 2 {
			p := start(t, "take", path, fmt.Sprint(races))
			p.line()
			all = append(all, p)
		}
		for _, p := range all {
			fmt.Fprintln(p.in)
		}
		won := map[int]int{} // by race, the process
		var lost [races]string
		for range races {
			for _, p := range all {
				words := strings.Fields(p.line())
				if len(words) < 2 {
					t.Fatalf("a process said %q", words)
				}
				i, _ := strconv.Atoi(words[0])
				switch {
				case words[1] == "won" && won[i] == 0:
					won[i] = p.Process.Pid
				case words[1] == "lost":
					lost[i] = words[2]
				default:
					t.Errorf("race %d: %q", i, words)
				}
			}
		}
		for i := range races {
			if won[i] == 0 || lost[i] != fmt.Sprint(won[i]) {
				t.Errorf("race %d: %d won, and the loser was told %q", i, won[i], lost[i])
			}
		}
	})
}

// Processes that use one journal at the same time never hear of each other. JOURNAL_LONG says for how long.
func TestProcesses(t *testing.T) {
	t.Parallel()
	long := "2s"
	if s := os.Getenv("JOURNAL_LONG"); s != "" {
		long = s
	}
	path := filepath.Join(t.TempDir(), "flowrun.db")
	var all []*process
	for range 4 {
		all = append(all, start(t, "work", path, long))
	}
	for _, p := range all {
		said := p.lines()
		if err := p.Wait(); err != nil || len(said) != 1 || said[0] == "0" {
			t.Errorf("%v: %q", err, said)
		}
		t.Log(said, "sessions")
	}
	j := opened(t, path)
	runs, err := j.List(journal.Filter{})
	if err != nil || len(runs) == 0 {
		t.Errorf("%v, %v", runs, err)
	}
	for _, r := range runs {
		if _, err := j.Turns(r.ID); err != nil || r.Status != journal.Completed {
			t.Errorf("%+v: %v", r, err)
		}
	}
}
