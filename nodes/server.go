package nodes

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/flowrun/flowrun/agents/mcp"
	"github.com/flowrun/flowrun/engine"
	"github.com/flowrun/flowrun/spec"
)

// serverForm is a server of tools as a file describes it.
type serverForm struct {
	tool        *tool
	mocks       *serverMocks // answer in its place, if there are some
	commands    *Commands
	command     []*spec.Expr
	environment []spec.Entry
	url         *spec.Expr
	headers     []spec.Entry
}

func newServerForm(commands *Commands, t *tool, o *spec.Object) *serverForm {
	return &serverForm{tool: t, commands: commands, command: o.Exprs("command"), environment: o.Entries("environment"), url: o.Expr("url"), headers: o.Entries("headers")}
}

// needs are the server by its name, with the command line or address behind it; and the host of an address.
func (f *serverForm) needs(at spec.Pos) []spec.Need {
	need := spec.Need{Grant: "mcp", Name: f.tool.name, Pos: at}
	if f.url == nil {
		need.What = commandLine(f.command, f.environment, nil, nil)
		return []spec.Need{need}
	}
	need.What = written(f.url)
	return []spec.Need{need, {Grant: "net", Name: literalHost(f.url), Pos: at, What: need.What}}
}

// serverContent is what tells a server from others.
type serverContent struct {
	argv        []string
	environment []setting
	address     string
	headers     []setting
}

// told is what may be told of the server.
func (s *serverContent) told() map[string]any {
	if s.address == "" {
		return present(map[string]any{"command": texts(s.argv), "environment": disclosed(s.environment)})
	}
	return present(map[string]any{"url": s.address, "headers": disclosed(s.headers)})
}

// here is all of it, as it is known on this machine.
func (s *serverContent) here() map[string]any {
	if s.address == "" {
		return map[string]any{"command": texts(s.argv), "environment": texts(environ(s.environment))}
	}
	headers := map[string]any{}
	for _, h := range s.headers {
		headers[http.CanonicalHeaderKey(h.name)] = h.value
	}
	return map[string]any{"url": s.address, "headers": headers}
}

// known works out what the file says of the server.
func (f *serverForm) known(c *engine.Call) (*serverContent, error) {
	s := &serverContent{}
	var err error
	if f.url == nil {
		if s.argv, err = words(c, f.command); err != nil {
			return nil, err
		}
		s.environment, err = evaluated(c, f.environment)
		return s, err
	}
	if s.address, err = text(c, f.url, nil); err != nil {
		return nil, err
	}
	if _, err := addressOf(s.address); err != nil {
		return nil, err
	}
	s.headers, err = headerLines(c, f.headers)
	return s, err
}

// asking is what asking the server needs.
func (f *serverForm) asking(s *serverContent) []spec.Need {
	needs := []spec.Need{{Grant: "mcp", Name: f.tool.name}}
	if u, err := url.Parse(s.address); err == nil && s.address != "" {
		needs = append(needs, spec.Need{Grant: "net", Name: u.Host})
	}
	return needs
}

// tools asks which tools the server has: again, where one is missed that it may have by now.
func (f *serverForm) tools(ctx context.Context, c *engine.Call, again bool) ([]mcp.Tool, error) {
	s, err := f.known(c)
	if err != nil {
		return nil, err
	}
	return engine.Ask(ctx, c.Beside(""), engine.Request[[]mcp.Tool]{Needs: f.asking(s), Content: func() *engine.Content {
		return &engine.Content{Kind: "tools", Label: f.tool.name, Value: map[string]any{"server": s.told()}, Here: s.here()}
	}, Do: bounded(f.tool, func(ctx context.Context) (tools []mcp.Tool, err error) {
		err = f.open(c, s).use(ctx, c, func(client *mcp.Client) error {
			tools, err = client.Tools(ctx, again)
			return err
		})
		return tools, err
	})})
}

// call calls one of the server's tools.
func (f *serverForm) call(ctx context.Context, c *engine.Call, name string, args map[string]any) (any, error) {
	if mock := f.mocks.of(name); mock != nil {
		return mock.result(ctx, c, args)
	}
	if f.mocks.alone() {
		return nil, f.mocks.refused(name)
	}
	s, err := f.known(c)
	if err != nil {
		return nil, err
	}
	got, err := engine.Ask(ctx, c, engine.Request[mcp.Result]{Needs: f.asking(s), Content: func() *engine.Content {
		return &engine.Content{Kind: "tool", Label: f.tool.name + "." + name, Value: map[string]any{"server": s.told(), "tool": name, "args": args}, Here: s.here()}
	}, Do: bounded(f.tool, func(ctx context.Context) (got mcp.Result, err error) {
		err = f.open(c, s).use(ctx, c, func(client *mcp.Client) error {
			got, err = client.Call(ctx, name, args)
			return err
		})
		if err == nil && got.Failed {
			err = errors.New(orElse(c.Hide(got.Text), "it failed and did not say why"))
		}
		return got, err
	})})
	if err != nil {
		return nil, err
	}
	if got.Data != nil {
		return spec.ParseJSON(string(got.Data))
	}
	return got.Text, nil
}

func orElse(s, otherwise string) string {
	if strings.TrimSpace(s) == "" {
		return otherwise
	}
	return s
}

// open gives the server as the run has it.
func (f *serverForm) open(c *engine.Call, s *serverContent) *server {
	return engine.Shared(c, "mcp "+spec.AsJSON(s.here()), func() *server {
		life, end := context.WithCancel(context.Background())
		return &server{form: f, content: s, grants: c.Grants(), life: life, end: end, ready: make(chan struct{})}
	})
}

// server is one that a run uses. It starts when it is first used, and what breaks it is its end: it is not started again.
type server struct {
	form    *serverForm
	content *serverContent
	grants  engine.Grants
	life    context.Context // ends with the run
	end     context.CancelFunc
	start   sync.Once
	ready   chan struct{} // closed when the session began, or could not
	client  *mcp.Client
	err     error
	process *process // nil for one at an address
}

// use does something with the server once it is ready.
func (s *server) use(ctx context.Context, c *engine.Call, do func(*mcp.Client) error) error {
	s.start.Do(func() { go s.begin() })
	select {
	case <-s.ready:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	err := s.err
	if err == nil {
		err = do(s.client)
	}
	var refused *engine.Error // on the way to an address
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case errors.As(err, &refused):
		return refused
	case errors.Is(err, mcp.ErrTooMuch):
		return engine.Errorf(engine.Limit, "%s: %w", s.form.tool.name, err)
	}
	return engine.Errorf(engine.Tool, "%s: %s", s.form.tool.name, s.why(err, c))
}

// why says what is wrong with the server: where its process ended by itself, that.
func (s *server) why(err error, c *engine.Call) string {
	message := c.Hide(err.Error())
	if s.process == nil || errors.Is(err, mcp.ErrFlood) {
		return message
	}
	return s.process.why(message, s.client != nil && s.client.Ended(err), c)
}

// begin starts the server and its session.
func (s *server) begin() {
	defer close(s.ready)
	if s.form.url != nil {
		headers := http.Header{}
		for _, h := range s.content.headers {
			headers.Set(h.name, h.value)
		}
		s.client, s.err = mcp.Dial(s.life, s.content.address, headers, newClient(s.grants, 0).Transport)
		return
	}
	var in io.WriteCloser
	var out io.ReadCloser
	if s.process, in, out, s.err = startProcess(s.life, s.form.commands, s.content); s.err != nil {
		return
	}
	s.client, s.err = mcp.Speak(s.life, out, in)
}

// Close ends the session and the process with its children.
func (s *server) Close() error {
	s.start.Do(func() { close(s.ready) }) // it was never used
	select {
	case <-s.ready:
	default:
		s.end() // it is still starting
		<-s.ready
	}
	if s.client != nil {
		s.client.Close()
	}
	if s.process != nil {
		s.process.leave()
		s.end()
		<-s.process.ended
	}
	s.end()
	return nil
}

// process is a command that is a server.
type process struct {
	ended chan struct{} // closed when it ended, and its children with it
	exit  error         // known then

	mu     sync.Mutex
	stderr tail
}

// startProcess starts a server with the ends of its streams. It ends with the context.
func startProcess(ctx context.Context, commands *Commands, s *serverContent) (p *process, in io.WriteCloser, out io.ReadCloser, err error) {
	cmd := exec.CommandContext(ctx, s.argv[0], s.argv[1:]...)
	p = &process{ended: make(chan struct{})}
	out, stdout := io.Pipe()
	if in, err = cmd.StdinPipe(); err != nil {
		return nil, nil, nil, err
	}
	cmd.Env, cmd.Dir, cmd.Stdout, cmd.Stderr = environ(s.environment), commands.In(""), stdout, p
	swept, err := commands.start(cmd)
	if err != nil {
		in.Close()
		return nil, nil, nil, notStarted(cmd, err)
	}
	go func() {
		defer close(p.ended)
		p.exit = cmd.Wait()
		swept()
		stdout.Close()
	}()
	return p, in, out, nil
}

// Write keeps the end of what the server prints to its standard error.
func (p *process) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.stderr.Write(b)
}

// leave lets a server end by itself, now that its standard input is closed.
func (p *process) leave() {
	select {
	case <-p.ended:
	case <-time.After(grace):
	}
}

// why is a message with the end of what the process said; where it ended by itself, how it did so.
func (p *process) why(message string, ended bool, c *engine.Call) string {
	if ended {
		p.leave()
		select {
		case <-p.ended:
			message = "the server ended"
			if p.exit != nil {
				message += " (" + p.exit.Error() + ")"
			}
		default:
		}
	}
	p.mu.Lock()
	said := strings.TrimSpace(ending(c.Hide(string(p.stderr)), 2<<10))
	p.mu.Unlock()
	if said != "" {
		message += ": " + said
	}
	return message
}

// listed are the server's tools, or the one of a name; called are those that a mock in the agent's place will call.
func (t *tool) listed(ctx context.Context, c *engine.Call, part string, called ...string) (tools []mcp.Tool, err error) {
	if t.server.mocks.alone() {
		return t.server.mocks.tools(part, called), nil
	}
	for _, again := range []bool{false, true} {
		if tools, err = t.server.tools(ctx, c, again); err != nil {
			return nil, t.failed(err)
		}
		if part == "" {
			break
		}
		if i := slices.IndexFunc(tools, func(own mcp.Tool) bool { return own.Name == part }); i >= 0 {
			return tools[i : i+1], nil
		}
	}
	if part == "" && len(tools) > 0 {
		return tools, nil
	}
	var names []string
	for _, own := range tools {
		names = append(names, own.Name)
	}
	return nil, engine.Errorf(engine.Tool, "%s has no %s%s", t.name, strings.TrimSpace("tool "+part), spec.DidYouMean(part, names))
}
