package cli

import (
	"context"
	"fmt"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/flowrun/flowrun/engine"
	"github.com/flowrun/flowrun/nodes"
)

// show is a run that an emulator shows, in a bubble of synctest.
type show struct {
	*live
	terminal *emulator
	stop     context.CancelCauseFunc
	over     chan struct{}
}

// shows starts to show a pipeline.
func shows(t *testing.T, pipeline string, columns, rows int, colours bool) *show {
	t.Helper()
	lang := nodes.Language()
	graph, ds := lang.Parse("p.yaml", ".", []byte(pipeline))
	if err := ds.Err(); err != nil {
		t.Fatal(ds)
	}
	ctx, stop := context.WithCancelCause(t.Context())
	s := &show{terminal: newEmulator(columns, rows), stop: stop, over: make(chan struct{})}
	s.live = newLive(s.terminal, newProgress(nil, lang, colours), func() (int, int) { return s.terminal.Size() }, func() bool { return true })
	s.screen.reflows = true
	go s.watch()
	go func() {
		defer close(s.over)
		_, _ = engine.Run(ctx, graph, nil, engine.WithListener(s.hear), engine.WithRunID("r1")) // the screen tells
		s.close()
	}()
	return s
}

// change does something between two drawings.
func (s *show) change(do func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	do()
}

// after lets time pass and compares the screen.
func (s *show) after(t *testing.T, d time.Duration, want string) {
	t.Helper()
	time.Sleep(d)
	s.has(t, want)
}

func (s *show) has(t *testing.T, want string) {
	t.Helper()
	synctest.Wait()
	if got := s.terminal.screen(); got != strings.TrimPrefix(want, "\n") {
		t.Errorf("the screen shows\n%s\nwant\n%s", got, want)
	}
}

// actors are agents that take their time, never a whole number of frames.
const actors = `
name: p
limits: {max_steps: 5000, max_concurrency: 64}
agents:
  quick: {model: mock, mock: {reply: done, latency: 1030ms}}
  slow:  {model: mock, mock: {reply: one two three four five six seven eight nine ten, latency: 5130ms}}
  shaky: {model: mock, mock: {reply: done, latency: 1030ms, fail: 1}, retry: {delay: 2s, jitter: 0s}}
`

// TestPicture compares what is on the screen a while after a run began.
func TestPicture(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		columns, rows int
		after         time.Duration
		pipeline      string
		want          string
	}{
		"an agent that has said something": {60, 10, 2600 * time.Millisecond, "agent: slow", `
  0.0s  run     p                     r1
⠦ p   2.6s  one two three four five`},
		"steps that ended leave lines": {60, 10, 1550 * time.Millisecond, `
chain:
  - agent: quick
  - name: both
    parallel: [{agent: slow}, {chain: [{agent: slow, name: deep}]}]`, `
  0.0s  run     p                     r1
  1.0s  done    quick                 1.0s, mock, 1 token
▾ p          1.5s  chain, 1 token
  ▾ both     0.5s  2 running
    ⠴ slow   0.5s  mock
    ⠴ deep   0.5s  mock`},
		"a retry": {60, 10, 1550 * time.Millisecond, `
parallel: [{agent: slow}, {agent: shaky}]`, `
  0.0s  run     p                     r1
  1.0s  retry   shaky                 attempt 1 failed, agai
n in 2.0s: the mock fails as told: server
▾ p         1.5s  2 running
  ⠴ slow    1.5s  one two
  ↻ shaky   1.5s  attempt 1 failed, again in 1.5s`},
		"a thousand items": {60, 12, 3050 * time.Millisecond, `
on_error: continue
for_each: 1..1000
do:
  chain:
    - {when: item % 50 == 0, fail: no luck}
    - {agent: quick, name: ask}`, `
  1.0s  fail    /[99]/do/chain[0]     no luck
  2.1s  fail    /[149]/do/chain[0]    no luck
▾ p             3.0s  128 done, 3 failed, 64 running, 256 …
  ⠋ ask[130]    0.9s  mock
  ⠋ ask[131]    0.9s  mock
  ⠋ ask[132]    0.9s  mock
  ⠋ ask[133]    0.9s  mock
  ⠋ ask[134]    0.9s  mock
  ⠋ ask[135]    0.9s  mock
  ⠋ ask[136]    0.9s  mock
    … 57 more`},
		"a thousand branches": {60, 12, 3050 * time.Millisecond, "parallel:" + strings.Repeat("\n  - agent: quick", 1000), `
  0.0s  run     p                     r1
▾ p             3.0s  128 done, 64 running, 128 tokens
  ⠋ quick       0.9s  mock
  ⠋ quick       0.9s  mock
  ⠋ quick       0.9s  mock
  ⠋ quick       0.9s  mock
  ⠋ quick       0.9s  mock
  ⠋ quick       0.9s  mock
  ⠋ quick       0.9s  mock
    … 57 more`},
		"fan-outs within one another": {60, 16, 1550 * time.Millisecond, `
chain:
  - for_each: 1..3
    do: {name: inner, for_each: 1..6, max_concurrency: 4, do: {agent: slow}}`, `
  0.0s  run     p                     r1
▾ p                1.5s  chain
  ▾ chain[0]       1.5s  3 running
    ▾ inner[0]     1.5s  4 running
      ⠴ slow[0]    1.5s  one two
      ⠴ slow[1]    1.5s  one two
      ⠴ slow[2]    1.5s  one two
      ⠴ slow[3]    1.5s  one two
    ▾ inner[1]     1.5s  4 running
      ⠴ slow[0]    1.5s  one two
      ⠴ slow[1]    1.5s  one two
        … 2 more
    ▾ inner[2]     1.5s  4 running`},
		"twenty columns": {20, 10, 2550 * time.Millisecond, `
parallel:
  - {agent: slow}
  - {name: a_rather_long_name, chain: [{chain: [{name: one_below_the_other, agent: slow}]}]}`, `
  0.0s  run     p
                  r1
▾ p          2.5s
  ⠴ slow     2.5s
  ▾ a_rat…   2.5s
    ⠴ one…   2.5s`},
		"three columns": {3, 10, 2550 * time.Millisecond, `agent: slow`, `






  r
1
⠴`},
		"three rows": {60, 3, 2550 * time.Millisecond, `
parallel: [{agent: slow}, {agent: slow}]`, `
▾ p            2.5s  2 running
    … 2 more`},
		"a very long line": {60, 10, 4550 * time.Millisecond, `
agent: {model: mock, mock: {latency: 5130ms, reply: "` + strings.Repeat("0123456789", 10_000) + ` x y"}}`, `
  0.0s  run     p                     r1
⠴ p   4.5s  …67890123456789012345678901234567890123456789 x`},
		"wide characters": {40, 10, 4550 * time.Millisecond, `
agent: {model: mock, mock: {latency: 5130ms, reply: 東京 は 日本 の 首都 です 🗼 é 👩‍👩‍👧 東京都庁舎展望室 東京都庁舎展望室 の 首都}}`, `
  0.0s  run     p                     r1
⠴ p   4.5s  …舎展望室 東京都庁舎展望室`},
		"text that would command": {60, 10, 4550 * time.Millisecond, `
agent: {model: mock, mock: {latency: 5130ms, reply: "a\e[2Jb \e]0;title\a \r\n\n c\u202e d\u009b31m e e e"}}`, `
  0.0s  run     p                     r1
⠴ p   4.5s  …Jb \u001b]0;title\u0007 c\u202e d\u009b31m e e`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := shows(t, actors+tt.pipeline, tt.columns, tt.rows, false)
				s.after(t, tt.after, tt.want)
				s.stop(nil)
				<-s.over
			})
		})
	}
}

// TestResize changes the size of the terminal while a run is shown.
func TestResize(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		resize []func(*emulator) // with a frame after each
		keeps  bool              // the terminal keeps lines as they are
		want   string
	}{
		"narrower, lines wrap": {[]func(*emulator){reflow(30, 10)}, false, `
  0.0s  run     p
        r1
▾ p           4.5s  2 running
  ⠴ slow_o…   4.5s  …en eight
  ⠴ slow      4.5s  …en eight`},
		"narrower, lines are cut off": {[]func(*emulator){resize(30, 10)}, true, `
  0.0s  run     p
▾ p           4.5s  2 running
  ⠴ slow_o…   4.5s  …en eight
  ⠴ slow      4.5s  …en eight`},
		"narrower and wide again": {[]func(*emulator){reflow(20, 10), reflow(70, 10)}, false, `
                  r1
▾ p            4.6s  2 running
  ⠦ slow_one   4.6s  one two three four five six seven eight
  ⠦ slow       4.6s  one two three four five six seven eight`},
		"wider": {[]func(*emulator){reflow(90, 10)}, false, `
  0.0s  run     p                     r1
▾ p            4.5s  2 running
  ⠴ slow_one   4.5s  one two three four five six seven eight
  ⠴ slow       4.5s  one two three four five six seven eight`},
		"lower": {[]func(*emulator){resize(70, 2)}, false, `
▾ p   4.5s  2 running`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := shows(t, actors+"parallel: [{agent: slow, name: slow_one}, {agent: slow}]", 70, 10, false)
				s.change(func() { s.screen.reflows = !tt.keeps })
				time.Sleep(4450 * time.Millisecond)
				synctest.Wait()
				for _, resize := range tt.resize {
					s.change(func() { resize(s.terminal) })
					time.Sleep(100 * time.Millisecond)
					synctest.Wait()
				}
				s.has(t, tt.want)
				<-s.over
				s.terminal.isLeftAlone(t)
			})
		})
	}
}

func resize(columns, rows int) func(*emulator) { return func(e *emulator) { e.Resize(columns, rows) } }
func reflow(columns, rows int) func(*emulator) { return func(e *emulator) { e.reflow(columns, rows) } }

// TestWriteAbove writes to the terminal beside the tree: lines stand above it as soon as they are whole, and after its end
// whatever is written.
func TestWriteAbove(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := shows(t, actors+"agent: slow", 40, 8, false)
		time.Sleep(250 * time.Millisecond)
		fmt.Fprint(s, "one line that is as wide as the terminal\n")
		fmt.Fprint(s, "one that is wider than what the terminal has\nhalf")
		s.after(t, 100*time.Millisecond, `
  0.0s  run     p                     r1
one line that is as wide as the terminal
one that is wider than what the terminal
 has
⠸ p   0.3s  mock`)
		fmt.Fprint(s, " and half\n")
		s.after(t, 100*time.Millisecond, `
  0.0s  run     p                     r1
one line that is as wide as the terminal
one that is wider than what the terminal
 has
half and half
⠼ p   0.4s  mock`)
		<-s.over
		fmt.Fprint(s, "prompt> ")
		s.has(t, `
one that is wider than what the terminal
 has
half and half
  5.1s  done    p                     5.
1s, mock, 10 tokens
  5.1s  done    p                     5.
1s, 1 step, 1 call, 0+10 tokens
prompt>`)
	})
}

// TestInterruptTree stops a run that is shown: the tree goes, the lines stay.
func TestInterruptTree(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := shows(t, actors+"for_each: 1..500\ndo: {agent: slow}", 70, 10, true)
		time.Sleep(2050 * time.Millisecond)
		synctest.Wait()
		s.change(func() { _, _ = s.terminal.Write([]byte("^C")) }) // as the terminal's driver does
		fmt.Fprintln(s, "interrupt: stopping")
		s.stop(interrupted{syscall.SIGINT})
		<-s.over
		s.has(t, `
  0.0s  run     p                     r1
interrupt: stopping
  2.0s  stop    p                     cancelled: interrupt
  2.0s  cancel  p                     2.0s, 64 steps, 64 calls`)
		s.terminal.isLeftAlone(t)
	})
}

// TestHalted goes on after others wrote to the terminal: what they wrote stays.
func TestHalted(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := shows(t, actors+"agent: slow", 40, 8, false)
		time.Sleep(150 * time.Millisecond)
		s.change(func() {
			_, _ = s.terminal.Write([]byte("[1]+  Stopped\n$ fg\n"))
			s.drawn = s.drawn.Add(-time.Minute)
		})
		s.after(t, 100*time.Millisecond, `
  0.0s  run     p                     r1
⠙ p   0.1s  mock
[1]+  Stopped
$ fg
⠹ p   0.2s  mock`)
		s.stop(nil)
		<-s.over
	})
}

// TestBackground draws no tree on a terminal that is another's at the moment, and still prints lines.
func TestBackground(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := shows(t, actors+"chain: [{agent: quick}, {agent: slow}]", 60, 8, false)
		s.change(func() { s.ours = func() bool { return false } })
		s.after(t, 1150*time.Millisecond, `
  0.0s  run     p                     r1
  1.0s  done    quick                 1.0s, mock, 1 token`)
		s.stop(nil)
		<-s.over
		if raw := s.terminal.raw.String(); strings.Contains(raw, "\x1b") {
			t.Errorf("it wrote %q", raw)
		}
	})
}

// TestTreeColours colours the marks and nothing at all where that was not asked for.
func TestTreeColours(t *testing.T) {
	t.Parallel()
	for _, colours := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			s := shows(t, actors+"parallel: [{agent: slow}, {agent: shaky}]", 60, 8, colours)
			time.Sleep(1550 * time.Millisecond)
			synctest.Wait()
			coloured := regexp.MustCompile("\x1b\\[[0-9;]*m").FindAllString(s.terminal.raw.String(), -1)
			if (len(coloured) > 0) != colours {
				t.Errorf("colours %v, found %q", colours, coloured)
			}
			if colours {
				for what, sgr := range map[string]string{"▾ p": "36", "↻ shaky": "33"} {
					mark, name, _ := strings.Cut(what, " ")
					if want := "\x1b[" + sgr + "m" + mark + "\x1b[0m " + name; !strings.Contains(s.terminal.raw.String(), want) {
						t.Errorf("%q is missing", want)
					}
				}
			}
			s.stop(nil)
			<-s.over
		})
	}
}
