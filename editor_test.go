package main

import (
	"encoding/json"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/flowrun/flowrun/cli"
	"github.com/flowrun/flowrun/nodes"
)

// TestEditorExamples holds that an editor has nothing to say against the examples, which name their schema themselves.
func TestEditorExamples(t *testing.T) {
	s := startServer(t, "", nil)
	files, err := filepath.Glob("examples/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no examples: %v", err)
	}
	for _, file := range files {
		path, err := filepath.Abs(file)
		if err != nil {
			t.Fatal(err)
		}
		s.open(path, read(t, file))
		if got := s.problems(path); got != "" {
			t.Errorf("%s:\n%s", file, got)
		}
	}
}

// TestEditorProblems holds what an editor says of broken files: the line, and a text that tells what would do.
func TestEditorProblems(t *testing.T) {
	const kinds = "agent, chain, parallel, for_each, route, loop, graph, set, flow, exec, http, tool, wait, approve, fail"
	const needsKind = "a node needs exactly one of: " + kinds
	const retryForm = "must be a mapping with max_attempts, delay, backoff, max_delay, jitter, kinds, or false"
	const badName = "use letters, digits and _ (no - or spaces), so that steps.NAME works in expressions"
	tests := map[string]struct{ src, want string }{
		"misspelt kind":            {"chain:\n  - agnet: writer\n  - set: prev", "2: Property agnet is not allowed.\n2: " + needsKind},
		"misspelt kind at the top": {"name: a\nchian:\n  - set: 1", "2: Property chian is not allowed.\n1: " + needsKind},
		"misspelt kind far below":  {"chain:\n  - parallel:\n      - chain:\n          - agnet: x\n      - set: 1", "4: Property agnet is not allowed.\n4: " + needsKind},
		"misspelt key":             {"chain:\n  - agent: {model: mock}\n    promt: Write", "3: Property promt is not allowed."},
		"two kinds":                {"chain:\n  - set: prev\n    wait: 1s", "3: Property wait is not allowed."},
		"no kind":                  {"chain:\n  - name: a\n    timeout: 3s", "2: " + needsKind},
		"no kind in do":            {"for_each: input\ndo:\n  name: x", "2: " + needsKind},
		"a text for a node":        {"chain:\n  - prev", "2: must be a node: a mapping with one of: " + kinds},
		"a list for a pipeline":    {"- set: 1", "1: a pipeline must be a mapping with one of: " + kinds},
		"an empty item":            {"chain:\n  -\n  - set: 1", "2: must be a node: a mapping with one of: " + kinds},
		"key of another kind":      {"chain:\n  - set: prev\n    merge: results", "3: Property merge is not allowed."},
		"retry on a chain":         {"chain:\n  - chain:\n      - set: 1\n    retry: {max_attempts: 3}", "4: Property retry is not allowed."},
		"next outside of a graph":  {"chain:\n  - set: 1\n    next: b", "3: Property next is not allowed."},
		"wrong type":               {"loop:\n  - set: prev\nmax_iterations: many", "3: must be a whole number of at least 1, without quotes"},
		"quoted number":            {"limits: {max_steps: \"30\"}\nset: prev", "1: must be a whole number of at least 1, without quotes"},
		"number out of range":      {"set: prev\nlimits:\n  max_steps: 0", "3: Value is below the minimum of 1."},
		"for_each without do":      {"chain:\n  - for_each: input", "2: for_each needs do: a node"},
		"route without cases":      {"chain:\n  - route: input", "2: route needs cases: a mapping of keys to nodes"},
		"loop without an end":      {"chain:\n  - loop:\n      - set: prev", "2: a loop needs until, while or max_iterations"},
		"loop with two ends":       {"loop:\n  - set: prev\nwhile: input\nuntil: input", "3: a loop has until or while, not both"},
		"unknown key of a header":  {"nam: demo\nagents:\n  a: {model: mock}\nagent: a", "1: Property nam is not allowed."},
		"unknown key of an agent":  {"agents:\n  writer:\n    modle: mock\nagent: writer", "3: Property modle is not allowed."},
		"unknown key of retry":     {"chain:\n  - agent: {model: mock}\n    retry: {attempts: 3}", "3: Property attempts is not allowed."},
		"retry as a number":        {"chain:\n  - agent: {model: mock}\n    retry: 3", "3: " + retryForm},
		"retry as true":            {"chain:\n  - agent: {model: mock}\n    retry: true", "3: " + retryForm},
		"route to a broken node":   {"route: {agnet: x}\ncases: {a: {set: 1}}", "1: Property agnet is not allowed.\n1: " + needsKind},
		"list for a route":         {"route: [a]\ncases: {a: {set: 1}}", "1: must be an expression, or a node"},
		"list for an agent":        {"agents: {w: {model: mock}}\nagent: [w]", "2: must be a name in agents, or a mapping with use, model, system, …"},
		"duration without a unit":  {"chain:\n  - set: prev\n    timeout: 30", "3: must be a duration such as 500ms, 30s or 1h30m"},
		"duration in words":        {"chain:\n  - set: prev\n    timeout: 5 minutes", "3: must be a duration such as 500ms, 30s or 1h30m"},
		"empty chain":              {"name: a\nchain: []", "2: Array has too few items. Expected 1 or more."},
		"mapping for a chain":      {"chain:\n  set: prev", "2: must be a list of nodes"},
		"mapping for parallel":     {"chain:\n  - parallel:\n      a: {set: 1}\n      b: {set: 2}", "3: must be a list of nodes"},
		"list for limits":          {"limits:\n  - max_steps: 3\nset: prev", "2: must be a mapping with max_steps, max_visits_per_node, max_concurrency, timeout, …"},
		"list for cases":           {"route: input\ncases:\n  - set: 1", "3: must be a mapping of keys to nodes"},
		"bad word for on_error":    {"chain:\n  - set: prev\n    on_error: ignore", "3: must be fail or continue"},
		"bad word for reasoning":   {"agent: {model: mock, reasoning: hihg}", "1: must be low, medium or high"},
		"bad word for wait_for":    {"parallel: [{set: 1}]\nwait_for: al", "2: must be all, first or majority, or a whole number of at least 1"},
		"catch beside on_error":    {"chain:\n  - set: prev\n    on_error: continue\n    catch: {set: 1}", "4: a node has on_error or catch, not both"},
		"hyphen in a name":         {"chain:\n  - name: my-step\n    set: prev", "2: " + badName},
		"hyphen in a graph":        {"graph:\n  first-one: {set: 1}\nstart: first", "2: " + badName},
		"a word as a name":         {"chain:\n  - name: in\n    set: 1", "2: a word of the language cannot be a name"},
		"braces without $":         {"chain:\n  - agent: {model: mock}\n    prompt: {{ x }}", "3: must be text that may hold ${{ }}"},
		"${{ }} in an expression":  {"set: prev\nwhen: ${{ input }}", "2: holds an expression already: write it without ${{ }}"},
		"${{ }} in a description":  {"set: prev\ndescription: For ${{ input }}", "2: takes no ${{ }}: it is read before anything runs"},
		"command as a text":        {"exec: ls -l", "1: must be a list: text that may hold ${{ }}"},
		"a tool of no kind":        {"tools:\n  sum: {description: adds}\nset: 1", "2: a tool has one of exec, http, mcp and flow"},
		"a tool of two kinds":      {"tools:\n  sum: {exec: [ls], http: \"https://x.org\"}\nset: 1", "2: a tool has one of exec, http, mcp and flow, not both exec and http"},
		"unknown key of a tool":    {"tools:\n  sum:\n    exce: [ls]\nset: 1", "3: Property exce is not allowed.\n2: a tool has one of exec, http, mcp and flow"},
		"a key of another tool":    {"tools:\n  sum:\n    exec: [ls]\n    headers: {a: b}\nset: 1", "4: headers goes with http"},
		"a tool as a text":         {"tools:\n  sum: ls -l\nset: 1", "2: must be a mapping with description, params, exec, stdin, …"},
		"tools in a list":          {"tools:\n  - exec: [ls]\nset: 1", "2: must be a mapping by name: a mapping with description, params, exec, …"},
		"hyphen in a tool's name":  {"tools: {my-tool: {exec: [ls]}}\nset: 1", "1: " + badName},
		"timeout of a tool":        {"tools: {t: {exec: [ls], timeout: 5}}\ntool: t", "1: must be a duration such as 500ms, 30s or 1h30m"},
		"unknown key of a server":  {"tools:\n  files:\n    mcp: {comand: [ls]}\nset: 1", "3: Property comand is not allowed.\n3: a server has command or url"},
		"a server of nothing":      {"tools:\n  files:\n    mcp: {environment: {A: b}}\nset: 1", "3: a server has command or url\n3: environment goes with command"},
		"a server as a text":       {"tools:\n  files: {mcp: ls}\nset: 1", "2: must be a mapping with command, environment, url, headers"},
		"a flow that is no file":   {"tools:\n  files: {flow: [a]}\nset: 1", "2: must be the path of another pipeline file"},
		"one tool for a list":      {"tools: {t: {exec: [ls]}}\nagent: {model: mock, tools: t}", "2: must be a list: a name in tools"},
		"an agent's tool written":  {"agent:\n  model: mock\n  tools:\n    - {exec: [ls]}", "4: must be a name in tools"},
		"an agent with no tools":   {"agent: {model: mock, tools: []}", "1: Array has too few items. Expected 1 or more."},
		"turns in words":           {"agent: {model: mock, max_turns: many}", "1: must be a whole number of at least 1, without quotes"},
		"a node's tool written":    {"tool: {exec: [ls]}", "1: must be a name in tools"},
		"misspelt args":            {"tools: {t: {exec: [ls]}}\nchain:\n  - tool: t\n    arg: {a: 1}", "4: Property arg is not allowed."},
		"args as a list":           {"tools: {t: {exec: [ls]}}\ntool: t\nargs: [1]", "3: must be a mapping whose texts may hold ${{ }}"},
		"a key twice":              {"set: 1\nset: 2", "2: Map keys must be unique"},
	}
	s := startServer(t, "", generated(t))
	lang := nodes.Language()
	for name, tt := range tests { // all at once, for it waits before it looks at a file
		s.open(fileOf(name), tt.src+"\n")
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			want, more := strings.CutSuffix(tt.want, "…")
			if got := s.problems(fileOf(name)); got != tt.want && !(more && strings.HasPrefix(got, want)) {
				t.Errorf("an editor shows:\n%s\nnot:\n%s", got, tt.want)
			}
			if _, problems := lang.Parse("p.yaml", ".", []byte(tt.src)); problems.Err() == nil {
				t.Error("the program takes it")
			}
		})
	}
}

// TestEditorCompletion holds what is offered where the cursor stands, at the |.
func TestEditorCompletion(t *testing.T) {
	lang := nodes.Language()
	var kinds []string
	for _, k := range lang.Kinds {
		kinds = append(kinds, k.Name)
	}
	settings := []string{"use", "model", "system", "prompt", "temperature", "max_tokens", "output_schema", "mock"}
	retry := []string{"max_attempts", "delay", "backoff", "max_delay", "jitter", "kinds"}
	limits := []string{"max_steps", "max_visits_per_node", "max_concurrency", "timeout"}
	tests := map[string]struct {
		src  string
		want []string // labels, or labels with what is inserted
		not  []string // labels
	}{
		"a node in a list":         {"chain:\n  - |", kinds, []string{"limits"}},
		"a node with a letter":     {"chain:\n  - c|", kinds, []string{"limits"}},
		"the top":                  {"|", append([]string{"name", "agents", "limits"}, kinds...), nil},
		"what a kind is begun as":  {"chain:\n  - |", []string{"agent=agent: ", "chain=chain:\n    - agent: ", "for_each=for_each: $1\n  do:\n    agent: $2", "route=route: $1\n  cases:\n    ${2:name}:\n      agent: $3"}, nil},
		"beside a kind":            {"chain:\n  - agent: {model: mock}\n    |", []string{"prompt", "name", "timeout", "retry", "catch"}, []string{"merge", "set", "limits"}},
		"after agent":              {"chain:\n  - agent: |", append([]string{"model={model: $1}"}, settings...), nil},
		"below agent":              {"chain:\n  - agent:\n      |", settings, []string{"chain", "limits"}},
		"in an agent's settings":   {"agents:\n  w:\n    |\nagent: w", settings[1:], []string{"use", "chain"}},
		"after retry":              {"chain:\n  - agent: {model: mock}\n    retry: |", append([]string{"false=false", "delay={delay: $1}"}, retry...), []string{"true"}},
		"below retry":              {"chain:\n  - agent: {model: mock}\n    retry:\n      |", retry, []string{"model"}},
		"in limits":                {"limits:\n  |\nset: 1", append([]string{"max_steps=max_steps: ${1:100}"}, limits...), []string{"chain", "retry"}},
		"in limits between braces": {"limits: {m|}\nset: 1", limits, []string{"chain"}},
		"after on_error":           {"set: 1\non_error: |", []string{"fail=fail", "continue=continue"}, nil},
		"a node that routes":       {"route:\n  |\ncases: {a: {set: 1}}", []string{"agent", "set"}, []string{"limits"}},
		"a case of a route":        {"route: input\ncases:\n  a:\n    |", kinds, []string{"limits"}},
		"in a tool":                {"tools:\n  t:\n    |\nset: 1", []string{"exec=exec:\n  - ", "http=http: ", "mcp=mcp:\n  ", "flow=flow: ", "description", "params", "timeout"}, []string{"chain", "tool", "retry"}},
		"beside exec of a tool":    {"tools:\n  t:\n    exec: [ls]\n    |\nset: 1", []string{"params", "stdin", "environment", "parse"}, []string{"exec", "chain"}},
		"after parse of a tool":    {"tools:\n  t:\n    exec: [ls]\n    parse: |\nset: 1", []string{"text=text", "json=json", "lines=lines"}, nil},
		"in a server":              {"tools:\n  t:\n    mcp:\n      |\nset: 1", []string{"command=command:\n  - ", "url=url: ", "environment", "headers"}, []string{"exec", "timeout"}},
		"tools in an agent":        {"agents:\n  w:\n    |\nagent: w", []string{"tools=tools:\n  - ${1}", "tool_choice", "max_turns=max_turns: ${1:10}"}, nil},
		"beside tool":              {"chain:\n  - tool: t\n    |", []string{"args=args:\n  ", "name", "timeout", "retry", "cache"}, []string{"params", "exec", "tools"}},
		"a node of a graph":        {"graph:\n  a:\n    set: 1\n    |\nstart: a", []string{"next"}, []string{"limits"}},
	}
	s := startServer(t, "", generated(t))
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			offered := s.complete(fileOf(name), tt.src+"\n")
			for _, want := range tt.want {
				if !slices.Contains(offered, want) {
					t.Errorf("%q is not offered, but %q", want, offered)
				}
			}
			for _, not := range tt.not {
				if slices.Contains(offered, not) {
					t.Errorf("%q is offered", not)
				}
			}
		})
	}
}

// TestEditorHover holds that hovering over a key shows its summary.
func TestEditorHover(t *testing.T) {
	tests := map[string]struct{ src, want string }{
		"of the header":     {"lim|its: {max_steps: 3}\nset: 1", "limits\n\nWhat ends a run that goes too far."},
		"of limits":         {"limits: {max_st|eps: 3}\nset: 1", "max_steps\n\nSteps of the whole run: branches, items and included files count in the one budget."},
		"of every node":     {"chain:\n  - set: 1\n    time|out: 3s", "timeout\n\nBounds one attempt, from the moment it has its slot."},
		"of retry":          {"agent: {model: mock}\nretry: {max_att|empts: 3}", "max_attempts\n\nAttempts in all, the first counted."},
		"of an agent":       {"agent: {mod|el: mock}", "model\n\nProvider/name, or a short name from models."},
		"with a node in it": {"for_each: [1]\nd|o: {set: 1}", "do\n\nThe node that runs for each item."},
		"false":             {"agent: {model: mock}\nret|ry: false", "retry\n\nHow often and when a failed attempt is made again; false: never.\n\nAllowed Values:\n\n* `false`"},
		"a choice of words": {"parallel: [{set: 1}]\nwait|_for: all", "wait_for\n\nHow many successes complete it; the others are cancelled then.\n\nAllowed Values:\n\n* `all`\n* `first`\n* `majority`"},
		"an agent by name":  {"agents: {w: {model: mock}}\nchain:\n  - ag|ent: w", "agent\n\nAsks a model. An agent of the header, or its settings."},
		"tools":             {"too|ls: {t: {exec: [ls]}}\nset: 1", "tools\n\nTools by name, for agents and nodes to call."},
		"exec of a tool":    {"tools: {t: {ex|ec: [ls]}}\nset: 1", "exec\n\nThe command and its arguments."},
		"http of a tool":    {"tools: {t: {ht|tp: x}}\nset: 1", "http\n\nThe address; what ${{ }} puts behind a = of its query is encoded."},
		"mcp of a tool":     {"tools: {t: {m|cp: {url: x}}}\nset: 1", "mcp\n\nA server of the Model Context Protocol, whose tools are called NAME.TOOL."},
		"flow of a tool":    {"tools: {t: {fl|ow: x}}\nset: 1", "flow\n\nA pipeline file; the model gives its input and its params."},
		"params of a tool":  {"tools: {t: {exec: [ls], par|ams: {}}}\nset: 1", "params\n\nIts arguments, typed; the templates of exec and http read them as params.NAME."},
		"timeout of a tool": {"tools: {t: {exec: [ls], time|out: 1s}}\nset: 1", "timeout\n\nOf each call; without it 1m, but for a pipeline, which has limits of its own."},
		"of a server":       {"tools: {t: {mcp: {comm|and: [x]}}}\nset: 1", "command\n\nThe command that is the server, started when a node first needs it, once for the run."},
		"tools of an agent": {"agent: {too|ls: [x]}", "tools\n\nTools of the header that the model may call, or one of a server's: NAME.TOOL."},
		"a choice of tools": {"agent: {tool_|choice: x}", "tool_choice\n\nAuto, none, required, or the one tool to call; without it the provider's own, auto."},
		"turns of an agent": {"agent: {max_|turns: 3}", "max_turns\n\nHow often the model may call tools before it answers; several calls at once are one turn."},
		"args of a tool":    {"tool: t\nar|gs: {}", "args\n\nIts arguments."},
		"with words":        {"set: 1\non_er|ror: fail", "on_error\n\nWith continue a failure leaves nil as the output and the run goes on.\n\nAllowed Values:\n\n* `fail`\n* `continue`"},
	}
	for _, k := range nodes.Language().Kinds {
		summary := strings.ToUpper(k.Summary[:1]) + k.Summary[1:] + "."
		about := k.Fields[0].Summary
		src := strings.Replace("\n"+k.Example, "\n"+k.Name+":", "\n"+k.Name[:1]+"|"+k.Name[1:]+":", 1)
		if !strings.Contains(src, "|") {
			src = strings.Replace(src, "- "+k.Name+":", "- "+k.Name[:1]+"|"+k.Name[1:]+":", 1)
		}
		tests["the kind "+k.Name] = struct{ src, want string }{src, k.Name + "\n\n" + summary + " " + strings.ToUpper(about[:1]) + about[1:] + "."}
	}
	s := startServer(t, "", generated(t))
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got := s.hover(fileOf(name), tt.src+"\n"); got != tt.want {
				t.Errorf("it shows (-want +got):\n%s", cmp.Diff(tt.want, got))
			}
		})
	}
}

// TestEditorSetUp follows docs/editors.md: a file that names its schema, as flowrun init writes it, and the settings
// for files that do not.
func TestEditorSetUp(t *testing.T) {
	page := read(t, "docs/editors.md")
	folder := t.TempDir()
	t.Chdir(folder)
	if code := cli.Main([]string{"flowrun", "init"}, cli.Streams{In: strings.NewReader(""), Out: io.Discard, Err: io.Discard}); code != 0 {
		t.Fatalf("flowrun init ends with %d", code)
	}
	line, pipeline, _ := strings.Cut(read(t, "pipeline.yaml"), "\n")
	var settings struct {
		Schemas map[string]any `json:"yaml.schemas"`
	}
	var broken, shown string
	for _, b := range blocks(page) {
		switch {
		case b.lang == "json":
			if err := json.Unmarshal([]byte(b.text), &settings); err != nil {
				t.Fatal(err)
			}
		case b.is("wrong"):
			_, broken, _ = strings.Cut(b.text, "\n")
		case b.lang == "text":
			shown = strings.TrimSpace(b.text)
		}
	}
	if len(settings.Schemas) == 0 || broken == "" || shown == "" {
		t.Fatal("the page does not show settings and problems")
	}
	tests := map[string]struct {
		first   string
		schemas map[string]any
	}{
		"the line of flowrun init": {line, nil},
		"the comment of JetBrains": {"# $schema: ./flowrun.schema.json", nil},
		"the settings of VS Code":  {"", settings.Schemas},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if !strings.Contains(page, "\n"+tt.first+"\n") {
				t.Errorf("the page does not show %s", tt.first)
			}
			s := startServer(t, folder, tt.schemas)
			good, bad := filepath.Join(folder, "good.flow.yaml"), filepath.Join(folder, "bad.flow.yaml")
			s.open(good, tt.first+"\n"+pipeline)
			s.open(bad, tt.first+"\n"+broken)
			if got := s.problems(good); got != "" {
				t.Errorf("a good file shows:\n%s", got)
			}
			if got := s.problems(bad); got != shown {
				t.Errorf("the page's file shows:\n%s\nnot:\n%s", got, shown)
			}
		})
	}
}
