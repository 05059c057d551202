package cli

import (
	"fmt"
	"slices"
	"strings"

	urfave "github.com/urfave/cli/v2"

	"github.com/flowrun/flowrun/engine"
	"github.com/flowrun/flowrun/nodes"
	"github.com/flowrun/flowrun/pipetest"
	"github.com/flowrun/flowrun/spec"
)

func (p *program) validateCommand() *urfave.Command {
	return &urfave.Command{
		Name: "validate", Usage: "check pipeline files and test files, and report every problem at once", ArgsUsage: "FILE...",
		Description: "Problems go to standard error. The exit code is 2 where a file has an error, and\n0 otherwise; warnings do not count. FILE may be - for standard input.\n",
		Flags: []urfave.Flag{
			&urfave.StringFlag{Name: "output", Aliases: []string{"o"}, Value: "text", Usage: "`FORMAT` is text, or json on standard output"},
			grantFlag("read"),
		},
		Action: func(c *urfave.Context) error {
			if !c.Args().Present() {
				return usage("flowrun validate needs at least one FILE")
			}
			return p.validate(c.Args().Slice(), c.String("output") == "json", readOptions(c))
		},
	}
}

// problem is a diagnostic for machines.
type problem struct {
	File     string `json:"file"`
	Line     int    `json:"line"`
	Column   int    `json:"column"`
	Severity string `json:"severity"`
	Message  string `json:"message"`
	Hint     string `json:"hint,omitempty"`
}

// wrong is what is wrong with a pipeline file or a test file.
func (p *program) wrong(file string, lang *engine.Language, opts []spec.Option) spec.Diagnostics {
	if strings.HasSuffix(file, pipetest.Ending) {
		_, diagnostics := pipetest.Load(file, opts...)
		return diagnostics
	}
	_, diagnostics := p.read(file, lang, opts)
	return diagnostics
}

func (p *program) validate(files []string, asJSON bool, opts []spec.Option) error {
	lang := nodes.Language()
	all := []problem{}
	failed := false
	told := map[spec.Diagnostic]bool{} // of files that others include
	for _, f := range files {
		diagnostics := p.wrong(f, lang, opts)
		diagnostics = slices.DeleteFunc(diagnostics, func(d spec.Diagnostic) bool { return told[d] })
		for _, d := range diagnostics {
			told[d] = true
		}
		failed = failed || diagnostics.Err() != nil
		if !asJSON {
			p.diagnose(diagnostics)
		}
		for _, d := range diagnostics {
			severity := "error"
			if d.Warning {
				severity = "warning"
			}
			all = append(all, problem{d.File, d.Line, d.Column, severity, d.Message, d.Hint})
		}
	}
	if asJSON {
		if err := printJSON(p.Out, all); err != nil {
			return fmt.Errorf("writing the problems: %w", err)
		}
	}
	if failed {
		return silent(exitUsage)
	}
	return nil
}
