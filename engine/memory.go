package engine

import (
	"cmp"
	"context"
	"slices"
	"sync"
)

// What agents remember. An exchange belongs to the visit in which it was had; when that ends, those of what ran below it
// are its own. So what an agent recalls follows from the structure of the run alone, never from who was faster: what
// ended before in the containers around it that run one thing after another, along its way in a graph, and nothing of
// the other branches of a fan-out.

// Recaller knows what agents remember of earlier runs. It may be asked by several goroutines at once.
type Recaller interface {
	// Recall gives what an agent remembers of runs of the same user and session, the oldest first, as it was when the
	// run began: nothing of the run itself, and of no other that came later. What is older than the newest that have so many
	// tokens together, and one more, may be left out.
	Recall(run Info, agent string, tokens int) ([]Memory, error)
}

// Said is an exchange of this run, and where it stands among those of its container, where that tells which are before
// which.
type Said struct {
	Memory
	Rank  int `json:"rank,omitempty"`  // how much was on its way through a graph
	Job   int `json:"job,omitempty"`   // the number of the branch, the item or the node of a graph
	Visit int `json:"visit,omitempty"` // of that
}

// tokens estimates how many tokens a text has: one for four bytes.
func tokens(text string) int { return (len(text) + 3) / 4 }

// Remember keeps, if the leaf ends well, what an agent was asked and what it answered.
func (c *Call) Remember(agent, prompt, reply string) {
	c.said = &Memory{Agent: agent, Prompt: prompt, Reply: reply, Tokens: tokens(prompt) + tokens(reply)}
}

// Recall gives what an agent remembers: of exchanges of the same user and session the newest that have so many tokens
// together, the oldest first. In one execution of the node it is always the same.
func (c *Call) Recall(ctx context.Context, agent string, window int) ([]Memory, error) {
	v := c.visit
	if own := v.own(); own.recalled != nil {
		return *own.recalled, nil
	}
	here := v.remembered(agent)
	all := newest(here, window)
	if len(all) == len(here) { // what is older may fit as well
		earlier, err := Ask(ctx, c.Beside("memory"), Request[[]Memory]{
			Content: func() *Content {
				return &Content{Kind: "memory", Label: agent, Value: map[string]any{"agent": agent, "max_tokens": int64(window)}}
			},
			Do: func(context.Context) ([]Memory, error) {
				all, err := v.run.earlier(agent)
				return append([]Memory{}, newest(all, window)...), err
			},
		})
		if err != nil {
			return nil, err
		}
		all = newest(slices.Concat(earlier, here), window)
	}
	v.own().recalled = &all
	return all, nil
}

// newest are the last that have so many tokens together, and no others: there is no gap in what is remembered.
func newest(all []Memory, window int) []Memory {
	from := len(all)
	for from > 0 && all[from-1].Tokens <= window {
		from--
		window -= all[from].Tokens
	}
	return all[from:]
}

// trim leaves out what no agent can recall any more. Of the first exchange for which there is no room the texts go, but
// not its size: it still hides those before it.
func trim(all []Said, window int) []Said {
	room := map[string]int{}
	from := len(all)
	kept := all[:0:0]
	for from > 0 {
		from--
		s := all[from]
		left, known := room[s.Agent]
		if !known {
			left = window
		}
		switch {
		case left < 0:
			continue
		case s.Tokens > left:
			s.Prompt, s.Reply, left = "", "", -1
		default:
			left -= s.Tokens
		}
		room[s.Agent] = left
		kept = append(kept, s)
	}
	slices.Reverse(kept)
	return kept
}

// remembered is what an agent said before in this run, the oldest first; an empty agent stands for all.
func (v *Visit) remembered(agent string) []Memory {
	v.run.mu.Lock()
	defer v.run.mu.Unlock()
	var parts [][]Said
	for child, at := v, v.up; at != nil; child, at = at, at.up {
		if said := at.before(child); len(said) > 0 {
			parts = append(parts, said)
		}
	}
	var all []Memory
	for _, said := range slices.Backward(parts) {
		for _, s := range said {
			if s.Agent == agent || agent == "" {
				all = append(all, s.Memory)
			}
		}
	}
	return all
}

// before is what was said below the visit before a child of it. The run's lock is held.
func (v *Visit) before(child *Visit) []Said {
	switch way := child.way; {
	case way == nil:
		return v.said
	case way.past != nil:
		seen := slices.DeleteFunc(slices.Clone(v.said), func(s Said) bool { return s.Visit > way.past[s.Job] })
		slices.SortStableFunc(seen, compareSaid)
		return seen
	}
	return nil
}

// way tells which of the exchanges beside a job are before it.
type way struct {
	job, visit, rank int
	past             map[int]int // nil: none
}

// wayOf is that of a job; nil where no agent below remembers, or all before it are.
func (p *pool) wayOf(j Job, child *Visit) *way {
	if p.v.run.graph.window == 0 || p.jobs.InOrder {
		return nil
	}
	w := &way{job: j.Key, visit: child.count, past: j.Past}
	for _, visits := range j.Past {
		w.rank += visits
	}
	return w
}

func compareSaid(a, b Said) int {
	return cmp.Or(cmp.Compare(a.Rank, b.Rank), cmp.Compare(a.Job, b.Job), cmp.Compare(a.Visit, b.Visit))
}

// takeSaid makes what was said in a child the visit's own, for those that come after. Nothing is said in what is not kept.
func (v *Visit) takeSaid(child *Visit) {
	if len(child.said) == 0 {
		return
	}
	v.run.mu.Lock()
	defer v.run.mu.Unlock()
	if w := child.way; w == nil {
		v.said = trim(append(v.said, child.said...), v.run.graph.window)
	} else {
		for _, s := range child.said {
			v.said = append(v.said, Said{s.Memory, w.rank, w.job, w.visit})
		}
	}
}

// forgetSaid drops what was said below some jobs.
func (v *Visit) forgetSaid(jobs []*way) {
	v.said = slices.DeleteFunc(v.said, func(s Said) bool {
		return slices.ContainsFunc(jobs, func(w *way) bool { return w != nil && w.job == s.Job && w.visit == s.Visit })
	})
}

// conclude puts what was said below into its order, once the visit has ended, and adds what the leaf said itself.
func (v *Visit) conclude(err *Error) {
	if v.run.graph.window == 0 {
		return
	}
	if v.rare != nil && v.rare.memory != nil {
		if err == nil && !v.passing() {
			v.said = []Said{{Memory: *v.rare.memory}}
		}
		return
	}
	v.said = slices.Clone(v.said)
	slices.SortStableFunc(v.said, compareSaid)
	for i := range v.said {
		v.said[i] = Said{Memory: v.said[i].Memory}
	}
	v.said = trim(v.said, v.run.graph.window)
}

// memories are what agents remember of earlier runs, read once.
type memories struct {
	from Recaller

	mu      sync.Mutex
	byAgent map[string]func() ([]Memory, error)
}

// earlier is what an agent remembers of earlier runs.
func (r *run) earlier(agent string) ([]Memory, error) {
	m := &r.memories
	if m.from == nil {
		return nil, nil
	}
	m.mu.Lock()
	read := m.byAgent[agent]
	if read == nil {
		read = sync.OnceValues(func() ([]Memory, error) {
			all, err := m.from.Recall(r.info, agent, r.graph.window)
			if err != nil {
				return nil, Errorf(Internal, "reading what was said before: %w", err)
			}
			return all, nil
		})
		if m.byAgent == nil {
			m.byAgent = map[string]func() ([]Memory, error){}
		}
		m.byAgent[agent] = read
	}
	m.mu.Unlock()
	return read()
}

// remember finds the widest window of the agents that remember.
func (g *Graph) remember() {
	for _, u := range g.units {
		for _, vx := range u.vertices {
			g.window = max(g.window, vx.body.Window)
		}
	}
}
