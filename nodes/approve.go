package nodes

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/flowrun/flowrun/engine"
	"github.com/flowrun/flowrun/spec"
)

func approve(o *options) engine.Kind {
	return engine.Kind{
		Shape: spec.Shape{
			Name:    "approve",
			Summary: "asks people, and passes on what it received, or what they choose; where they reject it fails",
			Leaf:    true,
			Fields: []spec.Field{
				{Name: "approve", Form: spec.Template{}, Summary: "what they are asked"},
				{Name: "options", Form: spec.List{Of: spec.Text{Check: checkChoice}, Min: 1}, Summary: "what they may choose, in place of approving: the choice is the output"},
				{Name: "on_timeout", Form: spec.Word{Of: []string{engine.Approve, engine.Reject}}, Summary: "what counts where nobody answers within timeout; without it that is an error of kind timeout"},
			},
			Output: func(n *spec.Node) spec.Type {
				if len(optionsOf(n)) > 0 {
					return spec.String
				}
				return n.Prev()
			},
			Check: checkApprove,
			Example: `chain:
  - set: '"the plan"'
  - approve: Go ahead with ${{ prev }}?
    timeout: 24h
    on_timeout: reject
`,
		},
		People: true,
		Fails:  engine.Rejected,
		Build: func(n *spec.Node) engine.Body {
			a := &approver{message: n.Expr("approve"), choices: optionsOf(n), late: n.Text("on_timeout"), mock: o.mockOf(n)}
			return engine.Body{Decide: a.run, Reads: a.mock.reads(), Uses: "people"}
		},
	}
}

// checkChoice keeps a choice such that it can be shown and typed.
func checkChoice(s string) (problem, hint string) {
	if s == "" || strings.TrimSpace(s) != s || spec.Escape(s) != s {
		return fmt.Sprintf("an option is a line of text that shows all that it holds, not %q", s), ""
	}
	return "", ""
}

func checkApprove(n *spec.Node, problem func(field, hint, message string)) {
	options := n.Texts("options")
	for i, option := range options {
		if slices.Contains(options[:i], option) {
			problem("options", "", fmt.Sprintf("the option %q is there already", option))
		}
	}
	if n.Has("options") && len(optionsOf(n)) == 0 {
		problem("options", "leave out options: rejecting always may be chosen", "there is nothing to choose but to reject")
	}
	if header := n.Pipeline.Header.Record("defaults"); n.Has("on_timeout") && !n.Has("timeout") && (header == nil || !header.Has("timeout")) {
		problem("on_timeout", "add timeout: 24h, or leave out on_timeout", "on_timeout needs a timeout: without it people have all the time there is")
	}
	if n.Has("retry") {
		problem("retry", "leave it out", "what people say stands: an approval is not tried again")
	}
}

// optionsOf are the options, less the one that always is there.
func optionsOf(n *spec.Node) []string {
	return slices.DeleteFunc(slices.Clone(n.Texts("options")), func(s string) bool { return s == engine.Reject })
}

// approver asks people.
type approver struct {
	message *spec.Expr
	choices []string // none: to approve
	late    string   // on_timeout; empty: it fails
	mock    *Mock    // answers in their place; nil: nothing does
}

func (a *approver) run(v *engine.Visit) (any, error) {
	message, err := v.Eval(a.message, v.Prev())
	if err != nil {
		return nil, err
	}
	q := engine.Approval{Message: spec.AsText(message), Options: []string{engine.Approve, engine.Reject}, OnTimeout: a.late}
	if len(a.choices) > 0 {
		q.Options = append(slices.Clone(a.choices), engine.Reject)
	}
	if a.late == engine.Approve && !slices.Contains(q.Options, engine.Approve) {
		q.OnTimeout = a.choices[0]
	}
	var ask func(context.Context, *engine.Call) (*engine.Answer, error)
	if a.mock != nil {
		ask = func(ctx context.Context, c *engine.Call) (*engine.Answer, error) {
			text, _, err := a.mock.says(ctx, c, 1+c.Repeats(), q.Message)
			return &engine.Answer{Value: strings.TrimSpace(text), By: "a mock"}, err
		}
	}
	answer, err := v.Approve(q, ask)
	switch {
	case err != nil:
		return nil, err
	case answer.Value == engine.Reject:
		return nil, engine.Errorf(engine.Rejected, "%s", rejection(answer))
	case len(a.choices) > 0:
		return answer.Value, nil
	}
	return v.Prev(), nil
}

// rejection says who rejected.
func rejection(a *engine.Answer) string {
	if a.By == "" {
		return "rejected"
	}
	return "rejected by " + a.By
}
