package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"time"

	urfave "github.com/urfave/cli/v2"

	"github.com/flowrun/flowrun/agents"
	"github.com/flowrun/flowrun/pipetest"
	"github.com/flowrun/flowrun/spec"
)

func (p *program) testCommand() *urfave.Command {
	flags := []urfave.Flag{
		&urfave.StringFlag{Name: "run", Usage: "run only the cases whose names match `REGEXP`"},
		&urfave.IntFlag{Name: "repeat", Base: 10, Value: 1, Usage: "run each case `N` times and tell how often it passed"},
		&urfave.BoolFlag{Name: "update", Usage: "write the snapshots anew and remove those that no case uses"},
		&urfave.BoolFlag{Name: "live", Usage: "ask real models where an agent has no mock; that costs money"},
		&urfave.BoolFlag{Name: "watch", Usage: "run the tests again whenever a file beside them changes"},
		&urfave.StringFlag{Name: "output", Aliases: []string{"o"}, Value: "text", Usage: "`FORMAT` is text, json or junit"},
	}
	return &urfave.Command{
		Name: "test", Usage: "run the tests of pipelines", ArgsUsage: "[FILE...]", Description: testDescription, Flags: append(flags, grantFlags()...),
		Action: p.test,
	}
}

const testDescription = `FILE is a test file (NAME.test.yaml), a pipeline with one beside it, or a
folder; without it every test file at or below the working directory is run. No
model is asked: agents answer with their mocks. The report goes to standard
output.

Exit codes: 0 all passed, 2 wrong usage or file, 5 a test failed, 130
interrupted.
`

func (p *program) test(c *urfave.Context) error {
	plan, err := p.testPlan(c)
	if err != nil {
		return err
	}
	ctx, _, stop := p.interruptible(0)
	defer stop()
	once := func() error {
		report, err := p.testOnce(ctx, c, plan)
		if err != nil {
			return err
		}
		if err := reports[c.String("output")](p.Out, report); err != nil {
			return fmt.Errorf("writing the report: %w", err)
		}
		if report.Failed() > 0 {
			return silent(exitMismatch)
		}
		return nil
	}
	if c.Bool("watch") {
		err = p.watch(ctx, c.Args().Slice(), once)
	} else {
		err = once()
	}
	if by := (interrupted{}); errors.As(err, &by) || errors.As(context.Cause(ctx), &by) {
		return silent(by.code())
	}
	return err
}

// testPlan is what the flags say.
func (p *program) testPlan(c *urfave.Context) (pipetest.Plan, error) {
	set := agents.NewSet()
	plan := pipetest.Plan{
		Repeat: c.Int("repeat"), Parallel: 2 * runtime.GOMAXPROCS(0), Live: c.Bool("live"), Update: c.Bool("update"),
		Grants: grants(c), Agents: set, Commands: &p.commands,
	}
	if c.IsSet("run") {
		only, err := regexp.Compile(c.String("run"))
		if err != nil {
			return plan, usage("--run is no regular expression: %v", err)
		}
		plan.Only = only
	}
	return plan, nil
}

// testOnce reads the test files and runs them. A mistake in one of them keeps all from running.
func (p *program) testOnce(ctx context.Context, c *urfave.Context, plan pipetest.Plan) (*pipetest.Report, error) {
	names, err := pipetest.Find(c.Args().Slice()...)
	if err != nil {
		return nil, usage("%v", err)
	}
	var files []*pipetest.File
	var problems spec.Diagnostics
	for _, name := range names {
		f, wrong := pipetest.Load(name, readOptions(c)...)
		problems = append(problems, wrong...)
		if f != nil {
			files = append(files, f)
		}
	}
	if err := problems.Err(); err != nil {
		return nil, problems
	}
	report, err := pipetest.Run(ctx, files, plan)
	if err != nil {
		return nil, err
	}
	if plan.Only != nil && len(report.Outcomes) == 0 {
		return nil, usage("--run %s: no case has such a name", plan.Only)
	}
	return report, nil
}

// watchEvery is how often files are looked at.
const watchEvery = 300 * time.Millisecond

// watch runs the tests, and again whenever something changed since they began, until ctx ends.
func (p *program) watch(ctx context.Context, names []string, once func() error) error {
	for {
		before := traces(names)
		p.exit(once()) // which tells what was wrong
		if ctx.Err() == nil {
			fmt.Fprintln(p.Err, "waiting for a change; Ctrl-C ends")
		}
		for again := false; !again; again = !slices.Equal(before, traces(names)) {
			select {
			case <-ctx.Done():
				return context.Cause(ctx)
			case <-time.After(watchEvery):
			}
		}
	}
}

// traces tell apart states of the folders that hold tests: the files in them, with their sizes and times. What the
// program itself writes there, as where its report goes to a file, is no change.
func traces(names []string) []string {
	folders := map[string]bool{}
	if len(names) == 0 {
		names = []string{"."}
	}
	var all []string
	var look func(path string)
	look = func(folder string) {
		if folders[folder] {
			return
		}
		folders[folder] = true
		entries, _ := os.ReadDir(folder) // one that is gone has no files
		for _, e := range entries {
			path := filepath.Join(folder, e.Name())
			switch {
			case strings.HasPrefix(e.Name(), ".") || e.Name() == "node_modules":
			case e.IsDir():
				look(path)
			default:
				if info, err := e.Info(); err == nil && !written(info) {
					all = append(all, fmt.Sprintf("%s %d %d", path, info.Size(), info.ModTime().UnixNano()))
				}
			}
		}
	}
	for _, name := range names {
		if info, err := os.Stat(name); err != nil || !info.IsDir() {
			name = filepath.Dir(name)
		}
		look(filepath.Clean(name))
	}
	return all
}

// written says that a file is where the program's own output goes.
func written(info os.FileInfo) bool {
	return slices.ContainsFunc([]*os.File{os.Stdout, os.Stderr}, func(f *os.File) bool {
		own, err := f.Stat()
		return err == nil && os.SameFile(own, info)
	})
}
