package engine

import (
	"context"
	"fmt"
	"strings"
	"sync"

	"github.com/flowrun/flowrun/spec"
)

// Allowance bounds what models may use. What is 0 is not bounded.
type Allowance struct {
	Field  string // in which it is written, up to the names of its parts, as in limits.budget.
	Tokens int    // of input and output together
	Cost   Cost
}

// BudgetForm is how an [Allowance] is written, for the run or for an agent.
func BudgetForm() spec.Form {
	return spec.Record{Rules: []spec.Rule{{AnyOf: []string{"tokens", "usd"}, Message: "a budget needs tokens or usd"}}, Fields: []spec.Field{
		{Name: "tokens", Form: spec.Whole{Min: 1}, Summary: "of input and output together"},
		{Name: "usd", Form: spec.Real{Min: 0.000001, Max: 1_000_000}, Summary: "what the tokens may cost, in US dollars; every model needs a price then"},
	}}
}

// AllowanceIn is what a mapping, itself known as field, says under budget; nothing is bounded where it says nothing.
func AllowanceIn(o *spec.Object, field string) Allowance {
	if o == nil || !o.Has("budget") {
		return Allowance{}
	}
	b := o.Record("budget")
	return Allowance{Field: strings.TrimPrefix(field+".budget.", "."), Tokens: b.Int("tokens"), Cost: USD(b.Float("usd"))}
}

// purse is what an allowance leaves. Before each call the most that it may use is held back, and given back when it has
// ended; so what is known beforehand never passes the allowance, however many calls are in flight.
type purse struct {
	limit Allowance

	mu      sync.Mutex
	used    Usage
	held    Usage
	refused bool          // a call, for good
	settled chan struct{} // closed when a call in flight has ended; nil where nobody waits for that
}

// lacks says what keeps a call from what is left: until one in flight has ended, or for good. The lock is held.
func (p *purse) lacks(most Usage) (problem string, forGood bool) {
	usedTokens, usedCost := p.used.drawn()
	if limit, used := p.limit.Tokens, usedTokens; limit > 0 && over(limit, used, p.held.Tokens(), most.Tokens()) {
		return p.refusal("tokens", fmt.Sprint(limit), fmt.Sprint(used), fmt.Sprint(most.Tokens())), over(limit, used, 0, most.Tokens())
	}
	if limit, used := p.limit.Cost, usedCost; limit > 0 && over(limit, used, p.held.Cost, most.Cost) {
		return p.refusal("usd", dollars(limit), dollars(used), dollars(most.Cost)), over(limit, used, 0, most.Cost)
	}
	return "", false
}

// over tells whether a limit has no room for a call, or none for any.
func over[T int | Cost](limit, used, held, most T) bool {
	return used >= limit || plus(plus(used, held), most) > limit
}

func (p *purse) refusal(field, limit, used, most string) string {
	s := fmt.Sprintf("reached %s%s=%s: %s used", p.limit.Field, field, limit, used)
	if most != "0" {
		s += fmt.Sprintf(", and this call may use %s", most)
	}
	return s + fmt.Sprintf(" (raise %s%s)", p.limit.Field, field)
}

func dollars(c Cost) string { return fmt.Sprintf("%.6g", c.USD()) }

// hold takes the most that a call may use from all purses, and waits where calls in flight may still give something
// back. The error is of kind budget, or the cause of ctx.
func hold(ctx context.Context, purses []*purse, most Usage) error {
	for {
		wait, err := tryHold(purses, most)
		if wait == nil {
			return err
		}
		select {
		case <-wait:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// tryHold takes from all purses or from none; wait tells when to try again.
func tryHold(purses []*purse, most Usage) (wait <-chan struct{}, err error) {
	for i, p := range purses {
		p.mu.Lock()
		problem, never := p.lacks(most)
		switch {
		case problem == "":
			p.held.Add(most)
		case never:
			p.refused = true
			err = &Error{Kind: Budget, Message: problem}
		default:
			if p.settled == nil {
				p.settled = make(chan struct{})
			}
			wait = p.settled
		}
		p.mu.Unlock()
		if problem != "" {
			settle(purses[:i], most, Usage{})
			return wait, err
		}
	}
	return nil, nil
}

// settle gives back what was held for a call, and takes what it used.
func settle(purses []*purse, most, used Usage) {
	for _, p := range purses {
		p.mu.Lock()
		p.held.sub(most)
		p.used.Add(used)
		if p.settled != nil {
			close(p.settled)
			p.settled = nil
		}
		p.mu.Unlock()
	}
}
