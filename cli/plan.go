package cli

import (
	"errors"
	"fmt"
	"strings"

	"github.com/flowrun/flowrun/engine"
)

// plan prints what a run would do: the nodes with their agents' models, the least steps, and what it needs: what would
// have to be granted, and what the call lacks.
func (p *program) plan(g *engine.Graph, granted engine.Grants, unready error) error {
	var invalid *engine.InvalidError
	if unready != nil && (!errors.As(unready, &invalid) || len(invalid.Wrong) > 0) {
		return unready
	}
	var b strings.Builder
	d := g.Draw()
	fmt.Fprintf(&b, "%s: %s, at least %s\n\n", d.Name, count(len(d.Nodes), "node"), count(g.Least(), "step"))
	for _, n := range d.Nodes {
		depth := strings.Count(strings.TrimSuffix(n.Path, "/"), "/")
		line := strings.Repeat("  ", depth) + n.Label
		if n.Label == "" || strings.HasPrefix(n.Label, n.Kind+"[") {
			line = strings.Repeat("  ", depth) + n.Kind
		} else {
			line += " (" + n.Kind + ")"
		}
		if n.Uses != "" {
			line += "  " + n.Uses
		}
		if n.When != "" {
			line += "  when " + n.When
		}
		fmt.Fprintf(&b, "%s\n", escape(line))
	}
	needs := g.Pipeline().Needs()
	if len(needs) > 0 || invalid != nil {
		b.WriteString("\nneeds:\n")
	}
	for _, n := range needs {
		state := "not granted"
		if granted.Allow(n) {
			state = "granted"
		}
		fmt.Fprintf(&b, "  %-30s %s (%s)\n", escape(n.Flag()), state, n.Pos)
	}
	if invalid != nil {
		for _, m := range invalid.Missing {
			fmt.Fprintf(&b, "  %s\n", escape(m))
		}
	}
	_, err := fmt.Fprint(p.Out, b.String())
	return err
}
