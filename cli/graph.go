package cli

import (
	"fmt"

	urfave "github.com/urfave/cli/v2"

	"github.com/flowrun/flowrun/nodes"
)

func (p *program) graphCommand() *urfave.Command {
	return &urfave.Command{
		Name: "graph", Usage: "print a drawing of a pipeline, with all that is nested in it", ArgsUsage: "FILE",
		Description: "FILE may be - for standard input.\n",
		Flags: []urfave.Flag{
			&urfave.StringFlag{Name: "format", Aliases: []string{"f"}, Value: "mermaid", Usage: "`FORMAT` is mermaid, dot or json"},
			grantFlag("read"),
		},
		Action: func(c *urfave.Context) error {
			graph, err := p.load(c, nodes.Language())
			if err != nil {
				return err
			}
			d := graph.Draw()
			switch c.String("format") {
			case "mermaid":
				_, err = fmt.Fprint(p.Out, d.Mermaid())
			case "dot":
				_, err = fmt.Fprint(p.Out, d.DOT())
			case "json":
				err = printJSON(p.Out, d)
			}
			return err
		},
	}
}
