package nodes

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/flowrun/flowrun/agents"
	"github.com/flowrun/flowrun/engine"
	"github.com/flowrun/flowrun/spec"
)

// asker asks models for one node.
type asker struct {
	models    []candidate // that may answer, in order
	missing   error       // why some of them cannot be asked
	prompt    *spec.Expr
	system    *spec.Expr
	attach    attaching
	mock      *Mock       // what the mock answers, if anything is written
	task      agents.Task // what is the same for every call
	tools     []named
	agent     string                 // of the header, for which its usage counts; empty: the node itself
	rates     map[string]engine.Rate // by the address of a model
	allowance engine.Allowance
	window    int // of what it remembers; 0: nothing
}

func newAsker(o *options, n *spec.Node) *asker {
	d := defined(n)
	a := &asker{prompt: cmp.Or(n.Expr("prompt"), n.Expr("prompt_file")), system: d.words("system", "system_file"), attach: attachingOf(n, d), mock: o.mock(n, d)}
	if a.prompt == nil {
		a.prompt = d.words("prompt", "prompt_file")
	}
	for _, ref := range o.models(n, d) {
		c, err := o.open(ref)
		a.models = append(a.models, c)
		if err != nil && a.missing != nil {
			err = fmt.Errorf("%w; %w", a.missing, err)
		}
		a.missing = cmp.Or(err, a.missing)
		if rate := engine.RateIn(ref.entry); rate != (engine.Rate{}) {
			if a.rates == nil {
				a.rates = map[string]engine.Rate{}
			}
			a.rates[c.address] = rate.With(a.rates[c.address])
		}
	}
	if own := n.Record("agent"); own != nil && own.Has("budget") {
		a.allowance = engine.AllowanceIn(own, "")
	} else if a.agent = used(n); a.agent != "" {
		a.allowance = engine.AllowanceIn(d.at("budget"), "agents."+a.agent)
	}
	a.tools, a.window = d.tools(o), d.window()
	a.task = a.taskOf(n, d)
	return a
}

// ready says why a model cannot be asked; nil where nothing is missing.
func (a *asker) ready() func() error {
	if a.missing == nil {
		return nil
	}
	return func() error { return a.missing }
}

// taskOf is what a node says of its questions.
func (a *asker) taskOf(n *spec.Node, d definition) agents.Task {
	var t agents.Task
	if s := d.schema(); s != nil {
		t.Schema = s
	} else {
		t.Choices = choices(n)
	}
	t.Repairs = d.at("output_retries").Int("output_retries")
	t.Temperature, t.TopP = number(d, "temperature"), number(d, "top_p")
	t.MaxTokens = d.at("max_tokens").Int("max_tokens")
	t.Stop = d.at("stop").Texts("stop")
	t.Reasoning = d.at("reasoning").Text("reasoning")
	t.Extra = d.at("extra").Raw("extra")
	t.MaxTurns = d.at("max_turns").Int("max_turns")
	if place := d.at("tool_choice"); place.Has("tool_choice") {
		t.ToolChoice, _ = place.Ref("tool_choice")
	}
	if place := d.at("seed"); place.Has("seed") {
		seed := place.Int("seed")
		t.Seed = &seed
	}
	return t
}

// reads are the expressions of what answers in the place of the model and of tools.
func (a *asker) reads() []*spec.Expr {
	reads := a.mock.reads()
	for _, t := range a.tools {
		reads = append(reads, t.tool.reads()...)
	}
	return reads
}

// unpriced are the models of which nobody knows what they cost.
func (a *asker) unpriced() []string {
	var names []string
	for _, m := range a.models {
		if !m.priced {
			names = append(names, m.name)
		}
	}
	return names
}

func number(d definition, field string) *float64 {
	place := d.at(field)
	if !place.Has(field) {
		return nil
	}
	f := place.Float(field)
	return &f
}

// act asks the first model, and where that is of no use the next.
func (a *asker) act(ctx context.Context, c *engine.Call) (any, error) {
	t, err := a.question(ctx, c)
	if err != nil {
		return nil, err
	}
	if err := a.equip(ctx, c, &t); err != nil {
		return nil, err
	}
	talks, err := talksIn(c.Noted())
	if err != nil {
		return nil, err
	}
	var value any
	for i, m := range a.models {
		c.Begin(m.name, err)
		t.Call, t.Attempt = 1+c.Repeats()+c.Asked(), (c.Attempt-1)*len(a.models)+i+1
		value, talks[m.address], err = a.ask(ctx, c, m, t, talks[m.address])
		if err == nil || ctx.Err() != nil || !passable(err) {
			break
		}
	}
	if err != nil {
		talks.note(c)
		return nil, failed(err)
	}
	if a.window > 0 {
		if value, err = spec.Canonical(value); err != nil {
			return nil, err
		}
		c.Remember(c.Agent(a.agent), t.Prompt(), spec.AsText(value))
	}
	return value, nil
}

// talks are conversations with models that broke off, by the model's address, from behind the prompt to the last results
// of tools. The next attempt goes on from there: what tools did is not done again.
type talks map[string][]agents.Message

func talksIn(noted string) (talks, error) {
	all := talks{}
	if noted == "" {
		return all, nil
	}
	if err := json.Unmarshal([]byte(noted), &all); err != nil {
		return nil, engine.Errorf(engine.Internal, "reading the conversation of the attempt before: %w", err)
	}
	return all, nil
}

// note keeps those in which tools were called.
func (all talks) note(c *engine.Call) {
	maps.DeleteFunc(all, func(_ string, said []agents.Message) bool { return len(said) == 0 })
	if len(all) == 0 {
		return
	}
	if b, err := json.Marshal(all); err == nil { // else the next attempt begins anew
		c.Note(string(b))
	}
}

// ask asks one model, after what was said behind the prompt before, and gives what is said now up to the last results of
// tools.
func (a *asker) ask(ctx context.Context, c *engine.Call, m candidate, t agents.Task, before []agents.Message) (value any, said []agents.Message, err error) {
	prompt := len(t.Messages)
	t.Messages = append(slices.Clip(t.Messages), before...)
	said = before
	model, hear := m.model, c.Listener()
	if model == nil {
		if model, err = a.mock.model(c); err != nil {
			return nil, said, err
		}
	}
	value, err = agents.Do(ctx, model, t, func(ctx context.Context, q agents.Question, ask func(context.Context) (agents.Answer, error), keep func(agents.Answer) bool) (agents.Answer, error) {
		if last := q.Messages[len(q.Messages)-1]; len(last.Results) > 0 {
			said = q.Messages[prompt:]
		}
		var answer agents.Answer
		return engine.Ask(ctx, c, engine.Request[agents.Answer]{
			Content: func() *engine.Content { return content(m, model, q) },
			Model: &engine.Asked{
				Model: m.address, Agent: c.Agent(a.agent),
				Most: func() engine.Usage { return m.most(model, q) },
				Used: func() engine.Usage { return m.used(model, q, answer) },
			},
			Do: func(ctx context.Context) (agents.Answer, error) {
				ctx, denied := m.reached(ctx, c.Grants())
				var err error
				answer, err = ask(ctx)
				return answer, denied(failed(err))
			},
			Keep: keep,
			Text: func(answer agents.Answer) string { return answer.Text },
		})
	}, hear)
	return value, said, err
}

// content is all that shapes a model's answer.
func content(m candidate, model agents.Model, q agents.Question) *engine.Content {
	b, err := json.Marshal(q)
	if err != nil {
		return nil
	}
	asked, err := spec.ParseJSON(string(b))
	if err != nil {
		return nil
	}
	value, here := asked.(map[string]any), map[string]any{}
	value["model"] = m.name
	if known, ok := model.(interface{ Identity() string }); ok { // the environment may put another in its place
		here["model"] = known.Identity()
	}
	if mock, ok := model.(*agents.Mock); ok {
		here["call"] = int64(q.Call) // which a mock's answer depends on
		if mock.Reply != nil {
			reply, _ := mock.Reply(q) // where it fails, so does asking
			here["reply"] = reply
		}
		if len(mock.ToolCalls) > 0 {
			calls, _ := json.Marshal(mock.ToolCalls) // which hold texts
			here["tool_calls"] = string(calls)
		}
	}
	return &engine.Content{Kind: "model", Label: m.name + ": " + q.Prompt(), Value: value, Here: here}
}

// question is the task with what only the call knows.
func (a *asker) question(ctx context.Context, c *engine.Call) (agents.Task, error) {
	t := a.task
	prompt, err := text(c, a.prompt, c.Prev)
	if err != nil {
		return t, err
	}
	if t.System, err = text(c, a.system, func() any { return nil }); err != nil {
		return t, err
	}
	attachments, err := a.attach.read(c)
	if err != nil {
		return t, err
	}
	if a.window > 0 {
		earlier, err := c.Recall(ctx, c.Agent(a.agent), a.window)
		if err != nil {
			return t, err
		}
		for _, e := range earlier {
			t.Messages = append(t.Messages, agents.Message{Text: e.Prompt}, agents.Message{Model: true, Text: e.Reply})
		}
		t.Past = len(t.Messages)
	}
	t.Messages = append(t.Messages, agents.Message{Text: prompt, Attachments: attachments})
	return t, nil
}

// text is what an expression gives as text; nothing is no text.
func text(c *engine.Call, x *spec.Expr, otherwise func() any) (string, error) {
	var v any
	if x == nil {
		v = otherwise()
	} else {
		var err error
		if v, err = c.Eval(x); err != nil {
			return "", err
		}
	}
	if v == nil {
		return "", nil
	}
	return spec.AsText(v), nil
}

// failed is a model's error as one of a run.
func failed(err error) error {
	e, ok := errors.AsType[*agents.Error](err)
	if already := (*engine.Error)(nil); !ok || errors.As(err, &already) {
		return err
	}
	out := engine.Errorf(engine.ErrorKind(e.Kind), "%w", e)
	out.Elsewhere, out.RetryAfter = e.Elsewhere, e.RetryAfter
	return out
}
