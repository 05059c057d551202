package nodes

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/flowrun/flowrun/agents"
	"github.com/flowrun/flowrun/engine"
	"github.com/flowrun/flowrun/spec"
)

// How agents use tools.

// maxToolReply is how many bytes of a tool's result a model is told.
const maxToolReply = 64 << 10

// tools are those that an agent is given.
func (d definition) tools(o *options) []named {
	var all []named
	place := d.at("tools")
	if place == nil || !place.Has("tools") {
		return nil
	}
	for _, ref := range place.Refs("tools") {
		if entry, ok := ref.Value.(*spec.Object); ok && !entry.Flawed() {
			all = append(all, toolNamed(o, ref.Name, entry))
		}
	}
	return all
}

// choosable accepts what tool_choice may be beside a tool.
func choosable(word string) (problem, hint string) {
	words := []string{"auto", "none", "required"}
	if slices.Contains(words, word) {
		return "", ""
	}
	return fmt.Sprintf("tool_choice must be auto, none, required or a tool of the agent, not %s", short(word)), ""
}

// checkTools finds what is wrong with an agent's tools.
func (d definition) checkTools(o *options, problem func(field, hint, message string)) {
	tools := d.tools(o)
	for _, t := range tools {
		if message, hint := t.problem(true); message != "" {
			problem("agent", hint, message)
		}
	}
	place := d.at("tool_choice")
	if place == nil || !place.Has("tool_choice") || d.flawed() {
		return
	}
	switch word, entry := place.Ref("tool_choice"); {
	case entry == nil && len(tools) == 0 && word != "none":
		problem("agent", "", "tool_choice needs tools")
	case entry == nil:
	case !slices.ContainsFunc(tools, func(t named) bool {
		return t.word == word || t.tool.server != nil && strings.HasPrefix(word, t.word+".")
	}):
		problem("agent", "add it to the agent's tools", fmt.Sprintf("tool_choice names %s, which the agent is not given", word))
	}
}

// equip gives a task its tools.
func (a *asker) equip(ctx context.Context, c *engine.Call, t *agents.Task) error {
	if len(a.tools) == 0 {
		return nil
	}
	all, err := offers(ctx, c, a.tools, a.mock.callees())
	if err != nil {
		return err
	}
	byName := make(map[string]offered, len(all))
	for _, o := range all {
		t.Tools = append(t.Tools, o.Tool)
		byName[o.Name] = o
	}
	t.Use = func(ctx context.Context, calls []agents.ToolCall) ([]agents.ToolResult, error) {
		return use(ctx, c, byName, calls)
	}
	return nil
}

// use runs the calls of one turn at once. What a tool fails with is for the model to know, unless it ends the run.
func use(ctx context.Context, c *engine.Call, tools map[string]offered, calls []agents.ToolCall) ([]agents.ToolResult, error) {
	results := make([]agents.ToolResult, len(calls))
	nth := make([]int, len(calls)) // which run of its pipeline a call is, in the order of the calls
	for i, call := range calls {
		if p := tools[call.Name].tool; p != nil && p.flow != nil {
			nth[i] = c.Nth(p.flow)
		}
	}
	err := c.Each(ctx, len(calls), func(ctx context.Context, c *engine.Call, i int) error {
		call := calls[i]
		results[i].ID = call.ID
		value, err := useOne(ctx, c.Beside(call.ID), tools[call.Name], call, nth[i])
		switch {
		case err != nil && ends(err):
			return err
		case err != nil && ctx.Err() != nil: // nobody will hear of it, and it is not why
			return context.Cause(ctx)
		}
		results[i].Failed = err != nil
		if err != nil {
			value = c.Hide(reason(err))
		}
		results[i].Text = told(c, spec.AsText(value))
		return nil
	})
	return results, err
}

// useOne makes one call, whose arguments are known to fit, and tells of it.
func useOne(ctx context.Context, c *engine.Call, tool offered, call agents.ToolCall, nth int) (value any, err error) {
	v, err := spec.ParseJSON(string(call.Arguments))
	args, ok := v.(map[string]any)
	if err != nil || !ok {
		return nil, engine.Errorf(engine.Schema, "the arguments are no JSON object")
	}
	returned := c.Called(call.Name, call.ID, spec.Copy(v))
	defer func() { returned(told(c, spec.AsText(value)), err) }()
	if tool.tool.arguments != nil {
		args = tool.tool.arguments.complete(args)
	}
	return tool.tool.call(ctx, c, tool.part, nth, args)
}

// ends tells whether an error of a tool is the run's to know of, and not the model's.
func ends(err error) bool {
	var e *engine.Error
	if !errors.As(err, &e) {
		return false
	}
	switch e.Kind {
	case engine.Permission, engine.Limit, engine.Budget, engine.Cancelled, engine.Recording, engine.Panic, engine.Internal:
		return true
	}
	return false
}

// reason is an error as a model is told it: without places in files.
func reason(err error) string {
	var e *engine.Error
	if errors.As(err, &e) {
		return e.Message
	}
	return err.Error()
}

// told is a result as a model is told it: of a long one the beginning, and how much was left out.
func told(c *engine.Call, s string) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	end := c.Cut(s, maxToolReply)
	if end == len(s) {
		return s
	}
	return s[:end] + fmt.Sprintf("\n[cut here: the result has %d bytes more]", len(s)-end)
}
