package main

import (
	"context"
	"fmt"
	"iter"

	"google.golang.org/adk/v2/agent"
	"google.golang.org/adk/v2/agent/workflowagent"
	"google.golang.org/adk/v2/agent/workflowagents/loopagent"
	"google.golang.org/adk/v2/agent/workflowagents/parallelagent"
	"google.golang.org/adk/v2/agent/workflowagents/sequentialagent"
	"google.golang.org/adk/v2/runner"
	"google.golang.org/adk/v2/session"
	"google.golang.org/adk/v2/workflow"
	"google.golang.org/genai"
)

// adkAgents runs a plan as sequential, parallel and loop agents of adk. Such agents pass no values on: each says a text
// to the session, and what a run comes to is the texts in the order in which they arrive.
func adkAgents() system {
	return system{"adk agents", func(p plan) (run, error) {
		root, err := (&adkBuilder{}).agent(p)
		if err != nil {
			return nil, err
		}
		return adkRun(root, func(e *session.Event, outputs []any) []any {
			if e.Content == nil {
				return outputs
			}
			for _, part := range e.Content.Parts {
				outputs = append(outputs, part.Text)
			}
			return outputs
		})
	}}
}

// adkRun runs an agent in a session of its own, as its users do, and takes outputs from its events.
func adkRun(root agent.Agent, take func(*session.Event, []any) []any) (run, error) {
	sessions := session.InMemoryService()
	r, err := runner.New(runner.Config{AppName: "bench", Agent: root, SessionService: sessions})
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context) (any, error) {
		made, err := sessions.Create(ctx, &session.CreateRequest{AppName: "bench", UserID: "u"})
		if err != nil {
			return nil, err
		}
		id := made.Session.ID()
		defer sessions.Delete(ctx, &session.DeleteRequest{AppName: "bench", UserID: "u", SessionID: id})
		var outputs []any
		for e, err := range r.Run(ctx, "u", id, genai.NewContentFromText("x", genai.RoleUser), agent.RunConfig{}) {
			if err != nil {
				return nil, err
			}
			outputs = take(e, outputs)
		}
		return outputs, nil
	}, nil
}

type adkBuilder struct{ namer }

func (b *adkBuilder) agent(p plan) (agent.Agent, error) {
	c := agent.Config{Name: b.next()}
	for _, child := range append(p.chain, p.parallel...) {
		sub, err := b.agent(child)
		if err != nil {
			return nil, err
		}
		c.SubAgents = append(c.SubAgents, sub)
	}
	switch {
	case p.step != nil:
		c.Run = says(p.step)
		return agent.New(c)
	case p.loop != nil:
		body, err := b.agent(plan{step: p.loop.body})
		if err != nil {
			return nil, err
		}
		c.SubAgents = []agent.Agent{body}
		return loopagent.New(loopagent.Config{AgentConfig: c, MaxIterations: uint(p.loop.times)})
	case p.parallel != nil:
		return parallelagent.New(parallelagent.Config{AgentConfig: c})
	}
	return sequentialagent.New(sequentialagent.Config{AgentConfig: c})
}

// says is what an agent does that runs a step.
func says(s step) func(agent.InvocationContext) iter.Seq2[*session.Event, error] {
	return func(ctx agent.InvocationContext) iter.Seq2[*session.Event, error] {
		return func(yield func(*session.Event, error) bool) {
			out, err := s(ctx, "x")
			if err != nil {
				yield(nil, err)
				return
			}
			e := session.NewEvent(ctx, ctx.InvocationID())
			e.Content = genai.NewContentFromText(fmt.Sprint(out), genai.RoleModel)
			yield(e, nil)
		}
	}
}

// adkWorkflow runs a plan as a graph of adk's workflow agent, with join nodes.
func adkWorkflow() system {
	return system{"adk workflow", func(p plan) (run, error) {
		b := &adkGraphBuilder{edges: workflow.NewEdgeBuilder()}
		b.lower(p, workflow.Start)
		root, err := workflowagent.New(workflowagent.Config{Name: "bench", Edges: b.edges.Build()})
		if err != nil {
			return nil, err
		}
		r, err := adkRun(root, func(e *session.Event, _ []any) []any { return []any{e.Output} })
		if err != nil {
			return nil, err
		}
		return func(ctx context.Context) (any, error) {
			out, err := r(ctx)
			if last, ok := out.([]any); ok && len(last) == 1 { // that of the last node
				out = last[0]
			}
			return out, err
		}, nil
	}}
}

type adkGraphBuilder struct {
	namer
	edges *workflow.EdgeBuilder
}

func (b *adkGraphBuilder) node(s step) workflow.Node {
	return workflow.NewFunctionNode(b.next(), func(ctx agent.Context, in any) (any, error) { return s(ctx, in) }, workflow.NodeConfig{})
}

// lower adds a plan after a node and gives the node at its end.
func (b *adkGraphBuilder) lower(p plan, after workflow.Node) workflow.Node {
	switch {
	case p.step != nil:
		n := b.node(p.step)
		b.edges.Add(after, n)
		return n
	case p.loop != nil:
		again := p.loop.rounds()
		body := workflow.NewEmittingFunctionNode(b.next(), func(ctx agent.Context, in any, emit func(*session.Event) error) (any, error) {
			out, err := p.loop.body(ctx, in)
			if err != nil {
				return nil, err
			}
			e := session.NewEvent(ctx, ctx.InvocationID())
			if e.Routes = []string{"end"}; again() {
				e.Routes = []string{"again"}
			}
			return out, emit(e)
		}, workflow.NodeConfig{})
		end := b.node(pass)
		b.edges.Add(after, body)
		b.edges.AddRoute(body, body, workflow.StringRoute("again"))
		b.edges.AddRoute(body, end, workflow.StringRoute("end"))
		return end
	case p.parallel != nil:
		join := workflow.NewJoinNode(b.next())
		for _, c := range p.parallel {
			b.edges.Add(b.lower(c, after), join)
		}
		return join
	}
	for _, c := range p.chain {
		after = b.lower(c, after)
	}
	return after
}
