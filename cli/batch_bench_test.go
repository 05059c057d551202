package cli_test

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/flowrun/flowrun/cli"
)

// BenchmarkBatch runs batches of b.N lines, each with one call of a mock and one step more, with and without a journal.
func BenchmarkBatch(b *testing.B) {
	for name, given := range map[string][]string{
		"no journal":             {"--no-journal"},
		"journal":                {"--journal", "j.db"},
		"journal, 32 at once":    {"--journal", "j.db", "--concurrency", "32"},
		"journal, all had ended": nil,
	} {
		b.Run(name, func(b *testing.B) {
			dir := b.TempDir()
			in := func(name string) string { return filepath.Join(dir, name) }
			if err := os.WriteFile(in("p.yaml"), []byte("chain:\n  - agent: {model: mock}\n  - set: upper(prev)\n"), 0o600); err != nil {
				b.Fatal(err)
			}
			f, err := os.Create(in("in.jsonl"))
			if err != nil {
				b.Fatal(err)
			}
			w := bufio.NewWriter(f)
			for n := range b.N {
				fmt.Fprintf(w, "\"text number %d\"\n", n)
			}
			if err := w.Flush(); err != nil {
				b.Fatal(err)
			}
			f.Close()
			args := []string{"flowrun", "batch", in("p.yaml"), "--inputs", in("in.jsonl"), "--out", in("out.jsonl"), "--quiet"}
			run := func(flags []string) {
				all := slices.Clone(args)
				for _, flag := range flags {
					if flag == "j.db" {
						flag = in(flag)
					}
					all = append(all, flag)
				}
				if code := cli.Main(all, cli.Streams{In: os.Stdin, Out: io.Discard, Err: os.Stderr}); code != 0 {
					b.Fatalf("exit code %d", code)
				}
			}
			flags := given
			if flags == nil {
				flags = []string{"--journal", "j.db"}
				run(flags)
			}
			b.ResetTimer()
			run(flags)
		})
	}
}
