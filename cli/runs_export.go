package cli

import (
	"time"

	"github.com/flowrun/flowrun/engine"
)

// exported is all that is kept of a run.
type exported struct {
	summary
	Folder   string               `json:"folder,omitempty"`
	From     string               `json:"from,omitempty"`
	Source   string               `json:"source,omitempty"`
	Digest   string               `json:"digest"`
	Input    engine.Value         `json:"input"`
	Params   engine.Value         `json:"params"`
	Models   []string             `json:"models,omitempty"`
	Limits   map[string]any       `json:"limits"`
	Result   *engine.Result       `json:"result"`
	Turns    []engine.Entry       `json:"turns"`
	Events   []engine.Event       `json:"events"`
	Damage   string               `json:"damage,omitempty"`
	Decision map[string]*decision `json:"decisions,omitempty"`
}

// decision is what a person decided.
type decision struct {
	Value engine.Value `json:"value"`
	By    string       `json:"by"`
	At    time.Time    `json:"at"`
}

func (r *runs) export(id string) error {
	rec, err := r.j.Get(id)
	if err != nil {
		return err
	}
	turns, err := r.j.Turns(id)
	if err != nil {
		return err
	}
	events, err := r.j.Events(id)
	if err != nil {
		return err
	}
	decisions, err := r.j.Decisions(id)
	if err != nil {
		return err
	}
	h := rec.Head
	out := exported{summary: summaryOf(rec.Summary), Folder: h.Folder, From: h.From, Source: h.Source, Digest: h.Digest, Input: engine.Value{V: h.Input}, Params: engine.Value{V: h.Params},
		Models: h.Models, Limits: map[string]any{}, Result: rec.Result, Turns: []engine.Entry{}, Events: events, Decision: map[string]*decision{}}
	for name, n := range map[string]int{"max_steps": h.MaxSteps, "max_visits": h.MaxVisits, "max_concurrency": h.MaxConcurrency} {
		if n > 0 {
			out.Limits[name] = n
		}
	}
	if h.Timeout > 0 {
		out.Limits["timeout"] = h.Timeout.String()
	}
	for _, t := range turns {
		if !t.Past {
			out.Turns = append(out.Turns, t.Entry)
		}
	}
	for turn, d := range decisions {
		out.Decision[turn] = &decision{engine.Value{V: d.Value}, d.By, d.At}
	}
	return printJSON(r.Out, out)
}
