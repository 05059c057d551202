package cli

import (
	"slices"
	"strings"

	"github.com/flowrun/flowrun/engine"
	"github.com/flowrun/flowrun/journal"
)

// memory is what agents remember of the runs that a journal has.
type memory struct {
	journal *journal.Journal
	head    journal.Head
}

// beside tells whether a run is that of another line of the same batch: which of them end first depends on time.
func (m *memory) beside(run string) bool {
	return m.head.Batch != "" && strings.HasPrefix(run, m.head.Batch+"-")
}

// Recall gives what was said before a run began.
func (m *memory) Recall(run engine.Info, agent string, tokens int) ([]engine.Memory, error) {
	own := map[string]bool{run.ID: true} // and those from which it was forked: what it took over, it remembers as its own
	for id := m.head.Origin; id != "" && !own[id]; {
		own[id] = true
		rec, err := m.journal.Get(id)
		if err != nil { // it was removed, and what was said in it too
			break
		}
		id = rec.Head.Origin
	}
	var before []engine.Memory
	err := m.journal.EachExchange(run.UserID, run.SessionID, agent, func(x journal.Exchange) bool { // the newest is first
		if !own[x.Run] && !m.beside(x.Run) && x.At.Before(run.StartedAt) {
			before = append(before, x.Memory)
			tokens -= x.Tokens
		}
		return tokens >= 0
	})
	slices.Reverse(before)
	return before, err
}
