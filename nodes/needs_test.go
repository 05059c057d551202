package nodes_test

import (
	"strings"
	"testing"

	"github.com/flowrun/flowrun/engine"
)

// TestNeeds lists what a file needs, with all that the user should see of it.
func TestNeeds(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("a", 700)
	tests := map[string]struct{ src, want string }{
		"words":                  {`exec: [git, log, -1]`, "--allow-exec=git  (p.yaml:1:7)\n git log -1"},
		"words in quotes":        {`exec: [sh, -c, "a b; \"$(c)\"\n\td", ""]`, `--allow-exec=sh  (p.yaml:1:7)` + "\n" + ` sh -c "a b; \"$(c)\"\n\td" ""`},
		"expressions":            {`exec: [echo, "${{ input }}", "-${{ 1 + 1 }}"]`, "--allow-exec=echo  (p.yaml:1:7)\n" + ` echo "${{ input }}" "-${{ 1 + 1 }}"`},
		"a look-alike":           {`exec: ["ec\u04bbo", grüße]`, "--allow-exec=ec\u04bbo  (p.yaml:1:7)\n" + ` "ec\u04bbo" "grüße"`},
		"what turns the text":    {`exec: [echo, "a\u202eb\u200bc\e[2J"]`, "--allow-exec=echo  (p.yaml:1:7)\n" + ` echo "a\u202eb\u200bc\x1b[2J"`},
		"standard input":         {"exec: [sh]\nstdin: rm -rf /", "--allow-exec=sh  (p.yaml:1:7)\n" + ` sh <<< "rm -rf /"`},
		"the environment":        {"exec: [git, pull]\nenvironment: {GIT_SSH_COMMAND: ./x y}", "--allow-exec=git  (p.yaml:1:7)\n" + ` GIT_SSH_COMMAND="./x y" git pull`},
		"code that is loaded":    {"exec: [echo]\nenvironment: {A: b, LD_PRELOAD: ./x.so}", "--allow-exec  (p.yaml:1:7: LD_PRELOAD can make any command of it)\n A=b LD_PRELOAD=./x.so echo"},
		"code in a tool":         {"tools: {t: {exec: [echo], environment: {LD_PRELOAD: ./x.so}}}\ntool: t", "--allow-exec  (p.yaml:1:19: LD_PRELOAD can make any command of it)\n LD_PRELOAD=./x.so echo"},
		"code in a server":       {"tools: {t: {mcp: {command: [npx, x], environment: {LD_PRELOAD: ./x.so}}}}\ntool: t.x", "--allow-mcp=t  (p.yaml:1:18)\n LD_PRELOAD=./x.so npx x"},
		"another linker's":       {"exec: [echo]\nenvironment: {DYLD_INSERT_LIBRARIES: x}", "--allow-exec  (p.yaml:1:7: DYLD_INSERT_LIBRARIES can make any command of it)\n DYLD_INSERT_LIBRARIES=x echo"},
		"another PATH":           {"exec: [make]\nenvironment: {Path: .}", "--allow-exec  (p.yaml:1:7: Path can make any command of it)\n Path=. make"},
		"a folder":               {"exec: [pwd]\ndir: a b", "--allow-exec=pwd  (p.yaml:1:7)\n" + ` pwd (in "a b")`},
		"a command in a folder":  {"exec: [./x]\ndir: sub", "--allow-exec=sub/x  (p.yaml:1:7)\n ./x (in sub)"},
		"in a folder made":       {"exec: [./x]\ndir: '${{ input }}'", "--allow-exec  (p.yaml:1:7: what it is shows only when it runs)\n" + ` ./x (in "${{ input }}")`},
		"on the PATH, a folder":  {"exec: [x]\ndir: '${{ input }}'", "--allow-exec=x  (p.yaml:1:7)\n" + ` x (in "${{ input }}")`},
		"an absolute command":    {"exec: [/bin/x]\ndir: sub", "--allow-exec=/bin/x  (p.yaml:1:7)\n /bin/x (in sub)"},
		"a command made":         {"exec: ['${{ input }}']", "--allow-exec  (p.yaml:1:7: what it is shows only when it runs)\n" + ` "${{ input }}"`},
		"two that share a flag":  {"chain: [{exec: [a, b]}, {exec: [a, c]}, {exec: [a, b]}]", "--allow-exec=a  (p.yaml:1:16)\n a b\n--allow-exec=a  (p.yaml:1:32)\n a c"},
		"more than can be read":  {"exec: [echo, " + long + "xyz, " + long + "]", "--allow-exec=echo  (p.yaml:1:7)\n echo " + long[:595] + " …(609 more characters)… " + long[:200]},
		"an address":             {"http: https://a.example/${{ input }}?x\nmethod: PUT", "--allow-net=a.example  (p.yaml:1:7)\n PUT https://a.example/${{ input }}?x"},
		"an address of a model":  {"agent: {model: openai/x, base_url: 'https://a.example/v1'}", "--allow-net=a.example  (p.yaml:1:8)\n openai/x at https://a.example/v1"},
		"more than can be shown": {"for_each: []\ndo: {chain: [" + many(120) + "]}", "and 20 more"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var got []string
			for _, line := range engine.ListNeeds(graphOf(t, tt.src).Pipeline().Needs()) {
				got = append(got, strings.TrimPrefix(strings.TrimPrefix(line, "  "), "   "))
			}
			if !strings.HasSuffix(strings.Join(got, "\n"), tt.want) {
				t.Errorf("\n got %s\nwant %s", strings.Join(got, "\n"), tt.want)
			}
		})
	}
}

// many are nodes that run so many commands.
func many(n int) string {
	var nodes []string
	for i := range n {
		nodes = append(nodes, "{exec: [x"+strings.Repeat("x", i)+"]}")
	}
	return strings.Join(nodes, ", ")
}
