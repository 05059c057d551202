package nodes_test

import (
	"context"
	"fmt"
	"strings"

	"github.com/flowrun/flowrun/agents"
	"github.com/flowrun/flowrun/engine"
	"github.com/flowrun/flowrun/nodes"
	"github.com/flowrun/flowrun/spec"
)

// A program loads a pipeline, adds a kind of node and a model of its own, runs it and listens.
func Example() {
	reverse := engine.Kind{
		Shape: spec.Shape{
			Name: "reverse", Summary: "turns a text round", Leaf: true,
			Fields: []spec.Field{{Name: "reverse", Form: spec.Template{}, Summary: "the text"}},
		},
		Build: func(n *spec.Node) engine.Body {
			return engine.Body{Decide: func(v *engine.Visit) (any, error) {
				text, err := v.Eval(n.Expr("reverse"), v.Prev())
				if err != nil {
					return nil, err
				}
				words := strings.Fields(spec.AsText(text))
				for i, j := 0, len(words)-1; i < j; i, j = i+1, j-1 {
					words[i], words[j] = words[j], words[i]
				}
				return strings.Join(words, " "), nil
			}}
		},
	}
	models := agents.NewSet(agents.WithProvider("parrot", func(model string) (agents.Model, error) { return parrot{model}, nil }))
	lang := nodes.Language(nodes.WithKind(reverse), nodes.WithAgents(models))

	graph, diagnostics := lang.Parse("example.yaml", ".", []byte(`
name: example
chain:
  - agent: {model: parrot/polly}
    prompt: good morning ${{ input }}
  - reverse: ${{ prev }}
`))
	if err := diagnostics.Err(); err != nil {
		fmt.Println(err)
		return
	}
	result, err := engine.Run(context.Background(), graph, "sailor", engine.WithListener(func(e engine.Event) {
		if e.Type == engine.StepCompleted {
			fmt.Println(e.Kind, "gave", e.Output)
		}
	}))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(result.Status, result.Steps, result.Usage.Total().OutputTokens)
	// Output:
	// agent gave polly says good morning sailor
	// reverse gave sailor morning good says polly
	// chain gave sailor morning good says polly
	// completed 2 2
}
