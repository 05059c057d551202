package cli

import (
	"fmt"
	"maps"
	"slices"

	"github.com/flowrun/flowrun/engine"
	"github.com/flowrun/flowrun/spec"
)

// difference is what a node gave in two runs; null where it did not end.
type difference struct {
	Turn string `json:"turn"`
	A    *gave  `json:"a"`
	B    *gave  `json:"b"`
}

type gave struct {
	Status string        `json:"status"`
	Output engine.Value  `json:"output"`
	Error  *engine.Error `json:"error"`
}

func gaveOf(f *engine.Finished) *gave {
	if f == nil {
		return nil
	}
	return &gave{f.Status, f.Output, f.Error}
}

func (g *gave) String() string {
	switch {
	case g == nil:
		return "did not end"
	case g.Error != nil:
		return g.Status + ": " + g.Error.Message
	case g.Status != string(engine.Completed):
		return g.Status
	}
	return spec.AsJSON(g.Output.V)
}

func (r *runs) diff(a, b string) error {
	was, err := r.ends(a)
	if err != nil {
		return err
	}
	is, err := r.ends(b)
	if err != nil {
		return err
	}
	turns := maps.Clone(was)
	maps.Copy(turns, is)
	differences := []difference{}
	for _, turn := range slices.SortedFunc(maps.Keys(turns), engine.CompareTurns) {
		d := difference{turn, gaveOf(was[turn]), gaveOf(is[turn])}
		if d.A.String() != d.B.String() {
			differences = append(differences, d)
		}
	}
	if r.json {
		return printJSON(r.Out, differences)
	}
	if len(differences) == 0 {
		_, err := fmt.Fprintf(r.Out, "the nodes of %s and %s gave the same\n", spec.Escape(a), spec.Escape(b))
		return err
	}
	for _, d := range differences {
		if _, err := fmt.Fprintf(r.Out, "%s\n- %s\n+ %s\n", spec.Escape(d.Turn), spec.Escape(short(d.A.String())), spec.Escape(short(d.B.String()))); err != nil {
			return err
		}
	}
	return nil
}
