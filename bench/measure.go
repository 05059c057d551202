package main

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"syscall"
	"time"
)

// cost is what one run took.
type cost struct {
	wall, cpu     time.Duration
	allocs, bytes float64
}

// sample runs r again and again for a while and gives the cost of one run.
func sample(r run, atLeast time.Duration) (cost, error) {
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	cpu, began := used(), time.Now()
	n := 0
	for n == 0 || time.Since(began) < atLeast {
		if _, err := r(context.Background()); err != nil {
			return cost{}, err
		}
		n++
	}
	wall := time.Since(began)
	cpu = used() - cpu
	runtime.ReadMemStats(&after)
	each := float64(n)
	return cost{wall / time.Duration(n), cpu / time.Duration(n), float64(after.Mallocs-before.Mallocs) / each,
		float64(after.TotalAlloc-before.TotalAlloc) / each}, nil
}

// used is the time of all cores that this process has had, that of the garbage collector and the kernel included.
func used() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return cpuOf(&u)
}

func cpuOf(u *syscall.Rusage) time.Duration { return time.Duration(u.Utime.Nano() + u.Stime.Nano()) }

// median takes each figure's own; wall and cpu of a busy machine differ from round to round.
func median(all []cost) cost {
	return cost{
		middle(all, func(c cost) time.Duration { return c.wall }),
		middle(all, func(c cost) time.Duration { return c.cpu }),
		middle(all, func(c cost) float64 { return c.allocs }),
		middle(all, func(c cost) float64 { return c.bytes }),
	}
}

func middle[T time.Duration | float64](all []cost, of func(cost) T) T {
	var values []T
	for _, c := range all {
		values = append(values, of(c))
	}
	slices.Sort(values)
	return values[len(values)/2]
}

// cpuOfEach prints the median cpu time of one of n, and the best round's: how far they are apart tells how busy the machine
// was.
func cpuOfEach(all []cost, n int) string {
	best := all[0].cpu
	for _, c := range all {
		best = min(best, c.cpu)
	}
	return fmt.Sprintf("%s (%s)", short(median(all).cpu/time.Duration(n)), short(best/time.Duration(n)))
}

// short prints a duration with three digits.
func short(d time.Duration) string {
	switch {
	case d >= time.Second:
		return fmt.Sprintf("%.2f s", d.Seconds())
	case d >= 100*time.Millisecond:
		return fmt.Sprintf("%.0f ms", d.Seconds()*1e3)
	case d >= time.Millisecond:
		return fmt.Sprintf("%.1f ms", d.Seconds()*1e3)
	case d >= 10*time.Microsecond:
		return fmt.Sprintf("%.0f µs", d.Seconds()*1e6)
	case d >= time.Microsecond:
		return fmt.Sprintf("%.1f µs", d.Seconds()*1e6)
	}
	return fmt.Sprintf("%d ns", d.Nanoseconds())
}
