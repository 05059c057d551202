package nodes_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/flowrun/flowrun/engine"
	"github.com/flowrun/flowrun/nodes"
	"github.com/flowrun/flowrun/spec"
)

// Mocks answer in place of models, commands and addresses, wherever in the file and in those that it includes.
func TestMocks(t *testing.T) {
	const server = "tools: {s: {mcp: {command: [no-such-server]}}}\n"
	tests := map[string]struct{ src, mocks, want string }{
		"an agent of the header": {"agents: {a: {model: openai/gpt-x}}\nagent: a", "a: yes", `"yes"`},
		"by the name of its node first": {"agents: {a: {model: openai/gpt-x}}\nchain: [{name: n, agent: a}, {agent: a, prompt: 'x${{ prev }}'}]",
			"{a: '${{ prompt }}', n: mine}", `"xmine"`},
		"an agent in an included file": {"flow: other.yaml", "inner: '${{ input }} there'", `"in there"`},
		"one reply for each call":      {"loop: [{name: n, agent: {model: openai/gpt-x}}]\nmax_iterations: 3", "n: [a, b]", `"b"`},
		"its address needs no grant":   {"name: p\nagent: {model: openai/gpt-x, base_url: 'http://example.com'}", "p: yes", `"yes"`},
		"a file's own mock":            {"agent: {model: mock, mock: {reply: own}}", "{}", `"own"`},
		"another for a file's own":     {"name: p\nagent: {model: mock, mock: {reply: own}}", "p: other", `"other"`},
		"a value":                      {"name: p\nagent: {model: openai/gpt-x, output_schema: {n: integer}}", `p: '{"n": 1}'`, `{"n":1}`},
		"one that fails at first":      {"name: p\nagent: {model: openai/gpt-x}\nretry: {max_attempts: 2, delay: 0s}", "p: {fail: 1, reply: ok}", `"ok"`},
		"one that fails always":        {"name: p\nagent: {model: openai/gpt-x}\ncatch: {set: 'error.kind + error.message'}", "p: {error: auth, message: no key}", `"authno key"`},
		"a command":                    {"name: p\nexec: [rm, '${{ input }}']\nparse: lines", `p: "${{ prompt }}\nb"`, `["rm in","b"]`},
		"a command that fails":         {"name: p\nexec: [rm]\ncatch: {set: 'error.kind + error.message'}", `p: {message: no such file}`, `"execno such file"`},
		"an address":                   {"name: p\nhttp: 'https://example.com/${{ input }}'\nbody: {a: 1}\nparse: json", `p: '["${{ prompt }}"]'`, `["POST https://example.com/in"]`},
		"an address that is slow":      {"name: p\nhttp: 'https://example.com/'\ncatch: {set: error.kind}", `p: {error: timeout}`, `"timeout"`},
		"a command that is a tool": {"tools: {t: {exec: [rm, '${{ params.a }}'], params: {a: string}}}\nname: p\nagent: {model: mock, tools: [t]}",
			`p: {tool_calls: [{tool: t, args: {a: x}}], reply: r}` + "\n  t: '${{ prompt }}'", `"r"`},
		"an address that is a tool": {"tools: {t: {http: 'https://example.com/'}}\ntool: t", "t: '${{ prompt }}'", `"GET https://example.com/"`},
		"a server's tool":           {server + "tool: s.read\nargs: {path: a}", "s.read: '${{ prompt }}'", `"{\"path\":\"a\"}"`},
		"data of a server's tool":   {server + "chain: [{tool: s.size, args: {path: a}}, {set: prev.bytes + 1}]", "s.size: '${{ {bytes: 41} }}'", `42`},
		"a whole server":            {server + "chain: [{tool: s.a}, {tool: s.b, args: {prev: '${{ prev }}'}}]", "{s: '${{ prompt }}', s.a: first}", `"{\"prev\":\"first\"}"`},
		"a server that fails":       {server + "tool: s.read\ncatch: {set: 'error.kind + error.message'}", "s: {message: disk full}", `"tooldisk full"`},
		"a server for an agent": {server + "name: p\nchain: [{name: n, agent: {model: mock, tools: [s]}}]",
			`n: {tool_calls: [[{tool: s.read, args: {path: a}}, {tool: s.list}]], reply: '${{ prompt }}'}` + "\n  s.list: [a]\n  s: text", `"in"`},
		"no mock for a server's tool": {server + "name: p\nagent: {model: mock, tools: [s]}\ncatch: {set: 1}", "p: {tool_calls: [{tool: s.write}]}\n  s.read: x",
			"p.yaml:3:1: p: a mock is missing: the server s is not started, and there is none for s.write"},
		"no mock for a server":  {server + "name: p\ntool: s.read", "{}", "the pipeline needs what was not allowed:\n  --allow-mcp=s  (p.yaml:1:18)\n      no-such-server"},
		"no mock":               {"agents: {a: {model: openai/gpt-x}}\nagent: a\ncatch: {set: 1}", "{}", "p.yaml:2:1: p: a mock is missing: no model is asked, and there is none for a"},
		"no name for one":       {"chain: [{agent: {model: openai/gpt-x}, on_error: continue}]", "{}", "p.yaml:1:9: /chain[0]: a mock is missing: no model is asked, and the agent has no name by which it could have one"},
		"no mock for a command": {"name: p\nexec: [rm]", "{}", "the pipeline needs what was not allowed:\n  --allow-exec=rm  (p.yaml:2:7)\n      rm"},
		"a reply that fails":    {"name: p\nagent: {model: openai/gpt-x}", "p: '${{ input.x }}'", "m.mocks.yaml:3:11: p: found a text where an object is needed"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			for file, src := range map[string]string{
				"p.yaml": tt.src, "other.yaml": "name: inner\nagent: {model: openai/gpt-x}", "m.mocks.yaml": "of: p.yaml\nmocks: " + tt.mocks,
			} {
				if file == "m.mocks.yaml" && tt.mocks[0] != '{' {
					src = "of: p.yaml\nmocks:\n  " + tt.mocks
				}
				if err := os.WriteFile(filepath.Join(dir, file), []byte(src), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			o, _, problems := spec.LoadSheet(filepath.Join(dir, "m.mocks.yaml"), spec.Sheet{Of: "of", Fields: []spec.Field{
				{Name: "of", Form: spec.Text{}}, {Name: "mocks", Form: spec.Map{Of: nodes.MockForm()}, Locals: nodes.MockLocals()},
			}}, nodes.Language().Spec)
			if o == nil {
				t.Fatal(problems)
			}
			mocks := nodes.Mocks{By: map[string]*nodes.Mock{}}
			for _, e := range o.Entries("mocks") {
				mocks.By[e.Name] = nodes.MockIn(e.Value)
			}
			g, problems := nodes.Language(nodes.WithMocks(mocks)).Parse("p.yaml", dir, []byte(tt.src))
			if g == nil {
				t.Fatal(problems)
			}
			result, err := engine.Run(t.Context(), g, "in")
			got := ""
			if err != nil {
				got = strings.ReplaceAll(err.Error(), dir+string(filepath.Separator), "")
			} else {
				got = spec.AsJSON(result.Output)
			}
			if got != tt.want {
				t.Errorf("\n got %s\nwant %s", got, tt.want)
			}
			if missing := errors.Is(err, nodes.ErrUnmocked); missing != strings.Contains(tt.want, "a mock is missing") {
				t.Errorf("the error is that of a missing mock: %t", missing)
			}
		})
	}
}
