package cli

import (
	"errors"
	"fmt"
	"io"
	"strings"

	urfave "github.com/urfave/cli/v2"

	"github.com/flowrun/flowrun/engine"
	"github.com/flowrun/flowrun/spec"
)

// plan is what a run would do and what it needs.
type plan struct {
	Workflow string             `json:"workflow"`
	Steps    int                `json:"least_steps"`
	Nodes    []engine.DrawnNode `json:"nodes"`
	Needs    []need             `json:"needs"`   // what would have to be granted
	Missing  []string           `json:"missing"` // what the call lacks
}

type need struct {
	Flag    string `json:"flag"`
	Granted bool   `json:"granted"`
	Place   string `json:"place"`          // file:line:col
	What    string `json:"what,omitempty"` // exactly, as the file writes it
}

// plan prints what a run would do. unready is why it could not begin, were everything granted.
func (p *program) plan(c *urfave.Context, g *engine.Graph, granted engine.Grants, unready error) error {
	var invalid *engine.InvalidError
	if unready != nil && (!errors.As(unready, &invalid) || len(invalid.Wrong) > 0) {
		return unready
	}
	d := g.Draw()
	out := &plan{Workflow: d.Name, Steps: g.Least(), Nodes: d.Nodes, Needs: []need{}, Missing: []string{}}
	for i := range out.Nodes {
		out.Nodes[i].Cache = out.Nodes[i].Cache && !c.Bool("no-cache")
	}
	for _, n := range g.Pipeline().Needs() {
		out.Needs = append(out.Needs, need{n.Flag(), granted.Allow(n), n.Pos.String(), n.What})
	}
	if invalid != nil {
		out.Missing = invalid.Missing
	}
	if c.String("output") == "json" {
		return printJSON(p.Out, out)
	}
	_, err := io.WriteString(p.Out, out.String())
	return err
}

func (p *plan) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s, at least %s\n\n", p.Workflow, count(len(p.Nodes), "node"), count(p.Steps, "step"))
	for _, n := range p.Nodes {
		fmt.Fprintf(&b, "%s\n", spec.Escape(planned(n)))
	}
	if len(p.Needs)+len(p.Missing) > 0 {
		b.WriteString("\nneeds:\n")
	}
	for _, n := range p.Needs {
		state := "not granted"
		if n.Granted {
			state = "granted"
		}
		fmt.Fprintf(&b, "  %-30s %s (%s)\n", spec.Escape(n.Flag), state, n.Place)
	}
	for _, m := range p.Missing {
		fmt.Fprintf(&b, "  %s\n", spec.Escape(m))
	}
	return b.String()
}

// planned is a node's line, indented by its depth.
func planned(n engine.DrawnNode) string {
	line := strings.Repeat("  ", strings.Count(strings.TrimSuffix(n.Path, "/"), "/"))
	if n.Label == "" || strings.HasPrefix(n.Label, n.Kind+"[") {
		line += n.Kind
	} else {
		line += n.Label + " (" + n.Kind + ")"
	}
	if n.Uses != "" {
		line += "  " + n.Uses
	}
	if n.Cache {
		line += "  cache"
	}
	if n.When != "" {
		line += "  when " + n.When
	}
	return line
}
