package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	urfave "github.com/urfave/cli/v2"

	"github.com/flowrun/flowrun/engine"
	"github.com/flowrun/flowrun/journal"
	"github.com/flowrun/flowrun/spec"
)

func (p *program) batchCommand() *urfave.Command {
	const all = "Over the whole batch:"
	flags := slices.Concat([]urfave.Flag{
		&urfave.StringFlag{Name: "inputs", Usage: "take an input from each line of `PATH`: JSON Lines, or CSV with a header; - is standard input"},
		&urfave.StringFlag{Name: "format", Usage: "`FORMAT` of the inputs is jsonl or csv (default csv where their name ends so, else jsonl)"},
		&urfave.StringFlag{Name: "out", Usage: "write the results to `PATH`, in the order of the inputs (default standard output)"},
		&urfave.StringFlag{Name: "failed", Usage: "write the inputs that failed to `PATH`, as they were (default beside --out, as in results.failed.jsonl)"},
	}, aboutFlags(), []urfave.Flag{
		&urfave.StringFlag{Name: "output", Aliases: []string{"o"}, Value: "text", Usage: "`FORMAT` of the summary is text, on standard error, or json, on standard output"},
		journalFlag(),
		&urfave.BoolFlag{Name: "no-journal", Usage: "keep nothing of the batch: it cannot go on where it stopped"},
		&urfave.BoolFlag{Name: "new", Usage: "begin anew, also where the same batch was begun before"},
	}, mannerFlags(), []urfave.Flag{
		&urfave.IntFlag{Category: all, Name: "concurrency", Base: 10, Value: 4, Usage: "run at most `N` lines at once (default 4)"},
		&urfave.IntFlag{Category: all, Name: "budget-tokens", Base: 10, Usage: "let models use at most `N` tokens, of input and output together"},
		&urfave.StringFlag{Category: all, Name: "budget-usd", Usage: "let models cost at most `DOLLARS`; each needs a price then"},
	}, boundFlags("For each line, in place of the file's limits:"), grantFlags())
	return &urfave.Command{
		Name: "batch", Usage: "run a pipeline for each line of a file", ArgsUsage: "FILE", Description: batchDescription,
		Flags: flags, Before: batchFlags, Action: p.batch,
	}
}

const batchDescription = `Each line of the inputs is the input of a run of its own. A result is a line of
JSON, in the order of the inputs; a line that cannot be read fails alone. What
was begun goes on where it stopped when the same command is given again, with
its commands in the folder in which it began.

Exit codes: 0 all lines completed, 1 some failed, 2 wrong usage, file or
inputs, 3 the budget is used up, 4 not allowed, 6 some wait for an approval,
130 interrupted.
`

// batchFlags refuses flags that are missing or exclude each other.
func batchFlags(c *urfave.Context) error {
	switch {
	case c.String("inputs") == "":
		return usage("flowrun batch needs --inputs, a file with an input on each line")
	case c.String("inputs") == "-" && c.Args().First() == "-":
		return usage("the pipeline and its inputs cannot both come from standard input")
	case c.String("output") == "json" && c.String("out") == "":
		return usage("--output json prints a summary in place of the results: give --out, too")
	case c.IsSet("out") && c.String("out") == "", c.IsSet("failed") && c.String("failed") == "":
		return usage("--out and --failed need the name of a file")
	}
	_, err := batchBudget(c)
	return cmp.Or(err, checkGrace(c), journalFlags(c))
}

func batchBudget(c *urfave.Context) (engine.Allowance, error) {
	budget := engine.Allowance{Field: "--budget-", Tokens: c.Int("budget-tokens")}
	if c.IsSet("budget-usd") {
		usd, err := strconv.ParseFloat(c.String("budget-usd"), 64)
		if err != nil || math.IsNaN(usd) || usd < 0.000001 || usd > 1_000_000 {
			return budget, usage("--budget-usd is an amount of dollars such as 2.50, from 0.000001 to 1000000, not %q", c.String("budget-usd"))
		}
		budget.Cost = engine.USD(usd)
	}
	return budget, nil
}

// batch is a batch at work.
type batch struct {
	*program
	work    // of each line, but for its input
	id      string
	pool    *engine.Pool
	in      *inputs
	name    string // of the inputs
	isCSV   bool
	journal *journal.Journal
	kept    *keptRuns // nil where nothing was begun before
	release func()    // lets another process have the batch; nil where nothing keeps it from one
	report  batchReport
	out     io.Writer
	failed  *failedLines
	told    int // failures
	quiet   bool

	ctx   context.Context // of the runs
	stop  context.CancelCauseFunc
	admit context.Context // lines are begun as long as it lives
	halt  context.CancelCauseFunc
}

func (p *program) batch(c *urfave.Context) error {
	w, err := p.named(c)
	if err != nil {
		return err
	}
	budget, err := batchBudget(c)
	if err != nil {
		return err
	}
	if w.head, err = p.head(c, w.graph.Pipeline(), nil); err != nil {
		return err
	}
	w.anyInput = true
	b := &batch{program: p, work: *w, pool: engine.NewPool(w.graph, budget), name: c.String("inputs"), quiet: c.Bool("quiet")}
	b.isCSV = c.String("format") == "csv" || !c.IsSet("format") && strings.EqualFold(filepath.Ext(b.name), ".csv")
	b.opts = append(b.opts, engine.WithPool(b.pool))
	cached, warn := p.cached(c, &b.work)
	defer warn()
	b.opts = append(b.opts, cached...)
	if b.journal, err = p.journal(c); err != nil {
		return err
	}
	if b.journal != nil {
		defer b.journal.Close()
		b.opts = append(b.opts, engine.WithApprovals(&answers{})) // nobody is asked now: lines wait
	}
	defer func() {
		if b.release != nil {
			b.release()
		}
	}()
	if err := b.resume(c); err != nil {
		return err
	}
	if err := p.permitted(c, &b.work); err != nil {
		return err
	}
	return b.files(c)
}

// files opens the inputs and what is written, and runs the batch.
func (b *batch) files(c *urfave.Context) (err error) {
	from := b.In
	var file *os.File
	if b.name != "-" {
		if file, err = os.Open(b.name); err != nil {
			return usage("opening the inputs: %v", err)
		}
		defer file.Close()
		if info, err := file.Stat(); err == nil && info.IsDir() {
			return usage("opening the inputs: %s is a folder", b.name)
		}
		from = file
	}
	if b.kept != nil && !b.quiet {
		fmt.Fprintf(b.Err, "going on with the batch %s; --new begins anew\n", b.id)
	}
	if regular(file) {
		if err := b.survey(file); err != nil {
			return err
		}
	}
	if b.in, err = newInputs(from, b.isCSV, maxLine); err != nil {
		return b.unread(err)
	}
	out, failed := c.String("out"), c.String("failed")
	if info, err := os.Stat(out); failed == "" && out != "" && (err != nil || info.Mode().IsRegular()) {
		ext := ".jsonl"
		if b.isCSV {
			ext = ".csv"
		}
		failed = strings.TrimSuffix(out, filepath.Ext(out)) + ".failed" + ext
	}
	for _, path := range []string{out, failed} {
		if sameFile(path, b.name) || sameFile(path, b.file) {
			return usage("%s is read, and cannot be written at the same time", path)
		}
	}
	if sameFile(out, failed) {
		return usage("--out and --failed cannot be the same file")
	}
	b.out = b.Out
	if out != "" {
		f, err := os.Create(out)
		if err != nil {
			return usage("opening the results: %v", err)
		}
		defer func() { err = cmp.Or(err, f.Close()) }()
		b.out = f
	}
	if b.failed, err = newFailedLines(failed, b.in.header); err != nil {
		return usage("opening the file of failed lines: %v", err)
	}
	return b.begin(c)
}

func (b *batch) unread(err error) error { return usage("reading %s: %v", b.name, err) }

func regular(f *os.File) bool {
	if f == nil {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode().IsRegular()
}

// sameFile tells whether two paths lead to one file, that is or would be; a device is none, and - leads to none.
func sameFile(a, b string) bool {
	if a == "" || a == "-" || b == "" || b == "-" {
		return false
	}
	if one, err := os.Stat(a); err == nil {
		other, err := os.Stat(b)
		return err == nil && one.Mode().IsRegular() && os.SameFile(one, other)
	}
	one, err := located(a)
	other, wrong := located(b)
	return err == nil && wrong == nil && one == other
}

// survey reads the inputs once to count them and, where the batch was begun before, to see that they are the same.
func (b *batch) survey(f *os.File) error {
	in, err := newInputs(f, b.isCSV, maxLine)
	if err != nil {
		return b.unread(err)
	}
	kept := b.kept.again()
	for {
		l, err := in.next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return b.unread(err)
		}
		b.report.total++
		before, err := kept.at(l.number)
		if err == nil && before != nil {
			v, wrong := in.value(l, b.graph.Pipeline().Input)
			err = b.unchanged(before, v, wrong)
		}
		if err != nil {
			return err
		}
	}
	_, err = f.Seek(0, io.SeekStart)
	return err
}

// unchanged refuses an input that is another than when its run began.
func (b *batch) unchanged(before *journal.Record, v any, wrong error) error {
	if before.Damage != "" || wrong == nil && spec.AsJSON(v) == spec.AsJSON(before.Head.Input) {
		return nil
	}
	return usage("line %d of %s is not what it was when the batch %s began; to begin anew, give --new", before.Line, b.name, b.id)
}
