package nodes_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/flowrun/flowrun/nodes"
	"github.com/flowrun/flowrun/spec"
)

// problems are files with mistakes and what is said of them, without hints. A file is read as p.yaml.
var problems = map[string]struct {
	src  string
	want string
	// loose marks what a JSON Schema cannot know: names, references, expressions, other files.
	loose bool
}{
	"unknown key": {src: "set: prev\nmerg: prev", want: `2:1: unknown key "merg" for set`},
	"limit too low": {src: "limits: {max_steps: 0}\nset: prev",
		want: `1:21: max_steps must be a whole number of at least 1, not "0"`},
	"quoted number":                    {src: "limits: {max_steps: \"4\"}\nset: prev", want: `1:21: max_steps must be a whole number of at least 1, not the text "4"`},
	"no kind":                          {src: "name: x", want: `1:1: a node needs exactly one of: agent, chain, parallel, for_each, route, loop, graph, set, flow, exec, http, tool, wait, approve, fail`},
	"approval with nothing to choose":  {src: "approve: Go\noptions: [reject]", want: `2:10: there is nothing to choose but to reject`, loose: true},
	"approval with an option twice":    {src: "approve: Go\noptions: [a, b, a]", want: `2:10: the option "a" is there already`, loose: true},
	"approval with a blank option":     {src: "approve: Go\noptions: [a, ' ']", want: `2:14: an option is a line of text that shows all that it holds, not " "`, loose: true},
	"approval that is tried again":     {src: "approve: Go\nretry: {max_attempts: 2}", want: `2:8: what people say stands: an approval is not tried again`, loose: true},
	"approval without a time to end":   {src: "approve: Go\non_timeout: reject", want: `2:13: on_timeout needs a timeout: without it people have all the time there is`, loose: true},
	"two kinds":                        {src: "set: prev\nwait: 1s", want: `2:1: a node has one kind: "set" (line 1) and "wait" are both here`},
	"misspelt kind":                    {src: "chain:\n  - agnet: writer", want: "2:5: unknown key \"agnet\", did you mean \"agent\"?\n2:12: agent names \"writer\", which is not in agents"},
	"inside a misspelt kind":           {src: "chian: [{set: prv}]", want: "1:1: unknown key \"chian\", did you mean \"chain\"?\n1:15: unknown name prv, did you mean \"prev\"?"},
	"a misspelt kind that lacks more":  {src: "chain: [{for_eech: [1]}, {set: steps.nobody.output}]", want: "1:10: unknown key \"for_eech\", did you mean \"for_each\"?\n1:32: steps.nobody: no node is named \"nobody\""},
	"what no such kind could take":     {src: "chain: [{chian: 3}]", want: "1:10: unknown key \"chian\", did you mean \"chain\"?"},
	"a name inside a misspelt kind":    {src: "chain: [{chian: [{name: a, set: 1}]}, {set: steps.a.output}]", want: "1:10: unknown key \"chian\", did you mean \"chain\"?"},
	"a misspelt key that is needed":    {src: "for_each: [1]\nod: {set: 1}", want: "2:1: unknown key \"od\" for for_each, did you mean \"do\"?"},
	"a misspelt key of several":        {src: "loop: [{set: 1}]\nmax_iteration: 3", want: "2:1: unknown key \"max_iteration\" for loop, did you mean \"max_iterations\"?"},
	"a misspelt key of a record":       {src: "models: {m: {model: mock, rate_limit: {rmp: 5}}}\nagent: {model: m}", want: "1:40: unknown key \"rmp\" in rate_limit, did you mean \"rpm\"?"},
	"an unknown key of a record":       {src: "models: {m: {model: mock, rate_limit: {requests: 5}}}\nagent: {model: m}", want: "1:39: a rate_limit needs rpm or tpm\n1:40: unknown key \"requests\" in rate_limit"},
	"key of another":                   {src: "chain: [{set: prev}]\nmerge: prev", want: `2:1: unknown key "merge" for chain`},
	"header key inside":                {src: "chain:\n  - set: prev\n    limits: {}", want: `3:5: unknown key "limits" for set`},
	"duplicate key":                    {src: "set: prev\nset: prev", want: `2:1: duplicate key "set", first on line 1`},
	"duplicate name":                   {src: "chain:\n  - {name: a, set: 1}\n  - {name: a, set: 1}", want: `3:12: the name "a" is taken by the node on line 2`, loose: true},
	"empty chain":                      {src: "chain: []", want: `1:8: chain has no nodes`},
	"empty parallel":                   {src: "parallel: []", want: `1:11: parallel has no nodes`},
	"a mapping where a list belongs":   {src: "parallel: {a: {set: 1}}", want: `1:11: parallel must be a list of nodes, not a mapping`},
	"a list where a node belongs":      {src: "chain:\n  - [{set: 1}]", want: `2:5: a node is a mapping with a kind, not a list`},
	"a text where a node belongs":      {src: "chain: [writer]", want: `1:9: a node is a mapping with a kind, not the text "writer"`},
	"name with a hyphen":               {src: "chain: [{name: my-node, set: 1}]", want: `1:16: name must have letters, digits and _ only, and begin with a letter or _, not "my-node"`},
	"name of the language":             {src: "chain: [{name: nil, set: 1}]", want: `1:16: name cannot be "nil", a word of the language`},
	"duration without a unit":          {src: "set: 1\ntimeout: 30", want: `2:10: timeout must be a duration such as 500ms, 30s or 1h30m, not "30"`},
	"negative duration":                {src: "wait: -1s", want: `1:7: wait must be a duration such as 0s, 500ms or 1h30m, not "-1s"`},
	"no duration":                      {src: "set: 1\ntimeout: 0s", want: `2:10: timeout must be a duration such as 500ms, 30s or 1h30m, not "0s"`},
	"octal number":                     {src: "parallel: [{set: 1}]\nmax_concurrency: 012", want: `2:18: the number "012" is not plain decimal`, loose: true},
	"explicit tag":                     {src: "set: prev\nwhen: !prev", want: `2:7: explicit YAML tags such as "!prev" are not allowed`, loose: true},
	"double braces":                    {src: "agent: {model: mock}\nprompt: {{ input }}", want: `2:9: prompt must be text that may hold ${{ }}, not a mapping of a mapping`, loose: true},
	"expression in marks":              {src: "set: prev\nwhen: ${{ prev }}", want: `2:7: when holds an expression already`},
	"unknown agent":                    {src: "agents: {writer: {model: mock}}\nchain: [{agent: writer}, {agent: writr}]", want: `2:34: agent names "writr", which is not in agents, did you mean "writer"?`, loose: true},
	"unknown provider":                 {src: "agent: {model: opneai/gpt}", want: `1:16: unknown provider "opneai" in "opneai/gpt"; a model is written provider/name`, loose: true},
	"unknown model":                    {src: "models: {fast: mock}\nagent: {model: fats}", want: `2:16: a model is written provider/name, not "fats", did you mean "fast"?`, loose: true},
	"agent without a model":            {src: "agent: {system: hi}", want: `1:8: the agent has no model`, loose: true},
	"unknown edge":                     {src: "graph:\n  a: {set: 1, next: bb}\n  b: {set: 1}\nstart: a", want: "2:21: next leads to \"bb\", which is no node of this graph", loose: true},
	"unknown start":                    {src: "graph: {a: {set: 1}}\nstart: b", want: `2:8: start leads to "b", which is no node of this graph`, loose: true},
	"graph without a start":            {src: "graph: {a: {set: 1}}", want: `1:1: graph needs start: the name of a node of the graph`},
	"edges of both sorts":              {src: "graph:\n  a: {set: 1, next: [b, {to: c}]}\n  b: {set: 1}\n  c: {set: 1}\nstart: a", want: `2:3: a: next mixes names and {when, to}`, loose: true},
	"an edge that is never taken":      {src: "graph:\n  a: {set: 1, next: [{to: b}, {to: c}]}\n  b: {set: 1}\n  c: {set: 1}\nstart: a", want: `2:3: a: next goes on behind an edge that is always taken`, loose: true},
	"loop without an end":              {src: "loop: [{set: 1}]", want: `1:1: a loop needs until, while or max_iterations`},
	"the same below a header":          {src: "name: x\nloop: [{set: 1}]", want: `2:1: a loop needs until, while or max_iterations`},
	"until and while":                  {src: "loop: [{set: 1}]\nuntil: true\nwhile: true", want: `3:8: a loop has until or while, not both`},
	"on_error and catch":               {src: "set: 1\non_error: continue\ncatch: {set: 1}", want: `3:8: a node has on_error or catch, not both`},
	"retry on a container":             {src: "chain: [{set: 1}]\nretry: false", want: `2:1: unknown key "retry" for chain`},
	"retry of everything":              {src: "set: 1\nretry: true", want: `2:8: retry must be a mapping with max_attempts, delay, backoff, max_delay, jitter, kinds, or false, not true`},
	"max_failures alone":               {src: "parallel: [{set: 1}]\nmax_failures: 1", want: `2:15: max_failures needs on_error: continue: without it the first failure fails the whole`, loose: true},
	"wait_for and continue":            {src: "parallel: [{set: 1}]\nwait_for: first\non_error: continue", want: `2:11: wait_for and on_error: continue do not go together: a failure counts already, and is not fatal until enough successes are impossible`, loose: true},
	"wait_for too many":                {src: "parallel: [{set: 1}]\nwait_for: 2", want: `2:11: wait_for: 2 can never be reached with 1 branches`, loose: true},
	"wait_for what":                    {src: "parallel: [{set: 1}]\nwait_for: some", want: `2:11: wait_for must be all, first or majority, not "some"`},
	"outputs with a nameless branch":   {src: "parallel: [{name: a, set: 1}, {set: 2}]\nmerge: outputs", want: `2:8: outputs as a whole needs a name for every branch; the one on line 1 has none`, loose: true},
	"bare expression in data":          {src: "chain: [{name: a, set: 1}, {set: {x: steps.a.output}}]", want: `1:38: steps.a.output is text here, not an expression`, loose: true},
	"unknown variable":                 {src: "set: env.HOME", want: `1:6: env.HOME is not declared`, loose: true},
	"unknown parameter":                {src: "params: {times: {default: 1}}\nset: params.tiems", want: `2:6: unknown field "tiems", did you mean "times"?`, loose: true},
	"secret in a prompt":               {src: "secrets: [KEY]\nagent: {model: mock}\nprompt: ${{ secrets.KEY }}", want: `3:13: secrets may be read in environment and headers only`, loose: true},
	"clock":                            {src: "set: now()", want: `1:6: there is no function now`, loose: true},
	"a field that a schema lacks":      {src: "input: {score: integer}\nset: input.scroe", want: `2:6: unknown field "scroe", did you mean "score"?`, loose: true},
	"a condition that gives no bool":   {src: "set: 1\nwhen: 1 + 1", want: `2:7: when must give boolean, not integer`, loose: true},
	"a list that is none":              {src: "input: integer\nfor_each: input\ndo: {set: item}", want: `2:11: for_each must give list, not integer`, loose: true},
	"a default of another type":        {src: "params: {n: {type: integer, default: x}}\nset: 1", want: `1:10: the default of n does not fit its own type: default must be integer, not string`, loose: true},
	"a keyword that JSON Schema lacks": {src: "input: {type: object, propertes: {}}\nset: 1", want: `1:23: "propertes" is no keyword of JSON Schema, did you mean "properties"?`, loose: true},
	"a type that does not exist":       {src: "input: {score: int}\nset: 1", want: `1:16: a schema cannot be the text "int"`, loose: true},
	"params in the wrong place":        {src: "flow: x.yaml\nwith: [1]", want: "1:7: including \"x.yaml\": no such file or directory\n2:7: with must be a mapping whose texts may hold ${{ }}, not a list", loose: true},
	"empty command":                    {src: "exec: []", want: `1:7: exec must have at least 1 entries`},
	"method":                           {src: "http: https://a.b/\nmethod: GTE", want: `2:9: method must be GET, HEAD, POST, PUT, PATCH or DELETE, not "GTE", did you mean "GET"?`},
	"version":                          {src: "flowrun: 2\nset: 1", want: `1:10: flowrun must be 1, the version that this flowrun reads, not "2"`},
	"base_url with a password":         {src: "agent: {model: openai/x, base_url: 'https://me:pw@a.b/v1'}", want: `1:36: base_url must have no user and no password in it`, loose: true},
	"base_url with a query":            {src: "agent: {model: openai/x, base_url: 'https://a.b/v1?key=x'}", want: `1:36: base_url must end before the ? or # in it`, loose: true},
	"base_url without a host":          {src: "models: {m: {model: openai/x, base_url: 'https://:443/v1'}}\nagent: {model: m}", want: `1:41: base_url lacks a host`, loose: true},
	"base_url of another scheme":       {src: "agent: {model: openai/x, base_url: 'a.b:8000/v1'}", want: `1:36: base_url must begin with http:// or https://, not "a.b"`, loose: true},
	"base_url with an odd host":        {src: "agent: {model: openai/x, base_url: 'http://0x7f.1/v1'}", want: `1:36: the host of base_url is a number that programs read in different ways`, loose: true},
}

func TestProblems(t *testing.T) {
	lang := nodes.Language()
	for name, tt := range problems {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			graph, diagnostics := lang.Parse("p.yaml", t.TempDir(), []byte(tt.src))
			got := strings.ReplaceAll(diagnostics.Error(), "p.yaml:", "")
			if graph != nil || got != tt.want {
				t.Errorf("\n got %s\nwant %s", got, tt.want)
			}
		})
	}
}

// Where a name may be read, and where it needs ?. because its node may not have run.
func TestSteps(t *testing.T) {
	tests := map[string]struct{ src, want string }{
		"before in a chain":       {"chain: [{name: a, set: 1}, {set: steps.a.output}]", ""},
		"later in a chain":        {"chain: [{set: 'steps.a?.output'}, {name: a, set: 1}]", "steps.a cannot be read here: it runs only later"},
		"itself":                  {"chain: [{name: a, set: 'steps.a?.output'}]", "it has not ended"},
		"a container around":      {"name: p\nchain: [{name: c, chain: [{set: 'steps.c?.output'}]}]", "it has not ended"},
		"behind when":             {"chain: [{name: a, when: input, set: 1}, {set: steps.a.output}]", "steps.a may not have run when this is read"},
		"behind when, guarded":    {"chain: [{name: a, when: input, set: 1}, {set: 'steps.a?.output'}]", ""},
		"inside of when":          {"chain: [{when: input, chain: [{name: a, set: 1}]}, {set: steps.a.output}]", "may not have run"},
		"compared with nil":       {"chain: [{name: a, when: input, set: 1}, {set: steps.a == nil}]", ""},
		"left of ??":              {"chain: [{name: a, when: input, set: 1}, {set: 'steps.a ?? 1'}]", ""},
		"right of ??":             {"chain: [{name: a, when: input, set: 1}, {set: 'input ?? steps.a'}]", "may not have run"},
		"nil compared with":       {"chain: [{name: a, when: input, set: 1}, {set: 'nil != steps.a'}]", ""},
		"a let, guarded too late": {"chain: [{name: a, when: input, set: 1}, {set: 'let s = steps.a; s.output'}]", "may not have run"},
		"as an argument":          {"chain: [{name: a, when: input, set: 1}, {set: json(steps.a)}]", "may not have run"},
		"by a name worked out":    {"chain: [{name: a, when: input, set: 1}, {set: 'steps.a[input]'}]", "may not have run"},
		"the same behind ?.":      {"chain: [{name: a, when: input, set: 1}, {set: 'steps.a?.[input]'}]", ""},
		"a case of a route":       {"chain: [{route: input, cases: {x: {name: a, set: 1}}}, {set: steps.a.output}]", "may not have run"},
		"another case":            {"route: input\ncases: {x: {name: a, set: 1}, y: {set: 'steps.a?.output'}}", "it is another case"},
		"the classifier":          {"route: {name: a, set: input}\ncases: {x: {set: steps.a.output}}", ""},
		"a sibling branch":        {"parallel: [{name: a, set: 1}, {set: 'steps.a?.output'}]", "it runs at the same time, in another branch"},
		"deep in a sibling":       {"parallel: [{chain: [{name: a, set: 1}]}, {chain: [{set: 'steps.a?.output'}]}]", "it runs at the same time"},
		"a sibling within a loop": {"loop: [{parallel: [{name: a, set: 1}, {set: 'steps.a?.output'}]}]\nmax_iterations: 2", "it runs at the same time"},
		"branches in merge":       {"parallel: [{name: a, set: 1}, {set: 2}]\nmerge: steps.a.output", ""},
		"after a parallel":        {"chain: [{parallel: [{name: a, set: 1}]}, {set: steps.a.output}]", ""},
		"after a race":            {"chain: [{wait_for: first, parallel: [{name: a, set: 1}]}, {set: steps.a.output}]", "may not have run"},
		"a forgiven branch":       {"chain: [{on_error: continue, parallel: [{name: a, set: 1}]}, {set: steps.a.error}]", ""},
		"in a forgiven branch":    {"chain: [{on_error: continue, parallel: [{chain: [{name: a, set: 1}]}]}, {set: steps.a.output}]", "may not have run"},
		"a caught node":           {"chain: [{name: a, set: 1, catch: {set: 2}}, {set: steps.a.error}]", ""},
		"in a caught chain":       {"chain: [{chain: [{name: a, set: 1}], catch: {set: 2}}, {set: steps.a.output}]", "may not have run"},
		"the body in its catch":   {"chain: [{name: a, set: 1}]\ncatch: {set: 'steps.a?.output'}", ""},
		"the catch afterwards":    {"chain: [{set: 1, catch: {name: a, set: 2}}, {set: steps.a.output}]", "may not have run"},
		"the same item":           {"for_each: [1]\ndo: {chain: [{name: a, set: item}, {set: steps.a.output}]}", ""},
		"an item from outside":    {"chain: [{for_each: [1], do: {name: a, set: item}}, {set: 'steps.a?.output'}]", "inside /chain[0]/a a name means the node of the same item"},
		"an item in merge":        {"for_each: [1]\ndo: {name: a, set: item}\nmerge: steps.a.output", "a name means the node of the same item"},
		"later in a loop":         {"loop: [{set: 'steps.a?.output'}, {name: a, set: 1}]\nmax_iterations: 2", ""},
		"later, not guarded":      {"loop: [{set: steps.a.output}, {name: a, set: 1}]\nmax_iterations: 2", "may not have run"},
		"until":                   {"loop: [{name: a, set: 1}]\nuntil: steps.a.output > 0", ""},
		"while":                   {"loop: [{name: a, set: 1}]\nwhile: steps.a.output > 0", "may not have run"},
		"after a loop":            {"chain: [{loop: [{name: a, set: 1}], max_iterations: 1}, {set: steps.a.output}]", ""},
		"before in a while":       {"loop: [{name: a, set: 1}, {set: steps.a.output}]\nwhile: iteration < 3", ""},
		"after a while":           {"chain: [{loop: [{name: a, set: 1}], while: input}, {set: steps.a.output}]", "may not have run"},
		"on every way":            {"graph: {a: {set: 1, next: [b, c]}, b: {set: steps.a.output, next: d}, c: {set: 2, next: d}, d: {set: steps.a.output}}\nstart: a", ""},
		"not on every way":        {"graph: {a: {set: 1, next: [b, c]}, b: {set: 1, next: d}, c: {set: 2, next: d}, d: {set: steps.b.output}}\nstart: a", "may not have run"},
		"on another way":          {"graph: {a: {set: 1, next: [b, c]}, b: {set: 'steps.c?.output'}, c: {set: 2}}\nstart: a", "no way leads from it to here"},
		"next reads its node":     {"graph: {a: {set: 1, next: [{when: steps.a.output > 0, to: b}, {to: c}]}, b: {set: 1}, c: {set: 2}}\nstart: a", ""},
		"a node with when":        {"graph: {a: {when: input, set: 1, next: b}, b: {set: steps.a.output}}\nstart: a", "may not have run"},
		"in a node with when":     {"graph: {a: {when: input, chain: [{name: x, set: 1}], next: b}, b: {set: steps.x.output}}\nstart: a", "may not have run"},
		"in a forgiven node":      {"graph: {a: {on_error: continue, chain: [{name: x, set: 1}], next: b}, b: {set: steps.x.output}}\nstart: a", "may not have run"},
		"after a graph":           {"chain: [{graph: {a: {set: 1, next: [b, c]}, b: {set: 1}, c: {set: 1}}, start: a}, {set: steps.c.output}]", ""},
		"a way of a graph":        {"chain: [{graph: {a: {set: 1, next: [{when: input, to: b}, {to: c}]}, b: {set: 1}, c: {set: 1}}, start: a}, {set: steps.c.output}]", "may not have run"},
		"output":                  {"chain: [{name: a, set: 1}]\noutput: steps.a.output", ""},
		"output of a skipped":     {"chain: [{name: a, when: input, set: 1}]\noutput: steps.a.output", "may not have run"},
		"finally":                 {"chain: [{name: a, set: 1}]\nfinally: {set: steps.a.output}", "may not have run"},
		"finally, guarded":        {"chain: [{name: a, set: 1}]\nfinally: {set: 'steps.a?.output'}", ""},
		"an agent of the header":  {"agents: {w: {model: mock, prompt: '${{ steps.a?.output }}'}}\nchain: [{name: a, set: 1}, {agent: w}]", "the header's own expressions are read without the nodes"},
		"an inline agent":         {"chain: [{name: a, set: 1}, {agent: {model: mock, system: '${{ steps.a.output }}'}}]", ""},
		"steps as a whole":        {"chain: [{name: a, set: 1}, {set: json(steps)}]", "steps needs the name of a node"},
		"a name nobody has":       {"chain: [{name: plan, set: 1}, {set: steps.plam.output}]", `no node is named "plam", did you mean "plan"?`},
		"a field that is none":    {"chain: [{name: a, set: 1}, {set: steps.a.ouptut}]", `unknown field "ouptut", did you mean "output"?`},
		"the name itself":         {"chain: [{name: zebra, set: 1}, {set: zebra}]", "unknown name zebra"},
	}
	lang := nodes.Language()
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, diagnostics := lang.Parse("p.yaml", t.TempDir(), []byte(tt.src))
			switch got := fmt.Sprint(diagnostics.Err()); {
			case tt.want == "" && diagnostics.Err() != nil, !strings.Contains(got, tt.want):
				t.Errorf("got %s, want %q", got, tt.want)
			}
		})
	}
}

// What is known of values before anything runs.
func TestTypesOfNodes(t *testing.T) {
	review := "agents: {r: {model: mock, output_schema: {score: integer, notes: string}}}\n"
	tests := map[string]struct{ src, want string }{
		"an agent's text":          {"agent: {model: mock}", "string"},
		"an agent's value":         {review + "agent: r", "object with notes, score"},
		"through a chain":          {review + "chain: [{set: 1}, {agent: r}]", "object with notes, score"},
		"a list of branches":       {review + "parallel: [{agent: r}, {agent: r}]", "list of object with notes, score"},
		"different branches":       {review + "parallel: [{agent: r}, {set: 1}]", "list"},
		"a skipped branch":         {review + "parallel: [{agent: r, when: input}]", "list"},
		"a merge":                  {review + "parallel: [{agent: r}, {agent: r}]\nmerge: 'min(map(results, .score))'", "any"},
		"for_each":                 {review + "for_each: [1]\ndo: {agent: r}", "list of object with notes, score"},
		"a forgiven failure":       {review + "agent: r\non_error: continue", "any"},
		"a catch of another type":  {review + "agent: r\ncatch: {set: 1}", "any"},
		"a catch of the same type": {review + "agent: r\ncatch: {agent: r}", "object with notes, score"},
		"cases that agree":         {review + "route: input\ncases: {a: {agent: r}, b: {agent: r}}", "object with notes, score"},
		"a loop":                   {review + "loop: [{agent: r}]\nuntil: prev.score > 8", "object with notes, score"},
		"a while":                  {review + "loop: [{agent: r}]\nwhile: input", "any"},
		"lines of a command":       {"exec: [ls]\nparse: lines", "list of string"},
		"what passes through":      {"input: integer\nchain: [{wait: 1s}, {set: prev + 1}]", "integer"},
		"the output":               {review + "agent: r\noutput: prev.score", "integer"},
	}
	lang := nodes.Language()
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			graph, diagnostics := lang.Parse("p.yaml", t.TempDir(), []byte(tt.src))
			if graph == nil {
				t.Fatal(diagnostics)
			}
			if got := graph.Pipeline().Type.String(); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}

// The loader and the schema for editors judge files alike, but for what a schema cannot know.
func TestSchemaAgrees(t *testing.T) {
	lang := nodes.Language()
	compiler := jsonschema.NewCompiler()
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(lang.Spec.Schema()))
	if err != nil {
		t.Fatal(err)
	}
	if err := compiler.AddResource("schema.json", doc); err != nil {
		t.Fatal(err)
	}
	schema, err := compiler.Compile("schema.json")
	if err != nil {
		t.Fatal(err)
	}
	judge := func(src string) error {
		value, err := spec.ParseValue(src)
		if err != nil {
			return err
		}
		return schema.Validate(value)
	}
	for name, tt := range problems {
		if err := judge(tt.src); (err == nil) != tt.loose && !(tt.loose && err != nil) {
			t.Errorf("%s: the loader refuses it, the schema says %v\n%s", name, err, tt.src)
		}
	}
	good := map[string]string{}
	for _, k := range lang.Kinds {
		good["the example of "+k.Name] = k.Example
	}
	for _, dir := range []string{"../examples", "../../shared/conformance"} {
		for name, src := range goodFiles(t, dir) {
			good[name] = src
		}
	}
	if len(good) < 20 {
		t.Errorf("only %d good files were found", len(good))
	}
	for name, src := range good {
		if err := judge(src); err != nil {
			t.Errorf("%s: the loader takes it, the schema says %v", name, err)
		}
	}
}

// goodFiles are the pipelines of a folder, also those within scripts, that the loader takes.
func goodFiles(t *testing.T, dir string) map[string]string {
	t.Helper()
	files := map[string]string{}
	add := func(name string, src []byte) {
		if g, _ := nodes.Language().Parse(name, t.TempDir(), src); g != nil {
			files[name] = string(src)
		}
	}
	paths, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range paths {
		src, err := os.ReadFile(path)
		switch filepath.Ext(path) {
		case ".yaml":
			if err != nil {
				t.Fatal(err)
			}
			add(path, src)
		case ".txtar":
			for _, f := range txtar.Parse(src).Files {
				if filepath.Ext(f.Name) == ".yaml" {
					add(path+"/"+f.Name, f.Data)
				}
			}
		}
	}
	return files
}
