package agentstest

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"time"
)

// MCPFault is the variable that tells a program which of [MCP]'s servers to be.
const MCPFault = "MCP_FAULT"

// MCP is a server of the Model Context Protocol on standard input and output, with a fault:
//
//	none       says what it hears (echo), adds (add), fails (fail), shows its environment (environ), gives data (exact, vast)
//	crash      says why on standard error and ends when a tool is called
//	stillborn  does so at once
//	hang       never answers a call
//	mute       never answers anything
//	flood      writes without end when a tool is called, never a new line
//	chatter    sends notifications without end when a tool is called
//	huge       answers a call with 17 MiB
//	slow       begins after a second
//	deaf       hears no signal and goes on when its input ends
//	orphan     starts a child that hears none either, and ends as it should
//	changes    has another tool after each call
//	wrong      answers calls that nobody made
//	many       has ten thousand tools, on a hundred pages
//	endless    has pages of tools without end
//	names      has a tool whose name is none
//	twice      has two tools of one name
//	garbage    answers with what is no JSON
//	greets     says hello before it says anything else
//	refuses    answers the first request with an error
//	ancient    speaks a version of the protocol that there never was
func MCP(fault string) {
	s := &mcpServer{fault: fault, out: bufio.NewWriter(os.Stdout), tool: 1}
	switch fault {
	case "stillborn":
		s.crash()
	case "slow":
		time.Sleep(time.Second)
	case "greets":
		fmt.Println("Hello, I am listening.")
	case "deaf":
		signal.Ignore(syscall.SIGTERM, syscall.SIGHUP, syscall.SIGINT)
	case "orphan":
		child := exec.Command("sh", "-c", "trap '' TERM HUP INT; while :; do sleep 1; done")
		child.Stdout, child.Stderr = os.Stdout, os.Stderr // it holds them open
		if err := child.Start(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	in := bufio.NewReaderSize(os.Stdin, 1<<20)
	for {
		line, err := in.ReadBytes('\n')
		if err != nil {
			if fault == "deaf" {
				time.Sleep(time.Hour)
			}
			return
		}
		var m mcpMessage
		if err := json.Unmarshal(line, &m); err != nil {
			fmt.Fprintln(os.Stderr, "no message:", err)
			os.Exit(2)
		}
		if m.ID != nil && fault != "mute" {
			s.hear(m)
		}
	}
}

type mcpMessage struct {
	ID     any    `json:"id"`
	Method string `json:"method"`
	Params struct {
		Name      string         `json:"name"`
		Cursor    string         `json:"cursor"`
		Arguments map[string]any `json:"arguments"`
	} `json:"params"`
}

type mcpServer struct {
	fault string
	out   *bufio.Writer
	tool  int
}

func (s *mcpServer) crash() {
	fmt.Fprintln(os.Stderr, "out of cheese")
	os.Exit(3)
}

func (s *mcpServer) send(v any) {
	line, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	_, _ = s.out.Write(append(line, '\n')) // who reads it may be gone
	_ = s.out.Flush()
}

func (s *mcpServer) answer(id, result any) {
	s.send(map[string]any{"jsonrpc": "2.0", "id": id, "result": result})
}

func (s *mcpServer) hear(m mcpMessage) {
	switch m.Method {
	case "initialize":
		version := "2025-06-18"
		switch s.fault {
		case "ancient":
			version = "1999-01-01"
		case "refuses":
			s.send(map[string]any{"jsonrpc": "2.0", "id": m.ID, "error": map[string]any{"code": -32000, "message": "no licence"}})
			return
		}
		s.answer(m.ID, map[string]any{"protocolVersion": version, "capabilities": map[string]any{"tools": map[string]any{"listChanged": true}},
			"serverInfo": map[string]any{"name": "fake", "version": "1"}})
	case "tools/list":
		s.list(m)
	case "tools/call":
		s.call(m)
	default:
		s.send(map[string]any{"jsonrpc": "2.0", "id": m.ID, "error": map[string]any{"code": -32601, "message": "no such method"}})
	}
}

func mcpTool(name string, properties map[string]any, required ...string) map[string]any {
	if required == nil {
		required = []string{}
	}
	return map[string]any{"name": name, "description": "It is " + name + ".",
		"inputSchema": map[string]any{"type": "object", "properties": properties, "required": required, "additionalProperties": false}}
}

func (s *mcpServer) list(m mcpMessage) {
	var tools []any
	next := ""
	nothing := map[string]any{}
	switch s.fault {
	case "many":
		page := 0
		_, _ = fmt.Sscan(m.Params.Cursor, &page) // none is the first
		for i := range 100 {
			tools = append(tools, mcpTool(fmt.Sprintf("tool%04d", page*100+i), nothing))
		}
		if page < 99 {
			next = fmt.Sprint(page + 1)
		}
	case "endless":
		n := 0
		_, _ = fmt.Sscan(m.Params.Cursor, &n)
		tools, next = []any{mcpTool(fmt.Sprintf("tool%d", n), nothing)}, fmt.Sprint(n+1)
	case "names":
		tools = []any{mcpTool("re\u0430d\u202e", nothing)}
	case "twice":
		tools = []any{mcpTool("echo", nothing), mcpTool("echo", nothing)}
	case "changes":
		tools = []any{mcpTool(fmt.Sprintf("tool%d", s.tool), nothing)}
	default:
		text := map[string]any{"text": map[string]any{"type": "string"}}
		number := map[string]any{"type": "number"}
		tools = []any{mcpTool("echo", text, "text"), mcpTool("add", map[string]any{"a": number, "b": number}, "a", "b"), mcpTool("fail", nothing), mcpTool("environ", nothing), mcpTool("exact", nothing), mcpTool("vast", nothing)}
	}
	result := map[string]any{"tools": tools}
	if next != "" {
		result["nextCursor"] = next
	}
	s.answer(m.ID, result)
}

func (s *mcpServer) call(m mcpMessage) {
	switch s.fault {
	case "crash":
		s.crash()
	case "hang":
		return
	case "flood":
		s.endlessly(strings.Repeat("x", 1<<16))
	case "chatter":
		s.endlessly(`{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":"` + strings.Repeat("x", 1<<12) + "\"}}\n")
	case "huge":
		s.text(m, strings.Repeat("x", 17<<20), false)
	case "wrong":
		s.answer("nobody", map[string]any{"content": []any{}})
		s.answer(99999, map[string]any{"content": []any{}})
	case "garbage":
		_, _ = s.out.WriteString("<html>\n")
		_ = s.out.Flush()
	case "changes":
		s.tool++
		s.send(map[string]any{"jsonrpc": "2.0", "method": "notifications/tools/list_changed"})
		s.text(m, fmt.Sprintf("now there is tool%d", s.tool), false)
	default:
		s.does(m)
	}
}

// endlessly writes until nobody reads any more.
func (s *mcpServer) endlessly(text string) {
	for {
		if _, err := io.WriteString(os.Stdout, text); err != nil {
			os.Exit(1)
		}
	}
}

func (s *mcpServer) does(m mcpMessage) {
	args := m.Params.Arguments
	switch m.Params.Name {
	case "add":
		a, _ := args["a"].(float64)
		b, _ := args["b"].(float64)
		s.answer(m.ID, map[string]any{"content": []any{map[string]any{"type": "text", "text": fmt.Sprint(a + b)}}, "structuredContent": map[string]any{"sum": a + b}})
	case "exact":
		s.answer(m.ID, map[string]any{"content": []any{}, "structuredContent": json.RawMessage(`{"id":9007199254740993,"of":[-9007199254740993,0.5,"\u0001"]}`)})
	case "vast":
		s.answer(m.ID, map[string]any{"content": []any{}, "structuredContent": json.RawMessage(`{"n":1e400}`)})
	case "fail":
		s.text(m, "it cannot be done", true)
	case "environ":
		s.text(m, strings.Join(os.Environ(), "\n"), false)
	case "echo":
		s.text(m, fmt.Sprint(args["text"]), false)
	default:
		s.text(m, "no such tool", true)
	}
}

func (s *mcpServer) text(m mcpMessage, text string, failed bool) {
	s.answer(m.ID, map[string]any{"isError": failed, "content": []any{map[string]any{"type": "text", "text": text}}})
}
