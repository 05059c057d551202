package agents

import (
	"context"
	"net/http"
	"net/url"
	"time"
)

// remote is a model of a provider.
type remote struct {
	client   *http.Client
	total    time.Duration // that one request may take
	provider Provider
	home     *url.URL
	key      string // empty: the server wants none
	name     string
}

// Answer asks langchaingo, and believes the exchange where the two differ.
func (m *remote) Answer(ctx context.Context, q Question, text func(piece string)) (Answer, error) {
	d := m.dialect(q)
	x := &exchange{client: m.client, total: m.total, home: m.home, key: m.key, text: text, dialect: d}
	answer, err := d.ask(ctx, m, x)
	none := Answer{Usage: d.used()}
	if ctx.Err() != nil {
		return none, ctx.Err()
	}
	if x.err != nil {
		return none, x.err
	}
	if err != nil {
		return none, x.fail(&Error{Kind: BadAnswer, Message: err.Error()})
	}
	if err := d.flaw(answer); err != nil {
		return none, x.fail(err)
	}
	return Answer{Text: answer, Usage: d.used()}, nil
}

func (m *remote) dialect(q Question) dialect {
	return &completion{provider: m.provider, question: q, usage: Usage{Calls: 1}}
}
