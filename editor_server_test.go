package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/textproto"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// server is a running yaml-language-server, the one behind the YAML of VS Code, Neovim and others. It is asked as they
// ask it: https://microsoft.github.io/language-server-protocol/specifications/lsp/3.17/specification/
type server struct {
	t         *testing.T
	in        io.Writer
	out       *bufio.Reader
	settings  map[string]any
	asked     int
	published map[string][]diagnostic // by URI
}

type diagnostic struct {
	Range   struct{ Start position }
	Message string
}

type position struct {
	Line      int `json:"line"`
	Character int `json:"character"`
}

// startServer starts the server that FLOWRUN_YAML_LS names, the path of its script, as for an editor in which folder is
// open and schemas are set for patterns of files.
func startServer(t *testing.T, folder string, schemas map[string]any) *server {
	t.Helper()
	script := os.Getenv("FLOWRUN_YAML_LS")
	if script == "" {
		t.Skip("FLOWRUN_YAML_LS does not name yaml-language-server/bin/yaml-language-server; .ci/run installs it")
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute) // what hangs fails: its output ends
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, "node", script, "--stdio")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		cmd.Wait() // it was killed
	})
	yaml := map[string]any{"validate": true, "completion": true, "hover": true, "schemaStore": map[string]any{"enable": false}}
	if schemas != nil {
		yaml["schemas"] = schemas
	}
	s := &server{t: t, in: in, out: bufio.NewReader(out), settings: map[string]any{"yaml": yaml}, published: map[string][]diagnostic{}}
	start := map[string]any{"processId": nil, "rootUri": nil, "capabilities": map[string]any{
		"workspace":    map[string]any{"configuration": true},
		"textDocument": map[string]any{"completion": map[string]any{"completionItem": map[string]any{"snippetSupport": true}}},
	}}
	if folder != "" {
		start["rootUri"] = fileURI(folder)
		start["workspaceFolders"] = []any{map[string]any{"uri": fileURI(folder), "name": "folder"}}
	}
	s.ask("initialize", start, nil)
	s.send(map[string]any{"method": "initialized", "params": map[string]any{}})
	for configured := false; !configured; { // only then it knows the schemas
		configured = s.receive().Method == "workspace/configuration"
	}
	return s
}

func fileURI(path string) string {
	return (&url.URL{Scheme: "file", Path: filepath.ToSlash(path)}).String()
}

// generated sets schema.json for every file.
func generated(t *testing.T) map[string]any {
	t.Helper()
	path, err := filepath.Abs("schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return map[string]any{fileURI(path): "*.yaml"}
}

// fileOf is the path of a file that is only open in the editor.
func fileOf(name string) string { return "/" + strings.ReplaceAll(name, " ", "_") + ".yaml" }

// problems are what is shown of an open file, a line each: the number of the line and the message.
func (s *server) problems(path string) string {
	s.t.Helper()
	for {
		if found, there := s.published[fileURI(path)]; there {
			var lines []string
			for _, d := range found {
				lines = append(lines, fmt.Sprintf("%d: %s", d.Range.Start.Line+1, d.Message))
			}
			return strings.Join(lines, "\n")
		}
		s.receive()
	}
}

// complete opens a file and gives what is offered at the |: labels, and labels with what is inserted for each.
func (s *server) complete(path, text string) []string {
	s.t.Helper()
	var list struct {
		Items []struct{ Label, InsertText string }
	}
	s.askAt("textDocument/completion", path, text, &list)
	var offered []string
	for _, i := range list.Items {
		offered = append(offered, i.Label, i.Label+"="+i.InsertText)
	}
	return offered
}

// hover opens a file and gives what is shown over the |, without the mark-up of headings and the schema's address.
func (s *server) hover(path, text string) string {
	s.t.Helper()
	var shown struct{ Contents struct{ Value string } }
	s.askAt("textDocument/hover", path, text, &shown)
	value, _, _ := strings.Cut(shown.Contents.Value, "\n\nSource: ")
	return strings.ReplaceAll(strings.TrimPrefix(value, "#### "), `\`, "")
}

// askAt opens a file and asks about the place of the | in it.
func (s *server) askAt(method, path, text string, answer any) {
	s.t.Helper()
	before, after, found := strings.Cut(text, "|")
	if !found {
		s.t.Fatalf("no place in %q", text)
	}
	s.open(path, before+after)
	at := position{strings.Count(before, "\n"), len(before) - strings.LastIndex(before, "\n") - 1}
	s.ask(method, map[string]any{"textDocument": map[string]any{"uri": fileURI(path)}, "position": at}, answer)
}

func (s *server) open(path, text string) {
	s.t.Helper()
	document := map[string]any{"uri": fileURI(path), "languageId": "yaml", "version": 1, "text": text}
	s.send(map[string]any{"method": "textDocument/didOpen", "params": map[string]any{"textDocument": document}})
}

// ask sends a request and waits for its answer.
func (s *server) ask(method string, params, answer any) {
	s.t.Helper()
	s.asked++
	s.send(map[string]any{"id": s.asked, "method": method, "params": params})
	for {
		m := s.receive()
		if m.Method != "" || string(m.ID) != strconv.Itoa(s.asked) {
			continue
		}
		if m.Error != nil {
			s.t.Fatalf("%s: %s", method, m.Error)
		}
		if answer != nil && json.Unmarshal(m.Result, answer) != nil {
			s.t.Fatalf("%s answers %s", method, m.Result)
		}
		return
	}
}

func (s *server) send(message map[string]any) {
	s.t.Helper()
	message["jsonrpc"] = "2.0"
	b, err := json.Marshal(message)
	if err != nil {
		s.t.Fatal(err)
	}
	if _, err := fmt.Fprintf(s.in, "Content-Length: %d\r\n\r\n%s", len(b), b); err != nil {
		s.t.Fatalf("yaml-language-server: %v", err)
	}
}

type message struct {
	ID                    json.RawMessage
	Method                string
	Params, Result, Error json.RawMessage
}

// receive takes the next message, keeps published problems and answers what the server asks.
func (s *server) receive() message {
	s.t.Helper()
	head, err := textproto.NewReader(s.out).ReadMIMEHeader()
	if err != nil {
		s.t.Fatalf("yaml-language-server says no more: %v", err)
	}
	size, err := strconv.Atoi(head.Get("Content-Length"))
	if err != nil {
		s.t.Fatal(err)
	}
	body := make([]byte, size)
	if _, err := io.ReadFull(s.out, body); err != nil {
		s.t.Fatal(err)
	}
	var m message
	if err := json.Unmarshal(body, &m); err != nil {
		s.t.Fatal(err)
	}
	switch {
	case m.Method == "textDocument/publishDiagnostics":
		var p struct {
			URI         string
			Diagnostics []diagnostic
		}
		if err := json.Unmarshal(m.Params, &p); err != nil {
			s.t.Fatal(err)
		}
		s.published[p.URI] = p.Diagnostics
	case m.Method == "workspace/configuration":
		var p struct{ Items []struct{ Section string } }
		if err := json.Unmarshal(m.Params, &p); err != nil {
			s.t.Fatal(err)
		}
		sections := make([]any, len(p.Items))
		for i, item := range p.Items {
			sections[i] = s.settings[item.Section]
		}
		s.send(map[string]any{"id": m.ID, "result": sections})
	case m.Method != "" && m.ID != nil:
		s.send(map[string]any{"id": m.ID, "result": nil})
	}
	return m
}
