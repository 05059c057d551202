package nodes

import (
	"context"

	"github.com/flowrun/flowrun/engine"
	"github.com/flowrun/flowrun/spec"
)

// toolKind is the kind of a node that calls one tool.
func toolKind(o *options) engine.Kind {
	of := func(n *spec.Node) (named, bool) {
		word, entry := n.Ref("tool")
		if entry, ok := entry.(*spec.Object); ok && !entry.Flawed() {
			return toolNamed(o, word, entry), true
		}
		return named{}, false
	}
	return engine.Kind{
		Shape: spec.Shape{
			Name:    "tool",
			Summary: "calls a tool of the header",
			Leaf:    true,
			Fields: []spec.Field{
				{Name: "tool", Form: toolRef(), Summary: "the tool, or one of a server's: NAME.TOOL"},
				{Name: "args", Form: spec.Data{Mapping: true}, Summary: "its arguments"},
				engine.CacheField(),
			},
			Output: func(n *spec.Node) spec.Type {
				if t, ok := of(n); ok {
					return t.tool.output()
				}
				return spec.Any
			},
			Check: func(n *spec.Node, problem func(field, hint, message string)) {
				if t, ok := of(n); ok {
					t.check(n.Expr("args"), problem)
				}
			},
			Needs: func(n *spec.Node) []spec.Need {
				if t, ok := of(n); ok {
					return t.needs()
				}
				return nil
			},
			Example: `tools:
  greet: {exec: [echo, "hello ${{ params.name }}"], params: {name: string}}
tool: greet
args: {name: "${{ input ?? \"you\" }}"}
`,
			Grants: "--allow-exec=echo",
		},
		Slot:  true,
		Fails: engine.Tool,
		Tools: func(n *spec.Node) []*spec.Object {
			if t, ok := of(n); ok {
				return []*spec.Object{t.tool.entry}
			}
			return nil
		},
		Build: func(n *spec.Node) engine.Body {
			t, _ := of(n)
			args := n.Expr("args")
			return engine.Body{Uses: t.word, Reads: t.tool.reads(), Act: func(ctx context.Context, c *engine.Call) (any, error) {
				return t.act(ctx, c, args)
			}}
		},
	}
}

// check finds what is wrong with naming the tool in a node, or with the arguments as far as they are written.
func (n named) check(written *spec.Expr, problem func(field, hint, message string)) {
	if message, hint := n.problem(false); message != "" {
		problem("tool", hint, message)
		return
	}
	if n.tool.arguments == nil {
		return
	}
	given, plain := any(map[string]any{}), true
	if written != nil {
		given, plain = written.Written()
	}
	if err := n.tool.arguments.check("args", given, plain); err != nil {
		problem("args", "", err.Error())
	}
}

// act calls the tool with arguments that the file writes.
func (n named) act(ctx context.Context, c *engine.Call, written *spec.Expr) (any, error) {
	args := map[string]any{}
	if written != nil {
		v, err := c.Eval(written)
		if err != nil {
			return nil, err
		}
		args = v.(map[string]any) // Data that is a mapping
	}
	t := n.tool
	if t.server != nil {
		listed, err := t.listed(ctx, c, n.part)
		if err != nil {
			return nil, err
		}
		schema, err := spec.NewSchema(listed[0].Schema)
		if err == nil {
			err = schema.Check("args", args)
		}
		if err != nil {
			return nil, engine.Errorf(engine.Schema, "%w", err)
		}
		return t.call(ctx, c, n.part, 0, args)
	}
	if err := t.arguments.Check("args", args); err != nil {
		return nil, engine.Errorf(engine.Schema, "%w", err)
	}
	nth := 0
	if t.flow != nil {
		nth = c.Nth(t.flow)
	}
	return t.call(ctx, c, "", nth, t.arguments.complete(args))
}
