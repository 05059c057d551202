package nodes_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/flowrun/flowrun/engine"
)

// TestRealServers uses the servers of tools that the protocol's authors publish on npm. FLOWRUN_NPM is the folder
// node_modules in which they are; .ci/run installs them.
func TestRealServers(t *testing.T) {
	t.Parallel()
	modules := os.Getenv("FLOWRUN_NPM")
	if modules == "" {
		t.Skip("FLOWRUN_NPM names no folder with the servers")
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "a.txt"), []byte("hello from a file"), 0o644); err != nil {
		t.Fatal(err)
	}
	server := func(name, args string) string {
		mark := fmt.Sprintf("%s-%d", name, os.Getpid())
		return fmt.Sprintf("tools: {s: {mcp: {command: [node, %q%s], environment: {MARK: %q}}}}\n", filepath.Join(modules, "@modelcontextprotocol", name, "dist", "index.js"), args, mark)
	}
	files, all := server("server-filesystem", fmt.Sprintf(", %q", dir)), server("server-everything", ", stdio")
	tests := map[string]struct{ src, want string }{
		"a file":           {files + fmt.Sprintf("chain: [{tool: s.read_text_file, args: {path: %q}}, {set: 'string(prev)'}]", filepath.Join(dir, "a.txt")), "hello from a file"},
		"no such file":     {files + "tool: s.read_text_file\nargs: {path: /nowhere}", "ccess denied"},
		"an agent's files": {files + fmt.Sprintf("agent: {model: mock, tools: [s], mock: {tool_calls: [{tool: s.read_text_file, args: {path: %q}}], reply: done}}", filepath.Join(dir, "a.txt")), "done"},
		"an echo":          {all + "tool: s.echo\nargs: {message: hello}", "hello"},
		"an image":         {all + "tool: s.get-tiny-image", "[image image/png, "},
		"bad arguments":    {all + "tool: s.echo\nargs: {massage: hello}", "args.message is missing"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			result, err := engine.Run(t.Context(), graphOf(t, tt.src), nil, everything)
			got := ""
			if err != nil {
				got = err.Error()
			} else {
				got = text(result.Output)
			}
			if !strings.Contains(got, tt.want) {
				t.Errorf("\n got %s\nwant %s", got, tt.want)
			}
		})
	}
	t.Cleanup(func() {
		for _, name := range []string{"server-filesystem", "server-everything"} {
			noneLives(t, fmt.Sprintf("MARK=%s-%d", name, os.Getpid()))
		}
	})
}
