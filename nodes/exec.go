package nodes

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/flowrun/flowrun/engine"
	"github.com/flowrun/flowrun/spec"
)

// maxReply bounds what a command or an address may answer, in bytes.
const maxReply = 16 << 20

func execute(o *options) engine.Kind {
	return engine.Kind{
		Shape: spec.Shape{
			Name:    "exec",
			Summary: "runs a command, without a shell",
			Leaf:    true,
			Fields: []spec.Field{
				argvField(),
				stdinField(),
				dirField(),
				environmentField(),
				parseField("what its standard output is read as"),
				engine.CacheField(),
			},
			Output: func(n *spec.Node) spec.Type { return parsedType(n.Object) },
			Needs: func(n *spec.Node) []spec.Need {
				if o.mockOf(n) != nil {
					return nil
				}
				return []spec.Need{newCommand(o.commands, n.Object).need(n.Place("exec"))}
			},
			Example: `exec: [echo, "hello ${{ input ?? \"you\" }}"]
`,
			Grants: "--allow-exec=echo",
		},
		Slot:  true,
		Fails: engine.Exec,
		Build: func(n *spec.Node) engine.Body {
			e := newCommand(o.commands, n.Object)
			e.mock = o.mockOf(n)
			return engine.Body{Act: e.act, Uses: literalCommand(n.Object), Reads: e.mock.reads()}
		},
	}
}

func argvField() spec.Field {
	return spec.Field{Name: "exec", Form: spec.List{Of: spec.Template{}, Min: 1}, Summary: "the command and its arguments"}
}

func stdinField() spec.Field {
	return spec.Field{Name: "stdin", Form: spec.Template{}, Summary: "its standard input"}
}

func dirField() spec.Field {
	return spec.Field{Name: "dir", Form: spec.Template{}, Summary: "its working directory; without it flowrun's own"}
}

func environmentField() spec.Field {
	name := &spec.Text{Pattern: variableName, Is: "the name of an environment variable"}
	return spec.Field{Name: "environment", Form: spec.Map{Of: spec.Template{}, Keys: name}, Secrets: true, Summary: "environment variables beside PATH, HOME and LANG"}
}

func parseField(summary string) spec.Field {
	return spec.Field{Name: "parse", Form: spec.Word{Of: []string{"text", "json", "lines"}}, Default: "text", Summary: summary}
}

// literalCommand is the command that the file names literally; empty where only the run knows it.
func literalCommand(o *spec.Object) string {
	first, _ := o.Exprs("exec")[0].Constant()
	name, _ := first.(string)
	return name
}

func parsedType(o *spec.Object) spec.Type {
	switch o.Text("parse") {
	case "json":
		return spec.Any
	case "lines":
		return spec.ListOf(spec.String)
	}
	return spec.String
}

// parsed reads what a command or an address answered.
func parsed(s, as string) (any, error) {
	switch as {
	case "json":
		v, err := spec.ParseReply(s)
		if err != nil {
			return nil, fmt.Errorf("reading the output: %w", err)
		}
		return v, nil
	case "lines":
		lines := []any{}
		for line := range strings.Lines(s) {
			lines = append(lines, strings.TrimRight(line, "\r\n"))
		}
		return lines, nil
	}
	return strings.TrimRight(s, "\r\n"), nil
}

// parses tells of an answer whether it can be read.
func parses(as string) func(string) bool {
	return func(s string) bool {
		_, err := parsed(s, as)
		return err == nil
	}
}

type command struct {
	commands    *Commands
	mock        *Mock // answers in its place, if there is one
	argv        []*spec.Expr
	stdin, dir  *spec.Expr
	environment []spec.Entry
	parse       string
	tool        *tool // that it is, with a model that has a say in its arguments; nil for a node
}

func newCommand(commands *Commands, o *spec.Object) *command {
	return &command{commands: commands, argv: o.Exprs("exec"), stdin: o.Expr("stdin"), dir: o.Expr("dir"), environment: o.Entries("environment"), parse: o.Text("parse")}
}

func (e *command) need(at spec.Pos) spec.Need {
	return commandNeed(e.argv, e.environment, e.stdin, e.dir, at)
}

func (e *command) act(ctx context.Context, c *engine.Call) (any, error) {
	argv, err := words(c, e.argv)
	if err != nil {
		return nil, err
	}
	declared, err := evaluated(c, e.environment)
	if err != nil {
		return nil, err
	}
	environment := environ(declared)
	nothing := func() any { return nil }
	stdin, err := text(c, e.stdin, nothing)
	if err != nil {
		return nil, err
	}
	dir, err := text(c, e.dir, nothing)
	if err != nil {
		return nil, err
	}
	if e.mock != nil {
		return e.mock.answer(ctx, c, strings.Join(argv, " "), e.parse)
	}
	out, err := engine.Ask(ctx, c, engine.Request[string]{Needs: []spec.Need{{Grant: "exec", Name: commandName(argv[0], dir, e.environment)}}, Content: func() *engine.Content {
		at, err := filepath.Abs(e.commands.In(dir))
		if err != nil {
			return nil
		}
		return &engine.Content{Kind: "exec", Label: strings.Join(argv, " "),
			Value: present(map[string]any{"argv": texts(argv), "environment": disclosed(declared), "dir": dir, "stdin": stdin}),
			Here:  map[string]any{"environment": texts(environment), "dir": at}}
	}, Keep: parses(e.parse), Do: bounded(e.tool, func(ctx context.Context) (string, error) {
		ctx, stop := context.WithCancelCause(ctx)
		defer stop(nil)
		cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
		cmd.Env, cmd.Dir, cmd.Stdin = environment, e.commands.In(dir), strings.NewReader(stdin)
		return e.run(ctx, c, cmd, stop)
	})})
	if err != nil {
		return nil, err
	}
	return parsed(out, e.parse)
}

func texts(words []string) []any {
	list := make([]any, len(words))
	for i, w := range words {
		list[i] = w
	}
	return list
}

// words are a command and its arguments.
func words(c *engine.Call, templates []*spec.Expr) ([]string, error) {
	argv := make([]string, len(templates))
	for i, x := range templates {
		var err error
		if argv[i], err = text(c, x, nil); err != nil {
			return nil, err
		}
		if strings.ContainsRune(argv[i], 0) {
			return nil, fmt.Errorf("argument %d holds a NUL character", i)
		}
	}
	return argv, noOption(templates, argv)
}

// noOption refuses an argument that the author did not write as an option and that the command would take for one: what a
// model or a page says is data. A file may begin it with text of its own, or put -- before it. A number may be below
// zero, as JSON writes it: others, such as -inf, are options too.
func noOption(templates []*spec.Expr, argv []string) error {
	for i, x := range templates {
		prefix, whole := x.Prefix()
		if prefix == "--" && whole {
			return nil
		}
		if prefix == "" && strings.HasPrefix(argv[i], "-") && !negative.MatchString(argv[i]) {
			return engine.Errorf(engine.Schema, "argument %d would be taken for an option: %s", i, short(argv[i]))
		}
	}
	return nil
}

var negative = regexp.MustCompile(`^-[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?$`)

// environ is what a command finds in its environment: PATH, HOME and LANG, and what is declared for it.
func environ(declared []setting) []string {
	var environment []string
	for _, name := range []string{"PATH", "HOME", "LANG"} {
		if v, ok := os.LookupEnv(name); ok {
			environment = append(environment, name+"="+v)
		}
	}
	for _, s := range declared {
		environment = append(environment, s.name+"="+s.value)
	}
	return environment
}

// setting is a variable or a header that a node declares, with its value.
type setting struct {
	name, value string
	secret      bool // the value is made with a secret
}

// evaluated are declared variables or headers with their values.
func evaluated(c *engine.Call, entries []spec.Entry) ([]setting, error) {
	settings := make([]setting, len(entries))
	for i, entry := range entries {
		x := entry.Value.(*spec.Expr)
		v, err := text(c, x, nil)
		if err != nil {
			return nil, err
		}
		names, _ := x.Reads()
		settings[i] = setting{entry.Name, v, slices.Contains(names, "secrets")}
	}
	return settings, nil
}

// disclosed are settings as they are told: of those made with secrets nothing but that they are there.
func disclosed(settings []setting) map[string]any {
	told := map[string]any{}
	for _, s := range settings {
		if told[s.name] = s.value; s.secret {
			told[s.name] = "***"
		}
	}
	return told
}

// present is what of a content is not empty.
func present(content map[string]any) map[string]any {
	maps.DeleteFunc(content, func(_ string, v any) bool {
		inner, ok := v.(map[string]any)
		return v == "" || ok && len(inner) == 0
	})
	return content
}

// run runs a command, which ends with ctx at the latest, and gives its standard output; stop ends ctx.
func (e *command) run(ctx context.Context, c *engine.Call, cmd *exec.Cmd, stop context.CancelCauseFunc) (string, error) {
	stdout := &capped{stop: stop}
	var stderr tail
	cmd.Stdout, cmd.Stderr = stdout, &stderr
	ended, err := e.commands.start(cmd)
	if err != nil {
		return "", notStarted(cmd, err)
	}
	err = cmd.Wait()
	ended()
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return "", context.Cause(ctx)
	case errors.As(err, &exit):
		message := exit.Error()
		if s := strings.TrimSpace(ending(c.Hide(string(stderr)), 2<<10)); s != "" {
			message += ": " + s
		}
		return "", errors.New(message)
	case err != nil && !errors.Is(err, exec.ErrWaitDelay):
		return "", fmt.Errorf("waiting for the command: %w", err)
	}
	return stdout.kept.String(), nil
}

// notStarted words why a command could not be started.
func notStarted(cmd *exec.Cmd, err error) error {
	var missing *exec.Error
	if errors.As(err, &missing) && errors.Is(err, exec.ErrNotFound) {
		return fmt.Errorf("there is no command %q on the PATH", missing.Name)
	}
	if info, lost := os.Stat(cmd.Dir); cmd.Dir != "" && (lost != nil || !info.IsDir()) { // the error blames the command
		return fmt.Errorf("there is no folder %s to run it in", short(cmd.Dir))
	}
	return fmt.Errorf("starting the command: %w", err)
}

// capped keeps output up to a bound. It is a writer and nothing more: what else a buffer can would go round the bound.
type capped struct {
	kept bytes.Buffer
	stop context.CancelCauseFunc // for a command that prints more
}

func (c *capped) Write(p []byte) (int, error) {
	if c.kept.Len()+len(p) > maxReply {
		err := engine.Errorf(engine.Limit, "the command printed more than %d MiB", maxReply>>20)
		c.stop(err)
		return 0, err
	}
	return c.kept.Write(p)
}

// tail keeps the end of what is written, and more of it than is told: a secret that is cut must not be a part of that.
type tail []byte

func (t *tail) Write(p []byte) (int, error) {
	const most = 64 << 10
	*t = append(*t, p...)
	if len(*t) > 2*most {
		*t = append([]byte(nil), (*t)[len(*t)-most:]...)
	}
	return len(p), nil
}

// ending is the end of a text, in whole characters, of at most so many bytes.
func ending(s string, bytes int) string {
	s = s[max(0, len(s)-bytes):]
	for s != "" && !utf8.RuneStart(s[0]) {
		s = s[1:]
	}
	return s
}
