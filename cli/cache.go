package cli

import (
	"fmt"
	"io"
	"os"
	"time"

	"github.com/clipperhouse/displaywidth"
	urfave "github.com/urfave/cli/v2"

	"github.com/flowrun/flowrun/cache"
	"github.com/flowrun/flowrun/spec"
)

// cacheActions are what can be done with kept answers.
var cacheActions = []string{"ls", "clear"}

const cacheDescription = `ls lists the answers that nodes with cache: true have kept, the newest first:
when, how large, the first digits of the key, and what was asked. clear
removes them.

They are in the folder that FLOWRUN_CACHE names, else in flowrun/answers among
the user's caches. There are at most 256 MiB; those not used for longest go.
`

func (p *program) cacheCommand() *urfave.Command {
	return &urfave.Command{
		Name: "cache", Usage: "list or remove answers that were kept", ArgsUsage: "ls|clear", Description: cacheDescription,
		Flags: []urfave.Flag{
			&urfave.StringFlag{Name: "older-than", Usage: "only answers kept longer ago than a `DURATION` such as 30m or 24h"},
			&urfave.StringFlag{Name: "output", Aliases: []string{"o"}, Value: "text", Usage: "`FORMAT` is text or json"},
		},
		Action: func(c *urfave.Context) error {
			before, err := olderThan(c)
			if err != nil {
				return err
			}
			switch action := c.Args().First(); action {
			case "ls":
				return p.listAnswers(cache.Own(), before, c.String("output"))
			case "clear":
				return p.clearAnswers(cache.Own(), before, c.String("output"))
			default:
				return usage("cache is for %s, not %q%s", oneOf(cacheActions), action, spec.DidYouMean(action, cacheActions))
			}
		},
	}
}

// olderThan is the time that --older-than names; zero without it.
func olderThan(c *urfave.Context) (time.Time, error) {
	if !c.IsSet("older-than") {
		return time.Time{}, nil
	}
	d, err := spec.ParseDuration(c.String("older-than"))
	if err != nil {
		return time.Time{}, usage("--older-than must be a duration such as 30m or 24h, not %q", c.String("older-than"))
	}
	return time.Now().Add(-d), nil
}

// listing is what is kept.
type listing struct {
	Folder  string         `json:"folder"`
	Answers []cache.Answer `json:"answers"`
	Bytes   int64          `json:"bytes"`
}

func (p *program) listAnswers(s *cache.Store, before time.Time, format string) error {
	answers, err := s.Answers()
	if err != nil {
		return fmt.Errorf("reading the cache: %w", err)
	}
	l := listing{Folder: s.Dir(), Answers: []cache.Answer{}}
	for _, a := range answers {
		if before.IsZero() || a.Kept.Before(before) {
			l.Answers = append(l.Answers, a)
			l.Bytes += a.Size
		}
	}
	if format == "json" {
		return printJSON(p.Out, l)
	}
	return l.print(p.Out)
}

func (l *listing) print(w io.Writer) error {
	columns := columns(w)
	for _, a := range l.Answers {
		what := spec.Escape(a.Label)
		if a.Broken {
			what = "broken: no answer"
		}
		line := fmt.Sprintf("%s  %9s  %.8s  %s", a.Kept.Local().Format("2006-01-02 15:04"), sized(a.Size), a.Key, what)
		if columns > 0 {
			line = displaywidth.TruncateString(line, columns, "…")
		}
		if _, err := fmt.Fprintln(w, line); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintf(w, "%s, %s in %s\n", count(len(l.Answers), "answer"), sized(l.Bytes), spec.Escape(l.Folder))
	return err
}

// clearing is what was removed.
type clearing struct {
	Folder  string `json:"folder"`
	Removed int    `json:"removed"`
	Bytes   int64  `json:"bytes"`
}

func (p *program) clearAnswers(s *cache.Store, before time.Time, format string) error {
	n, size, err := s.Clear(before)
	if err != nil {
		return fmt.Errorf("clearing the cache: %w", err)
	}
	if format == "json" {
		return printJSON(p.Out, clearing{s.Dir(), n, size})
	}
	_, err = fmt.Fprintf(p.Out, "removed %s, %s\n", count(n, "answer"), sized(size))
	return err
}

// sized is a number of bytes for people.
func sized(n int64) string {
	switch {
	case n < 1<<10:
		return fmt.Sprintf("%d B", n)
	case n < 1<<20:
		return fmt.Sprintf("%.1f KiB", float64(n)/(1<<10))
	}
	return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
}

// columns is how wide the terminal is to which w writes; 0 where there is none.
func columns(w io.Writer) int {
	if !isTerminal(w) {
		return 0
	}
	if h, ok := w.(*harmless); ok {
		w = h.out
	}
	n, _ := terminalSize(w.(*os.File))
	return n
}
