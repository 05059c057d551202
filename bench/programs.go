package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// program is a process as a user would start it, or a part of this one in a process of its own.
type program struct {
	name     string
	args     []string
	cpu      time.Duration // at most; 0: no target
	wall     time.Duration
	megabyte int64
	runs     int
}

// spent is what one process took.
type spent struct {
	wall, cpu time.Duration
	megabyte  int64
}

const items = 1_000_000

// programs prints what whole processes take.
func programs(w io.Writer) error {
	dir, err := os.MkdirTemp("", "bench")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	in := func(name string) string { return filepath.Join(dir, name) }
	flowrun := in("flowrun")
	if out, err := exec.Command("go", "build", "-C", "..", "-o", flowrun, ".").CombinedOutput(); err != nil {
		return fmt.Errorf("building flowrun: %w\n%s", err, out)
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	for name, text := range map[string][]byte{
		"10000.yaml":  manyAgents(10_000),
		"100000.yaml": manyAgents(100_000),
		"each.yaml":   []byte(overItems),
		"items.json":  []byte("[0" + strings.Repeat(",7", items-1) + "]"),
		"steps.yaml":  []byte(raised + "for_each: 1..10000\ndo: {set: item}\nmerge: len(results)\n"),
	} {
		if err := os.WriteFile(in(name), text, 0o644); err != nil {
			return err
		}
	}
	each := []string{flowrun, "run", in("each.yaml"), "--input-file", in("items.json"), "--quiet"}
	all := []program{
		{"`flowrun version`", []string{flowrun, "version"}, 15 * time.Millisecond, 0, 0, 15},
		{"`flowrun validate`, 10,000 agents", []string{flowrun, "validate", in("10000.yaml")}, 0, 600 * time.Millisecond, 150, rounds},
		{"`flowrun validate`, 100,000 agents", []string{flowrun, "validate", in("100000.yaml")}, 0, 5 * time.Second, 600, 3},
		{"`for_each` over 1,000,000 items, 64 at once: the run", []string{self, "each"}, 0, time.Second, 400, rounds},
		{"the same by `flowrun run --input-file`", each, 0, 0, 0, 3},
	}
	fmt.Fprint(w, "\n| what | wall | target | memory | target | cpu | target | |\n|---|---|---|---|---|---|---|---|\n")
	for _, p := range all {
		s, err := p.measure()
		if err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
		verdict := "met"
		switch {
		case p.cpu > 0 && s.cpu > p.cpu, p.wall > 0 && s.wall > p.wall, p.megabyte > 0 && s.megabyte > p.megabyte:
			verdict = "missed"
		case p.cpu == 0 && p.wall == 0:
			verdict = ""
		}
		memory, bound := "", ""
		if p.megabyte > 0 {
			memory, bound = fmt.Sprintf("%d MB", s.megabyte), fmt.Sprintf("< %d MB", p.megabyte)
		}
		fmt.Fprintf(w, "| %s | %s | %s | %s | %s | %s | %s | %s |\n", p.name, short(s.wall), most(p.wall, short), memory, bound,
			short(s.cpu), most(p.cpu, short), verdict)
	}
	return eventCost(w, flowrun, in("steps.yaml"), in("events.jsonl"))
}

// measure gives the medians of some runs.
func (p program) measure() (spent, error) {
	var walls, cpus []time.Duration
	var memory []int64
	for range p.runs {
		s, out, err := process(p.args)
		if err != nil {
			return spent{}, err
		}
		if took, err := time.ParseDuration(strings.TrimSpace(out)); err == nil { // it says itself what its work took
			s.wall = took
		}
		walls, cpus, memory = append(walls, s.wall), append(cpus, s.cpu), append(memory, s.megabyte)
	}
	slices.Sort(walls)
	slices.Sort(cpus)
	slices.Sort(memory)
	return spent{walls[p.runs/2], cpus[p.runs/2], memory[p.runs/2]}, nil
}

func process(args []string) (spent, string, error) {
	c := exec.Command(args[0], args[1:]...)
	var out, errs bytes.Buffer
	c.Stdout, c.Stderr = &out, &errs
	began := time.Now()
	if err := c.Run(); err != nil {
		return spent{}, "", fmt.Errorf("%w: %s", err, errs.String())
	}
	u := c.ProcessState.SysUsage().(*syscall.Rusage)
	// Maxrss is in KiB on Linux. It is never less than what this process held when it started the other.
	return spent{time.Since(began), cpuOf(u), u.Maxrss >> 10}, out.String(), nil
}

// eventCost prints what an event costs that is written to a file: what a run takes more with --events than without.
func eventCost(w io.Writer, flowrun, file, events string) error {
	var more []time.Duration
	plain := []string{flowrun, "run", file, "--quiet"}
	for range rounds {
		without, _, err := process(plain)
		if err != nil {
			return err
		}
		with, _, err := process(append(plain, "--events", events))
		if err != nil {
			return err
		}
		more = append(more, with.cpu-without.cpu)
	}
	slices.Sort(more)
	written, err := os.ReadFile(events)
	if err != nil {
		return err
	}
	const target = 3 * time.Microsecond
	each := more[rounds/2] / time.Duration(bytes.Count(written, []byte("\n")))
	verdict := "met"
	if each > target {
		verdict = "missed"
	}
	fmt.Fprintf(w, "| an event with `--events FILE` | | | | | %s | ≤ %s | %s |\n", short(each), short(target), verdict)
	return nil
}

const overItems = raised + "for_each: input\ndo: {set: item}\nmax_concurrency: 64\nmerge: len(results)\n"

// eachItem runs a for_each over a million items and prints how long that took.
func eachItem(w io.Writer) error {
	input := make([]any, items)
	for i := range input {
		input[i] = int64(i)
	}
	r := runOf(overItems, input)
	began := time.Now()
	if _, err := r(context.Background()); err != nil {
		return err
	}
	_, err := fmt.Fprintln(w, time.Since(began))
	return err
}
