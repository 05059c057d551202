package engine

import (
	"context"
	"sync"
	"time"

	"github.com/flowrun/flowrun/spec"
)

// Rate bounds how fast and how often at once a model may be asked. What is 0 is not bounded.
type Rate struct {
	Requests int // in any minute
	Tokens   int // in any minute: what calls are known to have used, and what those on their way may use
	AtOnce   int
}

// RateFields are the fields of a model in which a [Rate] is written.
func RateFields() []spec.Field {
	return []spec.Field{
		{Name: "rate_limit", Form: spec.Record{Rules: []spec.Rule{{AnyOf: []string{"rpm", "tpm"}, Message: "a rate_limit needs rpm or tpm"}}, Fields: []spec.Field{
			{Name: "rpm", Form: spec.Whole{Min: 1}, Summary: "requests in any minute"},
			{Name: "tpm", Form: spec.Whole{Min: 1}, Summary: "tokens in any minute, of input and output together"},
		}}, Summary: "how fast the run may ask the model; who comes too early waits, in order"},
		{Name: "max_concurrency", Form: spec.Whole{Min: 1}, Summary: "requests to the model at once"},
	}
}

// RateIn is what a model's mapping says.
func RateIn(o *spec.Object) Rate {
	if o == nil {
		return Rate{}
	}
	r := Rate{AtOnce: o.Int("max_concurrency")}
	if limit := o.Record("rate_limit"); limit != nil {
		r.Requests, r.Tokens = limit.Int("rpm"), limit.Int("tpm")
	}
	return r
}

// With is the stricter of two rates, in each of their parts.
func (r Rate) With(o Rate) Rate {
	return Rate{stricter(r.Requests, o.Requests), stricter(r.Tokens, o.Tokens), stricter(r.AtOnce, o.AtOnce)}
}

func stricter(a, b int) int {
	if a == 0 || b == 0 {
		return max(a, b)
	}
	return min(a, b)
}

// rate gathers the rates of the models that the files name.
func (g *Graph) rate() {
	g.rates = map[string]Rate{}
	for _, u := range g.units {
		for _, vx := range u.vertices {
			for model, r := range vx.body.Rates {
				g.rates[model] = g.rates[model].With(r)
			}
		}
	}
}

// lanes are the models of a run.
type lanes struct {
	rates map[string]Rate

	mu     sync.Mutex
	byName map[string]*lane
}

// of is the lane of a model: all that call it share it.
func (ls *lanes) of(model string) *lane {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	l := ls.byName[model]
	if l == nil {
		l = &lane{rate: ls.rates[model], gate: make(chan struct{}, 1), changed: make(chan struct{}, 1)}
		if ls.byName == nil {
			ls.byName = map[string]*lane{}
		}
		ls.byName[model] = l
	}
	return l
}

// lane lets calls to one model out in the order in which they came, no faster than its rate allows.
type lane struct {
	rate    Rate
	gate    chan struct{} // held by the one whose turn it is: those who wait for a channel get it in their order
	changed chan struct{} // tells that one that a call has ended

	mu     sync.Mutex
	recent []*passage // of the last minute, the oldest first
	away   int        // calls that were let out and have not ended
	until  time.Time  // nobody before: the provider asked for a pause
}

// passage is one call that was let out.
type passage struct {
	at     time.Time
	tokens int
}

// enter waits until a call that may use so many tokens is let out. The error is the cause of ctx.
func (l *lane) enter(ctx context.Context, tokens int) (*passage, error) {
	select {
	case l.gate <- struct{}{}: // who need not wait goes, also where nobody may wait any more
	default:
		select {
		case l.gate <- struct{}{}:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
	defer func() { <-l.gate }()
	for {
		p, wait := l.pass(time.Now(), tokens)
		if p != nil {
			return p, nil
		}
		t := time.NewTimer(wait)
		select {
		case <-t.C:
		case <-l.changed:
			t.Stop()
		case <-ctx.Done():
			t.Stop()
			return nil, context.Cause(ctx)
		}
	}
}

// pass lets a call out, or says how long to wait before asking again, unless a call ends earlier.
func (l *lane) pass(now time.Time, tokens int) (*passage, time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if now.Before(l.until) {
		return nil, l.until.Sub(now)
	}
	if l.rate.AtOnce > 0 && l.away >= l.rate.AtOnce {
		return nil, time.Hour // for one of them to end
	}
	for len(l.recent) > 0 && now.Sub(l.recent[0].at) >= time.Minute {
		l.recent = l.recent[1:]
	}
	if n := len(l.recent); l.rate.Requests > 0 && n >= l.rate.Requests {
		return nil, l.recent[n-l.rate.Requests].at.Add(time.Minute).Sub(now)
	}
	if l.rate.Tokens > 0 && len(l.recent) > 0 { // a call that is larger than the rate goes alone
		used := tokens
		for _, p := range l.recent {
			used += p.tokens
		}
		if used > l.rate.Tokens {
			return nil, l.recent[0].at.Add(time.Minute).Sub(now)
		}
	}
	p := &passage{at: now, tokens: tokens}
	if l.rate.Requests > 0 || l.rate.Tokens > 0 {
		l.recent = append(l.recent, p)
	}
	l.away++
	return p, 0
}

// settle says what a call used, and how long the provider asked to wait: that holds for all.
func (l *lane) settle(p *passage, tokens int, pause time.Duration) {
	l.mu.Lock()
	l.away--
	p.tokens = tokens
	if pause > 0 && pause <= maxRetryAfter {
		if until := time.Now().Add(pause); until.After(l.until) {
			l.until = until
		}
	}
	l.mu.Unlock()
	select {
	case l.changed <- struct{}{}:
	default: // it is told already
	}
}
