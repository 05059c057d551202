package nodes_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"

	diff "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/flowrun/flowrun/engine"
)

// desk answers approvals: those that were given before a run, and those that somebody gives at once.
type desk struct {
	mu    sync.Mutex
	given map[string]*engine.Answer // by the question's key
	ask   func(context.Context, engine.Approval) (*engine.Answer, error)
}

func (d *desk) Given(q engine.Approval) (*engine.Answer, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.given[q.Key()], nil
}

func (d *desk) Ask(ctx context.Context, q engine.Approval) (*engine.Answer, error) {
	if d.ask == nil {
		return nil, nil
	}
	return d.ask(ctx, q)
}

func (d *desk) give(q engine.Approval, a engine.Answer) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.given == nil {
		d.given = map[string]*engine.Answer{}
	}
	d.given[q.Key()] = &a
}

func atOnce(value string) func(context.Context, engine.Approval) (*engine.Answer, error) {
	return func(context.Context, engine.Approval) (*engine.Answer, error) {
		return &engine.Answer{Value: value}, nil
	}
}

// asksPeople makes approvals of leaves that pass on what they receive, and of some others.
func (p *pipeline) asksPeople(r *rapid.T) {
	p.root.each(func(n *node) {
		key := n.up != nil && n.up.classifier == n
		plain := n.timeout == "" && !n.strikes && n.risk == safe && n.file().patience == ""
		if plain && (n.kind == "wait" || n.kind == "set" && !key && rapid.IntRange(0, 2).Draw(r, "asks") == 0) {
			n.kind, n.value, n.attempts, n.milliseconds = "approve", nil, 0, 0
		}
	})
}

// A run that waits for people, and goes on when some of them have answered, in whatever order they do, comes to the same
// as one in which they answer at once.
func TestRandomApprovals(t *testing.T) {
	t.Parallel()
	l := newLoader(t)
	waited := 0
	rapid.Check(t, func(r *rapid.T) {
		p := pipelines(one(&drawer{T: r}, safe, orderly), 25, "").Draw(r, "pipeline")
		p.asksPeople(r)
		want := reference(p, 60)
		if want.tooLong {
			r.Skip("too long")
		}
		g := l.load(r, p)
		var h *heard
		synctest.Test(t, func(t *testing.T) {
			h = hear(t.Context(), g, p, nil, engine.WithApprovals(&desk{ask: atOnce(engine.Approve)}))
		})
		h.check(r, want)
		people := &desk{}
		var lines [][]byte
		for {
			j := reopen(t, lines)
			var part *heard
			synctest.Test(t, func(t *testing.T) { part = hear(t.Context(), g, p, j, engine.WithApprovals(people)) })
			lines = append(lines, j.lines...)
			if err := wellFormed(part.events); err != nil {
				r.Fatal(err)
			}
			if part.Status != engine.Waiting {
				if outcomeOf(part.Result) != outcomeOf(h.Result) {
					r.Errorf("-answered at once +later:\n%s", diff.Diff(outcomeOf(h.Result), outcomeOf(part.Result)))
				}
				return
			}
			waited++
			if len(part.Waiting) == 0 {
				r.Fatal("it waits for nothing")
			}
			for i, q := range rapid.Permutation(part.Waiting).Draw(r, "people") {
				if i > 0 && rapid.Bool().Draw(r, "later") {
					break
				}
				people.give(q, engine.Answer{Value: engine.Approve})
			}
		}
	})
	if waited == 0 {
		t.Error("no run waited")
	}
}
