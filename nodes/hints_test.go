package nodes_test

import (
	"strings"
	"testing"

	"github.com/flowrun/flowrun/nodes"
)

// What is said of a mistake together with its hint, each problem on a line: place: message; hint.
func TestHints(t *testing.T) {
	tests := map[string]struct{ src, want string }{
		// Texts in data that were meant as expressions, and those that were not.
		"error's fields as text":  {"set: 1\ncatch: {set: {msg: error.message, run: run.id}}", "2:20: error.message is text here, not an expression; write ${{ error.message }} for its value, ${{ \"error.message\" }} for the text\n2:40: run.id is text here, not an expression; write ${{ run.id }} for its value, ${{ \"run.id\" }} for the text"},
		"index as text":           {"for_each: [1]\ndo: {set: {i: index}}", "2:15: index is text here, not an expression; write ${{ index }} for its value, ${{ \"index\" }} for the text"},
		"iteration as text":       {"loop: [{set: {i: iteration}}]\nmax_iterations: 1", "1:18: iteration is text here, not an expression; write ${{ iteration }} for its value, ${{ \"iteration\" }} for the text"},
		"a renamed item as text":  {"for_each: [1]\nas: file\ndo: {set: {f: file.name}}", "3:15: file.name is text here, not an expression; write ${{ file.name }} for its value, ${{ \"file.name\" }} for the text"},
		"done as text":            {"for_each: [1]\nin_order: true\ndo: {set: [done]}", "3:12: done is text here, not an expression; write ${{ done }} for its value, ${{ \"done\" }} for the text"},
		"words that are texts":    {"set: {a: index, b: error, c: run.sh, d: done, e: status, f: item, g: error.log}\ncatch: {set: [error, error.log, status, outputs.json]}", ""},
		"files that are texts":    {"for_each: [1]\ndo: {set: [index.html, run.sh, done]}", ""},
		"quoted words":            {"for_each: [1]\ndo: {set: [\"index\", 'prev']}", ""},
		"as a name that is taken": {"for_each: [1]\nas: index\ndo: {set: item}", `2:5: as cannot be "index", a name that expressions know already`},
		"as prev":                 {"for_each: [1]\nas: prev\ndo: {set: 1}", `2:5: as cannot be "prev", a name that expressions know already`},
		"as a name of elsewhere":  {"for_each: [1]\nas: error\ndo: {set: error}", "2:5: as cannot be \"error\", a name that expressions know already\n3:11: unknown name error; error is known inside catch or finally"},
		"as what it is anyway":    {"for_each: [1]\nas: item\ndo: {set: item}", ""},

		// Names out of place.
		"done without in_order":  {"for_each: [1, 2]\ndo: {set: done}", "2:11: unknown name done; done is known with in_order: true"},
		"done with in_order":     {"for_each: [1, 2]\nin_order: true\ndo: {set: len(done)}", ""},
		"item out of place":      {"set: item", "1:6: unknown name item; item is known inside for_each"},
		"index out of place":     {"set: index", "1:6: unknown name index; index is known inside for_each"},
		"iteration out of place": {"set: iteration", "1:6: unknown name iteration; iteration is known inside loop"},
		"status out of place":    {"set: status", "1:6: unknown name status; status is known inside finally"},
		"results out of place":   {"set: results", "1:6: unknown name results; results is known inside merge of parallel or for_each"},
		"items of a parallel":    {"parallel: [{set: 1}]\nmerge: items", "2:8: unknown name items; items is known inside merge of for_each"},
		"item of another name":   {"for_each: [1]\nas: x\ndo: {set: item}", "3:11: unknown name item; item is called x here"},
		"a param, none declared": {"set: params.x", "1:6: params.x is not declared; add it to the top of the file: params: {x: string}"},

		// Expressions that YAML or the parser of expressions cannot read.
		"a condition with an index": {"set: steps[\"x\"][0] == 1 ? \"one\" : \"other\"", `1:1: this is not YAML: mapping values are not allowed in this context; quote an expression that holds ": "`},
		"a condition in braces":     {"chain:\n  - {set: prev ? 1 : 2}", "2:3: this is not YAML: did not find expected ',' or '}'; inside { } and [ ] quote an expression that holds ?"},
		"half an operation":         {"set: not prev and", "1:6: this is no expression: unexpected token EOF"},
		"half a condition":          {"set: true ? 1", "1:6: this is no expression: unexpected token EOF"},
		"half in a comment":         {"set: prev - # hello", "1:6: this is no expression: unexpected token EOF; YAML reads \" #\" as the start of a comment; quote the expression"},
		"a sentence":                {"set: Say it in one line", "1:6: this is no expression: unexpected token Identifier(\"it\"); a text in an expression has quotes of its own: '\"Say it in one line\"'"},
		"a call in a text":          {"set: '\"call foo(x)\" +'", "1:6: this is no expression: unexpected token EOF"},
		"a call that is none":       {"set: '\"call\" + foo(x'", "1:6: there is no function foo"},
		"an alias of nothing":       {"# *nope\nchain:\n  - set: [\"é\", *nope]", "3:16: no anchor &nope stands before *nope"},
		"another version of YAML":   {"%YAML 1.2\n---\nset: 1", "1:1: a %YAML directive can ask for version 1.1 only; leave the line out"},

		// Values and keys.
		"a graph without nodes": {"graph: {}\nstart: a", "1:8: graph has no nodes\n2:8: start leads to \"a\", which is no node of this graph"},
		"a number as name":      {"name: 3\nset: 1", "1:7: name must be a name of letters, digits and _, not 3"},
		"null":                  {"set: null", "1:6: unknown name null; an expression writes nil"},
		"a key at the top":      {"set: 1\nconcurrency: 3", "2:1: unknown key \"concurrency\" for set; to keep a note of your own, begin its key with x-"},
	}
	lang := nodes.Language()
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			graph, diagnostics := lang.Parse("p.yaml", t.TempDir(), []byte(tt.src))
			var got []string
			for _, d := range diagnostics {
				line := strings.TrimPrefix(d.Error(), "p.yaml:")
				if d.Hint != "" {
					line += "; " + d.Hint
				}
				got = append(got, line)
			}
			if lines := strings.Join(got, "\n"); lines != tt.want || (graph == nil) != (tt.want != "") {
				t.Errorf("\n got %s\nwant %s", lines, tt.want)
			}
		})
	}
}
