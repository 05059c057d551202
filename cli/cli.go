// Package cli is the command line: commands, what they print, and exit codes. It wires the other packages together and
// knows none of their insides.
package cli

import (
	"errors"
	"fmt"
	"io"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"syscall"

	urfave "github.com/urfave/cli/v2"

	"github.com/flowrun/flowrun/engine"
	"github.com/flowrun/flowrun/nodes"
	"github.com/flowrun/flowrun/spec"
)

// Exit codes.
const (
	exitFailed     = 1   // the run failed
	exitUsage      = 2   // wrong usage, file, input or missing key: nothing ran
	exitLimit      = 3   // a limit was reached
	exitPermission = 4   // something was not allowed: nothing ran
	exitMismatch   = 5   // a recording or a test did not match
	exitWaiting    = 6   // it waits for an approval
	exitTimeout    = 124 // and 128 with a signal's number where that ended the run
)

// Streams are what the program reads and writes.
type Streams struct {
	In  io.Reader
	Out io.Writer
	Err io.Writer
}

// Main runs the program with its arguments, the first of which is its name, and gives its exit code.
func Main(args []string, std Streams) int {
	if isTerminal(std.Out) {
		std.Out = &harmless{out: std.Out}
	}
	p := &program{Streams: std}
	app := p.app()
	if last := len(args) - 1; last > 0 && args[last] == completionFlag {
		return p.exit(p.complete(app, args[1:last]))
	}
	arranged, err := arrange(app, args)
	if asked := (*helpWanted)(nil); errors.As(err, &asked) {
		_, err = io.WriteString(p.Out, help(app, asked.command))
	} else if err == nil {
		err = app.Run(arranged)
	}
	return p.exit(err)
}

// program is one call of the program.
type program struct {
	Streams
	commands nodes.Commands // that its run has begun
	desk     *desk          // at which people are asked; nil: nobody is there
	live     *live          // what standard error shows of the run; nil where that is no tree
	onward   atomic.Value   // of a string: how what is running goes on once it was ended at once, for people
	source   string         // of the pipeline that came from standard input
}

func (p *program) app() *urfave.App {
	app := &urfave.App{
		Name:                      "flowrun",
		Usage:                     "run declarative pipelines of LLM agents",
		Version:                   version(),
		HideVersion:               true,
		DisableSliceFlagSeparator: true,
		Reader:                    p.In,
		Writer:                    p.Out,
		ErrWriter:                 p.Err,
		ExitErrHandler:            func(*urfave.Context, error) {},
		HideHelp:                  true,
		Action: func(c *urfave.Context) error {
			_, err := io.WriteString(p.Out, help(c.App, nil))
			return err
		},
		Commands: []*urfave.Command{
			p.runCommand(), p.batchCommand(),
			p.resumeCommand(), p.retryCommand(), p.approveCommand(), p.runsCommand(), p.sessionsCommand(), p.auditCommand(),
			p.testCommand(), p.validateCommand(), p.graphCommand(), p.schemaCommand(), p.explainCommand(), p.modelsCommand(), p.cacheCommand(), p.allowCommand(), p.initCommand(), p.completionCommand(),
			{Name: "version", Usage: "print the version", Action: func(*urfave.Context) error {
				_, err := fmt.Fprintln(p.Out, "flowrun", version())
				return err
			}},
		},
	}
	for _, c := range app.Commands {
		c.HideHelp = true // lest the library take a file called help for a command
	}
	return app
}

func version() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" && info.Main.Version != "(devel)" {
		return info.Main.Version
	}
	return "0.1.0-dev"
}

// usageError is a mistake in the call.
type usageError struct{ message string }

func (e *usageError) Error() string { return e.message }

func usage(format string, args ...any) error { return &usageError{fmt.Sprintf(format, args...)} }

// silent is an exit code about which everything was said.
type silent int

func (silent) Error() string { return "" }

// exit prints an error, if there is one, and gives the exit code.
func (p *program) exit(err error) int {
	code := p.report(err)
	tellHow(p.Err, err)
	return code
}

func (p *program) report(err error) int {
	var wrong *usageError
	var code silent
	var by interrupted
	var invalid *engine.InvalidError
	var denied *engine.PermissionError
	var waits *engine.WaitingError
	var failed *engine.Error
	diagnostics, isFile := spec.AsDiagnostics(err)
	switch {
	case err == nil:
		return 0
	case errors.As(err, &code):
		return int(code)
	case errors.Is(err, syscall.EPIPE), errors.As(err, &by) && by.Signal == syscall.SIGPIPE: // as other programs, without a word
		return interrupted{syscall.SIGPIPE}.code()
	case errors.As(err, &wrong):
		fmt.Fprintf(p.Err, "flowrun: %s\n", spec.Escape(wrong.message))
		return exitUsage
	case isFile:
		p.diagnose(diagnostics)
		return exitUsage
	case errors.As(err, &invalid):
		fmt.Fprintf(p.Err, "flowrun: %s\n", escapeLines(invalid.Error()))
		return exitUsage
	case errors.As(err, &denied):
		fmt.Fprintf(p.Err, "flowrun: %s\n", escapeLines(denied.Error()))
		return exitPermission
	case errors.As(err, &waits): // which was told with the run
		return exitWaiting
	case errors.As(err, &failed):
		fmt.Fprintln(p.Err, escapeLines(failed.Error()))
		fmt.Fprint(p.Err, whereItPanicked(failed.Stack()))
		return codeFor(failed)
	}
	fmt.Fprintf(p.Err, "flowrun: %s\n", escapeLines(err.Error()))
	return exitFailed
}

// whereItPanicked is the part of a stack that tells which code went wrong.
func whereItPanicked(stack []byte) string {
	_, after, ok := strings.Cut(string(stack), "\npanic(")
	if !ok {
		return ""
	}
	const frames = 4
	lines := strings.SplitAfter(after, "\n")
	return "this is a mistake in the program, at:\n" + strings.Join(lines[min(2, len(lines)):min(2+2*frames, len(lines))], "")
}

// diagnose prints the problems of a file.
func (p *program) diagnose(ds spec.Diagnostics) {
	_ = ds.Write(p.Err) // there is no other place to tell
}

// codeFor is the exit code of a run that did not complete.
func codeFor(e *engine.Error) int {
	var by interrupted
	switch {
	case e.Kind == engine.Limit || e.Kind == engine.Budget:
		return exitLimit
	case e.Kind == engine.Recording:
		return exitMismatch
	case e.OutOfTime():
		return exitTimeout
	case e.Kind == engine.Cancelled && errors.As(e, &by):
		return by.code()
	}
	return exitFailed
}
