package engine_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/flowrun/flowrun/engine"
)

// repeated is a list of the same node, n times.
func repeated(node string, n int) string {
	return "[" + strings.TrimSuffix(strings.Repeat(node+", ", n), ", ") + "]"
}

// gauge measures how many run at once.
type gauge struct{ now, most atomic.Int64 }

func (g *gauge) enter() (leave func()) {
	n := g.now.Add(1)
	for {
		most := g.most.Load()
		if n <= most || g.most.CompareAndSwap(most, n) {
			break
		}
	}
	return func() { g.now.Add(-1) }
}

func TestSlots(t *testing.T) {
	tests := map[string]struct {
		src          string
		slots, most  int64
		milliseconds int64 // that the run takes when each leaf takes 10
	}{
		"one after another":          {"all: " + repeated("{do: work}", 6), 1, 1, 60},
		"as many as slots":           {"all: " + repeated("{do: work}", 6), 3, 3, 20},
		"no more than at once":       {"all: " + repeated("{do: work}", 6) + "\nat_once: 2", 16, 2, 30},
		"nested, with a single slot": {"all: " + repeated("{all: "+repeated("{do: work}", 3)+"}", 3), 1, 1, 90},
		"nested, bounded within":     {"all: " + repeated("{at_once: 1, all: "+repeated("{do: work}", 3)+"}", 3), 16, 3, 30},
		"all at once":                {"all: " + repeated("{do: work}", 100) + "\nat_once: 100", 100, 100, 10},
		"a sequence":                 {"seq: " + repeated("{do: work}", 6), 16, 1, 60},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := &gauge{}
				work := func(ctx context.Context, _ *engine.Call) (any, error) {
					defer g.enter()()
					time.Sleep(10 * time.Millisecond)
					return nil, nil
				}
				graph := compile(t, acts{"work": work}, tt.src+"\nlimits: {max_steps: 1000}")
				result, err := engine.Run(t.Context(), graph, nil, engine.WithMaxConcurrency(int(tt.slots)))
				if err != nil {
					t.Fatal(err)
				}
				if g.most.Load() != tt.most || result.Duration.Milliseconds() != tt.milliseconds {
					t.Errorf("%d at once in %s, want %d in %dms", g.most.Load(), result.Duration, tt.most, tt.milliseconds)
				}
			})
		})
	}
}

// Nested fan-outs multiply; the goroutines of a run are bounded all the same, and it goes on.
func TestGoroutinesAreBounded(t *testing.T) {
	before := runtime.NumGoroutine()
	most := &gauge{}
	count := func(context.Context, *engine.Call) (any, error) {
		for n := int64(runtime.NumGoroutine() - before); ; {
			was := most.most.Load()
			if n <= was || most.most.CompareAndSwap(was, n) {
				return nil, nil
			}
		}
	}
	src := "{do: count}"
	for range 3 {
		src = "{all: " + repeated(src, 16) + "}"
	}
	graph := compile(t, acts{"count": count}, strings.Trim(src, "{}")+"\nlimits: {max_steps: 100000, max_concurrency: 10000}")
	result, err := engine.Run(t.Context(), graph, nil)
	if err != nil || result.Steps != 16*16*16 {
		t.Fatalf("%v steps, %v", result.Steps, err)
	}
	if n := most.most.Load(); n > 10_100 {
		t.Errorf("%d goroutines at once", n)
	}
}

func TestFailFast(t *testing.T) {
	var told atomic.Int64
	deaf := func(ctx context.Context, _ *engine.Call) (any, error) {
		<-ctx.Done()
		told.Add(1)
		return nil, ctx.Err()
	}
	l := &log{}
	graph := compile(t, acts{"deaf": deaf, "fail": failing(engine.Server)},
		"at_once: 3\nall: [{name: a, do: deaf}, {name: b, seq: [{do: deaf}]}, {name: c, do: fail}, {name: never, do: deaf}]")
	_, err := engine.Run(t.Context(), graph, nil, engine.WithListener(l.hear))
	if err == nil || err.Error() != "p.yaml:2:46: c: broken" && !strings.Contains(err.Error(), "c: broken") {
		t.Errorf("got %v, want the failure of c", err)
	}
	if told.Load() > 2 || strings.Contains(l.String(), "never") || strings.Contains(l.String(), "context canceled") {
		t.Errorf("%d leaves were told to stop; events:\n%s", told.Load(), l)
	}
	for _, line := range strings.Split(l.String(), "\n") {
		if started, ok := strings.CutPrefix(line, "step_started "); ok && !strings.Contains(l.String(), "step_failed "+started) {
			t.Errorf("%s was started and has no end:\n%s", started, l)
		}
	}
}

// The winner is the first that was heard, the others are cancelled, and the run is well.
func TestEnough(t *testing.T) {
	l := &log{}
	begun := make(chan struct{})
	slow := func(ctx context.Context, c *engine.Call) (any, error) {
		close(begun)
		return until(nil, nil)(ctx, c)
	}
	graph := compile(t, acts{"slow": slow, "won": until(begun, "won")}, "enough: 1\nall: [{name: a, do: slow}, {name: b, do: won}]")
	result, err := engine.Run(t.Context(), graph, nil, engine.WithListener(l.hear))
	if err != nil || fmt.Sprint(result.Output) != "[<nil> won]" {
		t.Errorf("got %v and %v", result.Output, err)
	}
	if !strings.Contains(l.String(), "step_failed a: cancelled") || result.Nodes["a"].Status != "cancelled" {
		t.Errorf("the loser is not told cancelled:\n%s\n%v", l, result.Nodes["a"])
	}
}

func TestCancel(t *testing.T) {
	tests := map[string]struct {
		cancel func(context.Context) (context.Context, context.CancelFunc)
		status engine.Status
		want   string
	}{
		"by the caller": {context.WithCancel, engine.Stopped, "the run was cancelled"},
		"for a reason": {func(ctx context.Context) (context.Context, context.CancelFunc) {
			ctx, cancel := context.WithCancelCause(ctx)
			return ctx, func() { cancel(errors.New("lunch")) }
		}, engine.Stopped, "the run was cancelled: lunch"},
		"by its deadline": {func(ctx context.Context) (context.Context, context.CancelFunc) {
			ctx, cancel := context.WithTimeout(ctx, time.Nanosecond)
			return ctx, func() { <-ctx.Done(); cancel() }
		}, engine.Failed, "p.yaml:1:1: p: the caller's time for the run is up"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := tt.cancel(t.Context())
			defer cancel()
			acting := acts{"act": func(ctx context.Context, _ *engine.Call) (any, error) {
				cancel()
				<-ctx.Done()
				return "a success that came too late", nil
			}}
			graph := compile(t, acting, "seq: [{name: a, all: [{name: x, do: act}]}, {name: b, do: never}]\nfinally: {name: z, do: cleanup}")
			result, err := engine.Run(ctx, graph, nil)
			if err == nil || result.Status != tt.status || err.Error() != tt.want {
				t.Errorf("got %s and %v, want %s and %s", result.Status, err, tt.status, tt.want)
			}
			if _, ran := result.Nodes["b"]; ran || result.Nodes["z"].Status != "completed" {
				t.Errorf("after the cancellation: %v", result.Nodes)
			}
		})
	}
}

// A cancellation stops what runs finally when it comes, and then the run is cancelled, unless it had failed.
func TestCancelFinally(t *testing.T) {
	tests := map[string]struct{ src, status, want string }{
		"of the run":           {"do: x\nfinally: {name: z, do: act}", "cancelled", "the run was cancelled"},
		"of an included file":  {"seq: [{file: inc.yaml}, {do: never}]", "cancelled", "the run was cancelled"},
		"within another":       {"do: x\nfinally: {name: z, file: inc.yaml}", "cancelled", "the run was cancelled"},
		"that does not listen": {"do: x\nfinally: {name: z, do: deaf}", "cancelled", "the run was cancelled"},
		"of a run that failed": {"do: broken\nfinally: {name: z, do: act}", "failed", "p.yaml:1:1: p: broken"},
		"that came before":     {"do: act\nfinally: {name: y, file: quick.yaml}", "cancelled", "the run was cancelled"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			leaves := acts{
				"act": func(ctx context.Context, _ *engine.Call) (any, error) {
					cancel()
					<-ctx.Done()
					return nil, ctx.Err()
				},
				"deaf":   func(context.Context, *engine.Call) (any, error) { cancel(); return 1, nil },
				"broken": failing(engine.Server),
			}
			dir := t.TempDir()
			for file, src := range map[string]string{"inc.yaml": "do: x\nfinally: {do: act}", "quick.yaml": "do: x\nfinally: {do: x}"} {
				if err := os.WriteFile(filepath.Join(dir, file), []byte(src), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			g, diagnostics := language(leaves).Parse("p.yaml", dir, []byte(tt.src))
			if g == nil {
				t.Fatal(diagnostics)
			}
			l := &log{}
			result, err := engine.Run(ctx, g, nil, engine.WithListener(l.hear))
			if err == nil || string(result.Status) != tt.status || err.Error() != tt.want || strings.Contains(l.String(), "never") {
				t.Errorf("got %s and %v, want %s and %s\n%s", result.Status, err, tt.status, tt.want, l)
			}
			if z, ok := result.Nodes["z"]; ok && z.Status != "cancelled" {
				t.Errorf("what ran finally was %s", z.Status)
			}
			if y, ok := result.Nodes["y"]; ok && y.Status != "completed" {
				t.Errorf("what ran finally was %s", y.Status)
			}
		})
	}
}

// Many runs share a graph; none sees anything of another.
func TestRunsShareAGraph(t *testing.T) {
	graph := compile(t, nil, "seq: [{name: a, set: input}, {all: [{name: b, set: steps.a.output}, {do: x}]}, {set: 'string(steps.a.output) + string(steps.b.output)'}]")
	var wg sync.WaitGroup
	for i := range 24 {
		wg.Go(func() {
			result, err := engine.Run(t.Context(), graph, i)
			if want := fmt.Sprintf("%d%d", i, i); err != nil || result.Output != want {
				t.Errorf("run %d gave %v and %v", i, result.Output, err)
			}
		})
	}
	wg.Wait()
}

// A branch gets a copy of what it may change.
func TestBranchesShareNothing(t *testing.T) {
	var wg sync.WaitGroup
	wg.Add(3)
	spoil := func(_ context.Context, c *engine.Call) (any, error) {
		list := c.Prev().([]any)
		wg.Done()
		wg.Wait() // all have it now
		list[0] = c.Node().Name
		return append(list, len(list)), nil
	}
	graph := compile(t, acts{"spoil": spoil}, "all: [{name: a, do: spoil}, {name: b, do: spoil}, {name: c, do: spoil}]")
	result, err := engine.Run(t.Context(), graph, []any{"x", 2.0})
	if want := "[[a 2 2] [b 2 2] [c 2 2]]"; err != nil || fmt.Sprint(result.Output) != want {
		t.Errorf("got %v and %v, want %s", result.Output, err, want)
	}
}

// What an expression gives a leaf is its own too.
func TestLeavesShareNothing(t *testing.T) {
	spoil := func(_ context.Context, c *engine.Call) (any, error) {
		v, err := c.Eval(c.Node().Expr("with"))
		if err == nil {
			v.(map[string]any)["spoilt"] = true
			v.(map[string]any)["list"].([]any)[0] = "spoilt"
		}
		return nil, err
	}
	src := "seq: [{name: a, set: '{list: [1]}'}, {do: spoil, with: '${{ steps.a.output }}'}, {do: spoil, with: '${{ input }}'}, {set: '[steps.a.output, input]'}]"
	input := map[string]any{"list": []any{"x"}}
	result, err := engine.Run(t.Context(), compile(t, acts{"spoil": spoil}, src), input)
	if want := "[map[list:[1]] map[list:[x]]]"; err != nil || fmt.Sprint(result.Output) != want {
		t.Errorf("got %v and %v, want %s", result.Output, err, want)
	}
}

// A listener that changes what it hears changes nothing else.
func TestListenersChangeNothing(t *testing.T) {
	spoil := func(e engine.Event) {
		for _, v := range []any{e.Input, e.Output} {
			if list, ok := v.([]any); ok {
				list[0] = "spoilt"
			}
		}
		if e.Error != nil {
			e.Error.Message = "spoilt"
		}
	}
	graph := compile(t, acts{"fail": failing(engine.Server)}, "seq: [{name: a, do: fail, catch: {set: '[error.message]'}}, {set: '[steps.a.output, steps.a.error.message, input]'}]")
	result, err := engine.Run(t.Context(), graph, []any{"x"}, engine.WithListener(spoil))
	if want := "[[broken] broken [x]]"; err != nil || fmt.Sprint(result.Output) != want || result.Nodes["a"].Error.Message != "broken" {
		t.Errorf("got %v, %v and %v, want %s", result.Output, result.Nodes["a"].Error, err, want)
	}
}

// An event tells whether another waits behind it, so that a burst can be written at once; the last one never does.
func TestBurst(t *testing.T) {
	ran := make(chan struct{})
	work := func(context.Context, *engine.Call) (any, error) { close(ran); return nil, nil }
	var more []bool
	listen := func(e engine.Event) {
		if more = append(more, e.More); e.Seq == 1 {
			<-ran // the start of the work is told by then
		}
	}
	if _, err := engine.Run(t.Context(), compile(t, acts{"work": work}, "seq: [{do: work}]"), nil, engine.WithListener(listen)); err != nil {
		t.Fatal(err)
	}
	if !more[1] || more[len(more)-1] {
		t.Errorf("which events have another behind them: %v", more)
	}
}

func TestTimeouts(t *testing.T) {
	work := func(ctx context.Context, _ *engine.Call) (any, error) {
		select {
		case <-time.After(100 * time.Millisecond):
			return "done", nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	stubborn := func(context.Context, *engine.Call) (any, error) {
		time.Sleep(100 * time.Millisecond)
		return "done", nil
	}
	tests := map[string]struct{ src, want string }{
		"in time":                        {"do: work\ntimeout: 200ms", ""},
		"a leaf":                         {"name: x\nseq: [{name: a, do: work, timeout: 50ms}]", "timeout p.yaml:2:7: a: it did not end within its timeout of 50ms"},
		"a leaf that does not listen":    {"name: x\nseq: [{name: a, do: stubborn, timeout: 50ms}]", "timeout p.yaml:2:7: a: it did not end within its timeout of 50ms"},
		"from the slot on":               {"all: [{do: work, timeout: 150ms}, {do: work, timeout: 150ms}]\nlimits: {max_concurrency: 1}", ""},
		"a container":                    {"timeout: 150ms\nname: x\nseq: [{do: work}, {do: work}]", "timeout p.yaml:1:1: x: it did not end within its timeout of 150ms"},
		"the inner one":                  {"timeout: 150ms\nseq: [{name: a, seq: [{do: work}], timeout: 50ms}]", "timeout p.yaml:2:7: a: it did not end within its timeout of 50ms"},
		"the outer one, caught":          {"seq: [{timeout: 50ms, seq: [{do: work, timeout: 70ms, catch: {do: never}}], catch: {set: error.kind}}]", ""},
		"of defaults":                    {"defaults: {timeout: 50ms}\nname: x\nseq: [{name: a, do: work}]", "timeout p.yaml:3:7: a: it did not end within its timeout of 50ms"},
		"the run's":                      {"limits: {timeout: 50ms}\nseq: [{do: work, on_error: continue}]\ncatch: {set: 1}", "timeout p.yaml:2:1: p: the run did not end within its timeout of 50ms"},
		"of a success past the deadline": {"limits: {timeout: 50ms}\ndo: stubborn", "timeout p.yaml:2:1: p: the run did not end within its timeout of 50ms"},
		"finally is not hurried":         {"limits: {timeout: 50ms}\ndo: work\nfinally: {name: z, do: work}", "timeout p.yaml:2:1: p: the run did not end within its timeout of 50ms"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				graph := compile(t, acts{"work": work, "stubborn": stubborn}, tt.src)
				result, err := engine.Run(t.Context(), graph, nil)
				got := ""
				if err != nil {
					got = string(result.Error.Kind) + " " + err.Error()
				}
				if got != tt.want {
					t.Errorf("\n got %s\nwant %s", got, tt.want)
				}
				if z, ok := result.Nodes["z"]; ok && z.Status != "completed" {
					t.Errorf("what runs finally was %s", z.Status)
				}
			})
		})
	}
}

// An included file's own time counts until its finally, which reads that it was up, as that of a run's file does.
func TestTimeoutOfFile(t *testing.T) {
	work := func(context.Context, *engine.Call) (any, error) { time.Sleep(time.Second); return nil, nil }
	const last = "\nfinally: {seq: [{name: z, set: '[status, error?.kind, error?.node]'}, {do: work}]}"
	tests := map[string]struct{ file, read, want string }{
		"not reached": {"limits: {timeout: 1500ms}\ndo: work" + last, "[completed <nil> <nil>]", ""},
		"reached":     {"limits: {timeout: 50ms}\ndo: work" + last, "[failed timeout inc]", "p.yaml:1:7: inc: inc.yaml did not end within its timeout of 50ms"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, "inc.yaml"), []byte(tt.file), 0o644); err != nil {
				t.Fatal(err)
			}
			g, diagnostics := language(acts{"work": work}).Parse("p.yaml", dir, []byte("seq: [{name: inc, file: inc.yaml}]"))
			if g == nil {
				t.Fatal(diagnostics)
			}
			synctest.Test(t, func(t *testing.T) {
				read := ""
				_, err := engine.Run(t.Context(), g, nil, engine.WithListener(func(e engine.Event) {
					if e.Type == engine.StepCompleted && e.Node == "z" {
						read = fmt.Sprint(e.Output)
					}
				}))
				if read != tt.read || (err == nil) != (tt.want == "") || err != nil && err.Error() != tt.want {
					t.Errorf("got %s and %v, want %s and %s", read, err, tt.read, tt.want)
				}
			})
		})
	}
}

// The error of a run is that of the node that failed first, however long others take to stop, and whatever fails or
// ends meanwhile.
func TestFirstCause(t *testing.T) {
	slow := func(ctx context.Context, _ *engine.Call) (any, error) {
		<-ctx.Done()
		time.Sleep(500 * time.Millisecond)
		return nil, context.Cause(ctx)
	}
	after := func(d time.Duration, kind engine.ErrorKind) func(context.Context, *engine.Call) (any, error) {
		return func(ctx context.Context, _ *engine.Call) (any, error) {
			select {
			case <-time.After(d):
				return nil, engine.Errorf(kind, "broken")
			case <-ctx.Done():
				return nil, context.Cause(ctx)
			}
		}
	}
	leaves := acts{"slow": slow, "soon": after(100*time.Millisecond, engine.Server), "later": after(300*time.Millisecond, engine.Network),
		"forbidden": after(300*time.Millisecond, engine.Permission)}
	const inner = "all: [{name: first, do: soon}, {do: slow}]"
	tests := map[string]struct{ src, want string }{
		"a sibling fails":                 {"all: [{" + inner + "}, {name: second, do: later}]", "server first"},
		"a sibling of the chain fails":    {"all: [{seq: [{" + inner + "}]}, {name: second, do: later}]", "server first"},
		"deeper still":                    {"all: [{all: [{" + inner + "}, {do: slow}]}, {all: [{name: second, do: later}, {do: slow}]}]", "server first"},
		"a sibling reaches a limit":       {"all: [{" + inner + "}, {name: second, do: forbidden}]", "server first"},
		"a sibling of what forgives":      {"all: [{" + inner + ", on_error: continue}, {name: second, do: later}]", "network second"},
		"a sibling of what catches":       {"all: [{" + inner + ", catch: {do: slow}}, {name: second, do: later}]", "network second"},
		"of a sibling of what forgives":   {"all: [{all: [{do: soon, on_error: continue}, {do: slow}]}, {name: second, do: later}]", "network second"},
		"the node's time runs out":        {"name: x\ntimeout: 300ms\n" + inner, "server first"},
		"the time runs out around it":     {"name: x\ntimeout: 300ms\nseq: [{" + inner + "}]", "server first"},
		"the run's time runs out":         {"limits: {timeout: 300ms}\n" + inner, "server first"},
		"the caller's time runs out":      {"name: x\nseq: [{" + inner + "}]\n# 300ms", "server first"},
		"an included file's":              {"seq: [{file: timed.yaml}]", "server first"},
		"the time runs out of a leaf too": {"name: x\ntimeout: 300ms\nall: [{name: first, do: slow, timeout: 100ms}, {do: slow}]", "timeout first"},
		"or a sibling of the leaf fails":  {"all: [{all: [{name: first, do: slow, timeout: 100ms}, {do: slow}]}, {name: second, do: later}]", "timeout first"},
		"what is caught does not count":   {"name: x\ntimeout: 300ms\nseq: [{" + inner + ", catch: {do: slow}}]", "timeout x"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, "timed.yaml"), []byte("limits: {timeout: 300ms}\n"+inner), 0o644); err != nil {
				t.Fatal(err)
			}
			g, diagnostics := language(leaves).Parse("p.yaml", dir, []byte(tt.src))
			if g == nil {
				t.Fatal(diagnostics)
			}
			synctest.Test(t, func(t *testing.T) {
				ctx := t.Context()
				if strings.HasSuffix(tt.src, "# 300ms") {
					limited, cancel := context.WithTimeout(ctx, 300*time.Millisecond)
					defer cancel()
					ctx = limited
				}
				result, err := engine.Run(ctx, g, nil)
				if err == nil || string(result.Error.Kind)+" "+result.Error.Node != tt.want {
					t.Errorf("got %v, want %s", err, tt.want)
				}
			})
		})
	}
}

func TestRetry(t *testing.T) {
	tests := map[string]struct {
		src   string
		kind  engine.ErrorKind
		fails int // so many attempts
		after time.Duration
		want  string // pauses, or what the run ends with
	}{
		"not unless told":          {"do: x", engine.Server, 1, 0, "server"},
		"with doubling pauses":     {"do: x\nretry: {max_attempts: 5}", engine.Server, 4, 0, "500ms 1s 2s 4s"},
		"with pauses bounded":      {"do: x\nretry: {max_attempts: 5, delay: 1s, backoff: 10, max_delay: 15s}", engine.Server, 4, 0, "1s 10s 15s 15s"},
		"until attempts are spent": {"do: x\nretry: {max_attempts: 2}", engine.Server, 9, 0, "server"},
		"as long as asked":         {"do: x\nretry: {max_attempts: 2, delay: 1s}", engine.RateLimit, 1, 7 * time.Second, "7s"},
		"not for hours":            {"do: x\nretry: {max_attempts: 2, delay: 1s}", engine.RateLimit, 1, 2 * time.Hour, "rate_limit"},
		"not what cannot pass":     {"do: x\nretry: {max_attempts: 2}", engine.Auth, 1, 0, "auth"},
		"only the kinds named":     {"do: x\nretry: {max_attempts: 2, kinds: [network]}", engine.Server, 1, 0, "server"},
		"also what is named":       {"do: x\nretry: {max_attempts: 2, kinds: [auth]}", engine.Auth, 1, 0, "500ms"},
		"as defaults say":          {"defaults: {retry: {max_attempts: 3, delay: 1s}}\ndo: x", engine.Server, 2, 0, "1s 2s"},
		"key by key":               {"defaults: {retry: {max_attempts: 3, delay: 1s}}\ndo: x\nretry: {delay: 2s}", engine.Server, 2, 0, "2s 4s"},
		"false says never":         {"defaults: {retry: {max_attempts: 3, delay: 1s}}\ndo: x\nretry: false", engine.Server, 1, 0, "server"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var asked []time.Time
				act := func(_ context.Context, c *engine.Call) (any, error) {
					if asked = append(asked, time.Now()); c.Attempt != len(asked) {
						t.Errorf("attempt %d calls itself %d", len(asked), c.Attempt)
					}
					if c.Attempt > tt.fails {
						return "fine", nil
					}
					return nil, &engine.Error{Kind: tt.kind, Message: "broken", RetryAfter: tt.after}
				}
				result, _ := engine.Run(t.Context(), compile(t, acts{"x": act}, tt.src), nil)
				var pauses []string
				for i := 1; i < len(asked); i++ {
					pauses = append(pauses, asked[i].Sub(asked[i-1]).String())
				}
				got := strings.Join(pauses, " ")
				if result.Error != nil {
					got = string(result.Error.Kind)
				}
				if got != tt.want || result.Steps != 1 {
					t.Errorf("got %s and %d steps, want %s and one", got, result.Steps, tt.want)
				}
			})
		})
	}
}

// The jitter spreads branches, within its bound.
func TestJitter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		pauses := map[time.Duration]bool{}
		began := time.Now()
		act := func(_ context.Context, c *engine.Call) (any, error) {
			if c.Attempt == 1 {
				return nil, engine.Errorf(engine.Server, "broken")
			}
			mu.Lock()
			defer mu.Unlock()
			pauses[time.Since(began)] = true
			return nil, nil
		}
		src := "all: " + repeated("{do: x, retry: {delay: 1s, jitter: 100ms}}", 16)
		if _, err := engine.Run(t.Context(), compile(t, acts{"x": act}, src), nil); err != nil {
			t.Fatal(err)
		}
		for p := range pauses {
			if p < time.Second || p >= 1100*time.Millisecond {
				t.Errorf("a pause of %s", p)
			}
		}
		if len(pauses) < 8 {
			t.Errorf("only %d different pauses of 16", len(pauses))
		}
	})
}
