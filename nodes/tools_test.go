package nodes_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/flowrun/flowrun/engine"
	"github.com/flowrun/flowrun/nodes"
)

// TestToolProblems finds what is wrong with tools before anything runs.
func TestToolProblems(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for name, src := range map[string]string{"ok": "params: {n: integer}\nset: prev", "clash": "params: {input: {type: string, default: x}}\nset: prev"} {
		if err := os.WriteFile(filepath.Join(dir, name+".yaml"), []byte(src), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	const sum = "tools: {sum: {exec: [sum, '${{ params.a }}'], params: {a: integer, b: {type: integer, default: 1}}}}\n"
	const files = "tools: {files: {mcp: {command: [files]}}}\n"
	tests := map[string]struct{ src, want string }{
		"no kind":                  {"tools: {t: {description: x}}\ntool: t", `p.yaml:1:12: a tool has one of exec, http, mcp and flow`},
		"two kinds":                {"tools: {t: {exec: [a], http: 'https://a.example'}}\ntool: t", `p.yaml:1:30: a tool has one of exec, http, mcp and flow, not both exec and http`},
		"a field of another kind":  {"tools: {t: {exec: [a], method: GET}}\ntool: t", `p.yaml:1:32: method goes with http`},
		"params of a server":       {"tools: {t: {mcp: {command: [a]}, params: {a: string}}}\ntool: t.x", `p.yaml:1:42: params goes with exec or http`},
		"a server without either":  {"tools: {t: {mcp: {environment: {A: b}}}}\ntool: t.x", "p.yaml:1:18: a server has command or url\np.yaml:1:32: environment goes with command"},
		"a misspelt kind":          {"tools: {t: {exce: [a]}}\ntool: t", `p.yaml:1:13: unknown key "exce" in tools, did you mean "exec"?`},
		"an unknown kind":          {"tools: {t: {shell: a}}\ntool: t", "p.yaml:1:12: a tool has one of exec, http, mcp and flow\np.yaml:1:13: unknown key \"shell\" in tools"},
		"a misspelt command":       {"tools: {t: {mcp: {comand: [a], environment: {A: b}}}}\ntool: t.x", `p.yaml:1:19: unknown key "comand" in mcp, did you mean "command"?`},
		"an unknown tool":          {sum + "tool: sun", `p.yaml:2:7: tool names "sun", which is not in tools, did you mean "sum"?`},
		"an unknown one of agents": {sum + "agent: {model: mock, tools: [sun.x]}", `p.yaml:2:30: tools names "sun.x", which is not in tools, did you mean "sum"?`},
		"a server at no address":   {"tools: {s: {mcp: {url: 'ftp://a.example'}}}\ntool: s.x", `p.yaml:1:24: url: "ftp://a.example" is no address`},
		"a server at an odd one":   {"tools: {s: {mcp: {url: 'http://2130706433/'}}}\ntool: s.x", `p.yaml:1:24: url: the host of "http://2130706433/" is a number that programs read in different ways`},
		"nobody's":                 {sum + "set: prev", "p.yaml:1:9: warning: nobody uses the tool sum"},
		"a part of what has none":  {sum + "tool: sum.add", `p.yaml:2:7: "sum.add" names a tool of a server, and sum is none`},
		"a server whole":           {files + "tool: files", `p.yaml:2:7: files is a server, which has several tools`},
		"a server and a dot":       {files + "agent: {model: mock, tools: ['files.']}", `p.yaml:2:8: files is a server, which has several tools`},
		"an undeclared param":      {"params: {b: string}\ntools: {t: {exec: [a, '${{ params.b }}']}}\ntool: t", `p.yaml:2:28: params.b is not declared`},
		"a misspelt param":         {"tools: {t: {exec: [a, '${{ params.cty }}'], params: {city: string}}}\ntool: t\nargs: {city: x}", `p.yaml:1:28: unknown field "cty", did you mean "city"?`},
		"a param of another type":  {"tools: {t: {exec: [a, '${{ params.n + \"x\" }}'], params: {n: integer}}}\ntool: t\nargs: {n: 1}", `p.yaml:1:28: invalid operation: + (mismatched types integer and string)`},
		"a default that is wrong":  {"tools: {t: {exec: [a], params: {n: {type: integer, default: x}}}}\ntool: t", `p.yaml:1:33: the default of n does not fit its own type: default must be integer, not string`},
		"prev of the file's":       {"tools: {t: {exec: [a, '${{ steps.x.output }}']}}\ntool: t", `p.yaml:1:28: steps.x: no node is named "x"`},
		"arguments left out":       {sum + "tool: sum", `p.yaml:2:1: args.a is missing`},
		"arguments that are none":  {sum + "tool: sum\nargs: {a: x, c: 1}", `p.yaml:3:7: args.a must be integer, not string; args.c is unknown`},
		"some not known yet":       {sum + "tool: sum\nargs: {aa: '${{ prev }}'}", `p.yaml:3:7: args.aa is unknown, did you mean "a"?`},
		"one missing, one unknown": {sum + "tool: sum\nargs: {number: 1}", `p.yaml:3:7: args.a is missing; args.number is unknown`},
		"a pipeline's":             {"tools: {t: {flow: ./ok.yaml}}\ntool: t\nargs: {input: x}", `p.yaml:3:7: args.n is missing`},
		"a pipeline's input twice": {"tools: {t: {flow: ./clash.yaml}}\ntool: t\nargs: {input: x}", `p.yaml:2:7: clash.yaml cannot be a tool: its param input has the name of what its input is given as`},
		"a pipeline that is none":  {"tools: {t: {flow: ./p.yml}}\ntool: t", `p.yaml:1:19: including "./p.yml": no such file or directory`},
		"no such choice":           {sum + "agent: {model: mock, tools: [sum], tool_choice: sun}", `p.yaml:2:49: tool_choice must be auto, none, required or a tool of the agent, not "sun", did you mean "sum"?`},
		"a choice not given":       {sum + "agent: {model: mock, tool_choice: sum}", `p.yaml:2:8: tool_choice names sum, which the agent is not given`},
		"a choice of nothing":      {"agent: {model: mock, tool_choice: required}", `p.yaml:1:8: tool_choice needs tools`},
		"no turns":                 {sum + "agent: {model: mock, tools: [sum], max_turns: 0}", `p.yaml:2:47: max_turns must be a whole number of at least 1, not "0"`},
		"a tool of an odd name":    {"tools: {read-file: {exec: [a]}}\nset: 1", `p.yaml:1:9: a name in tools must have letters, digits and _ only, and begin with a letter or _, not "read-file"`},
		"a look-alike name":        {"tools: {s\u0443m: {exec: [a]}}\nset: 1", `p.yaml:1:9: a name in tools must have letters, digits and _ only`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, diagnostics := nodes.Language().Parse("p.yaml", dir, []byte(tt.src))
			var got []string
			for _, d := range diagnostics {
				line, _, _ := strings.Cut(d.Error(), "\n")
				got = append(got, line)
			}
			slices.Sort(got)
			want := strings.Split(tt.want, "\n")
			slices.Sort(want)
			if len(got) != len(want) || !slices.EqualFunc(got, want, strings.HasPrefix) {
				t.Errorf("\n got %s\nwant %s", strings.Join(got, "\n     "), strings.Join(want, "\n     "))
			}
		})
	}
}

// called runs an agent that calls tools, and gives what each call returned, in the order of the calls.
func called(t *testing.T, src string, opts ...engine.Option) (results []string, err error) {
	t.Helper()
	var mu sync.Mutex
	byID := map[string]string{}
	heard := engine.WithListener(func(e engine.Event) {
		mu.Lock()
		defer mu.Unlock()
		switch {
		case e.Type == engine.ToolReturned && e.Error != nil:
			byID[e.CallID] = string(e.Error.Kind) + ": " + e.Error.Message
		case e.Type == engine.ToolReturned:
			byID[e.CallID] = text(e.Output)
		}
	})
	_, err = engine.Run(t.Context(), graphOf(t, src), nil, append(opts, everything, heard)...)
	for turn := range 20 {
		for call := range 200 {
			if r, ok := byID[fmt.Sprintf("call_%d_%d", turn+1, call+1)]; ok {
				results = append(results, r)
			}
		}
	}
	return results, err
}

// onPath is the place of a command that is found on the PATH.
var onPath = regexp.MustCompile(`/[a-z/]*/(echo)\b`)

// TestToolCalls makes calls, good and bad: what a tool fails with is told to the model, and the run goes on.
func TestToolCalls(t *testing.T) {
	t.Parallel()
	agent := func(tools, calls string) string {
		return "tools: {" + tools + ", other: {exec: [\"true\"]}}\nchain:\n  - agent: {model: mock, tools: [t], mock: {tool_calls: [[" + calls + "]], reply: done}}\n  - {tool: other}\n"
	}
	echo := "t: {exec: [echo, 'got: ${{ params.a }}'], params: {a: string}}"
	tests := map[string]struct {
		tools, calls string
		want         []string
	}{
		"several at once":          {echo, "{tool: t, args: {a: x}}, {tool: t, args: {a: y}}, {tool: t, args: {a: z}}", []string{"got: x", "got: y", "got: z"}},
		"shell in an argument":     {echo, "{tool: t, args: {a: '$(id); rm -rf / && `ls`'}}", []string{"got: $(id); rm -rf / && `ls`"}},
		"templates in arguments":   {echo, "{tool: t, args: {a: '$${{ env.HOME }}'}}", []string{"got: ${{ env.HOME }}"}},
		"an option":                {"t: {exec: [ls, '${{ params.a }}'], params: {a: string}}", "{tool: t, args: {a: --help}}", []string{`schema: argument 1 would be taken for an option: "--help"`}},
		"no option behind --":      {"t: {exec: [basename, --, '${{ params.a }}'], params: {a: string}}", "{tool: t, args: {a: --help}}", []string{"--help"}},
		"below zero":               {"t: {exec: [echo, '${{ params.a }}'], params: {a: integer}}", "{tool: t, args: {a: -5}}", []string{"-5"}},
		"a default":                {"t: {exec: [echo, '${{ params.a }}'], params: {a: {type: string, default: b}}}", "{tool: t}", []string{"b"}},
		"a NUL":                    {echo, `{tool: t, args: {a: "x\0y"}}`, []string{"exec: argument 1 holds a NUL character"}},
		"-inf, which is -i -n -f":  {"t: {exec: [grep, '${{ params.a }}', '${{ params.b }}'], params: {a: string, b: string}}", "{tool: t, args: {a: -inf, b: /dev/null}}", []string{`schema: argument 1 would be taken for an option: "-inf"`}},
		"a fraction below zero":    {"t: {exec: [echo, '${{ params.a }}'], params: {a: number}}", "{tool: t, args: {a: -1.5}}, {tool: t, args: {a: -1.0e-7}}", []string{"-1.5", "-1e-7"}},
		"a number in hex":          {"t: {exec: [echo, '${{ params.a }}'], params: {a: string}}", "{tool: t, args: {a: '-0x1p-2'}}", []string{`schema: argument 1 would be taken for an option: "-0x1p-2"`}},
		"an option of many":        {"t: {exec: [echo, '${{ params.a }}', x], params: {a: [string]}}", "{tool: t, args: {a: [-n]}}", []string{`["-n"] x`}},
		"templates in output":      {"t: {exec: [printf, '%s{{ env.HOME }} ${{ params.a }}', $], params: {a: string}}", "{tool: t, args: {a: '$${{ secrets.KEY }}'}}", []string{"${{ env.HOME }} ${{ secrets.KEY }}"}},
		"a megabyte for a command": {echo, "{tool: t, args: {a: '" + strings.Repeat("x", 1<<20) + "'}}", []string{"exec: starting the command: fork/exec PATH/echo: argument list too long"}},
		"a megabyte that is read":  {"t: {exec: [wc, -c], stdin: '${{ params.a }}', params: {a: string}}", "{tool: t, args: {a: '" + strings.Repeat("x", 1<<20) + "'}}", []string{"1048576"}},
		"a failure":                {"t: {exec: [sh, -c, 'echo no >&2; exit 3']}", "{tool: t}", []string{"exec: exit status 3: no"}},
		"a slow one":               {"t: {exec: [sleep, '60'], timeout: 50ms}", "{tool: t}", []string{"timeout: t did not end within its timeout of 50ms"}},
		"a long answer":            {"t: {exec: [sh, -c, 'yes | head -c 100000']}", "{tool: t}", []string{strings.Repeat("y\n", 32768) + "\n[cut here: the result has 34463 bytes more]"}},
		"control characters":       {`t: {exec: [printf, '\033[2J\001']}`, "{tool: t}", []string{"\x1b[2J\x01"}},
		"what is no UTF-8":         {`t: {exec: [printf, '\377x']}`, "{tool: t}", []string{"\uFFFDx"}},
		"JSON":                     {`t: {exec: [echo, '{"a": 1.0}'], parse: json}`, "{tool: t}", []string{`{"a":1}`}},
		"JSON that is none":        {`t: {exec: [echo, '{'], parse: json}`, "{tool: t}", []string{"exec: reading the output: it is not JSON: unexpected EOF"}},
		"a pipeline":               {"t: {flow: ./other.yaml}", "{tool: t, args: {input: [x]}}, {tool: t, args: {input: y}}", []string{`["x"]`, "y"}},
		"a pipeline that fails":    {"t: {flow: ./fails.yaml}", "{tool: t, args: {input: x}}", []string{"fail: broken"}},
		"a pipeline that is late":  {"t: {flow: ./late.yaml, timeout: 50ms}", "{tool: t, args: {input: x}}", []string{"timeout: t did not end within its timeout of 50ms"}},
		"an error of a template":   {"t: {exec: [echo, '${{ params.a[9] }}'], params: {a: [string]}}", "{tool: t, args: {a: []}}", nil},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := called(t, agent(tt.tools, tt.calls))
			if err != nil {
				t.Fatal(err)
			}
			for i := range got {
				got[i] = onPath.ReplaceAllString(got[i], "PATH/$1")
			}
			if tt.want == nil {
				if len(got) != 1 || !strings.HasPrefix(got[0], "expression: ") {
					t.Errorf("got %q", got)
				}
			} else if !slices.Equal(got, tt.want) {
				t.Errorf("\n got %.200q\nwant %.200q", got, tt.want)
			}
		})
	}
}

// TestSecretAtTheCut has a tool print a secret where its result is cut for the model: no part of it is shown.
func TestSecretAtTheCut(t *testing.T) {
	t.Parallel()
	for _, before := range []int{64<<10 - 1, 64<<10 - 10, 64<<10 - 21} {
		src := fmt.Sprintf("secrets: [KEY]\ntools: {t: {exec: [sh, -c, 'head -c %d /dev/zero | tr \"\\0\" x; echo $KEY and more'], environment: {KEY: '${{ secrets.KEY }}'}}}\n", before) +
			"agent: {model: mock, tools: [t], mock: {tool_calls: [{tool: t}], reply: done}}\n"
		got, err := called(t, src, engine.WithEnviron(func(string) (string, bool) { return "s3cret-of-22-letters--", true }))
		if want := fmt.Sprintf("%s\n[cut here: the result has 31 bytes more]", strings.Repeat("x", before)); err != nil || len(got) != 1 || got[0] != want {
			t.Errorf("%d: got %v, %.100q", before, err, got[0][max(0, len(got[0])-100):])
		}
	}
}

// TestToolsThatEndARun holds what is not for a model to know of: limits, budgets and permissions.
func TestToolsThatEndARun(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		src  string
		want engine.ErrorKind
	}{
		"output without end": {"tools: {t: {exec: [yes]}}\nagent: {model: mock, tools: [t], mock: {tool_calls: [{tool: t}]}}", engine.Limit},
		"the steps":          {"limits: {max_steps: 2}\ntools: {t: {flow: ./other.yaml}}\nagent: {model: mock, tools: [t], mock: {tool_calls: [[{tool: t, args: {input: 1}}, {tool: t, args: {input: 2}}]]}}", engine.Limit},
		"the visits":         {"limits: {max_visits_per_node: 1}\ntools: {t: {flow: ./other.yaml}}\nagent: {model: mock, tools: [t], mock: {tool_calls: [{tool: t, args: {input: 1}}, {tool: t, args: {input: 2}}]}}", engine.Limit},
		"another host":       {"tools: {t: {http: '${{ params.u }}', params: {u: string}}}\nagent: {model: mock, tools: [t], mock: {tool_calls: [{tool: t, args: {u: 'http://192.0.2.1/'}}]}}", engine.Permission},
		"the turns":          {"tools: {t: {exec: [\"true\"]}}\nagent: {model: mock, tools: [t], max_turns: 1, mock: {tool_calls: [{tool: t}, {tool: t}]}}", engine.Tool},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			opts := []engine.Option{everything}
			if tt.want == engine.Permission { // the need of the file is granted, that of the call is not
				opts = []engine.Option{engine.WithGrants(engine.Grants{By: map[string]engine.Grant{"net": {Any: true}}})}
				tt.src = strings.Replace(tt.src, "192.0.2.1", "10.0.0.1", 1)
			}
			_, err := engine.Run(t.Context(), graphOf(t, tt.src), nil, opts...)
			var failed *engine.Error
			if !errors.As(err, &failed) || failed.Kind != tt.want {
				t.Errorf("got %v, want one of kind %s", err, tt.want)
			}
		})
	}
}

// TestToolsShareSlots lets agents with many calls, and pipelines within pipelines as tools, share the run's only slot.
func TestToolsShareSlots(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	inner := "tools: {e: {exec: [echo, '${{ params.a }}'], params: {a: string}}}\nagent: {model: mock, tools: [e], mock: {tool_calls: [[{tool: e, args: {a: x}}, {tool: e, args: {a: y}}]], reply: '${{ prompt }}!'}}"
	if err := os.WriteFile(filepath.Join(dir, "inner.yaml"), []byte(inner), 0o644); err != nil {
		t.Fatal(err)
	}
	var calls []string
	for i := range 10 {
		calls = append(calls, fmt.Sprintf("{tool: t, args: {input: 'n%d'}}", i))
	}
	src := "limits: {max_concurrency: %d, max_visits_per_node: 100, max_steps: 1000}\ntools: {t: {flow: ./inner.yaml}}\nfor_each: 1..4\ndo: {agent: {model: mock, tools: [t], mock: {tool_calls: [[" + strings.Join(calls, ", ") + "]], reply: 'r${{ call }}'}}}\n"
	for _, slots := range []int{1, 2, 16} {
		g, diagnostics := nodes.Language().Parse("p.yaml", dir, fmt.Appendf(nil, src, slots))
		if g == nil {
			t.Fatal(diagnostics)
		}
		result, err := engine.Run(t.Context(), g, nil, everything)
		if err != nil || text(result.Output) != `["r1","r1","r1","r1"]` {
			t.Fatalf("%d slots: got %v, %v", slots, result, err)
		}
		if want := 4 + 4*10; result.Steps != want {
			t.Errorf("%d slots: %d steps, want %d", slots, result.Steps, want)
		}
		if got, want := result.Usage.Total().Calls, 4*2+4*10*2; got != want {
			t.Errorf("%d slots: %d calls of models, want %d", slots, got, want)
		}
	}
}

// TestToolsAreNotKept holds that nothing below an agent is kept: its pipelines run anew when it does, with other
// arguments perhaps.
func TestToolsAreNotKept(t *testing.T) {
	t.Parallel()
	j := &journal{Position: &engine.Position{}}
	src := "tools: {t: {flow: ./other.yaml}}\nchain:\n  - name: a\n    agent: {model: mock, tools: [t], mock: {tool_calls: [{tool: t, args: {input: x}}], reply: done}}\n  - set: prev\n"
	if _, err := engine.Run(t.Context(), graphOf(t, src), nil, everything, engine.WithTurns(j)); err != nil {
		t.Fatal(err)
	}
	kept := 0
	for _, line := range j.lines {
		if strings.Contains(string(line), `"/a/other`) {
			t.Errorf("kept: %s", line)
		}
		if strings.Contains(string(line), `"/a"`) {
			kept++
		}
	}
	if kept == 0 {
		t.Error("the agent itself was not kept")
	}
}
