package cli_test

import (
	"database/sql"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/flowrun/flowrun/agents/agentstest"
	"github.com/flowrun/flowrun/cli"
	"github.com/flowrun/flowrun/leaktest"
)

// tidy removes a folder when all tests have ended.
type tidy struct {
	testscript.TestingM
	folder string
}

func (t tidy) Run() int {
	defer os.RemoveAll(t.folder)
	return t.TestingM.Run()
}

// TestMain lets scripts, and the tests that send signals, call this test as flowrun.
func TestMain(m *testing.M) {
	var tests testscript.TestingM = m
	if os.Getenv("GORACE") == "" {
		os.Setenv("GORACE", "atexit_sleep_ms=0") // else each program that a script calls sleeps for a second at its end
	}
	if _, ok := os.LookupEnv("FLOWRUN_CACHE"); !ok {
		os.Setenv("FLOWRUN_CACHE", filepath.Join(os.DevNull, "answers")) // no test touches the cache of who runs it
	}
	if _, ok := os.LookupEnv("FLOWRUN_STATE"); !ok { // nor what they allowed, and their runs
		state, err := os.MkdirTemp("", "flowrun-state-")
		if err != nil {
			panic(err)
		}
		os.Setenv("FLOWRUN_STATE", state)
		tests = tidy{m, state}
	}
	testscript.Main(leaktest.Of(tests), map[string]func(){
		"mcp":     func() { agentstest.MCP(os.Getenv(agentstest.MCPFault)) },
		"flowrun": func() { os.Exit(cli.Main(os.Args, cli.Streams{In: os.Stdin, Out: os.Stdout, Err: os.Stderr})) },
	})
}

// TestScripts plays what a user meets at the prompt, one story a file.
func TestScripts(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		UpdateScripts:       os.Getenv("UPDATE") != "",
		Setup: func(e *testscript.Env) error {
			e.Setenv("LANG", "C.UTF-8")
			e.Setenv("GORACE", os.Getenv("GORACE"))
			e.Setenv("FLOWRUN_CACHE", filepath.Join(e.WorkDir, ".answers"))
			e.Setenv("FLOWRUN_STATE", filepath.Join(e.WorkDir, ".state"))
			return nil
		},
		Condition: func(name string) (bool, error) {
			if name == "root" {
				return os.Geteuid() == 0, nil
			}
			return false, fmt.Errorf("there is no condition %q", name)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"cut":    cut,
			"exits":  exits,
			"events": events,
			"openai": openai,
			"site":   site,
			"sql":    sqlite,
		},
	})
}

// cut cuts every file in a folder in half: cut FOLDER
func cut(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: cut FOLDER")
	}
	files, err := os.ReadDir(ts.MkAbs(args[0]))
	ts.Check(err)
	for _, f := range files {
		info, err := f.Info()
		ts.Check(err)
		ts.Check(os.Truncate(filepath.Join(ts.MkAbs(args[0]), f.Name()), info.Size()/2))
	}
}

// sqlite changes a journal behind flowrun's back: sql FILE STATEMENT
func sqlite(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: sql FILE STATEMENT")
	}
	db, err := sql.Open("sqlite", ts.MkAbs(args[0]))
	ts.Check(err)
	defer db.Close()
	_, err = db.Exec(args[1])
	ts.Check(err)
}

// exits runs a program that must end with an exit code: exits 2 flowrun run
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE PROGRAM [ARGUMENT...]")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		var exit *exec.ExitError
		if !errors.As(err, &exit) {
			ts.Fatalf("running %s: %v", args[1], err)
		}
		got = exit.ExitCode()
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}
