package journal_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/flowrun/flowrun/engine"
	"github.com/flowrun/flowrun/journal"
)

// One step after another, each durable before the next.
func BenchmarkSteps(b *testing.B) {
	b.Run("sequential", func(b *testing.B) { steps(b, 1) })
	b.Run("100 at once", func(b *testing.B) { steps(b, 100) })
}

func steps(b *testing.B, at int) {
	r := begun(b, opened(b, filepath.Join(b.TempDir(), "flowrun.db")), "r")
	var mu sync.Mutex // as the engine has one
	n := 0
	one := func() {
		mu.Lock()
		n++
		wait := r.Record(finished(fmt.Sprintf("/list[%d]/do", n), n, "what the step came to"))
		mu.Unlock()
		if err := wait(); err != nil {
			b.Error(err)
		}
	}
	b.ResetTimer()
	inParallel(b, at, one)
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "steps/s")
}

// inParallel does b.N times the same, so many at once.
func inParallel(b *testing.B, at int, do func()) {
	turns := make(chan struct{}, b.N)
	for range b.N {
		turns <- struct{}{}
	}
	close(turns)
	var all sync.WaitGroup
	for range at {
		all.Go(func() {
			for range turns {
				do()
			}
		})
	}
	all.Wait()
}

// What plain SQLite does with the same file and the same durability, a transaction for each row.
func BenchmarkPlainInserts(b *testing.B) {
	plain := func(b *testing.B, at int) {
		db, err := sql.Open("sqlite", "file:"+filepath.Join(b.TempDir(), "plain.db")+"?_pragma=busy_timeout(60000)&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)")
		if err != nil {
			b.Fatal(err)
		}
		defer db.Close()
		if _, err := db.Exec("CREATE TABLE turns (key INTEGER PRIMARY KEY, entry TEXT NOT NULL)"); err != nil {
			b.Fatal(err)
		}
		db.SetMaxOpenConns(1)
		b.ResetTimer()
		inParallel(b, at, func() {
			if _, err := db.Exec("INSERT INTO turns (entry) VALUES (?)", `{"turn":"/list[17]/do","name":"do","finished":{"number":17,"output":"what the step came to","status":"completed","visits":1,"tally":{"steps":1}}}`); err != nil {
				b.Error(err)
			}
		})
		b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "steps/s")
	}
	b.Run("sequential", func(b *testing.B) { plain(b, 1) })
	b.Run("100 at once", func(b *testing.B) { plain(b, 100) })
}

// Opening a journal, one run with one step, closing: what each flowrun run pays.
func BenchmarkStart(b *testing.B) {
	path := filepath.Join(b.TempDir(), "flowrun.db")
	for i := range b.N {
		j, err := journal.Open(path)
		if err != nil {
			b.Fatal(err)
		}
		r, err := j.Begin(journal.Head{ID: fmt.Sprint(i), StartedAt: time.Now()})
		if err != nil {
			b.Fatal(err)
		}
		err = errors.Join(r.Record(finished("/", 1, "x"))(), r.End(&engine.Result{Status: engine.Completed}), r.Close(), j.Close())
		if err != nil {
			b.Fatal(err)
		}
	}
}

// Opening alone.
func BenchmarkOpen(b *testing.B) {
	path := filepath.Join(b.TempDir(), "flowrun.db")
	opened(b, path)
	for b.Loop() {
		j, err := journal.Open(path)
		if err != nil {
			b.Fatal(err)
		}
		j.Close()
	}
}

// Opening and taking over a run of 10,000 finished steps.
func BenchmarkTake(b *testing.B) {
	path := filepath.Join(b.TempDir(), "flowrun.db")
	j := opened(b, path)
	r := begun(b, j, "r")
	for i := range 10_000 {
		r.Record(finished(fmt.Sprintf("/list[%d]/do", i), i+1, "what the step came to"))
	}
	if err := errors.Join(r.Close(), j.Close()); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		j, err := journal.Open(path)
		if err != nil {
			b.Fatal(err)
		}
		r, err := j.Take("r")
		if err != nil {
			b.Fatal(err)
		}
		if k := r.Find("/"); k.Spent.Steps != 10_000 {
			b.Fatalf("%d steps", k.Spent.Steps)
		}
		r.Close()
		j.Close()
	}
}

// Listing 10,000 runs, all of them and those of one user.
func BenchmarkList(b *testing.B) {
	path := filepath.Join(b.TempDir(), "flowrun.db")
	j := opened(b, path)
	fill(b, j, 10_000)
	for _, f := range []journal.Filter{{}, {Limit: 50}, {UserID: "u7"}, {Workflow: "w3", Status: journal.Failed}} {
		b.Run(fmt.Sprintf("%+v", f), func(b *testing.B) {
			for b.Loop() {
				all, err := j.List(f)
				if err != nil || len(all) == 0 {
					b.Fatal(all, err)
				}
			}
		})
	}
}

// fill begins and ends runs.
func fill(t testing.TB, j *journal.Journal, n int) {
	t.Helper()
	work := make(chan int)
	var all sync.WaitGroup
	for range 100 {
		all.Go(func() {
			for i := range work {
				r, err := j.Begin(journal.Head{ID: fmt.Sprintf("20261121-%06d-abcdef01", i), Workflow: fmt.Sprint("w", i%10), File: "/home/somebody/pipelines/review.yaml",
					UserID: fmt.Sprint("u", i%100), SessionID: fmt.Sprint("s", i), StartedAt: time.Unix(int64(i), 0), Digest: "d", Input: "please review this"})
				if err != nil {
					t.Error(err)
					return
				}
				result := &engine.Result{Status: engine.Completed, Output: "fine", Steps: 3, Usage: engine.ByAgent{"a": {Calls: 1, InputTokens: 10}}}
				if i%10 == 3 {
					result = &engine.Result{Status: engine.Failed, Error: &engine.Error{Kind: engine.Model, Message: "no answer"}}
				}
				if err := errors.Join(r.End(result), r.Close()); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for i := range n {
		work <- i
	}
	close(work)
	all.Wait()
}

// A run of 1,000 branches, with a journal and without.
func BenchmarkBranches(b *testing.B) {
	g := graph(b, `{for_each: "1..1000", max_concurrency: 100, do: {ask: "${{ prev }}"}, limits: {max_steps: 2000, max_concurrency: 100}}`,
		func(_ context.Context, what any) (any, error) { return what, nil })
	b.Run("without a journal", func(b *testing.B) {
		for b.Loop() {
			if _, err := engine.Run(b.Context(), g, nil); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("with a journal", func(b *testing.B) {
		j := opened(b, filepath.Join(b.TempDir(), "flowrun.db"))
		n := 0
		for b.Loop() {
			n++
			r, err := j.Begin(journal.Head{ID: fmt.Sprint("r", n)})
			if err != nil {
				b.Fatal(err)
			}
			result, err := engine.Run(b.Context(), g, nil, engine.WithTurns(r), engine.WithListener(r.Hear))
			if err := errors.Join(err, r.End(result), r.Close()); err != nil {
				b.Fatal(err)
			}
		}
	})
}
