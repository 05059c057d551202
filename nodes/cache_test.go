package nodes_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/flowrun/flowrun/agents"
	"github.com/flowrun/flowrun/engine"
	"github.com/flowrun/flowrun/nodes"
)

// memory is a store that nothing outlives.
type memory struct {
	mu   sync.Mutex
	kept map[string]remembered
}

type remembered struct {
	answer []byte
	label  string
	at     time.Time
}

func (m *memory) Find(key string) ([]byte, time.Time, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	r, ok := m.kept[key]
	return r.answer, r.at, ok
}

func (m *memory) Keep(key, label string, answer []byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.kept == nil {
		m.kept = map[string]remembered{}
	}
	m.kept[key] = remembered{answer, label, time.Now()}
}

// counted is a model that counts how often it is asked.
type counted struct {
	calls atomic.Int32
	fails int32 // so many calls fail first
}

func (m *counted) Answer(ctx context.Context, q agents.Question, _ func(string)) (agents.Answer, error) {
	n := m.calls.Add(1)
	select {
	case <-time.After(time.Second):
	case <-ctx.Done():
		return agents.Answer{Usage: agents.Usage{Calls: 1}}, ctx.Err()
	}
	if n <= m.fails {
		return agents.Answer{Usage: agents.Usage{Calls: 1}}, &agents.Error{Kind: agents.BadAnswer, Message: "no"}
	}
	return agents.Answer{Text: fmt.Sprintf("%s for the %dth time", q.Prompt(), n), Usage: agents.Usage{Input: 1, Output: 1, Calls: 1}}, nil
}

func (m *counted) option() nodes.Option {
	return nodes.WithAgents(agents.NewSet(agents.WithProvider("counted", func(string) (agents.Model, error) { return m, nil })))
}

func TestCache(t *testing.T) {
	tests := map[string]struct {
		src   string
		calls int32
	}{
		"one question many times at once": {"for_each: 1..100\nmax_concurrency: 50\ndo: {agent: {model: counted/a}, prompt: hi, cache: true}", 1},
		"one question many times":         {"for_each: 1..100\nin_order: true\ndo: {agent: {model: counted/a}, prompt: hi, cache: true}", 1},
		"nobody wants it":                 {"for_each: 1..10\ndo: {agent: {model: counted/a}, prompt: hi}", 10},
		"the node does not":               {"agents: {a: {model: counted/a, cache: true}}\nfor_each: 1..10\ndo: {agent: a, prompt: hi, cache: false}", 10},
		"the agent wants it":              {"agents: {a: {model: counted/a, cache: {ttl: 1h}}}\nfor_each: 1..10\ndo: {agent: a, prompt: hi}", 1},
		"other prompts":                   {"for_each: 1..10\ndo: {agent: {model: counted/a}, prompt: \"hi ${{ item % 2 }}\", cache: true}", 2},
		"other models":                    {"chain: [{agent: {model: counted/a}, prompt: hi, cache: true}, {agent: {model: counted/b}, prompt: hi, cache: true}]", 2},
		"other settings":                  {"chain: [{agent: {model: counted/a}, prompt: hi, cache: true}, {agent: {model: counted/a, temperature: 0}, prompt: hi, cache: true}]", 2},
		"too old":                         {"chain: [{agent: {model: counted/a}, prompt: hi, cache: true}, {wait: 1m}, {agent: {model: counted/a}, prompt: hi, cache: {ttl: 10s}}]", 2},
		"young enough":                    {"chain: [{agent: {model: counted/a}, prompt: hi, cache: true}, {wait: 1m}, {agent: {model: counted/a}, prompt: hi, cache: {ttl: 10m}}]", 1},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := &counted{}
				r := try(t, graphOf(t, "limits: {max_steps: 200, max_concurrency: 100}\n"+tt.src, m.option()), nil, engine.WithCache(engine.NewCache(&memory{})))
				if r.Error != nil {
					t.Fatal(r.Error)
				}
				used := r.Usage.Total()
				if n := m.calls.Load(); n != tt.calls || used.Calls != int(tt.calls) || used.Tokens() != 2*int(tt.calls) {
					t.Errorf("%d calls were made, want %d; counted are %+v", n, tt.calls, used)
				}
			})
		})
	}
}

// An error is no answer: it reaches all who asked at once, and is forgotten.
func TestCacheKeepsNoErrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &counted{fails: 1}
		r := try(t, graphOf(t, `
chain:
  - {for_each: 1..3, do: {agent: {model: counted/a}, prompt: hi, cache: true}, on_error: continue}
  - {for_each: 1..3, do: {agent: {model: counted/a}, prompt: hi, cache: true}}
`, m.option()), nil, engine.WithCache(engine.NewCache(&memory{})))
		if want := `["hi for the 2th time","hi for the 2th time","hi for the 2th time"]`; r.said() != want || r.Failures != 3 {
			t.Errorf("it came to %s with %d failures", r.said(), r.Failures)
		}
	})
}

// A reply with which an agent failed in the end is asked for again, and those before it are known.
func TestCacheKeepsNoFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &counted{}
		cache := engine.NewCache(&memory{})
		graph := graphOf(t, "agent: {model: counted/a, output_schema: {n: integer}, output_retries: 1}\nprompt: hi\ncache: true", m.option())
		for run, want := range []int32{2, 3, 4} {
			r := try(t, graph, nil, engine.WithCache(cache))
			if r.Error == nil || r.Error.Kind != engine.Schema || m.calls.Load() != want {
				t.Errorf("run %d ended with %v after %d calls, want %d", run, r.Error, m.calls.Load(), want)
			}
		}
	})
}

// What a command says is kept only where it can be read as it should be.
func TestCacheKeepsWhatParses(t *testing.T) {
	for as, want := range map[string]int{"json": 2, "text": 1} {
		said := filepath.Join(t.TempDir(), "said")
		graph := graphOf(t, fmt.Sprintf("exec: [sh, -c, 'echo once >> %s; echo no json']\nparse: %s\ncache: true", said, as))
		cache := engine.NewCache(&memory{})
		for range 2 {
			try(t, graph, nil, engine.WithCache(cache), engine.WithGrants(engine.Grants{All: true}))
		}
		if b, err := os.ReadFile(said); err != nil || strings.Count(string(b), "once") != want {
			t.Errorf("as %s it ran %q, %v; want %d times", as, b, err, want)
		}
	}
}

// What was kept and is no answer is asked for once more, by one for all, and kept as it should be.
func TestCacheMendsWhatWasHarmed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, store := &counted{}, &memory{}
		graph := graphOf(t, "for_each: 1..5\ndo: {agent: {model: counted/a}, prompt: hi, cache: true}", m.option())
		for range 3 {
			if r := try(t, graph, nil, engine.WithCache(engine.NewCache(store))); r.Error != nil {
				t.Fatal(r.Error)
			}
			if m.calls.Load() == 1 {
				for key := range store.kept {
					store.Keep(key, "", []byte(`{"Text": 5`))
				}
			}
		}
		if n := m.calls.Load(); n != 2 {
			t.Errorf("%d calls were made, want 2", n)
		}
	})
}

// Where the one that asked was stopped, another asks: that it was stopped says nothing of the question.
func TestCacheOutlivesWhoAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &counted{}
		r := try(t, graphOf(t, `
parallel:
  - {agent: {model: counted/a}, prompt: hi, cache: true, timeout: 500ms, on_error: continue}
  - chain: [{wait: 100ms}, {agent: {model: counted/a}, prompt: hi, cache: true}]
`, m.option()), nil, engine.WithCache(engine.NewCache(&memory{})))
		if want := `[null,"hi for the 2th time"]`; r.said() != want {
			t.Errorf("it came to %s, want %s", r.said(), want)
		}
	})
}

// What is kept says for people what was asked: in one line, and without secrets, those of several lines too.
func TestCacheLabels(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &memory{}
		prompt := "say\n  hunter2 and\nBEGIN\nKEY\tEND"
		g := graphOf(t, "{agent: {model: counted/a}, cache: true}", (&counted{}).option())
		r := try(t, g, prompt, engine.WithCache(engine.NewCache(store)), engine.WithSecrets("hunter2", "BEGIN\nKEY\tEND"))
		if r.Error != nil {
			t.Fatal(r.Error)
		}
		for _, kept := range store.kept {
			if want := "counted/a: say *** and ***"; kept.label != want {
				t.Errorf("it is labelled %q, want %q", kept.label, want)
			}
		}
		if len(store.kept) != 1 {
			t.Errorf("%d answers are kept", len(store.kept))
		}
	})
}
