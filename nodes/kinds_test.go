package nodes_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/flowrun/flowrun/agents"
	"github.com/flowrun/flowrun/engine"
	"github.com/flowrun/flowrun/nodes"
	"github.com/flowrun/flowrun/spec"
)

// TestKinds walks all kinds: each says what it is and shows a pipeline that runs, or validates where it needs grants.
func TestKinds(t *testing.T) {
	for _, k := range nodes.Language().Kinds {
		t.Run(k.Name, func(t *testing.T) {
			t.Parallel()
			described(t, k.Name, k.Summary, k.Fields)
			if k.Example == "" {
				t.Fatal("the kind has no example")
			}
			dir := t.TempDir()
			included := "params: {times: {type: integer, default: 1}}\nset: repeat(\"hey \", params.times)\n"
			if err := os.WriteFile(filepath.Join(dir, "shout.yaml"), []byte(included), 0o644); err != nil {
				t.Fatal(err)
			}
			graph, diagnostics := nodes.Language().Parse("example.yaml", dir, []byte(k.Example))
			if len(diagnostics) > 0 {
				t.Fatal(diagnostics)
			}
			if !uses(graph.Pipeline(), k.Name) {
				t.Error("its example does not use it")
			}
			if k.Grants != "" {
				return
			}
			if result, err := engine.Run(t.Context(), graph, nil, engine.WithApprovals(&desk{ask: atOnce(engine.Approve)})); err != nil {
				t.Errorf("its example fails: %v", err)
			} else if result.Output == nil {
				t.Error("its example gives nothing")
			}
		})
	}
}

// TestHeaderAndModifiers walks what is not a kind.
func TestHeaderAndModifiers(t *testing.T) {
	described(t, "header", "-", nodes.Language().Spec.Header)
	described(t, "modifiers", "-", engine.Modifiers())
}

func described(t *testing.T, what, summary string, fields []spec.Field) {
	t.Helper()
	if summary == "" || strings.HasSuffix(summary, ".") {
		t.Errorf("%s: its summary %q is no sentence without a full stop", what, summary)
	}
	for _, f := range fields {
		if f.Summary == "" || strings.HasSuffix(f.Summary, ".") {
			t.Errorf("%s.%s: its summary %q is missing or has a full stop", what, f.Name, f.Summary)
		}
		for _, l := range f.Locals {
			if l.Summary == "" {
				t.Errorf("%s.%s: the name %s has no summary", what, f.Name, l.Name)
			}
		}
		for _, nested := range spec.Nested(f.Form) {
			described(t, what+"."+f.Name, "-", []spec.Field{nested})
		}
	}
}

func uses(p *spec.Pipeline, kind string) bool {
	for _, n := range p.Nodes() {
		if n.Kind.Name == kind {
			return true
		}
	}
	return false
}

// TestNewKind adds a kind as CONTRIBUTING shows it: one value, one line.
func TestNewKind(t *testing.T) {
	shout := engine.Kind{
		Shape: spec.Shape{
			Name: "shout", Summary: "says it loudly", Leaf: true,
			Fields: []spec.Field{{Name: "shout", Form: spec.Template{}, Summary: "what to say"}},
			Output: func(*spec.Node) spec.Type { return spec.String },
		},
		Build: func(n *spec.Node) engine.Body {
			said := n.Expr("shout")
			return engine.Body{Decide: func(v *engine.Visit) (any, error) {
				text, err := v.Eval(said, v.Prev())
				if err != nil {
					return nil, err
				}
				return strings.ToUpper(spec.AsText(text)) + "!", nil
			}}
		},
	}
	lang := nodes.Language(nodes.WithKind(shout))
	graph, diagnostics := lang.Parse("p.yaml", ".", []byte("chain: [{shout: '${{ input }} there'}, {set: prev + string(len(prev))}]"))
	if graph == nil {
		t.Fatal(diagnostics)
	}
	result, err := engine.Run(t.Context(), graph, "hey")
	if err != nil || result.Output != "HEY THERE!10" {
		t.Errorf("got %v and %v", result.Output, err)
	}
	_, diagnostics = lang.Parse("p.yaml", ".", []byte("shuot: hey"))
	if want := `p.yaml:1:1: unknown key "shuot", did you mean "shout"?`; diagnostics.Error() != want {
		t.Errorf("\n got %s\nwant %s", diagnostics, want)
	}
	if text, ok := lang.Spec.Explain("shout"); !ok || !strings.Contains(text, "what to say") || !strings.Contains(string(lang.Spec.Schema()), "what to say") && !strings.Contains(string(lang.Spec.Schema()), "What to say") {
		t.Error("the kind is not explained, or not in the schema")
	}
}

// A file takes what it receives as it would take its input alone.
func TestInputOfFlow(t *testing.T) {
	files := map[string]string{
		"default.yaml":  "input: {type: string, default: hello}\nchain: [{set: prev}, {set: prev + input}]",
		"nil.yaml":      "input: {type: [string, 'null'], default: hello}\nset: prev",
		"required.yaml": "input: {type: string}\nset: prev",
		"any.yaml":      "set: prev",
	}
	for src, want := range map[string]string{
		"flow: default.yaml":                            `"hellohello"`,
		"chain: [{set: 1}, {flow: default.yaml}]":       "schema p.yaml:1:19: /chain[1]: what default.yaml receives does not fit its input: input must be string, not number",
		"chain: [{set: '\"x\"'}, {flow: default.yaml}]": `"xx"`,
		"flow: nil.yaml":                                `"hello"`,
		"flow: required.yaml":                           "schema p.yaml:1:1: p: what required.yaml receives does not fit its input: input must be string, not null",
		"flow: any.yaml":                                "null",
	} {
		differs(t, src, want, try(t, filesOf(t, src, files), nil).said())
	}
}

// TestExec runs commands as pipelines do.
func TestExec(t *testing.T) {
	t.Setenv("FLOWRUN_TEST_SECRET", "do-not-inherit")
	tests := map[string]struct{ src, want, err string }{
		"arguments are no shell text": {`exec: [printf, "%s|%s", "$HOME; echo x", "a b"]`, `"$HOME; echo x|a b"`, ""},
		"standard input":              {`exec: [cat]` + "\nstdin: '${{ {a: 1} }}'", `"{\"a\":1}"`, ""},
		"lines":                       {`exec: [printf, "a\nb\n"]` + "\nparse: lines", `["a","b"]`, ""},
		"JSON":                        {`exec: [printf, "{\"n\": 2.0}"]` + "\nparse: json", `{"n":2}`, ""},
		"broken JSON":                 {`exec: [printf, "{"]` + "\nparse: json", "", "exec p.yaml:1:1: p: reading the output"},
		"its environment":             {`exec: [sh, -c, "echo $X-$FLOWRUN_TEST_SECRET"]` + "\nenvironment: {X: y}", `"y-"`, ""},
		"another exit code":           {`exec: [sh, -c, "echo why >&2; exit 3"]`, "", "exec p.yaml:1:1: p: exit status 3: why"},
		"no such command":             {`exec: [no-such-command-anywhere]`, "", `there is no command "no-such-command-anywhere" on the PATH`},
		"a working directory":         {"exec: [pwd]\ndir: /", `"/"`, ""},
		"endless output":              {`exec: [cat, /dev/zero]`, "", "limit p.yaml:1:1: p: the command printed more than 16 MiB"},
		"a NUL in an argument":        {`exec: [echo, "a\0b"]`, "", "argument 1 holds a NUL"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			result, err := engine.Run(t.Context(), graphOf(t, tt.src), nil, engine.WithGrants(engine.Grants{All: true}))
			got := ""
			if err != nil {
				got = outcomeOf(result).Error
			}
			if tt.err == "" && (err != nil || compact(result.Output) != tt.want) || !strings.Contains(got, tt.err) {
				t.Errorf("got %s and %q, want %s and %q", compact(result.Output), got, tt.want, tt.err)
			}
		})
	}
}

// TestHTTP sends requests to a server of its own.
func TestHTTP(t *testing.T) {
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "elsewhere") }))
	defer other.Close()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/echo":
			b, _ := io.ReadAll(r.Body)
			io.WriteString(w, r.Method+" "+r.Header.Get("X-Token")+" "+r.Header.Get("Content-Type")+" "+string(b))
		case "/json":
			io.WriteString(w, `{"a": [1, 2.0]}`)
		case "/missing":
			http.Error(w, "no such page", http.StatusNotFound)
		case "/away":
			http.Redirect(w, r, strings.Replace(other.URL, "127.0.0.1", "localhost", 1), http.StatusFound)
		case "/round":
			http.Redirect(w, r, "/round", http.StatusFound)
		case "/huge":
			w.Write(make([]byte, 17<<20))
		case "/slow":
			<-r.Context().Done()
		}
	}))
	defer server.Close()
	tests := map[string]struct{ src, want, err string }{
		"get":                        {"http: URL/echo", `"GET   "`, ""},
		"headers and a body of data": {"http: URL/echo\nheaders: {X-Token: t}\nbody: {a: 1}", `"POST t application/json {\"a\":1}"`, ""},
		"another method":             {"http: URL/echo\nmethod: PUT\nbody: x", `"PUT  text/plain; charset=utf-8 x"`, ""},
		"parsed":                     {"http: URL/json\nparse: json", `{"a":[1,2]}`, ""},
		"a status of 400 or more":    {"http: URL/missing", "", `http p.yaml:1:1: p: status 404 Not Found: "no such page"`},
		"a redirect to another host": {"http: URL/away", "", "permission p.yaml:1:1: p: it was redirected to a host that needs --allow-net=localhost"},
		"a circle of redirects":      {"http: URL/round", "", "redirected more than 10 times"},
		"too long an answer":         {"http: URL/huge", "", "limit p.yaml:1:1: p: the answer is longer than 16 MiB"},
		"its own timeout":            {"http: URL/slow\ntimeout: 50ms", "", "timeout p.yaml:1:1: p: it did not end within its timeout of 50ms"},
		"nobody there":               {"http: http://127.0.0.1:1/", "", "network p.yaml:1:1: p: "},
		"no address":                 {"http: ${{ '127.0.0.1' }}/x", "", "no http or https address"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			grants := engine.Grants{By: map[string]engine.Grant{"net": {Names: []string{"127.0.0.1"}}}}
			if strings.Contains(tt.src, "${{") {
				grants.All = true
			}
			result, err := engine.Run(t.Context(), graphOf(t, strings.ReplaceAll(tt.src, "URL", server.URL)), nil, engine.WithGrants(grants))
			got := ""
			if err != nil && result != nil {
				got = outcomeOf(result).Error
			}
			if result == nil || tt.err == "" && (err != nil || compact(result.Output) != tt.want) || !strings.Contains(got, tt.err) {
				t.Errorf("got %v and %q, want %s and %q (%v)", result, got, tt.want, tt.err, err)
			}
		})
	}
}

// parrot is a model of a program's own.
type parrot struct{ name string }

func (p parrot) Answer(_ context.Context, q agents.Question, text func(string)) (agents.Answer, error) {
	answer := p.name + " says " + q.Prompt()
	if text != nil {
		text(answer)
	}
	return agents.Answer{Text: answer, Usage: agents.Usage{Input: 1, Output: 2, Calls: 1}}, nil
}
