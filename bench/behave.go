package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync/atomic"
	"time"
)

// A behaviour is something that goes wrong, and what a system makes of it. Each is tried in a process of its own: some
// end the process, or never end.
type behaviour struct {
	name, title, about string
	try                func(w io.Writer, s system) error
}

func behaviours() []behaviour {
	return []behaviour{
		{"fail", "A branch fails", "One branch fails after 20 ms. Its sibling would take 1 s, and stops when its context does.", failing},
		{"deadline", "A deadline passes", "The caller's deadline is 50 ms. One branch takes 500 ms and does not listen, the other is quick.", late},
		{"panic", "A branch panics", "One branch panics after 10 ms. Its sibling takes 50 ms.", panicking},
		{"endless", "A loop does not end", "A loop without an end, with the limits that the system has by itself. The caller's deadline is 300 ms, and the step does not listen.", endless},
		{"uneven", "Branches are uneven", "One branch is a step of 300 ms, the other two of 100 and 200 ms: 300 ms if no step waits for another branch's. One step follows.", uneven},
		{"order", "The order of 200 merges", "200 runs of ten branches that end in a random order: in which orders do their outputs come out?", orders},
	}
}

const patience = 5 * time.Second // with a process that does not end

// behave prints what every system does, a table for each behaviour.
func behave(w io.Writer) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	for _, b := range behaviours() {
		fmt.Fprintf(w, "\n### %s\n\n%s\n\n| system | what it does |\n|---|---|\n", b.title, b.about)
		for _, s := range systems() {
			ctx, cancel := context.WithTimeout(context.Background(), patience)
			c := exec.CommandContext(ctx, self, "probe", b.name, s.name)
			var out, errs bytes.Buffer
			c.Stdout, c.Stderr = &out, &errs
			err := c.Run()
			hung := ctx.Err() != nil
			cancel()
			said := strings.TrimSpace(out.String())
			switch {
			case hung:
				said = fmt.Sprintf("has not ended after %s; %s", patience, said)
			case strings.Contains(errs.String(), "panic: ") && err != nil:
				said = "the process dies of it"
			case err != nil:
				said = "? " + err.Error() + " " + errs.String()
			}
			fmt.Fprintf(w, "| %s | %s |\n", s.name, said)
		}
	}
	return nil
}

// probe tries one behaviour on one system and prints what it does.
func probe(w io.Writer, behaviour, system string) error {
	for _, b := range behaviours() {
		for _, s := range systems() {
			if b.name == behaviour && s.name == system {
				err := b.try(w, s)
				if errors.Is(err, errNone) {
					fmt.Fprintln(w, err)
					return nil
				}
				return err
			}
		}
	}
	return fmt.Errorf("there is no %s or no %s", behaviour, system)
}

// told says how a run ended.
func told(began time.Time, err error) string {
	took := time.Since(began).Round(time.Millisecond)
	switch {
	case err == nil:
		return fmt.Sprintf("returns after %s without an error", took)
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Sprintf("returns after %s with DeadlineExceeded", took)
	}
	return fmt.Sprintf("returns after %s: `%s`", took, firstLine(err))
}

func failing(w io.Writer, s system) error {
	var stopped, running atomic.Bool
	r, err := s.build(plan{parallel: []plan{
		{step: func(context.Context, any) (any, error) {
			time.Sleep(20 * time.Millisecond)
			return nil, errors.New("no money left")
		}},
		{step: func(ctx context.Context, _ any) (any, error) {
			running.Store(true)
			defer running.Store(false)
			select {
			case <-ctx.Done():
				stopped.Store(true)
				return nil, ctx.Err()
			case <-time.After(time.Second):
				return "x", nil
			}
		}},
	}})
	if err != nil {
		return err
	}
	began := time.Now()
	_, err = r(context.Background())
	said := told(began, err)
	switch {
	case running.Load():
		said += "; **the sibling goes on after it returned**"
	case stopped.Load():
		said += "; the sibling was stopped"
	default:
		said += "; it waited for the sibling, which was not stopped"
	}
	fmt.Fprintln(w, said)
	return nil
}

func late(w io.Writer, s system) error {
	r, err := s.build(plan{parallel: []plan{
		{step: noop},
		{step: func(context.Context, any) (any, error) { time.Sleep(500 * time.Millisecond); return "x", nil }},
	}})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	began := time.Now()
	_, err = r(ctx)
	fmt.Fprintln(w, told(began, err))
	return nil
}

func panicking(w io.Writer, s system) error {
	r, err := s.build(plan{parallel: []plan{
		{step: func(context.Context, any) (any, error) { time.Sleep(10 * time.Millisecond); panic("out of cheese") }},
		{step: func(context.Context, any) (any, error) { time.Sleep(50 * time.Millisecond); return "x", nil }},
	}})
	if err != nil {
		return err
	}
	began := time.Now()
	_, err = r(context.Background())
	said := told(began, err)
	if err != nil && strings.Contains(err.Error(), "goroutine ") {
		said += "; a stack is in the text"
	}
	time.Sleep(100 * time.Millisecond) // what panics later kills the process
	fmt.Fprintln(w, said)
	return nil
}

func endless(w io.Writer, s system) error {
	const enough = 2 * time.Second
	var ran atomic.Int64
	r, err := s.build(plan{loop: &loop{body: func(context.Context, any) (any, error) {
		ran.Add(1)
		runtime.Gosched()
		return "x", nil
	}}})
	if err != nil {
		fmt.Fprintf(w, "refuses to build it: %s\n", firstLine(err))
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), 300*time.Millisecond)
	defer cancel()
	began := time.Now()
	ended := make(chan error)
	go func() {
		_, err := r(ctx)
		ended <- err
	}()
	select {
	case err := <-ended:
		fmt.Fprintf(w, "%s, after %s\n", told(began, err), about(ran.Load()))
	case <-time.After(enough):
		fmt.Fprintf(w, "**still runs after %s**, after %s\n", enough, about(ran.Load()))
	}
	return nil
}

// about rounds what differs from run to run.
func about(rounds int64) string {
	if rounds < 1000 {
		return fmt.Sprintf("%d rounds", rounds)
	}
	return fmt.Sprintf("about %d thousand rounds", rounds/1000)
}

func uneven(w io.Writer, s system) error {
	var ran atomic.Int64
	sleep := func(ms int, out string) plan {
		return plan{step: func(context.Context, any) (any, error) {
			ran.Add(1)
			time.Sleep(time.Duration(ms) * time.Millisecond)
			return out, nil
		}}
	}
	r, err := s.build(plan{chain: []plan{
		{parallel: []plan{sleep(300, "b"), {chain: []plan{sleep(100, "c"), sleep(200, "d")}}}},
		{step: func(_ context.Context, in any) (any, error) { ran.Add(1); return in, nil }},
	}})
	if err != nil {
		return err
	}
	began := time.Now()
	out, err := r(context.Background())
	said := told(began, err)
	if err == nil {
		said += fmt.Sprintf(" and `%v`", out)
	}
	if n := ran.Load(); n != 4 {
		said += fmt.Sprintf("; **%d steps ran of 4**", n)
	}
	fmt.Fprintln(w, said)
	return nil
}

func orders(w io.Writer, s system) error {
	const runs = 200
	p := plan{}
	for i := range 10 {
		p.parallel = append(p.parallel, plan{step: func(context.Context, any) (any, error) {
			time.Sleep(time.Duration(rand.IntN(300)) * time.Microsecond)
			return fmt.Sprint(i), nil
		}})
	}
	r, err := s.build(p)
	if err != nil {
		return err
	}
	seen := map[string]bool{}
	for range runs {
		out, err := r(context.Background())
		if err != nil {
			return err
		}
		list, ok := out.([]any)
		if !ok {
			fmt.Fprintln(w, "a map by branch, which has no order")
			return nil
		}
		seen[fmt.Sprint(list)] = true
	}
	switch {
	case len(seen) == 1 && seen["[0 1 2 3 4 5 6 7 8 9]"]:
		fmt.Fprintln(w, "the order written, 200 times of 200")
	default:
		fmt.Fprintf(w, "%d orders in %d runs\n", len(seen), runs)
	}
	return nil
}
