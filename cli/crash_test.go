//go:build linux

package cli_test

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
	"unsafe"

	diff "github.com/google/go-cmp/cmp"

	"github.com/flowrun/flowrun/engine"
	"github.com/flowrun/flowrun/journal"
)

var (
	kills = flag.Int("kills", 6, "how often TestKilled kills at a random moment")
	every = flag.Int("every", 60, "TestKilled kills at every so manyth write of a run; 1 for each")
)

// crashing is a pipeline whose questions name the turn that asks, and quote the answers that they follow from.
func crashing() map[string]string {
	var wide strings.Builder
	for i := range 20 {
		switch {
		case i%5 == 4:
			fmt.Fprintf(&wide, "      - chain: [{name: b%d, agent: a, prompt: '[${{ run.key }}] ${{ prev }}'}, {agent: a, prompt: '[${{ run.key }}] ${{ steps.b%d.output }}'}]\n", i, i)
		default:
			fmt.Fprintf(&wide, "      - {name: b%d, agent: a, prompt: '[${{ run.key }}] ${{ prev }}'}\n", i)
		}
	}
	return map[string]string{
		"p.yaml": `
limits: {max_concurrency: 20, max_steps: 200}
agents: {a: {model: openai/m}}
chain:
  - {name: first, agent: a, prompt: '[${{ run.key }}] ${{ input }}'}
  - name: wide
    parallel:
` + wide.String() + `    merge: join(map(results, split(#, " ")[0]), " ")
  - chain:
      - {agent: a, prompt: '[${{ run.key }}] ${{ prev }}'}
      - {set: prev + "!"}
      - {agent: a, prompt: '[${{ run.key }}] ${{ prev }}'}
  - loop:
      - {name: draft, agent: a, prompt: '[${{ run.key }}] ${{ prev }} ${{ iteration }}'}
      - {parallel: [{agent: a, prompt: '[${{ run.key }}] ${{ prev }}'}, {agent: a, prompt: '[${{ run.key }}] ${{ prev }}'}], merge: 'join(results, " ")'}
    until: iteration == 3
  - for_each: [1, 2, 3, 4, 5, 6, 7, 8]
    max_concurrency: 3
    do: {chain: [{name: one, agent: a, prompt: '[${{ run.key }}] ${{ item }}'}, {agent: a, prompt: '[${{ run.key }}] ${{ prev }}'}]}
    merge: join(results, " ")
  - flow: part.yaml
  - {name: last, agent: a, prompt: '[${{ run.key }}] ${{ prev }} ${{ truncate(steps.wide.output, 100) }}'}
finally: {agent: a, prompt: '[${{ run.key }}] ${{ prev }}'}
output: '{last: prev, first: steps.first.output, wide: steps.wide.output}'
`,
		"part.yaml": `
name: part
agents: {a: {model: openai/m}}
graph:
  l: {agent: a, prompt: '[${{ run.key }}] ${{ prev }}', next: [m, n]}
  m: {agent: a, prompt: '[${{ run.key }}] ${{ prev }}', next: z}
  n: {agent: a, prompt: '[${{ run.key }}] ${{ prev }}', next: z}
  z: {agent: a, prompt: '[${{ run.key }}] ${{ join(prev, " ") }}'}
start: l
`,
	}
}

// large is the turn whose answer is so large that it gets a file of its own.
const large = "/wide/b7"

// oracle is a model that gives each question an answer of its own, and keeps what it was asked.
type oracle struct {
	server  *httptest.Server
	mu      sync.Mutex
	idle    *sync.Cond
	conns   map[net.Conn]bool
	until   int                 // so many more questions
	reached func()              // is called then
	asked   map[string]int      // how often, by turn
	answers map[string]string   // by turn
	sources map[string]string   // the turn, by what its answer begins with
	quotes  map[string][]string // of the answers before, by turn
}

func newOracle(t *testing.T) *oracle {
	o := &oracle{conns: map[net.Conn]bool{}, asked: map[string]int{}, answers: map[string]string{}, sources: map[string]string{}, quotes: map[string][]string{}}
	o.idle = sync.NewCond(&o.mu)
	o.server = httptest.NewUnstartedServer(o)
	o.server.Config.ConnState = o.connected
	o.server.Start()
	t.Cleanup(o.server.Close)
	return o
}

func (o *oracle) connected(c net.Conn, s http.ConnState) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if s == http.StateClosed {
		delete(o.conns, c)
		o.idle.Broadcast()
	} else {
		o.conns[c] = true
	}
}

var (
	asks  = regexp.MustCompile(`\[r:([^ ]*)\]`)
	quote = regexp.MustCompile(`A[0-9a-f]{16}`)
)

func (o *oracle) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	turn := asks.FindSubmatch(body)
	if err != nil || turn == nil {
		http.Error(w, "no question", http.StatusBadRequest)
		return
	}
	var q struct{ Messages json.RawMessage }
	if err := json.Unmarshal(body, &q); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	sum := sha256.Sum256(q.Messages)
	said := "A" + hex.EncodeToString(sum[:8])
	text := said
	if string(turn[1]) == large {
		text += strings.Repeat(" large", 60_000)
	}
	o.keep(string(turn[1]), said, text, quote.FindAllString(string(q.Messages), -1))
	thinks := time.Duration(1+sum[8]%4) * time.Millisecond
	if strings.HasPrefix(string(turn[1]), "/wide/") {
		thinks *= 8
	}
	time.Sleep(thinks)
	reply(w, text, "stop")
}

func (o *oracle) keep(turn, said, text string, quoted []string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.asked[turn]++
	if o.until--; o.until == 0 {
		o.reached()
	}
	o.answers[turn], o.sources[said], o.quotes[turn] = text, turn, quoted
}

// at does something when so many more questions have come, before the last of them is answered.
func (o *oracle) at(calls int, do func()) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.until, o.reached = calls, do
}

// settled is how often each question was asked, once nothing more comes of processes that are gone.
func (o *oracle) settled(t *testing.T) map[string]int {
	t.Helper()
	// Connections are accepted in their order: those that were made before this one have been.
	last, err := net.Dial("tcp", o.server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprint(last, "GET / HTTP/1.0\r\n\r\n")
	_, _ = io.Copy(io.Discard, last)
	last.Close()
	o.mu.Lock()
	defer o.mu.Unlock()
	for len(o.conns) > 0 {
		o.idle.Wait()
	}
	return maps.Clone(o.asked)
}

// moment is when a process is killed: some time after its start, or at the so manyth write to the journal's files or call
// of the model; or when something else happens to it.
type moment struct {
	after         time.Duration
	writes, calls int
	befalls       func(*os.Process) // instead, before the call is answered
}

func (m moment) String() string {
	switch {
	case m.writes > 0:
		return fmt.Sprintf("write %d", m.writes)
	case m.calls > 0:
		return fmt.Sprintf("call %d", m.calls)
	}
	return m.after.String()
}

// never is when a process is not killed.
var never = moment{after: time.Hour}

// crashes is a run that is killed again and again.
type crashes struct {
	t      *testing.T
	oracle *oracle
	dir    string
	begun  bool
	ended  string         // what it came to in the end, but for its times
	before map[string]int // how often was asked for each turn when the last process was gone
	done   map[string]int // and for those that are kept, when they were
	killed int
	open   int // steps that were on their way at kills
	widest int // at one of them
	wrote  int // writes of the last process
	lives  []string
	code   int    // of the last process, where something befell it
	failed string // what it said
}

func newCrashes(t *testing.T) *crashes {
	t.Helper()
	c := &crashes{t: t, oracle: newOracle(t), dir: t.TempDir(), before: map[string]int{}, done: map[string]int{}}
	for name, src := range crashing() {
		if err := os.WriteFile(filepath.Join(c.dir, name), []byte(src), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.MkdirAll(c.journal()+".d/outputs", 0o700); err != nil { // to be watched from the start
		t.Fatal(err)
	}
	return c
}

func (c *crashes) journal() string { return filepath.Join(c.dir, "kept", "flowrun.db") }

// command is flowrun, to begin the run or to go on with it.
func (c *crashes) command() *exec.Cmd {
	args := []string{"run", "p.yaml", "--run-id", "r", "--input", "begin", "--output", "json", "--quiet"}
	if c.begun {
		args = []string{"resume", "r", "--output", "json", "--quiet"}
	}
	cmd := exec.Command("flowrun", args...)
	cmd.Dir = c.dir
	cmd.Env = append(os.Environ(), "FLOWRUN_JOURNAL="+c.journal(), "OPENAI_BASE_URL="+c.oracle.server.URL+"/v1", "OPENAI_API_KEY="+openAIKey)
	return cmd
}

// live lets a process work until it ends or is killed, and holds what must be true then.
func (c *crashes) live(m moment) {
	c.t.Helper()
	written := watchWrites(c.t, m.writes, filepath.Dir(c.journal()), c.journal()+".d/outputs")
	cmd := c.command()
	called, started := make(chan struct{}), make(chan struct{})
	c.oracle.at(m.calls, func() {
		<-started
		if m.befalls != nil {
			m.befalls(cmd.Process)
			return
		}
		close(called)
	})
	var out, report bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &report
	if err := cmd.Start(); err != nil {
		c.t.Fatal(err)
	}
	close(started)
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		_ = cmd.Wait() // its state tells
	}()
	var late <-chan time.Time
	if m.after > 0 {
		late = time.After(m.after)
	}
	select {
	case <-late:
	case <-written.reached:
	case <-called:
	case <-gone:
	}
	_ = cmd.Process.Kill()
	<-gone
	c.wrote = written.close()
	c.lives = append(c.lives, fmt.Sprint(cmd.Args[1], " until ", m))
	switch code := cmd.ProcessState.ExitCode(); {
	case code == 0:
		c.ended = timeless(c.t, out.Bytes())
	case code == -1:
		c.killed++
		c.look()
	case m.befalls != nil:
		c.failed, c.code = report.String(), code
	default:
		c.t.Fatalf("exit code %d: %s%s", code, out.String(), report.String())
	}
	if c.t.Failed() {
		c.t.Fatalf("it lived like this: %q", c.lives)
	}
}

// look holds the journal as a kill left it against what was asked. It looks at a copy, so that all that must be mended is
// left to flowrun.
func (c *crashes) look() {
	asked := c.oracle.settled(c.t)
	kept := c.t.TempDir()
	if err := os.CopyFS(kept, os.DirFS(filepath.Dir(c.journal()))); err != nil {
		c.t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(kept, "flowrun.db")); err != nil {
		return // not begun
	}
	j, err := journal.Open(filepath.Join(kept, "flowrun.db"))
	if err != nil {
		c.t.Fatal(err)
	}
	defer j.Close()
	rec, err := j.Get("r")
	if unknown := (*journal.UnknownError)(nil); errors.As(err, &unknown) && !c.begun {
		rec = nil
	} else if err != nil {
		c.t.Fatal(err)
	}
	ends := map[string]*engine.Finished{}
	if rec != nil {
		if ends, err = j.Reuse("r"); err != nil {
			c.t.Fatal(err)
		}
	}
	c.begun = rec != nil
	switch {
	case rec == nil:
	case rec.Status == journal.Completed: // it had no time to say so
		b, err := json.Marshal(rec.Result)
		if err != nil {
			c.t.Fatal(err)
		}
		c.ended = timeless(c.t, b)
	case rec.Status != journal.Interrupted:
		c.t.Errorf("the run is %s", rec.Status)
	}
	c.compare(asked, ends)
}

// compare holds what the journal has against what was asked.
func (c *crashes) compare(asked map[string]int, ends map[string]*engine.Finished) {
	o := c.oracle
	o.mu.Lock()
	defer o.mu.Unlock()
	open := 0
	for turn, n := range asked {
		switch f := ends[turn]; {
		case n > c.before[turn]+1:
			c.t.Errorf("%s was asked for %d times by one process", turn, n-c.before[turn])
		case f != nil && f.Output.V != o.answers[turn]:
			c.t.Errorf("%s has another output than its answer", turn)
		case f == nil && n > c.before[turn]:
			open++
		}
		for _, a := range o.quotes[turn] {
			if from := o.sources[a]; ends[from] == nil {
				c.t.Errorf("%s was asked for after %s, which is not kept", turn, from)
			}
		}
	}
	for turn, n := range c.done {
		if asked[turn] != n {
			c.t.Errorf("%s was kept, and asked for again", turn)
		}
		if ends[turn] == nil {
			c.t.Errorf("%s was kept, and is lost", turn)
		}
	}
	for turn := range ends {
		if n := asked[turn]; n > 0 {
			c.done[turn] = n
		}
	}
	if open > 20 {
		c.t.Errorf("%d steps were on their way", open)
	}
	c.before, c.open, c.widest = asked, c.open+open, max(c.widest, open)
}

// through lets the run live until it has ended, and holds it against one that was left alone, if there is one.
func (c *crashes) through(undisturbed *crashes, moments func(life int) moment) {
	c.t.Helper()
	for life := 0; c.ended == ""; life++ {
		c.live(moments(life))
	}
	asked := c.oracle.settled(c.t)
	if undisturbed != nil {
		if d := diff.Diff(undisturbed.ended, c.ended); d != "" {
			c.t.Errorf("-undisturbed +killed and resumed:\n%s", d)
		}
		if d := diff.Diff(undisturbed.oracle.answers, c.oracle.answers); d != "" {
			c.t.Errorf("it was asked for something else:\n%s", d)
		}
	}
	extra := -len(asked)
	for turn, n := range asked {
		extra += n
		if d := c.done[turn]; d > 0 && d != n {
			c.t.Errorf("%s was kept, and asked for again", turn)
		}
	}
	if extra > c.open {
		c.t.Errorf("%d calls too many, and %d were on their way at the kills", extra, c.open)
	}
	if c.t.Failed() {
		c.t.Fatalf("it lived like this: %q", c.lives)
	}
}

// timeless is a result without the times of the run.
func timeless(t *testing.T, result []byte) string {
	t.Helper()
	var m map[string]json.RawMessage
	if err := json.Unmarshal(result, &m); err != nil {
		t.Fatalf("%v: %s", err, result)
	}
	delete(m, "started_at")
	delete(m, "duration_ms")
	b, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// writing counts what changes in folders.
type writing struct {
	file    *os.File
	reached chan struct{} // closed at the so manyth change
	count   int
	over    chan struct{}
}

func watchWrites(t *testing.T, until int, folders ...string) *writing {
	t.Helper()
	fd, err := syscall.InotifyInit1(syscall.IN_CLOEXEC | syscall.IN_NONBLOCK)
	if err != nil {
		t.Fatal(err)
	}
	w := &writing{file: os.NewFile(uintptr(fd), "inotify"), reached: make(chan struct{}), over: make(chan struct{})}
	for _, folder := range folders {
		if _, err := syscall.InotifyAddWatch(fd, folder, syscall.IN_MODIFY|syscall.IN_CREATE|syscall.IN_MOVED_TO); err != nil {
			t.Fatal(err)
		}
	}
	go func() {
		defer close(w.over)
		b := make([]byte, 1<<16)
		for {
			n, err := w.file.Read(b)
			if err != nil {
				return // closed
			}
			for at := 0; at < n; at += syscall.SizeofInotifyEvent + int(binary.NativeEndian.Uint32(b[at+12:])) { // the length of a name
				if w.count++; w.count == until {
					close(w.reached)
				}
			}
		}
	}()
	return w
}

func (w *writing) close() int {
	_ = w.file.Close()
	<-w.over
	return w.count
}

// TestKilled kills a run and what resumes it: at random moments, and at each of its writes. What is kept never runs
// again, nothing is lost, and in the end there is what an undisturbed run gives.
func TestKilled(t *testing.T) {
	undisturbed := newCrashes(t)
	began := time.Now()
	undisturbed.through(nil, func(int) moment { return never })
	took := time.Since(began)
	total, calls := undisturbed.wrote, len(undisturbed.oracle.asked)
	figures := func(all ...*crashes) {
		killed, open, widest, extra := 0, 0, 0, 0
		for _, c := range all {
			killed, open, widest = killed+c.killed, open+c.open, max(widest, c.widest)
			for _, n := range c.oracle.asked {
				extra += n - 1
			}
		}
		t.Logf("%d runs, %d kills: %d steps were on their way, at most %d at once, and %d ran again", len(all), killed, open, widest, extra)
	}
	t.Logf("an undisturbed run takes %v, %d writes and %d calls", took, total, calls)
	t.Run("at random moments", func(t *testing.T) {
		var all []*crashes
		for killed := 0; killed < *kills && !t.Failed(); killed += all[len(all)-1].killed {
			c := newCrashes(t)
			all = append(all, c)
			c.through(undisturbed, func(int) moment {
				if rand.IntN(3) == 0 {
					return moment{calls: 1 + rand.IntN(calls)}
				}
				return moment{after: time.Duration(1 + rand.Int64N(int64(took)))}
			})
		}
		figures(all...)
	})
	t.Run("at writes", func(t *testing.T) {
		var all []*crashes
		for n := 1 + rand.IntN(*every); n <= total && !t.Failed(); n += *every {
			c := newCrashes(t)
			all = append(all, c)
			c.through(undisturbed, func(life int) moment {
				if life == 0 {
					return moment{writes: n}
				}
				return moment{writes: 1 + rand.IntN(total*life)} // later and later
			})
		}
		figures(all...)
	})
}

// The disk is full from any call on: the run ends and says so, nothing is asked that follows from what is not kept, and
// when there is room again it goes on to what an undisturbed run gives.
func TestFullDisk(t *testing.T) {
	undisturbed := newCrashes(t)
	undisturbed.through(nil, func(int) moment { return never })
	calls := len(undisturbed.oracle.asked)
	for n := 1; n <= calls; n += 1 + rand.IntN(max(1, *every/4)) {
		c := newCrashes(t)
		c.live(moment{calls: n, befalls: func(p *os.Process) { noRoom(t, p) }})
		if want := "writing the journal " + c.journal() + ": "; c.code != 1 || !strings.Contains(c.failed, want) || !strings.Contains(c.failed, "disk full") {
			t.Fatalf("full at call %d: exit code %d, and it says %q, not %q", n, c.code, c.failed, want)
		}
		c.look()
		if n == 1 && len(c.before) != 1 {
			t.Errorf("without room for the first answer it asked %v", c.before)
		}
		c.through(undisturbed, func(int) moment { return never })
	}
}

// noRoom lets a process write no file any more, as on a full disk.
func noRoom(t *testing.T, p *os.Process) {
	none := syscall.Rlimit{}
	if _, _, err := syscall.RawSyscall6(syscall.SYS_PRLIMIT64, uintptr(p.Pid), syscall.RLIMIT_FSIZE, uintptr(unsafe.Pointer(&none)), 0, 0, 0); err != 0 {
		t.Error(err)
	}
}

// The journal is removed under a run, or replaced: it ends and says so, and asks nothing that follows.
func TestJournalRemoved(t *testing.T) {
	tests := map[string]func(path string) error{
		"the file":   os.Remove,
		"the folder": func(path string) error { return os.RemoveAll(filepath.Dir(path)) },
		"replaced":   func(path string) error { return cmp.Or(os.Remove(path), os.WriteFile(path, nil, 0o600)) },
		"all its own": func(path string) error {
			return errors.Join(os.Remove(path), os.Remove(path+"-wal"), os.Remove(path+"-shm"), os.RemoveAll(path+".d"))
		},
	}
	for name, remove := range tests {
		t.Run(name, func(t *testing.T) {
			c := newCrashes(t)
			c.live(moment{calls: 1, befalls: func(*os.Process) {
				if err := remove(c.journal()); err != nil {
					t.Error(err)
				}
			}})
			if want := "writing the journal " + c.journal() + ": it was removed or replaced while it was in use"; c.code != 1 || !strings.Contains(c.failed, want) {
				t.Errorf("exit code %d, and it says %q, not %q", c.code, c.failed, want)
			}
			if asked := c.oracle.settled(t); len(asked) != 1 {
				t.Errorf("it was asked for %v", asked)
			}
		})
	}
}
