package journal_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/flowrun/flowrun/engine"
	"github.com/flowrun/flowrun/journal"
	"github.com/flowrun/flowrun/nodes"
	"github.com/flowrun/flowrun/spec"
)

// A program keeps a run, which fails, and another process goes on with it: what had completed does not run again.
func Example() {
	broken := true
	publish := engine.Kind{
		Shape: spec.Shape{Name: "publish", Summary: "publishes", Leaf: true, Fields: []spec.Field{{Name: "publish", Form: spec.Template{}, Summary: "the text"}}},
		Fails: engine.Server,
		Build: func(n *spec.Node) engine.Body {
			return engine.Body{Decide: func(v *engine.Visit) (any, error) {
				if broken {
					return nil, errors.New("the server is down")
				}
				return v.Eval(n.Expr("publish"), v.Prev())
			}}
		},
	}
	graph, diagnostics := nodes.Language(nodes.WithKind(publish)).Parse("example.yaml", ".", []byte(`
name: example
chain:
  - {name: draft, set: '"a draft"'}
  - publish: ${{ prev }}, published
`))
	if err := diagnostics.Err(); err != nil {
		fmt.Println(err)
		return
	}
	folder, err := os.MkdirTemp("", "example")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(folder)
	j, err := journal.Open(filepath.Join(folder, "runs.db"))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer j.Close()

	goOn := func(run *journal.Run, err error) {
		if err != nil {
			fmt.Println(err)
			return
		}
		defer run.Close()
		if run.LastSeq() > 0 { // it failed: the turns that led to its error are dropped
			if err := run.Record(engine.Entry{Turn: "/", Reopened: true})(); err != nil {
				fmt.Println(err)
				return
			}
		}
		result, err := engine.Run(context.Background(), graph, nil, engine.WithRunID(run.Head().ID), engine.WithTurns(run), engine.WithSeq(run.LastSeq()),
			engine.WithStepListener(run.Hear), engine.WithStepListener(func(e engine.Event) {
				if e.Type == engine.StepStarted {
					fmt.Println("started", e.Node)
				}
			}))
		if kept := run.End(result); kept != nil {
			fmt.Println(kept)
		}
		fmt.Println(result.Status, result.Output, err)
	}
	goOn(j.Begin(journal.Head{ID: "monday", Workflow: "example"}))
	broken = false
	goOn(j.Take("monday"))
	// Output:
	// started example
	// started draft
	// started /chain[1]
	// failed <nil> example.yaml:5:5: /chain[1]: the server is down
	// started example
	// started /chain[1]
	// completed a draft, published <nil>
}
