package cli

import (
	"fmt"

	urfave "github.com/urfave/cli/v2"

	"github.com/flowrun/flowrun/nodes"
	"github.com/flowrun/flowrun/pipetest"
	"github.com/flowrun/flowrun/spec"
)

func (p *program) schemaCommand() *urfave.Command {
	return &urfave.Command{
		Name: "schema", Usage: "print the JSON Schema of pipeline files, for editors",
		Description: "An editor finds it by a comment at the top of a pipeline file:\n\n  # yaml-language-server: $schema=./" + schemaName + "\n\nflowrun init writes both.\n",
		Flags:       []urfave.Flag{&urfave.BoolFlag{Name: "test", Usage: "that of test files"}},
		Action: func(c *urfave.Context) error {
			lang := nodes.Language().Spec
			schema := lang.Schema()
			if c.Bool("test") {
				schema = lang.SheetSchema(pipetest.Sheet())
			}
			_, err := p.Out.Write(schema)
			return err
		},
	}
}

func (p *program) explainCommand() *urfave.Command {
	return &urfave.Command{
		Name: "explain", Usage: "describe a kind of node, or another key of a pipeline file", ArgsUsage: "[NAME]",
		Description: "NAME is a kind such as agent or parallel, a key such as retry or limits, or\ntest for test files. Without it all are listed.\n",
		Action: func(c *urfave.Context) error {
			lang := nodes.Language().Spec
			name := c.Args().First()
			text, ok := lang.Explain(name)
			switch {
			case name == testTopic:
				text = spec.ExplainSheet(name, pipetest.Sheet())
			case name == "":
				text += "flowrun explain " + testTopic + " tells what test files take.\n"
			case !ok:
				return usage("there is nothing called %q to explain%s", name, spec.DidYouMean(name, topics()))
			}
			_, err := fmt.Fprint(p.Out, text)
			return err
		},
	}
}

// testTopic is what test files are explained by.
const testTopic = "test"

// topics are all that can be explained.
func topics() []string { return append(nodes.Language().Spec.Topics(), testTopic) }
