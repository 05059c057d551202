package cli_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/flowrun/flowrun/engine"
	"github.com/flowrun/flowrun/journal"
)

// program is flowrun as it is installed, in a folder of its own with a pipeline p.yaml.
type program struct {
	exe, dir string
}

func built(b *testing.B, pipeline string) *program {
	b.Helper()
	p := &program{dir: b.TempDir()}
	p.exe = filepath.Join(p.dir, "flowrun.exe")
	if out, err := exec.Command("go", "build", "-o", p.exe, "..").CombinedOutput(); err != nil {
		b.Fatalf("%v: %s", err, out)
	}
	if err := os.WriteFile(filepath.Join(p.dir, "p.yaml"), []byte(pipeline), 0o600); err != nil {
		b.Fatal(err)
	}
	return p
}

func (p *program) journal() string { return filepath.Join(p.dir, "flowrun.db") }

// call runs the program to its end, and tells how much time of processors it took.
func (p *program) call(b *testing.B, code int, args ...string) time.Duration {
	cmd := exec.Command(p.exe, args...)
	cmd.Dir = p.dir
	cmd.Env = append(os.Environ(), "FLOWRUN_JOURNAL="+p.journal(), "FLOWRUN_STATE="+p.dir)
	if out, _ := cmd.CombinedOutput(); cmd.ProcessState.ExitCode() != code {
		b.Fatalf("%v gives %d: %s", args, cmd.ProcessState.ExitCode(), out)
	}
	return cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
}

// medians calls the program in different ways in turn, and reports the median of how long each takes, and of its time on
// processors.
func (p *program) medians(b *testing.B, code int, ways map[string][]string) {
	wall, cpu := map[string][]time.Duration{}, map[string][]time.Duration{}
	for b.Loop() {
		for way, args := range ways {
			began := time.Now()
			cpu[way] = append(cpu[way], p.call(b, code, args...))
			wall[way] = append(wall[way], time.Since(began))
		}
	}
	for way := range ways {
		slices.Sort(wall[way])
		slices.Sort(cpu[way])
		b.ReportMetric(float64(wall[way][len(wall[way])/2])/1e6, "ms/"+way)
		b.ReportMetric(float64(cpu[way][len(cpu[way])/2])/1e6, "cpu-ms/"+way)
	}
}

// The whole of a run of one step, and of 1,000 branches of two, with a journal and without.
func BenchmarkRunProcess(b *testing.B) {
	for name, src := range map[string]string{
		"one step":       "set: '1'\n",
		"1,000 branches": "for_each: 1..1000\nmax_concurrency: 100\ndo: {agent: {model: mock}, prompt: 'text ${{ item }}'}\nlimits: {max_steps: 2000, max_concurrency: 100}\n",
	} {
		b.Run(name, func(b *testing.B) {
			run := []string{"run", "p.yaml", "--quiet"}
			built(b, src).medians(b, 0, map[string][]string{"journal": run, "no-journal": append(run[:len(run):len(run)], "--no-journal"), "version": {"version"}})
		})
	}
}

// What resuming a run of 10,000 finished steps takes until it fails where it failed before.
func BenchmarkResumeProcess(b *testing.B) {
	p := built(b, `
for_each: 1..10001
max_concurrency: 1
do: {set: 10 / (10001 - item)}
limits: {max_steps: 20000}
`)
	p.call(b, 1, "run", "p.yaml", "--run-id", "r", "--quiet")
	p.medians(b, 1, map[string][]string{"resume": {"resume", "r", "--quiet"}})
}

// What flowrun runs ls takes with 10,000 runs.
func BenchmarkListProcess(b *testing.B) {
	p := built(b, "set: '1'\n")
	j, err := journal.Open(p.journal())
	if err != nil {
		b.Fatal(err)
	}
	var all sync.WaitGroup
	for from := range 100 {
		all.Go(func() {
			for i := range 100 {
				r, err := j.Begin(journal.Head{ID: fmt.Sprintf("20261121-%06d", from*100+i), Workflow: fmt.Sprint("w", i), File: "/home/somebody/p.yaml", StartedAt: time.Unix(int64(i), 0)})
				if err != nil {
					b.Error(err)
					return
				}
				if err := errors.Join(r.End(&engine.Result{Status: engine.Completed, Steps: 3}), r.Close()); err != nil {
					b.Error(err)
				}
			}
		})
	}
	all.Wait()
	if err := j.Close(); err != nil {
		b.Fatal(err)
	}
	p.medians(b, 0, map[string][]string{"ls": {"runs", "ls", "--limit", "0"}, "ls-50": {"runs", "ls"}, "ls-pipeline": {"runs", "ls", "--pipeline", "w7"}})
}
