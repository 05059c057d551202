package engine

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"sync"
	"time"

	"github.com/flowrun/flowrun/spec"
)

// Content is all that shapes an answer from outside, and what people call the question.
type Content struct {
	Kind  string         // of what is asked, such as model or exec
	Label string         // for people; who keeps it sees one line, in which secrets are hidden
	Value map[string]any // canonical, and the same wherever the pipeline runs; no secret is needed to tell it
	Here  map[string]any // canonical: what else shapes the answer and binds it to this machine or this run
}

// Key is the same for questions of the same content that are put here, and for no others: caches know answers by it.
func (c *Content) Key() string { return c.key(c.Here) }

// Portable is the same for questions of the same content, wherever they are put: recordings know answers by it.
func (c *Content) Portable() string { return c.key(nil) }

func (c *Content) key(here map[string]any) string {
	all := map[string]any{"version": int64(1), "kind": c.Kind, "content": c.Value}
	if here != nil {
		all["here"] = here
	}
	sum := sha256.Sum256([]byte(spec.AsJSON(all)))
	return hex.EncodeToString(sum[:])
}

// Store keeps answers by the keys of their questions. It may be used by several goroutines and processes at once.
type Store interface {
	// Find gives an answer and when it was kept; ok is false where there is none.
	Find(key string) (answer []byte, kept time.Time, ok bool)
	// Keep keeps an answer; label is for people. Where it cannot, the answer is lost, no more.
	Keep(key, label string, answer []byte)
}

// Cache answers questions that were answered before, and asks only once what several ask at the same time. It may be
// shared by runs.
type Cache struct {
	store Store

	mu      sync.Mutex
	flights map[string]*flight
}

// NewCache is a cache that keeps its answers in a store.
func NewCache(s Store) *Cache { return &Cache{store: s, flights: map[string]*flight{}} }

// flight is a question on its way.
type flight struct {
	landed chan struct{} // closed when the rest is there
	answer []byte
	err    error
	lost   bool // it was cut short, which says nothing of the question
}

// Caching says whether a leaf's answers are kept, and how old they may be; TTL is 0 where any age will do.
type Caching struct {
	On  bool
	TTL time.Duration
}

// CacheField is where [Caching] is written, on a node that asks the world or on an agent.
func CacheField() spec.Field {
	return spec.Field{Name: "cache", Form: spec.OneOf{spec.Flag{}, spec.Record{Fields: []spec.Field{
		{Name: "ttl", Form: spec.Duration{Positive: true}, Required: true, Summary: "an answer that is older is asked for again"},
	}}}, Summary: "answers are kept, and a question of the same content is answered from what is kept, also in other runs"}
}

// cachingIn is what the nearest of some mappings says.
func cachingIn(places []*spec.Object) Caching {
	for _, o := range places {
		if o == nil || !o.Has("cache") {
			continue
		}
		if r := o.Record("cache"); r != nil {
			return Caching{On: true, TTL: r.Duration("ttl")}
		}
		return Caching{On: o.Bool("cache")}
	}
	return Caching{}
}

// asking is how a question is asked that a cache does not answer.
type asking struct {
	ask  func() (answer []byte, keep bool, err error)
	read func(answer []byte) error // says why one that was kept is none: it is of another version, or was harmed
}

// answer gives the answer to a question from the cache, from whoever asks the same at this moment, or by asking. asked
// tells whether this one asked.
func (c *Cache) answer(ctx context.Context, q *Content, ttl time.Duration, by asking) (answer []byte, asked bool, err error) {
	key := q.Key()
	for {
		f, first := c.join(key)
		if first {
			if answer, kept, ok := c.store.Find(key); ok && (ttl == 0 || time.Since(kept) < ttl) && by.read(answer) == nil {
				c.land(key, f, answer, nil, false)
				return answer, false, nil
			}
			answer, err := c.fly(ctx, key, f, func() ([]byte, error) {
				answer, keep, err := by.ask()
				if err == nil && keep {
					c.store.Keep(key, q.Label, answer)
				}
				return answer, err
			})
			return answer, true, err
		}
		select {
		case <-f.landed:
		case <-ctx.Done():
			return nil, false, context.Cause(ctx)
		}
		if !f.lost {
			return f.answer, false, f.err
		}
	}
}

// fly asks. What it came to is known to all who wait, even where asking panics.
func (c *Cache) fly(ctx context.Context, key string, f *flight, ask func() ([]byte, error)) (answer []byte, err error) {
	lost := true
	defer func() { c.land(key, f, answer, err, lost) }()
	answer, err = ask()
	e := (*Error)(nil)
	lost = ctx.Err() != nil || errors.As(err, &e) && e.stops()
	return answer, err
}

func (c *Cache) join(key string) (f *flight, first bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if f := c.flights[key]; f != nil {
		return f, false
	}
	f = &flight{landed: make(chan struct{})}
	c.flights[key] = f
	return f, true
}

func (c *Cache) land(key string, f *flight, answer []byte, err error, lost bool) {
	f.answer, f.err, f.lost = answer, err, lost
	c.mu.Lock()
	delete(c.flights, key)
	c.mu.Unlock()
	close(f.landed)
}

// through asks through the cache what is known as JSON.
func through[T any](ctx context.Context, c *Cache, q *Content, ttl time.Duration, r Request[T], ask func() (T, error)) (answer T, asked bool, err error) {
	b, asked, err := c.answer(ctx, q, ttl, asking{
		ask: func() ([]byte, bool, error) {
			var err error
			if answer, err = ask(); err != nil {
				return nil, false, err
			}
			b, err := json.Marshal(answer)
			return b, r.Keep == nil || r.Keep(answer), err
		},
		read: func(b []byte) error { return json.Unmarshal(b, new(T)) },
	})
	if asked || err != nil {
		return answer, asked, err
	}
	return answer, false, json.Unmarshal(b, &answer)
}
