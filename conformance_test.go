package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/flowrun/flowrun/cli"
	"github.com/flowrun/flowrun/leaktest"
)

func TestMain(m *testing.M) {
	testscript.Main(leaktest.Of(m), map[string]func(){
		"flowrun": func() { os.Exit(cli.Main(os.Args, cli.Streams{In: os.Stdin, Out: os.Stdout, Err: os.Stderr})) },
	})
}

// TestConformance runs the scripts that describe flowrun from outside; they stand beside the repository.
func TestConformance(t *testing.T) {
	dir := filepath.Join("..", "shared", "conformance")
	if _, err := os.Stat(dir); err != nil {
		t.Skipf("the conformance scripts are not here: %v", err)
	}
	testscript.Run(t, testscript.Params{Dir: dir, Setup: func(e *testscript.Env) error {
		e.Setenv("GORACE", os.Getenv("GORACE"))
		e.Setenv("FLOWRUN_CACHE", filepath.Join(e.WorkDir, ".answers"))
		e.Setenv("FLOWRUN_STATE", filepath.Join(e.WorkDir, ".state"))
		return nil
	}})
}
