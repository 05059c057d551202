package recording_test

import (
	"bytes"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/flowrun/flowrun/agents"
	"github.com/flowrun/flowrun/agents/agentstest"
	"github.com/flowrun/flowrun/engine"
	"github.com/flowrun/flowrun/nodes"
	"github.com/flowrun/flowrun/recording"
)

// replays is how often a recording with tools is replayed: .ci/run asks for a hundred times.
var replays = flag.Int("replays", 5, "how often a recording with tools is replayed")

// world is a model that calls all its tools, fails once when it is told what they gave, and then says that; and a site. No
// answer is like another.
type world struct {
	mu     sync.Mutex
	failed map[string]bool // questions
	all    int
}

func (w *world) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body) // what is cut is no question
	w.mu.Lock()
	w.all++
	n := w.all
	told := bytes.Contains(body, []byte(`"role":"tool"`))
	fails := told && !w.failed[string(body)]
	if fails {
		w.failed[string(body)] = true
	}
	w.mu.Unlock()
	if !strings.HasSuffix(r.URL.Path, "/chat/completions") {
		fmt.Fprintf(rw, "page %d for %s", n, r.URL.RawQuery)
		return
	}
	does := "good"
	switch {
	case fails:
		does = "500"
	case !told && bytes.Contains(body, []byte(`"tools":`)):
		does = "call"
	}
	s := agentstest.Server{Reply: fmt.Sprintf("answer %d of many", n), Calls: []agentstest.ToolCall{
		{Name: "pid", Arguments: `{"text": "a  b"}`}, {Name: "site", Arguments: `{"text":"ä"}`}, {Name: "files_echo", Arguments: `{"text":"x"}`},
		{Name: "inner", Arguments: `{"input":"go"}`}, {Name: "site", Arguments: `{"text":"ä"}`}, {Name: "inner", Arguments: `{"input":"go"}`},
		{Name: "none", Arguments: `{`}, {Name: "files_fail", Arguments: `{}`},
	}}
	r.Body = io.NopCloser(bytes.NewReader(bytes.Replace(body, []byte("MODEL"), []byte(does), 1)))
	s.ServeHTTP(rw, r)
}

// TestReplayTools records agents that call tools of every kind, 50 at once, and replays them without network, commands and
// grants: result and events are the same each time.
func TestReplayTools(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	set, address, stop := serveAt(t, &world{failed: map[string]bool{}})
	src := fmt.Sprintf(`
name: many
limits: {max_steps: 1000, max_concurrency: 50, max_visits_per_node: 100}
tools:
  pid: {exec: [sh, -c, 'echo $$ "$1"', x, "${{ params.text }}"], params: {text: string}}
  site: {http: "%s/page?q=${{ params.text }}", params: {text: string}}
  files: {mcp: {command: [%q], environment: {%s: none}}}
  inner: {flow: ./inner.yaml, timeout: 5m}
for_each: 1..50
do:
  chain:
    - {agent: {model: openai/MODEL, tools: [pid, site, files, inner], retry: {max_attempts: 3, delay: 1ms}}, prompt: Do it.}
    - {tool: site, args: {text: "${{ prev }}"}}
    - {tool: pid, args: {text: "${{ prev }}"}, name: last}
`, address, self, agentstest.MCPFault)
	inner := "tools: {site: {http: '" + address + "/inner'}}\nchain:\n  - {tool: site}\n  - {agent: {model: openai/MODEL}, prompt: 'Say ${{ prev }}'}\n  - {exec: [sh, -c, 'echo $$']}\n"
	load := func(set *agents.Set) *engine.Graph {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "inner.yaml"), []byte(inner), 0o600); err != nil {
			t.Fatal(err)
		}
		g, problems := nodes.Language(nodes.WithAgents(set)).Parse("p.yaml", dir, []byte(src))
		if err := problems.Err(); err != nil {
			t.Fatal(err)
		}
		return g
	}
	listen := func(lines *[]string) engine.Option {
		return engine.WithListener(func(e engine.Event) {
			e.Time, e.Duration, e.Seq = time.Time{}, 0, 0
			*lines = append(*lines, string(e.AppendJSON(nil)))
		})
	}
	var wantEvents []string
	want, file := record(t, load(set), engine.WithGrants(engine.Grants{All: true}), listen(&wantEvents))
	stop()
	if want.Error != nil {
		t.Fatal(want.Error)
	}
	said := want.Output.([]any)
	if different := len(slices.Compact(slices.SortedFunc(slices.Values(said), func(a, b any) int { return strings.Compare(a.(string), b.(string)) }))); different != 50 {
		t.Fatalf("there are %d different answers", different)
	}
	slices.Sort(wantEvents)
	g := load(elsewhere())
	t.Setenv("PATH", "")
	for n := range *replays {
		var events []string
		if diff := cmp.Diff(told(t, want), told(t, replay(t, g, file, listen(&events), engine.WithMaxConcurrency([]int{50, 7, 1}[n%3])))); diff != "" {
			t.Fatalf("replay %d (-recorded +replayed):\n%s", n, diff)
		}
		slices.Sort(events)
		if diff := cmp.Diff(wantEvents, events); diff != "" {
			t.Fatalf("replay %d (-recorded +replayed):\n%s", n, diff)
		}
	}
}

// TestReplayLateTools records tools that are stopped: by their own time, by an agent's, by the end of the run. Replayed
// they come to the same.
func TestReplayLateTools(t *testing.T) {
	files := map[string]string{
		"slow.yaml":   "input: {type: string, default: x}\nchain:\n  - {exec: [echo, x]}\n  - {exec: [sleep, '60']}\n",
		"waits.yaml":  "input: {type: string, default: x}\nchain:\n  - {exec: [echo, x]}\n  - {wait: 1h}\n",
		"within.yaml": "input: {type: string, default: x}\ntools: {t: {flow: ./slow.yaml, timeout: 200ms}}\nagent: {model: mock, tools: [t], mock: {tool_calls: [{tool: t}], reply: inner}}\n",
		"limits.yaml": "input: {type: string, default: x}\nlimits: {timeout: 200ms}\nexec: [sleep, '60']\n",
	}
	const slow, endless = "slow: {exec: [sleep, '60']}", "endless: {exec: ['yes']}"
	tests := map[string]struct{ src, want string }{
		"a command":             {"tools: {t: {exec: [sleep, '60'], timeout: 200ms}}\nagent: {model: mock, tools: [t], mock: {tool_calls: [{tool: t}], reply: done}}", "done"},
		"a pipeline":            {"tools: {t: {flow: ./slow.yaml, timeout: 200ms}}\nagent: {model: mock, tools: [t], mock: {tool_calls: [{tool: t}], reply: done}}", "done"},
		"a pipeline's own":      {"tools: {t: {flow: ./limits.yaml}}\nagent: {model: mock, tools: [t], mock: {tool_calls: [{tool: t}], reply: done}}", "done"},
		"a pipeline that waits": {"tools: {t: {flow: ./waits.yaml, timeout: 200ms}}\nagent: {model: mock, tools: [t], mock: {tool_calls: [{tool: t}], reply: done}}", "done"},
		"a pipeline within":     {"tools: {t: {flow: ./within.yaml}}\nagent: {model: mock, tools: [t], mock: {tool_calls: [{tool: t}], reply: done}}", "done"},
		"a node":                {"tools: {t: {flow: ./slow.yaml, timeout: 200ms}}\ntool: t\ncatch: {set: error.kind}", "timeout"},
		"an agent's time":       {"tools: {t: {flow: ./slow.yaml}, " + slow + "}\nagent: {model: mock, tools: [t, slow], mock: {tool_calls: [[{tool: t}, {tool: slow}]], reply: done}}\ntimeout: 200ms\ncatch: {set: error.kind}", "timeout"},
		"the end of the run":    {"tools: {" + slow + ", " + endless + "}\nagent: {model: mock, tools: [slow, endless], mock: {tool_calls: [[{tool: slow}, {tool: endless}, {tool: slow}]]}}", ""},
		"the end, from within":  {"tools: {t: {flow: ./slow.yaml}, " + endless + "}\nagent: {model: mock, tools: [t, endless], mock: {tool_calls: [[{tool: t}, {tool: endless}, {tool: t}]]}}", ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			for name, src := range files {
				if err := os.WriteFile(filepath.Join(dir, name), []byte(src), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			g, problems := nodes.Language().Parse("p.yaml", dir, []byte("name: p\n"+tt.src))
			if err := problems.Err(); err != nil {
				t.Fatal(err)
			}
			want, file := record(t, g, engine.WithGrants(engine.Grants{All: true}))
			if tt.want != "" && want.Output != tt.want || tt.want == "" && !failedBy(want, engine.Limit) {
				t.Fatalf("got %v, %v", want.Output, want.Error)
			}
			for range 5 {
				r, err := recording.Open(file)
				if err != nil {
					t.Fatal(err)
				}
				got, err := engine.Run(t.Context(), g, nil, engine.WithReplay(r))
				if got == nil {
					t.Fatal(err)
				}
				if tt.want == "" { // what the others had done when the run was ended is chance
					got.Steps, got.Failures, got.Usage = want.Steps, want.Failures, want.Usage
				} else if unused := r.Unused(); len(unused) > 0 {
					t.Errorf("nobody asked for %v", unused)
				}
				if diff := cmp.Diff(told(t, want), told(t, got)); diff != "" {
					t.Fatalf("(-recorded +replayed):\n%s", diff)
				}
			}
		})
	}
}
