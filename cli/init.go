package cli

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	urfave "github.com/urfave/cli/v2"

	"github.com/flowrun/flowrun/examples"
	"github.com/flowrun/flowrun/nodes"
	"github.com/flowrun/flowrun/spec"
)

const schemaName = "flowrun.schema.json"

func (p *program) initCommand() *urfave.Command {
	return &urfave.Command{
		Name: "init", Usage: "write a pipeline to start from, and its schema for editors", ArgsUsage: "[FILE]",
		Description: "FILE is pipeline.yaml unless another is named; it must not be there yet.\n" + schemaName + " is written beside it.\n",
		Flags: []urfave.Flag{
			&urfave.StringFlag{Name: "example", Value: "hello", Usage: "start from the example `NAME`: " + strings.Join(examples.Names(), ", ")},
		},
		Action: func(c *urfave.Context) error {
			file := c.Args().First()
			if file == "" {
				file = "pipeline.yaml"
			}
			return p.initialise(file, c.String("example"))
		},
	}
}

var (
	schemaLine = regexp.MustCompile(`(?m)^# yaml-language-server: \$schema=.*$`)
	runLine    = regexp.MustCompile(`(?m)^# Run it: (.*)$`)
)

func (p *program) initialise(file, example string) error {
	src, err := examples.Source(example)
	if err != nil {
		return err
	}
	named := file
	if strings.HasPrefix(file, "-") { // lest it is a flag
		named = "./" + file
	}
	src = bytes.ReplaceAll(src, []byte("examples/"+example+".yaml"), []byte(shellWord(named)))
	src = schemaLine.ReplaceAll(src, []byte("# yaml-language-server: $$schema=./"+schemaName))
	if err := writeNew(file, src); err != nil {
		return err
	}
	schema := filepath.Join(filepath.Dir(file), schemaName)
	if err := os.WriteFile(schema, nodes.Language().Spec.Schema(), 0o644); err != nil {
		return fmt.Errorf("writing the schema: %w", err)
	}
	_, err = fmt.Fprintf(p.Err, "wrote %s and %s; try: %s\n", spec.Escape(file), spec.Escape(schema), runLine.FindSubmatch(src)[1])
	return err
}

// writeNew writes a file that must not be there yet.
func writeNew(name string, b []byte) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if errors.Is(err, fs.ErrExist) {
		return usage("%s is there already; name another file", name)
	}
	if err != nil {
		return usage("writing the pipeline: %v", err)
	}
	if _, err := f.Write(b); err != nil {
		f.Close()
		return fmt.Errorf("writing the pipeline: %w", err)
	}
	return f.Close()
}
