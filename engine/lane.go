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

// lanes are the models of a run.
type lanes struct {
	mu     sync.Mutex
	byName map[string]*lane
}

// of is the lane of a model: all that call it the same way share it.
func (ls *lanes) of(model string, r Rate) *lane {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	l := ls.byName[model]
	if l == nil {
		l = &lane{rate: r, gate: make(chan struct{}, 1)}
		if r.AtOnce > 0 {
			l.room = make(chan struct{}, r.AtOnce)
		}
		if ls.byName == nil {
			ls.byName = map[string]*lane{}
		}
		ls.byName[model] = l
	}
	return l
}

// lane lets calls to one model out in the order in which they came, no faster than its rate allows.
type lane struct {
	rate Rate
	gate chan struct{} // held by the one whose turn it is: those who wait for a channel get it in their order
	room chan struct{} // of those that may be out at once; nil where any number may

	mu    sync.Mutex
	out   []*passage // of the last minute, the oldest first
	until time.Time  // nobody before: the provider asked for a pause
}

// passage is one call that was let out.
type passage struct {
	at     time.Time
	tokens int
}

// enter waits until a call that may use so many tokens is let out. The error is the cause of ctx.
func (l *lane) enter(ctx context.Context, tokens int) (*passage, error) {
	if !take(ctx, l.gate) {
		return nil, context.Cause(ctx)
	}
	defer func() { <-l.gate }()
	if l.room != nil && !take(ctx, l.room) {
		return nil, context.Cause(ctx)
	}
	for {
		p, wait := l.pass(time.Now(), tokens)
		if p != nil {
			return p, nil
		}
		t := time.NewTimer(wait)
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			l.leave()
			return nil, context.Cause(ctx)
		}
	}
}

func take(ctx context.Context, place chan<- struct{}) bool {
	select {
	case place <- struct{}{}:
		return true
	case <-ctx.Done():
		return false
	}
}

// pass lets a call out, or says how long to wait before asking again.
func (l *lane) pass(now time.Time, tokens int) (*passage, time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if now.Before(l.until) {
		return nil, l.until.Sub(now)
	}
	for len(l.out) > 0 && now.Sub(l.out[0].at) >= time.Minute {
		l.out = l.out[1:]
	}
	if l.rate.Requests > 0 && len(l.out) >= l.rate.Requests {
		return nil, l.out[len(l.out)-l.rate.Requests].at.Add(time.Minute).Sub(now)
	}
	if l.rate.Tokens > 0 && len(l.out) > 0 { // a call that is larger than the rate goes alone
		used := tokens
		for _, p := range l.out {
			used += p.tokens
		}
		if used > l.rate.Tokens {
			return nil, l.out[0].at.Add(time.Minute).Sub(now)
		}
	}
	p := &passage{at: now, tokens: tokens}
	if l.rate.Requests > 0 || l.rate.Tokens > 0 {
		l.out = append(l.out, p)
	}
	return p, 0
}

// settle says what a call used, and how long the provider asked to wait: that holds for all.
func (l *lane) settle(p *passage, tokens int, pause time.Duration) {
	l.mu.Lock()
	p.tokens = tokens
	if pause > 0 && pause <= maxRetryAfter {
		if until := time.Now().Add(pause); until.After(l.until) {
			l.until = until
		}
	}
	l.mu.Unlock()
	l.leave()
}

func (l *lane) leave() {
	if l.room != nil {
		<-l.room
	}
}
