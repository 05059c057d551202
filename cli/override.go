package cli

import (
	"maps"
	"slices"
	"strings"

	"github.com/flowrun/flowrun/agents"
	"github.com/flowrun/flowrun/engine"
	"github.com/flowrun/flowrun/nodes"
	"github.com/flowrun/flowrun/spec"
)

// models are the models that --model names, by agent; "" for all.
type models map[string]string

// modelsNamed reads what --model was given.
func modelsNamed(flags []string) models {
	m := models{}
	for _, given := range flags {
		agent, ref, one := strings.Cut(given, "=")
		if !one || strings.Contains(agent, "/") {
			agent, ref = "", given
		}
		m[agent] = ref
	}
	return m
}

func (m models) options() []nodes.Option {
	var opts []nodes.Option
	for agent, ref := range m {
		opts = append(opts, nodes.WithModel(agent, ref))
	}
	return opts
}

// check refuses agents that the pipeline does not have, and what is no model.
func (m models) check(g *engine.Graph, set *agents.Set) error {
	var known, short []string
	for _, p := range g.Pipelines() {
		known = append(known, nodes.Agents(p)...)
		short = append(short, nodes.Models(p)...)
	}
	for _, agent := range slices.Sorted(maps.Keys(m)) {
		ref, given := m[agent], m[agent]
		if agent != "" {
			given = agent + "=" + ref
		}
		if agent != "" && !slices.Contains(known, agent) {
			return usage("--model %s: the pipeline has no agent %q%s", given, agent, spec.DidYouMean(agent, known))
		}
		if problem, hint := set.Known(ref); problem != "" && !slices.Contains(short, ref) {
			return usage("--model %s: %s (%s)", given, problem, hint)
		}
	}
	return nil
}
