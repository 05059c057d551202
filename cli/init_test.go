package cli_test

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/flowrun/flowrun/examples"
)

// TestInitExamples starts from each example in an empty folder: what init writes is complete and valid.
func TestInitExamples(t *testing.T) {
	t.Parallel()
	for _, name := range examples.Names() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			for _, args := range []string{"init --example " + name, "validate pipeline.yaml", "graph pipeline.yaml", "run pipeline.yaml --dry-run"} {
				cmd := exec.Command("flowrun", strings.Fields(args)...)
				cmd.Dir = dir
				cmd.Env = append(os.Environ(), "OPENAI_API_KEY=")
				if out, err := cmd.CombinedOutput(); err != nil {
					t.Fatalf("flowrun %s: %v\n%s", args, err, out)
				}
			}
		})
	}
}
