package cli

import (
	"bytes"
	"io"
	"os"
	"sync"
	"time"

	urfave "github.com/urfave/cli/v2"

	"github.com/flowrun/flowrun/engine"
)

// frame is how long a picture stands, ahead how many bytes of text may wait for the next.
const (
	frame = 100 * time.Millisecond
	ahead = 64 << 10
)

// live shows a run, or a batch of them, on a terminal: lines of what happened and, below them, what is at work, drawn
// anew in each frame. Whatever else goes to the terminal goes through it as long as it is open. A nil live is a closed one.
type live struct {
	size  func() (width, height int) // of the terminal, which may change
	ours  func() bool                // whether it is ours to draw on
	quit  chan struct{}
	ended chan struct{} // closed when the last was drawn

	mu     sync.Mutex
	lines  *progress // writes into text; nil where nobody tells of events
	block  func(now time.Time, width, height int) []string
	text   bytes.Buffer // not shown yet
	screen screen
	drawn  time.Time
	closed bool
	behind bool // a question that somebody is asked
}

// redraws tells whether lines of standard error can be drawn again: on a terminal that can, to which nobody else writes
// at the same time, and of which nobody keeps a log.
func (p *program) redraws(c *urfave.Context) bool {
	f, file := p.Err.(*os.File)
	kind := os.Getenv("TERM")
	shared := isTerminal(p.Out) && (c.Bool("stream") || c.String("events") == "-")
	return file && isTerminal(f) && kind != "" && kind != "dumb" && os.Getenv("CI") == "" && !shared
}

// startLive shows on a terminal what the lines and their tree tell, until it is closed.
func startLive(f *os.File, lines *progress) *live {
	l := newLive(f, lines, sizeOf(f), func() bool { return foreground(f) })
	l.start()
	return l
}

// startBlock shows on a terminal lines that are not of one run, until it is closed.
func startBlock(f *os.File, block func(now time.Time, width, height int) []string) *live {
	l := &live{size: sizeOf(f), ours: func() bool { return foreground(f) }, block: block, quit: make(chan struct{}), ended: make(chan struct{}), screen: screen{out: f}}
	l.start()
	return l
}

// start begins to draw.
func (l *live) start() {
	// These two are known to leave lines as they are; others wrap them when they get narrower.
	l.screen.reflows = os.Getenv("XTERM_VERSION") == "" && os.Getenv("STY") == ""
	go l.watch()
}

func sizeOf(f *os.File) func() (width, height int) {
	return func() (int, int) { return terminalSize(f) }
}

func newLive(out io.Writer, lines *progress, size func() (width, height int), ours func() bool) *live {
	l := &live{size: size, ours: ours, quit: make(chan struct{}), ended: make(chan struct{}), lines: lines, screen: screen{out: out}}
	lines.w, lines.brief = &l.text, true
	l.block = func(now time.Time, width, height int) []string {
		return picture{now: now, width: width - 1, height: height - max(1, height/4), colours: lines.colours}.lines(lines.tree)
	}
	return l
}

// watch draws until it is closed.
func (l *live) watch() {
	defer close(l.ended)
	tick := time.NewTicker(frame)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			l.mu.Lock()
			l.draw()
			l.mu.Unlock()
		case <-l.quit:
			return
		}
	}
}

func (l *live) hear(e engine.Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines.hear(e)
	if l.text.Len() > ahead {
		l.draw()
	}
}

// Write shows whole lines above the tree.
func (l *live) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text.Write(b)
	if l.closed {
		l.draw()
	}
	return len(b), nil
}

// close takes the tree away and leaves the lines. What is written later is shown at once.
func (l *live) close() {
	if l == nil {
		return
	}
	l.mu.Lock()
	if !l.closed {
		l.closed = true
		close(l.quit)
		l.draw()
	}
	l.mu.Unlock()
	<-l.ended
}

// hide takes the tree away, and holds back what is written, until show.
func (l *live) hide() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.behind = true
	l.redraw()
}

func (l *live) show() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.behind = false
	l.draw()
}

func (l *live) draw() {
	if !l.behind || l.closed {
		l.redraw()
	}
}

// redraw draws what there is; of the tree nothing where it is hidden.
func (l *live) redraw() {
	now := time.Now()
	if now.Sub(l.drawn) > 5*frame { // it was halted, and others have written since
		l.screen.forget()
	}
	width, height := l.size()
	text := l.text.Bytes()
	var lines []string
	if !l.closed {
		text = text[:bytes.LastIndexByte(text, '\n')+1]
		if l.ours() && !l.behind {
			lines = l.block(now, width, height)
		}
	}
	l.screen.draw(text, lines, width)
	l.text.Next(len(text))
	l.drawn = time.Now()
}
