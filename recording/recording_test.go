package recording_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/flowrun/flowrun/agents"
	"github.com/flowrun/flowrun/agents/agentstest"
	"github.com/flowrun/flowrun/engine"
	"github.com/flowrun/flowrun/leaktest"
	"github.com/flowrun/flowrun/nodes"
	"github.com/flowrun/flowrun/recording"
)

func TestMain(m *testing.M) {
	if fault := os.Getenv(agentstest.MCPFault); fault != "" { // this is a server of tools that a test started
		agentstest.MCP(fault)
		return
	}
	leaktest.Main(m)
}

// load is a pipeline whose models are taken from a set.
func load(t *testing.T, src string, set *agents.Set) *engine.Graph {
	t.Helper()
	g, problems := nodes.Language(nodes.WithAgents(set)).Parse("p.yaml", t.TempDir(), []byte(src))
	if err := problems.Err(); err != nil {
		t.Fatal(err)
	}
	return g
}

// record runs a pipeline and gives the file in which it was recorded.
func record(t *testing.T, g *engine.Graph, opts ...engine.Option) (*engine.Result, string) {
	t.Helper()
	r := &recording.Recorder{}
	result, err := engine.Run(t.Context(), g, nil, append(opts, engine.WithRecorder(r))...)
	if result == nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "r.yaml")
	if err := r.Save(file, result.Status); err != nil {
		t.Fatal(err)
	}
	return result, file
}

// replay runs a pipeline from a file, which must have no more in it than is used.
func replay(t *testing.T, g *engine.Graph, file string, opts ...engine.Option) *engine.Result {
	t.Helper()
	r, err := recording.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	result, err := engine.Run(t.Context(), g, nil, append(opts, engine.WithReplay(r))...)
	if result == nil {
		t.Fatal(err)
	}
	if unused := r.Unused(); len(unused) > 0 && !failedBy(result, engine.Recording) {
		t.Errorf("nobody asked for %v", unused)
	}
	return result
}

func failedBy(r *engine.Result, kind engine.ErrorKind) bool {
	return r.Error != nil && r.Error.Kind == kind
}

// told is what a result shows, apart from its times.
func told(t *testing.T, r *engine.Result) string {
	t.Helper()
	shown := *r
	shown.Duration = 0
	b, err := json.MarshalIndent(&shown, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// counting is a server that answers equal questions in different words. A model with commas in its name is another each
// time that it is asked the same.
type counting struct {
	mu    sync.Mutex
	asked map[string]int
	all   int
}

func (c *counting) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body) // what is cut names no model
	c.mu.Lock()
	if c.asked == nil {
		c.asked = map[string]int{}
	}
	if _, names, ok := strings.Cut(string(body), `"model":"`); ok {
		names, _, _ = strings.Cut(names, `"`)
		each := strings.Split(names, ",")
		one := each[min(c.asked[string(body)], len(each)-1)]
		c.asked[string(body)]++
		body = []byte(strings.Replace(string(body), names, one, 1))
	}
	c.all++
	s := agentstest.Server{Reply: fmt.Sprintf("answer %d of many", c.all)}
	c.mu.Unlock()
	r.Body = io.NopCloser(bytes.NewReader(body))
	s.ServeHTTP(w, r)
}

// serve gives a set whose models are those of a server, and ends the server before anything is replayed.
func serve(t *testing.T, h http.Handler) (set *agents.Set, stop func()) {
	t.Helper()
	set, _, stop = serveAt(t, h)
	return set, stop
}

// serveAt is serve with the address of the server.
func serveAt(t *testing.T, h http.Handler) (set *agents.Set, address string, stop func()) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: h}
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = server.Serve(l) // until it is closed
	}()
	env := map[string]string{"OPENAI_API_KEY": "sk-secret-of-the-test", "OPENAI_BASE_URL": "http://" + l.Addr().String() + "/v1"}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	set = agents.NewSet(agents.WithClient(client), agents.WithEnv(func(name string) (string, bool) { v, ok := env[name]; return v, ok }))
	var once atomic.Bool
	stop = func() {
		if once.CompareAndSwap(false, true) {
			server.Close()
			<-served
		}
	}
	t.Cleanup(stop)
	return set, "http://" + l.Addr().String(), stop
}

// elsewhere are models on a machine that has neither key nor network.
func elsewhere() *agents.Set {
	return agents.NewSet(agents.Idle(), agents.WithEnv(func(string) (string, bool) { return "", false }))
}

// TestReplayFanOut asks a server the same 50 times at once, and replays 100 times what it said, without it.
func TestReplayFanOut(t *testing.T) {
	const src = `
name: many
limits: {max_steps: 1000, max_concurrency: 50}
for_each: 1..50
do:
  chain:
    - {agent: {model: openai/good, system: Be short.}, prompt: Say something.}
    - {agent: {model: "openai/503,good"}, prompt: "Again: ${{ prev }}", retry: {max_attempts: 5, delay: 1ms}, name: again}
`
	set, stop := serve(t, &counting{})
	want, file := record(t, load(t, src, set))
	stop()
	if want.Error != nil {
		t.Fatal(want.Error)
	}
	said := want.Output.([]any)
	if different := len(slices.Compact(slices.SortedFunc(slices.Values(said), func(a, b any) int { return strings.Compare(a.(string), b.(string)) }))); different != 50 {
		t.Fatalf("the server gave %d different answers", different)
	}
	g := load(t, src, elsewhere())
	for range 100 {
		if diff := cmp.Diff(told(t, want), told(t, replay(t, g, file))); diff != "" {
			t.Fatalf("(-recorded +replayed):\n%s", diff)
		}
	}
	// At other times and with more or less of them at once it is the same.
	for _, n := range []int{1, 3} {
		if diff := cmp.Diff(told(t, want), told(t, replay(t, g, file, engine.WithMaxConcurrency(n)))); diff != "" {
			t.Errorf("%d at once (-recorded +replayed):\n%s", n, diff)
		}
	}
}

// TestReplayEvents holds the events of a replay against those that were recorded: pieces of streams, attempts and all.
func TestReplayEvents(t *testing.T) {
	const src = `
name: events
agents: {writer: {model: "openai/503,cut,good", retry: {max_attempts: 4, delay: 1ms, kinds: [server, network, model]}}}
chain:
  - {agent: writer, prompt: Write., name: draft}
  - {loop: [{agent: {model: openai/good}, prompt: Improve.}], max_iterations: 3}
  - {agent: {model: openai/404, fallback: [openai/good]}, prompt: Other.}
  - {agent: {model: openai/400}, prompt: Fails., catch: {set: error.message}}
`
	listen := func(lines *[]string) engine.Option {
		return engine.WithListener(func(e engine.Event) {
			e.Time, e.Duration = time.Time{}, 0
			*lines = append(*lines, string(e.AppendJSON(nil)))
		})
	}
	set, stop := serve(t, &counting{})
	var want, got []string
	first, file := record(t, load(t, src, set), listen(&want))
	stop()
	second := replay(t, load(t, src, elsewhere()), file, listen(&got))
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-recorded +replayed):\n%s", diff)
	}
	if diff := cmp.Diff(told(t, first), told(t, second)); diff != "" {
		t.Errorf("(-recorded +replayed):\n%s", diff)
	}
	all := strings.Join(want, "\n")
	for event, least := range map[string]int{"model_delta": 6, "step_retried": 2, "run_completed": 6} {
		if n := strings.Count(all, `"event":"`+event+`"`); n < least {
			t.Errorf("there are %d events %s, want %d", n, event, least)
		}
	}
}

// TestReplayDecisions replays fan-outs that were decided before all their branches had ended: the same branch decides.
func TestReplayDecisions(t *testing.T) {
	slow := func(reply, latency string) string {
		return fmt.Sprintf("{agent: {model: mock, mock: {reply: %s, latency: %s}}, prompt: same}", reply, latency)
	}
	tests := map[string]string{
		"a race":           "parallel: [" + slow("a", "50ms") + ", " + slow("b", "1ms") + ", " + slow("c", "60ms") + "]\nwait_for: first",
		"a race of chains": "parallel: [{chain: [" + slow("a", "1ms") + "," + slow("b", "1ms") + "," + slow("c", "80ms") + "]}, " + slow("d", "20ms") + "]\nwait_for: first",
		"two of four, and one that failed before": "parallel: [" + slow("a", "40ms") + ", {agent: {model: mock, mock: {fail: 9, error: auth}}, prompt: same}, " +
			slow("c", "20ms") + ", " + slow("d", "1m") + "]\nwait_for: 2\nmerge: \"{results: results, errors: errors}\"",
		"one at a time of two":     "max_concurrency: 2\nparallel: [" + slow("a", "1ms") + ", " + slow("b", "1ms") + ", " + slow("c", "1ms") + "]\nwait_for: first",
		"the first failure":        "parallel: [" + slow("a", "1m") + ", {agent: {model: mock, mock: {fail: 9, error: auth, latency: 10ms}}, prompt: same}]",
		"two failures":             "parallel: [{chain: [" + slow("a", "20ms") + ", {fail: late}]}, {chain: [" + slow("a", "1ms") + ", {fail: early}]}]",
		"a race within a loser":    "parallel: [" + slow("a", "5ms") + ", {parallel: [" + slow("b", "1m") + "," + slow("c", "1m") + "], wait_for: first}]\nwait_for: first",
		"a race within the winner": "parallel: [" + slow("a", "1m") + ", {parallel: [" + slow("b", "1m") + "," + slow("c", "5ms") + "], wait_for: first}]\nwait_for: first",
		"many":                     "for_each: 1..40\ndo: {chain: [" + slow("a", "1ms") + ", " + slow("b", "1ms") + "], when: item > 3}\nwait_for: 7\nmerge: results",
		"a limit":                  "limits: {max_steps: 3}\nparallel: [" + slow("x", "1m") + ", {loop: [" + slow("y", "1ms") + "], max_iterations: 9}]",
		"a timeout of a node":      "{agent: {model: mock, mock: {latency: 1m}}, prompt: same, timeout: 30ms, catch: {set: error}}",
		"a timeout around":         "{chain: [" + slow("a", "1ms") + ", " + slow("b", "1m") + "], timeout: 50ms, catch: {set: error}}",
		"a budget":                 "limits: {budget: {tokens: 5}}\nchain: [" + slow("one two three", "1ms") + ", {agent: {model: mock, max_tokens: 50}, prompt: more than that}]",
	}
	for name, src := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := load(t, src, agents.NewSet())
			want, file := record(t, g)
			for range 20 {
				got := replay(t, g, file)
				if got.Status != want.Status || !cmp.Equal(got.Output, want.Output) || fmt.Sprint(got.Error) != fmt.Sprint(want.Error) {
					b, _ := os.ReadFile(file)
					t.Fatalf("recorded as %v, %v and replayed as %v, %v from\n%s", want.Output, want.Error, got.Output, got.Error, b)
				}
			}
		})
	}
}

// TestReplayEdited replays pipelines that were edited where nothing is asked, or where nobody would know it.
func TestReplayEdited(t *testing.T) {
	before := "name: p\nchain:\n  - {for_each: 1..9, do: {agent: {model: mock, mock: {reply: \"${{ call }} of ${{ run.key }}\"}}, prompt: same}}\n  - set: join(prev)\n"
	g := load(t, before, agents.NewSet())
	want, file := record(t, g)
	for name, src := range map[string]string{
		"a node in front":      strings.Replace(before, "chain:\n", "chain:\n  - set: input\n", 1),
		"a name":               strings.Replace(before, "{for_each", "{name: all, for_each", 1),
		"a container around":   strings.Replace(before, "  - {for_each: 1..9, do: {agent: {model: mock, mock: {reply: \"${{ call }} of ${{ run.key }}\"}}, prompt: same}}", "  - chain: [{for_each: 1..9, do: {agent: {model: mock}, prompt: same}}]", 1),
		"what it is told by":   strings.Replace(before, "${{ call }}", "other", 1),
		"how many run at once": "limits: {max_concurrency: 2}\n" + before,
	} {
		for range 10 {
			if got := replay(t, load(t, src, agents.NewSet()), file); got.Error != nil || !cmp.Equal(want.Output, got.Output) {
				t.Fatalf("%s: recorded as %v, replayed as %v, %v", name, want.Output, got.Output, got.Error)
			}
		}
	}
	// A fan-out whose order is not that of the recording goes on without it, and waits for nobody who would not come.
	race := "name: p\nparallel: [{agent: {model: mock, mock: {latency: 1m}}, prompt: a}, {agent: {model: mock}, prompt: b}]\n"
	_, file = record(t, load(t, race+"wait_for: first", agents.NewSet()))
	got := replay(t, load(t, race, agents.NewSet()), file)
	if want := "p.yaml:2:12: /parallel[0]: this model call was not recorded; the most alike is that of /parallel[1]:\n  messages[0].text\n    - b\n    + a"; fmt.Sprint(got.Error) != want {
		t.Errorf("it failed with %v, not %s", got.Error, want)
	}
}

// TestMisses shows how what is asked differs from what was recorded. No node goes on past that.
func TestMisses(t *testing.T) {
	const src = "name: p\nchain:\n  - {agent: {model: mock, system: Be kind.}, prompt: \"one\\ntwo\\nthree\", on_error: continue}\n  - {agent: {model: mock}, prompt: other}\n"
	_, file := record(t, load(t, src, agents.NewSet()))
	long := strings.Repeat("x", 300)
	for name, tt := range map[string]struct{ old, new, want string }{
		"a line":      {"two", "TWO\\n2", "p.yaml:3:5: /chain[0]: this model call was not recorded; the most alike is that of /chain[0]:\n  messages[0].text\n    - two\n    + TWO\n    + 2"},
		"two fields":  {"system: Be kind.", "temperature: 0.5", "p.yaml:3:5: /chain[0]: this model call was not recorded; the most alike is that of /chain[0]:\n  system\n    - Be kind.\n  temperature\n    + 0.5"},
		"another":     {"prompt: other", "prompt: othello", "p.yaml:4:5: /chain[1]: this model call was not recorded; the most alike is that of /chain[1]:\n  messages[0].text\n    - other\n    + othello"},
		"a long line": {"prompt: other", "prompt: other" + long, "p.yaml:4:5: /chain[1]: this model call was not recorded; the most alike is that of /chain[1]:\n  messages[0].text\n    - other\n    + other" + long[:155] + "…"},
		"a new kind":  {"{agent: {model: mock}, prompt: other}", "{exec: [absent-command]}", "p.yaml:4:5: /chain[1]: this exec call was not recorded, and no other"},
		"one more":    {"prompt: other}", "prompt: other}\n  - {agent: {model: mock}, prompt: other}\n  - {agent: {model: mock}, prompt: third}", "p.yaml:6:5: /chain[3]: this model call was not recorded; the most alike is that of /chain[1]:\n  messages[0].text\n    - other\n    + third"},
	} {
		t.Run(name, func(t *testing.T) {
			got := replay(t, load(t, strings.Replace(src, tt.old, tt.new, 1), agents.NewSet()), file)
			if fmt.Sprint(got.Error) != tt.want || got.Error.Kind != engine.Recording {
				t.Errorf("\n got %v\nwant %s", got.Error, tt.want)
			}
		})
	}
}

// TestSecrets records no key and no secret, and replays where there are none.
func TestSecrets(t *testing.T) {
	const src = `
name: p
secrets: [TOKEN]
chain:
  - {exec: [sh, -c, 'echo "told: $T and $B"'], environment: {T: "${{ secrets.TOKEN }}", B: "${{ toBase64(\"user:\" + secrets.TOKEN) }}", PLAIN: "yes"}}
  - {exec: [cat], stdin: "${{ prev }}"}
`
	grants := engine.WithGrants(engine.Grants{All: true})
	environ := func(v string, ok bool) engine.Option {
		return engine.WithEnviron(func(string) (string, bool) { return v, ok })
	}
	g := load(t, src, agents.NewSet())
	if _, err := os.Stat("/bin/sh"); err != nil {
		t.Skip(err)
	}
	want, file := record(t, g, grants, environ("hunter2", true))
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if want.Error != nil || !strings.Contains(want.Output.(string), "hunter2") {
		t.Fatalf("it came to %v, %v", want.Output, want.Error)
	}
	if strings.Contains(string(b), "hunter2") || strings.Contains(string(b), "dXNlcjpodW50ZXIy") || !strings.Contains(string(b), "told: ***") {
		t.Errorf("the recording tells too much:\n%s", b)
	}
	for name, env := range map[string]engine.Option{"the same": environ("hunter2", true), "another": environ("swordfish", true), "none": environ("", false)} {
		if got := replay(t, g, file, env, grants); got.Error != nil || !strings.HasPrefix(got.Output.(string), "told: *** and ") {
			t.Errorf("with %s it came to %v, %v", name, got.Output, got.Error)
		}
	}
}

// TestFiles refuses files that are no whole recordings of the pipeline.
func TestFiles(t *testing.T) {
	const whole = `recording: 1
pipeline: p
run: {id: r, started_at: "2026-01-01T00:00:00Z"}
answers:
  - {turn: /p, kind: model, asked: {model: mock, messages: [{text: hi}]}, answer: {text: hello}, pieces: [3, 2]}
ended: completed
`
	swap := func(old, new string) string { return strings.Replace(whole, old, new, 1) }
	tests := map[string]struct{ src, want string }{
		"whole":             {whole, ""},
		"empty":             {"", "r.yaml:1:1: the file is empty"},
		"no YAML":           {"a: [", "r.yaml:1:1: this is not YAML: did not find expected node content"},
		"something else":    {"chain: []", "it is not a recording: flowrun run --record writes one"},
		"a list":            {"[1]", "it is not a recording: flowrun run --record writes one"},
		"newer":             {swap("recording: 1", "recording: 2"), "it is of version 2, and this flowrun reads version 1"},
		"cut":               {whole[:strings.Index(whole, "ended")], "it is cut off: its last line, ended, is missing"},
		"cut in a word":     {swap("completed\n", "comp"), `it is cut off: ended is completed, failed, cancelled or waiting, not "comp"`},
		"an unknown key":    {swap("turn:", "trun:"), `answers[0]: unknown key "trun", did you mean "turn"?`},
		"no kind":           {swap("kind: model, ", ""), "answers[0]: it needs turn, kind and asked"},
		"pieces that lie":   {swap("[3, 2]", "[-3]"), "answers[0]: pieces is no whole number"},
		"an error of none":  {swap("answer: {text: hello}", "error: {kind: odd}"), `answers[0]: there is no kind of error "odd"`},
		"a time that never": {swap("2026-01-01T", "soon"), "recording: started_at is no time"},
		"a bomb":            {"a: &a [x]\nb: &b [*a, *a, *a, *a, *a, *a, *a, *a, *a]\nc: &c [*b, *b, *b, *b, *b, *b, *b, *b, *b]\nd: &d [*c, *c, *c, *c, *c, *c, *c, *c]\ne: &e [*d, *d, *d, *d, *d, *d, *d]\nf: &f [*e, *e, *e, *e, *e, *e]\ng: [*f, *f, *f, *f, *f, *f]\n", "r.yaml:"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Chdir(t.TempDir())
			if err := os.WriteFile("r.yaml", []byte(tt.src), 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := recording.Open("r.yaml")
			if got := fmt.Sprint(err); tt.want == "" && err != nil || tt.want != "" && !strings.HasPrefix(got, tt.want) {
				t.Errorf("\n got %s\nwant %s", got, tt.want)
			}
		})
	}
	t.Chdir(t.TempDir())
	for n := range len(whole) - 1 { // but for the last new line
		if err := os.WriteFile("r.yaml", []byte(whole[:n]), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := recording.Open("r.yaml"); err == nil {
			t.Errorf("it is opened when it is cut after %q", whole[:n])
		}
	}
	if err := os.Remove("r.yaml"); err != nil {
		t.Fatal(err)
	}
	if _, err := recording.Open("."); err == nil || err.Error() != "it is not a regular file" {
		t.Errorf("a folder is opened with %v", err)
	}
	if err := recording.Writable("."); err == nil {
		t.Error("a folder can be written")
	}
	if err := recording.Writable(filepath.Join("absent", "r.yaml")); err == nil {
		t.Error("a file can be written in a folder that is not there")
	}
	if err := recording.Writable("new.yaml"); err != nil {
		t.Error(err)
	}
	if left, _ := os.ReadDir("."); len(left) != 0 {
		t.Errorf("looking left %v", left)
	}
	// An answer that was edited by hand is heard at once; a recording of another pipeline is none of this one.
	if err := os.WriteFile("r.yaml", []byte(swap("text: hello", "text: good day")), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := replay(t, load(t, "{name: p, agent: {model: mock}, prompt: hi}", agents.NewSet()), "r.yaml"); got.Output != "good day" || got.RunID != "r" {
		t.Errorf("run %s came to %v, %v", got.RunID, got.Output, got.Error)
	}
	r, err := recording.Open("r.yaml")
	if err != nil {
		t.Fatal(err)
	}
	_, err = engine.Run(t.Context(), load(t, "{name: q, agent: {model: mock}, prompt: hi}", agents.NewSet()), nil, engine.WithReplay(r))
	if want := "the recording is of the pipeline p, not of q"; err == nil || err.Error() != want {
		t.Errorf("it says %v, not %s", err, want)
	}
}

// TestInterrupted keeps what was answered before a run was cut short.
func TestInterrupted(t *testing.T) {
	const src = "name: p\nchain:\n  - {agent: {model: mock}, prompt: one}\n  - {agent: {model: mock, mock: {latency: 1m}}, prompt: two}\n"
	ctx, cancel := context.WithCancel(t.Context())
	r := &recording.Recorder{}
	result, _ := engine.Run(ctx, load(t, src, agents.NewSet()), nil, engine.WithRecorder(r), engine.WithListener(func(e engine.Event) {
		if e.Type == engine.StepStarted && e.Path == "/chain[1]" {
			cancel()
		}
	}))
	file := filepath.Join(t.TempDir(), "r.yaml")
	if err := r.Save(file, result.Status); err != nil {
		t.Fatal(err)
	}
	got := replay(t, load(t, src, agents.NewSet()), file)
	if want := "p.yaml:4:5: /chain[1]: this model call was not recorded; the most alike is that of /chain[0]:\n  messages[0].text\n    - one\n    + two"; fmt.Sprint(got.Error) != want {
		t.Errorf("it failed with %v, not %s", got.Error, want)
	}
}
