package cli

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/clipperhouse/displaywidth"
	urfave "github.com/urfave/cli/v2"
	"golang.org/x/term"

	"github.com/flowrun/flowrun/allowed"
	"github.com/flowrun/flowrun/engine"
	"github.com/flowrun/flowrun/nodes"
	"github.com/flowrun/flowrun/spec"
)

const allowDescription = `Shows what the file needs beside its models, with the flag that would grant
each, and asks whether to allow it for good. Then run does not ask again, as
long as the file, what it includes, and what it needs stay as they are. Nothing
runs.

What was allowed is kept in the folder that FLOWRUN_STATE names, else in flowrun
below XDG_STATE_HOME (~/.local/state).
`

func (p *program) allowCommand() *urfave.Command {
	return &urfave.Command{
		Name: "allow", Usage: "allow a pipeline for good what it needs", ArgsUsage: "[FILE]", Description: allowDescription,
		Flags: []urfave.Flag{
			&urfave.BoolFlag{Name: "yes", Aliases: []string{"y"}, Usage: "do not ask"},
			&urfave.BoolFlag{Name: "list", Usage: "list what was allowed, and to which files"},
			&urfave.BoolFlag{Name: "revoke", Usage: "take back what was allowed to FILE"},
			grantFlag("read"),
		},
		Action: func(c *urfave.Context) error {
			switch file := c.Args().First(); {
			case c.Bool("list") && (c.Bool("revoke") || c.Bool("yes") || file != ""):
				return usage("allow --list takes nothing else")
			case c.Bool("list"):
				return p.listAllowed()
			case file == "":
				return usage("flowrun allow needs one FILE")
			case file == "-":
				return usage("what comes from standard input cannot be allowed for good")
			case c.Bool("revoke"):
				return p.revoke(file)
			default:
				return p.allow(c, file)
			}
		},
	}
}

// allow records what a file needs.
func (p *program) allow(c *urfave.Context, file string) error {
	graph, err := p.load(c, nodes.Language())
	if err != nil {
		return err
	}
	needs := graph.Pipeline().Needs()
	if len(needs) == 0 {
		_, err := fmt.Fprintf(p.Out, "%s needs nothing to be allowed\n", spec.Escape(file))
		return err
	}
	if !c.Bool("yes") {
		if !p.canAsk(c) {
			return usage("there is no terminal to ask on; with --yes it is allowed without a question")
		}
		said, err := p.ask(file+" needs:", needs, "Allow it for good, as long as it stays as it is? [y/N] ")
		if err != nil {
			return err
		}
		if said != "y" && said != "yes" {
			return p.refused()
		}
	} else if err := p.say(file+" needs:", needs); err != nil {
		return err
	}
	if err := p.remember(file, graph.Pipeline()); err != nil {
		return err
	}
	_, err = fmt.Fprintf(p.Out, "allowed %s what it needs\n", spec.Escape(file))
	return err
}

func (p *program) say(heading string, needs []spec.Need) error {
	_, err := fmt.Fprintln(p.Out, escapeLines(strings.Join(append([]string{heading}, engine.ListNeeds(needs)...), "\n")))
	return err
}

func (p *program) listAllowed() error {
	all, wrong := allowed.Own().All()
	for _, err := range wrong {
		p.distrust(err)
	}
	slices.SortFunc(all, func(a, b allowed.Permission) int { return strings.Compare(a.File, b.File) })
	for _, one := range all {
		if _, err := fmt.Fprintf(p.Out, "%s  %s\n", one.At.Local().Format("2006-01-02 15:04"), spec.Escape(one.File)); err != nil {
			return err
		}
		for _, flag := range one.Flags {
			if _, err := fmt.Fprintf(p.Out, "  %s\n", spec.Escape(flag)); err != nil {
				return err
			}
		}
	}
	return nil
}

func (p *program) revoke(file string) error {
	path, err := located(file)
	if err != nil {
		return err
	}
	found, err := allowed.Own().Forget(path)
	switch {
	case err != nil:
		return fmt.Errorf("taking back what was allowed: %w", err)
	case !found:
		return fmt.Errorf("nothing was allowed to %s", file)
	}
	_, err = fmt.Fprintf(p.Out, "%s must ask again\n", spec.Escape(file))
	return err
}

// remember records that a pipeline is allowed what it needs.
func (p *program) remember(file string, pipeline *spec.Pipeline) error {
	one, err := p.permission(file, pipeline)
	if err == nil {
		err = allowed.Own().Keep(one)
	}
	if err != nil {
		return fmt.Errorf("recording what was allowed: %w", err)
	}
	return nil
}

// grants are what the flags allow a pipeline, and what the user has allowed it for good.
func (p *program) grants(c *urfave.Context, file string, pipeline *spec.Pipeline) engine.Grants {
	g := grants(c)
	if file == "-" || !slices.ContainsFunc(pipeline.Needs(), func(n spec.Need) bool { return !g.Allow(n) }) {
		return g
	}
	one, err := p.permission(file, pipeline)
	if err != nil {
		return g
	}
	known, err := allowed.Own().Find(one.File)
	if err != nil && !c.Bool("quiet") {
		p.distrust(err)
	}
	if err != nil || known.Key != one.Key {
		return g
	}
	return g.With(pipeline.Needs()...)
}

// distrust warns of a record that counts for nothing.
func (p *program) distrust(err error) {
	fmt.Fprintf(p.Err, "flowrun: warning: what was allowed before does not count: %s\n", escapeLines(err.Error()))
}

// permission is what a file may do where it is allowed all that it needs, as it is now. Paths that count from the working
// directory mean another file elsewhere.
func (p *program) permission(file string, pipeline *spec.Pipeline) (allowed.Permission, error) {
	path, err := located(file)
	if err != nil {
		return allowed.Permission{}, err
	}
	one := allowed.Permission{File: path, At: time.Now()}
	h := sha256.New()
	fmt.Fprintf(h, "%s\n", pipeline.Digest())
	for _, n := range pipeline.Needs() {
		at := ""
		if n.Name != "" && (n.Grant == "read" || n.Grant == "exec" && strings.ContainsAny(n.Name, `/\`)) {
			if at = n.Name; n.Grant == "exec" {
				at = p.commands.In(at)
			}
			if at, err = filepath.Abs(at); err != nil {
				return allowed.Permission{}, err
			}
		}
		fmt.Fprintf(h, "%q %q %q\n", n.Flag(), n.What, at)
		if flag := n.Flag(); len(one.Flags) < engine.MostNeeds && !slices.Contains(one.Flags, flag) && len(flag) < 1000 {
			one.Flags = append(one.Flags, flag)
		}
	}
	one.Key = hex.EncodeToString(h.Sum(nil))
	return one, nil
}

// located is a path from the root, with no link on the way to the file. The file itself may be one: the paths that it
// names begin where the link is.
func located(file string) (string, error) {
	path, err := filepath.Abs(file)
	if err != nil {
		return "", err
	}
	if folder, err := filepath.EvalSymlinks(filepath.Dir(path)); err == nil {
		return filepath.Join(folder, filepath.Base(path)), nil
	}
	return path, nil
}

// canAsk tells whether somebody sits at the terminal and wants to be asked.
func (p *program) canAsk(c *urfave.Context) bool {
	in, ok := p.In.(*os.File)
	return ok && term.IsTerminal(int(in.Fd())) && isTerminal(p.Err) && !c.Bool("quiet") && os.Getenv("CI") == ""
}

// permit asks whether what a run lacks may be allowed, and gives the grants with it.
func (p *program) permit(file string, graph *engine.Graph, g engine.Grants, lacks []spec.Need) (engine.Grants, error) {
	said, err := p.ask("the pipeline needs what was not allowed:", lacks, "Allow it once, always for this file as it is, or not? [o/a/N] ")
	switch said {
	case "o", "once", "y", "yes":
		return g.With(lacks...), err
	case "a", "always":
		if err := p.remember(file, graph.Pipeline()); err != nil {
			fmt.Fprintf(p.Err, "flowrun: warning: %s\n", escapeLines(err.Error()))
		}
		return g.With(lacks...), nil
	}
	if err == nil {
		err = p.refused()
	}
	return g, err
}

// refused says that the user does not want it.
func (p *program) refused() error {
	fmt.Fprintln(p.Err, "flowrun: it was not allowed, and nothing ran")
	return silent(exitPermission)
}

// ask shows needs on the terminal and asks about them; what cannot be shown is not asked about. Whoever does not answer
// says nothing. Ctrl-C ends the program, as anywhere.
func (p *program) ask(heading string, needs []spec.Need, question string) (string, error) {
	if len(needs) > engine.MostNeeds {
		return "", &engine.PermissionError{Needs: needs}
	}
	lines := append([]string{"flowrun: " + heading}, engine.ListNeeds(needs)...)
	columns, rows := 80, 24
	if f, ok := p.Err.(*os.File); ok {
		columns, rows = terminalSize(f)
	}
	left := rows - 2 // on the screen, with the question
	for i, line := range lines {
		line = spec.Escape(line)
		takes := 1 + max(0, displaywidth.String(line)-1)/columns
		if left -= takes; left < 0 && i > 0 {
			if said, err := p.answer(fmt.Sprintf("-- %s: Enter shows more, anything else is no -- ", count(len(lines)-i, "line"))); said != "\n" || err != nil {
				return "", err
			}
			left = rows - 2 - takes
		}
		fmt.Fprintln(p.Err, line)
	}
	said, err := p.answer(question)
	return strings.ToLower(strings.TrimSpace(said)), err
}

// answer reads a line from the terminal: nothing where it ends before the line does.
func (p *program) answer(question string) (string, error) {
	fmt.Fprint(p.Err, question)
	line, err := readLine(p.In)
	if err != nil {
		fmt.Fprintln(p.Err)
	}
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return line, err
}
