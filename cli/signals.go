package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	urfave "github.com/urfave/cli/v2"

	"github.com/flowrun/flowrun/spec"
)

// interrupted is the cause of a run that a signal ended.
type interrupted struct{ syscall.Signal }

func (i interrupted) Error() string {
	if i.Signal == syscall.SIGPIPE {
		return "nobody reads the output any more"
	}
	return i.Signal.String()
}

// code is the exit code of a program that a signal ended.
func (i interrupted) code() int { return 128 + int(i.Signal) }

// interruptible gives a context that is done at the first signal, when nothing new is to begin, and one that ends what
// runs when the grace is over; the second signal ends the program at once, with the commands that run. Output that nobody
// reads ends both.
func (p *program) interruptible(grace time.Duration) (ctx, drain context.Context, stop func()) {
	ctx, cancel := context.WithCancelCause(context.Background())
	drain, begin := context.WithCancelCause(ctx)
	ch := make(chan os.Signal, 2)
	for _, s := range []os.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP} {
		if !signal.Ignored(s) { // as nohup has it
			signal.Notify(ch, s)
		}
	}
	broken := make(chan os.Signal, 1) // taken and left alone: the write that broke gives an error instead
	signal.Notify(broken, syscall.SIGPIPE)
	out, report := p.Out, p.Err
	p.Out, p.Err = watched{out, cancel}, watched{report, cancel}

	done := make(chan struct{})
	go func() {
		var over *time.Timer // ends the grace
		for n := 0; ; n++ {
			select {
			case s := <-ch:
				by := interrupted{s.(syscall.Signal)}
				if n > 0 {
					p.live.close()
					p.commands.Kill()
					if how, ok := p.onward.Load().(string); ok {
						fmt.Fprintln(report, how)
					}
					os.Exit(by.code())
				}
				left := ""
				if grace > 0 {
					left = fmt.Sprintf("what runs has %s to end, ", grace)
				}
				fmt.Fprintf(report, "%s: stopping; %sonce more to end at once\n", by, left)
				begin(by)
				over = time.AfterFunc(grace, func() { cancel(by) })
			case <-done:
				if over != nil {
					over.Stop()
				}
				return
			}
		}
	}()
	return ctx, drain, func() {
		p.Out, p.Err = out, report
		signal.Stop(ch)
		signal.Stop(broken)
		close(done)
		cancel(nil)
	}
}

// watched is output that ends the run when nobody reads it any more.
type watched struct {
	io.Writer
	cancel context.CancelCauseFunc
}

func (w watched) Write(b []byte) (int, error) {
	n, err := w.Writer.Write(b)
	if errors.Is(err, syscall.EPIPE) {
		w.cancel(interrupted{syscall.SIGPIPE})
	}
	return n, err
}

// graceFlag is how long what runs may go on after the first signal.
func graceFlag(c *urfave.Context) (time.Duration, error) {
	return spec.ParseDuration(c.String("grace"))
}

func checkGrace(c *urfave.Context) error {
	if _, err := graceFlag(c); err != nil {
		return usage("--grace must be a duration such as 10s, not %q", c.String("grace"))
	}
	return nil
}
