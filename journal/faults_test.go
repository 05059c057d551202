package journal_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/flowrun/flowrun/engine"
	"github.com/flowrun/flowrun/journal"
	"github.com/flowrun/flowrun/nodes"
	"github.com/flowrun/flowrun/spec"
)

// faulty is the driver of SQLite, of which one operation fails.
type faulty struct {
	driver.Driver
	failing int64 // from 1; 0: none
	forGood bool  // all after it too
	count   atomic.Int64
	failed  atomic.Bool
}

var faults = sync.OnceValue(func() *faulty {
	db, err := sql.Open("sqlite", "")
	if err != nil {
		panic(err)
	}
	defer db.Close()
	f := &faulty{Driver: db.Driver()}
	sql.Register("faulty", f)
	return f
})

func (f *faulty) arm(n int64, forGood bool) {
	f.failing, f.forGood = n, forGood
	f.count.Store(0)
	f.failed.Store(false)
}

func (f *faulty) next() error {
	n := f.count.Add(1)
	if f.failing > 0 && (n == f.failing || f.forGood && n > f.failing) {
		f.failed.Store(true)
		return fmt.Errorf("as told at operation %d: %w", n, syscall.EIO)
	}
	return nil
}

func (f *faulty) Open(name string) (driver.Conn, error) {
	if err := f.next(); err != nil {
		return nil, err
	}
	c, err := f.Driver.Open(name)
	return &faultyConn{c, f}, err
}

type faultyConn struct {
	driver.Conn
	f *faulty
}

func (c *faultyConn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	if err := c.f.next(); err != nil {
		return nil, err
	}
	return c.Conn.(driver.ExecerContext).ExecContext(ctx, query, args)
}

func (c *faultyConn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	if err := c.f.next(); err != nil {
		return nil, err
	}
	rows, err := c.Conn.(driver.QueryerContext).QueryContext(ctx, query, args)
	return &faultyRows{rows, c.f}, err
}

func (c *faultyConn) PrepareContext(ctx context.Context, query string) (driver.Stmt, error) {
	if err := c.f.next(); err != nil {
		return nil, err
	}
	s, err := c.Conn.(driver.ConnPrepareContext).PrepareContext(ctx, query)
	return &faultyStmt{s, c.f}, err
}

type faultyStmt struct {
	driver.Stmt
	f *faulty
}

func (s *faultyStmt) ExecContext(ctx context.Context, args []driver.NamedValue) (driver.Result, error) {
	if err := s.f.next(); err != nil {
		return nil, err
	}
	return s.Stmt.(driver.StmtExecContext).ExecContext(ctx, args)
}

func (s *faultyStmt) QueryContext(ctx context.Context, args []driver.NamedValue) (driver.Rows, error) {
	if err := s.f.next(); err != nil {
		return nil, err
	}
	rows, err := s.Stmt.(driver.StmtQueryContext).QueryContext(ctx, args)
	return &faultyRows{rows, s.f}, err
}

type faultyRows struct {
	driver.Rows
	f *faulty
}

func (r *faultyRows) Next(into []driver.Value) error {
	if err := r.f.next(); err != nil {
		return err
	}
	return r.Rows.Next(into)
}

// asked are the turns of a run, with a count of how often something might go out, as the journal said, and did.
type asked struct {
	*journal.Run
	may, did atomic.Int64
}

func (a *asked) Err() error {
	err := a.Run.Err()
	if err == nil {
		a.may.Add(1)
	}
	return err
}

const work = `
limits: {max_steps: 1000, max_concurrency: 8}
chain:
  - {name: first, ask: one}
  - name: wide
    for_each: "[1, 2, 3, 4, 5, 6, 7, 8, 9, 10]"
    max_concurrency: 4
    do: {name: look, ask: "${{ prev }}"}
  - name: rounds
    loop: [{name: again, ask: more}]
    max_iterations: 3
  - {name: last, ask: done}
`

// graph compiles a pipeline in which ask calls a function of the test's, in the place of a model.
func graph(t testing.TB, src string, ask func(context.Context, any) (any, error)) *engine.Graph {
	t.Helper()
	kind := engine.Kind{
		Shape: spec.Shape{Name: "ask", Summary: "asks the test", Leaf: true, Fields: []spec.Field{{Name: "ask", Form: spec.Template{}, Summary: "what"}}},
		Slot:  true, Fails: engine.Model,
		Build: func(n *spec.Node) engine.Body {
			return engine.Body{Act: func(ctx context.Context, c *engine.Call) (any, error) {
				what, err := c.Eval(n.Expr("ask"))
				if err != nil {
					return nil, err
				}
				return ask(ctx, what)
			}}
		},
	}
	g, diagnostics := nodes.Language(nodes.WithKind(kind)).Parse("p.yaml", t.TempDir(), []byte(src))
	if g == nil {
		t.Fatal(diagnostics)
	}
	return g
}

// Whichever operation on the database fails: no panic, no run that says it completed and is not kept, and nothing is
// asked of the world once the journal knows.
func TestEveryOperationFails(t *testing.T) {
	t.Run("once", func(t *testing.T) { everyOperationFails(t, false, 1) })
	t.Run("for good", func(t *testing.T) { everyOperationFails(t, true, 5) })
}

func everyOperationFails(t *testing.T, forGood bool, step int64) {
	f := faults()
	defer f.arm(0, false)
	opened, ended, cut := 0, 0, 0
	for n := int64(1); n <= 100+step; n += step {
		if n > 100 { // all goes well, to tell what that looks like
			n = 1 << 30
		}
		path := filepath.Join(t.TempDir(), "flowrun.db")
		f.arm(n, forGood)
		j, err := journal.OpenWith(path, "faulty")
		if err != nil {
			if !errors.As(err, new(*journal.OpenError)) {
				t.Errorf("operation %d: opening: %T %v", n, err, err)
			}
			continue
		}
		opened++
		complete, err := runOver(t, j, n)
		if failed := j.Close(); err == nil {
			err = failed
		}
		f.arm(0, false)
		if complete {
			ended++
		} else {
			cut++
		}
		again, failed := journal.Open(path)
		if failed != nil {
			t.Fatalf("operation %d: opening again: %v", n, failed)
		}
		rec, failed := again.Get("r")
		switch {
		case complete && (failed != nil || rec.Status != journal.Completed || rec.Result.Output != "done"):
			t.Errorf("operation %d: the run completed, and what is kept is %+v, %v", n, rec, failed)
		case failed != nil && !errors.As(failed, new(*journal.UnknownError)):
			t.Errorf("operation %d: %v", n, failed)
		case !complete && failed == nil && rec.Status == journal.Completed && err == nil:
			t.Errorf("operation %d: the run did not complete, and what is kept says so", n)
		}
		again.Close()
	}
	if opened == 0 || ended == 0 || cut == 0 {
		t.Errorf("opened %d times, %d runs completed and %d were cut: not all was tried", opened, ended, cut)
	}
}

// runOver runs the pipeline and tells whether all of it is kept.
func runOver(t *testing.T, j *journal.Journal, n int64) (complete bool, err error) {
	r, err := j.Begin(journal.Head{ID: "r", Workflow: "p"})
	if err != nil {
		return false, err
	}
	defer r.Close()
	turns := &asked{Run: r}
	g := graph(t, work, func(_ context.Context, what any) (any, error) {
		turns.did.Add(1)
		return what, nil
	})
	result, err := engine.Run(t.Context(), g, nil, engine.WithTurns(turns), engine.WithListener(r.Hear), engine.WithRunID("r"))
	if turns.did.Load() > turns.may.Load() {
		t.Errorf("operation %d: %d questions went out, and the journal was there for %d", n, turns.did.Load(), turns.may.Load())
	}
	if err != nil {
		if r.Err() == nil || result.Error.Kind != engine.Internal || !errors.As(err, new(*journal.WriteError)) {
			t.Errorf("operation %d: the run ended with %v, and the journal with %v", n, err, r.Err())
		}
	}
	if err := r.End(result); err != nil {
		return false, err
	}
	if err != nil {
		t.Errorf("operation %d: the end was kept after a write had failed", n)
	}
	return result.Status == engine.Completed, r.Err()
}

// A run that could not be read is not taken for one that there is not.
func TestReadThatFails(t *testing.T) {
	f := faults()
	defer f.arm(0, false)
	j, err := journal.OpenWith(filepath.Join(t.TempDir(), "flowrun.db"), "faulty")
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	begun(t, j, "r").Close()
	for range 2 { // the first opens a connection
		f.arm(0, false)
		if _, err := j.Get("r"); err != nil {
			t.Fatal(err)
		}
	}
	for n := range f.count.Load() {
		f.arm(n+1, false)
		if _, err := j.Get("r"); !errors.As(err, new(*journal.ReadError)) || !errors.Is(err, syscall.EIO) {
			t.Errorf("operation %d: %v", n+1, err)
		}
	}
}

// A write that nobody waits for has failed: what is running ends, and nothing more is asked.
func TestNothingGoesOutAfterAFailure(t *testing.T) {
	f := faults()
	defer f.arm(0, false)
	path := filepath.Join(t.TempDir(), "flowrun.db")
	j, err := journal.OpenWith(path, "faulty")
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	r, err := j.Begin(journal.Head{ID: "r"})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var asks []any
	g := graph(t, "chain: [{ask: one}, {ask: two}, {ask: three}]", func(_ context.Context, what any) (any, error) {
		asks = append(asks, what)
		if what == "two" { // as where events are written while it works
			f.arm(1, true)
			if r.Record(engine.Entry{Turn: "/other", Cursor: &engine.Cursor{}})() == nil {
				t.Error("a write that failed was taken for one that did not")
			}
		}
		return what, nil
	})
	_, err = engine.Run(t.Context(), g, nil, engine.WithTurns(r))
	if len(asks) != 2 || !errors.As(err, new(*journal.WriteError)) || !errors.Is(err, syscall.EIO) {
		t.Errorf("asked %v, %v", asks, err)
	}
}
