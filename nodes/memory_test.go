package nodes_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/flowrun/flowrun/engine"
	"github.com/flowrun/flowrun/nodes"
	"github.com/flowrun/flowrun/recording"
)

// recaller is a memory that is a function.
type recaller func(run engine.Info, agent string) ([]engine.Memory, error)

func (f recaller) Recall(run engine.Info, agent string, _ int) ([]engine.Memory, error) {
	return f(run, agent)
}

// remembering is a pipeline whose agent h says what it remembers, in the prompts' words.
const remembering = `
agents:
  h: {model: mock, memory: session, mock: {reply: "${{ prompt }}(${{ join(map(history, .prompt), ' ') }})"}}
  other: {model: mock, memory: session, mock: {reply: "${{ prompt }}(${{ join(map(history, .prompt), ' ') }})"}}
  slow: {model: mock, memory: session, mock: {latency: 5ms}}
  none: {model: mock}
`

func includes(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	src := "agents: {h: {model: mock, memory: session, mock: {reply: \"${{ prompt }}(${{ join(map(history, .prompt), ' ') }})\"}}}\nchain: [{agent: h, prompt: x}, {agent: h, prompt: y}]\n"
	if err := os.WriteFile(filepath.Join(dir, "inner.yaml"), []byte(src), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

// TestMemory tells what an agent remembers of a run: what went before in its structure, and nothing of branches beside it.
// It is the same however the run is cut.
func TestMemory(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ src, want string }{
		"one after another": {`chain: [{agent: h, prompt: a}, {agent: other, prompt: b}, {agent: none, prompt: c}, {agent: h, prompt: d}, {agent: h, prompt: e}]`,
			`"e(a d)"`},
		"branches do not hear each other": {`
chain:
  - {agent: h, prompt: a}
  - parallel:
      - chain: [{agent: slow, prompt: x}, {agent: h, prompt: b}, {agent: h, prompt: c}]
      - {agent: h, prompt: d}
  - {agent: h, prompt: "${{ join(prev, ' ') }}"}`, `"c(a b) d(a)(a b c d)"`},
		"after branches, in the order written": {`
chain:
  - parallel: [{chain: [{agent: slow, prompt: x}, {agent: h, prompt: b}]}, {agent: h, prompt: d}]
  - {agent: h, prompt: e}`, `"e(b d)"`},
		"items, then all of them": {`
chain:
  - {for_each: [3, 1, 2], max_concurrency: 2, do: {chain: [{agent: slow, prompt: x}, {agent: h, prompt: "${{ string(item) }}"}]}}
  - {set: 'join(prev, " ")'}
  - {agent: h, prompt: "${{ prev }} e"}`, `"3() 1() 2() e(3 1 2)"`},
		"items in order hear those before": {`
for_each: [3, 1, 2]
in_order: true
do: {agent: h, prompt: "${{ string(item) }}"}`, `["3()","1(3)","2(3 1)"]`},
		"iterations hear those before": {`
loop:
  - {agent: h, prompt: "a${{ iteration }}"}
  - {parallel: [{agent: h, prompt: "b${{ iteration }}"}, {agent: h, prompt: "c${{ iteration }}"}], merge: "results[1]"}
max_iterations: 3`, `"c3(a1 b1 c1 a2 b2 c2 a3)"`},
		"loops in loops": {`
loop: [{loop: [{agent: h, prompt: "a"}], max_iterations: 2}, {agent: h, prompt: b}]
max_iterations: 2`, `"b(a a b a a)"`},
		"a route": {`
route: {agent: {use: h, mock: {reply: k}}, prompt: which}
cases: {k: {agent: h, prompt: a}}`, `"a(which)"`},
		"a failure that is caught": {`
chain:
  - {chain: [{agent: h, prompt: a}, {fail: no}], catch: {agent: h, prompt: b}}
  - {agent: {use: h, mock: {fail: 9, error: auth}}, prompt: c, catch: {agent: h, prompt: d}}
  - {agent: h, prompt: e}`, `"e(a b d)"`},
		"a fan-out that failed": {`
chain:
  - {agent: h, prompt: a}
  - {max_concurrency: 1, parallel: [{agent: h, prompt: b}, {fail: no}], catch: {agent: h, prompt: c}}
  - {agent: h, prompt: d}`, `"d(a c)"`},
		"branches that failed": {`
chain:
  - {parallel: [{chain: [{agent: h, prompt: b}, {fail: no}]}, {agent: h, prompt: c}], on_error: continue}
  - {agent: h, prompt: d}`, `"d(b c)"`},
		"a race": {`
chain:
  - wait_for: 1
    max_concurrency: 1
    parallel: [{chain: [{agent: h, prompt: a}, {fail: no}]}, {agent: h, prompt: b}, {agent: h, prompt: c}]
  - {agent: h, prompt: d}`, `"d(b)"`},
		"an attempt that failed": {`
chain:
  - {agent: {use: h, mock: {fail: 1, reply: x}}, prompt: a, retry: {max_attempts: 2, delay: 1ms}}
  - {agent: h, prompt: b}`, `"b(a)"`},
		"ways through a graph": {`
graph:
  a: {agent: h, prompt: "a${{ len(prev) }}", next: [b, c]}
  b: {chain: [{agent: slow, prompt: x}, {agent: h, prompt: b}], next: d}
  c: {agent: h, prompt: "c${{ prev }}", next: d}
  d: {agent: h, prompt: "d", next: [{when: 'len(prev) < 30', to: a}, {to: e}]}
  e: {agent: h, prompt: "e"}
start: a`, `"e(a2 b ca2() d a13 b ca13(a2 b ca2() d) d)"`},
		"after a graph": {`
chain:
  - graph:
      a: {agent: h, prompt: a, next: [z, y]}
      y: {agent: h, prompt: y}
      z: {chain: [{agent: slow}, {agent: h, prompt: z}]}
    start: a
  - {agent: h, prompt: "${{ prev.y + prev.z }} e"}`, `"y(a)z(a) e(a y z)"`},
		"an included file, whose agents have names of their own": {`
chain: [{agent: h, prompt: a}, {flow: ./inner.yaml}, {agent: h, prompt: "${{ prev }} b"}]`, `"y(x) b(a)"`},
		"finally": {`
chain: [{agent: h, prompt: a}, {agent: h, prompt: b}]
finally: {chain: [{agent: h, prompt: c}, {fail: "${{ prev }}"}]}`, `null fail p.yaml:8:42: /finally/chain[1]: c(a b)`},
		"a window, without a gap": {`
chain:
  - {agent: {use: h, mock: {reply: ok}}, prompt: "one"}
  - {agent: {use: h, mock: {reply: ok}}, prompt: "a prompt of more than so many tokens as the window has, in words that nobody reads"}
  - {agent: {use: h, mock: {reply: ok}}, prompt: "two"}
  - loop: [{agent: {use: h, memory: {scope: session, max_tokens: 20}}, prompt: "t"}]
    max_iterations: 2
`, `"t(two t)"`},
		"values instead of texts": {`
chain:
  - {agent: {use: other, output_schema: {n: integer}, mock: {reply: '{"n": 12345678901234567}'}}, prompt: a}
  - {agent: {use: other, mock: {reply: "${{ history[0].reply }}"}}, prompt: b}`, `"{\"n\":12345678901234567}"`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g, problems := nodes.Language().Parse("p.yaml", includes(t), []byte(remembering+strings.TrimPrefix(tt.src, "\n")))
			if g == nil {
				t.Fatal(problems)
			}
			run := func(turns engine.Turns) outcome {
				opts := []engine.Option{engine.WithRunID("r")}
				if turns != nil {
					opts = append(opts, engine.WithTurns(turns))
				}
				result, _ := engine.Run(t.Context(), g, "in", opts...)
				return outcomeOf(result)
			}
			whole := &journal{Position: &engine.Position{}}
			want := run(whole)
			got := strings.TrimSpace(want.Output + " " + want.Error)
			if start, ok := strings.CutSuffix(tt.want, "…"); got != tt.want && (!ok || !strings.HasPrefix(got, start)) {
				t.Errorf("\n got %s\nwant %s", got, tt.want)
			}
			if plain := run(nil); plain != want {
				t.Errorf("without turns: %s", cmp.Diff(want, plain))
			}
			for n := range len(whole.lines) + 1 {
				j := reopen(t, whole.lines[:n])
				if got := run(j); got != want {
					t.Errorf("cut after %d of %d entries (-uncut +cut):\n%s\n%s", n, len(whole.lines), cmp.Diff(want, got), list(whole.lines[:n]))
				}
				for m := range j.lines {
					if got := run(reopen(t, append(whole.lines[:n:n], j.lines[:m]...))); got != want {
						t.Errorf("cut after %d and %d more entries (-uncut +cut):\n%s", n, m, cmp.Diff(want, got))
					}
				}
			}
		})
	}
}

// notebook is a memory of several runs, as a journal is one.
type notebook struct {
	engine.Position
	mu    sync.Mutex
	asked []string
	said  map[string][]engine.Memory // by user, session and agent
	owner string
}

func (n *notebook) Record(e engine.Entry) func() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if e.Memory != nil {
		key := n.owner + "/" + e.Memory.Agent
		n.said[key] = append(n.said[key], *e.Memory)
	}
	return n.Position.Record(e)
}

func (n *notebook) Recall(run engine.Info, agent string, _ int) ([]engine.Memory, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if run.ID == "" || run.StartedAt.IsZero() {
		return nil, errors.New("which run?")
	}
	key := run.UserID + "/" + run.SessionID + "/" + agent
	n.asked = append(n.asked, key)
	return slices.Clone(n.said[key]), nil
}

// TestMemoryOfEarlierRuns recalls what was said in runs of the same user and session, once for each agent of a run, and
// never what was said to others.
func TestMemoryOfEarlierRuns(t *testing.T) {
	t.Parallel()
	g := graphOf(t, remembering+"chain:\n  - max_concurrency: 1\n    parallel: [{agent: h, prompt: '${{ input }}1'}, {agent: h, prompt: '${{ input }}2'}, {agent: other, prompt: x}, {agent: none}]\n  - {agent: h, prompt: '${{ prev[0] }}'}\n")
	said := map[string][]engine.Memory{}
	for i, tt := range []struct{ user, session, input, want string }{
		{"ann", "s", "a", `"a1()(a1 a2)"`},
		{"bob", "s", "b", `"b1()(b1 b2)"`},
		{"", "s", "c", `"c1()(c1 c2)"`},
		{"ann", "", "d", `"d1()(d1 d2)"`},
		{"ann", "s", "e", `"e1(a1 a2 a1())(a1 a2 a1() e1 e2)"`},
		{"", "s", "f", `"f1(c1 c2 c1())(c1 c2 c1() f1 f2)"`},
		{"ann", "", "g", `"g1()(g1 g2)"`},
	} {
		run := fmt.Sprint("r", i)
		owner := tt.user + "/" + tt.session
		if tt.session == "" {
			owner += run // the session is the run itself
		}
		n := &notebook{said: said, owner: owner}
		result, err := engine.Run(t.Context(), g, tt.input, engine.WithRunID(run), engine.WithIdentity(tt.user, tt.session), engine.WithTurns(n), engine.WithMemory(n))
		if err != nil {
			t.Fatal(err)
		}
		if got := compact(result.Output); got != tt.want {
			t.Errorf("run %d\n got %s\nwant %s", i, got, tt.want)
		}
		slices.Sort(n.asked)
		if want := []string{owner + "/h", owner + "/other"}; !slices.Equal(n.asked, want) {
			t.Errorf("run %d asked for %q, want %q", i, n.asked, want)
		}
	}
}

// A memory that cannot be read fails the agent that wants it, and no other.
func TestMemoryThatCannotBeRead(t *testing.T) {
	t.Parallel()
	broken := recaller(func(engine.Info, string) ([]engine.Memory, error) { return nil, errors.New("no such table") })
	_, err := engine.Run(t.Context(), graphOf(t, remembering+"chain: [{agent: none}, {agent: h}]\n"), "in", engine.WithMemory(broken))
	if err == nil || !strings.Contains(err.Error(), "/chain[1]: reading what was said before: no such table") {
		t.Errorf("got %v", err)
	}
}

// TestMemoryIsReplayed records what agents remember, and replays it where nothing else does. What is remembered is a part of
// the question: another does not find the answer.
func TestMemoryIsReplayed(t *testing.T) {
	t.Parallel()
	g := graphOf(t, remembering+"chain:\n  - parallel: [{agent: h, prompt: a}, {agent: h, prompt: b}]\n  - {agent: h, prompt: '${{ json(prev) }}c'}\n")
	file := filepath.Join(t.TempDir(), "tape.yaml")
	remember := func(prompt string) recaller {
		return func(_ engine.Info, agent string) ([]engine.Memory, error) {
			return []engine.Memory{{Agent: agent, Prompt: prompt, Reply: "yes", Tokens: 3}}, nil
		}
	}
	to := &recording.Recorder{}
	recorded, err := engine.Run(t.Context(), g, "in", engine.WithRecorder(to), engine.WithMemory(remember("before")))
	if err != nil {
		t.Fatal(err)
	}
	if want := `"[\"a(before)\",\"b(before)\"]c(before a b)"`; compact(recorded.Output) != want {
		t.Errorf("got %s, want %s", compact(recorded.Output), want)
	}
	if err := to.Save(file, recorded.Status); err != nil {
		t.Fatal(err)
	}
	for name, opts := range map[string][]engine.Option{
		"without memory":      nil,
		"with another memory": {engine.WithMemory(remember("something else"))},
	} {
		from, err := recording.Open(file)
		if err != nil {
			t.Fatal(err)
		}
		replayed, err := engine.Run(t.Context(), g, "in", append(opts, engine.WithReplay(from))...)
		if err != nil || compact(replayed.Output) != compact(recorded.Output) || len(from.Unused()) > 0 {
			t.Errorf("%s: %v, %v, unused %v", name, replayed, err, from.Unused())
		}
	}
}

// pages is a store of answers in memory.
type pages struct{ sync.Map }

func (p *pages) Find(key string) ([]byte, time.Time, bool) {
	b, ok := p.Load(key)
	if !ok {
		return nil, time.Time{}, false
	}
	return b.([]byte), time.Now(), true
}

func (p *pages) Keep(key, _ string, answer []byte) { p.Store(key, answer) }

// The cache knows a question by what is remembered, too; what is remembered is never taken from it.
func TestMemoryAndCache(t *testing.T) {
	t.Parallel()
	g := graphOf(t, remembering+"chain: [{agent: h, prompt: a, cache: true}]\n")
	cache := engine.NewCache(&pages{})
	for _, tt := range []struct {
		before string
		hits   int
	}{{"x", 0}, {"x", 1}, {"y", 0}, {"y", 1}} {
		memory := recaller(func(_ engine.Info, agent string) ([]engine.Memory, error) {
			return []engine.Memory{{Agent: agent, Prompt: tt.before, Reply: "yes", Tokens: 3}}, nil
		})
		result, err := engine.Run(t.Context(), g, nil, engine.WithCache(cache), engine.WithMemory(memory))
		if err != nil || result.Output != "a("+tt.before+")" || result.Usage.Total().CacheHits != tt.hits {
			t.Errorf("after %s: %v with %d hits, %v", tt.before, result.Output, result.Usage.Total().CacheHits, err)
		}
	}
}

func TestMemoryProblems(t *testing.T) {
	t.Parallel()
	for src, want := range map[string]string{
		"agent: {model: mock, memory: run}":                               `memory`,
		"agent: {model: mock, memory: true}":                              `memory`,
		"agent: {model: mock, memory: {max_tokens: 5}}":                   `scope`,
		"agent: {model: mock, memory: {scope: session, max_tokens: 0}}":   `max_tokens must be a whole number of at least 1`,
		"agent: {model: mock, memory: {scope: user}}":                     `session`,
		"agent: {model: mock, memory: {scope: session, tokens: 5}}":       `unknown key "tokens"`,
		"agent: {model: mock, mock: {reply: \"${{ history[0].said }}\"}}": `said`,
	} {
		_, problems := nodes.Language().Parse("p.yaml", ".", []byte(src))
		if got := problems.Error(); !strings.Contains(got, want) {
			t.Errorf("%s\n got %s\nwant …%s…", src, got, want)
		}
	}
}
