package journal

import (
	"context"
	"database/sql"
	"errors"
	"os"
	"sync"
	"time"
)

const (
	ahead     = 16 << 20               // bytes that may wait to be written before those who bring more wait too
	unhurried = 100 * time.Millisecond // after which is written what nobody waits for
)

var errClosed = errors.New("it is closed")

// writer writes for everybody, in the order of asking: all that has come while it wrote goes into one transaction.
type writer struct {
	path string
	file os.FileInfo
	tx   tx
	wake chan struct{}
	done chan struct{}

	mu      sync.Mutex
	drained *sync.Cond
	next    *round
	last    *round // that is being written, or was
	failed  error  // the first
	closing bool
}

// round is what goes into one transaction.
type round struct {
	ops    []func(*tx) error
	bytes  int
	wanted bool // somebody waits
	over   chan struct{}
	err    error
}

func newRound() *round { return &round{over: make(chan struct{})} }

func newWriter(path string, conn *sql.Conn) (*writer, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	w := &writer{path: path, file: info, tx: tx{conn: conn, statements: map[string]*sql.Stmt{}, counts: map[*Run]counts{}}, wake: make(chan struct{}, 1), done: make(chan struct{}), next: newRound()}
	w.drained = sync.NewCond(&w.mu)
	go w.run()
	return w, nil
}

// put adds an operation of about so many bytes, which is done in its turn. The function returned waits until that is
// durable.
func (w *writer) put(bytes int, op func(*tx) error) (kept func() error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for w.next.bytes > ahead && w.failed == nil && !w.closing {
		w.signal()
		w.drained.Wait()
	}
	switch {
	case w.failed != nil:
		return func() error { return w.err() }
	case w.closing:
		return func() error { return w.wrong(errClosed) }
	}
	r := w.next
	r.ops = append(r.ops, op)
	r.bytes += bytes
	if len(r.ops) == 1 {
		w.signal()
	}
	return func() error { return w.wait(r) }
}

// flush waits until all that was put is durable.
func (w *writer) flush() error {
	w.mu.Lock()
	r, failed := w.next, w.failed
	if failed == nil && len(r.ops) == 0 {
		r = w.last
	}
	w.mu.Unlock()
	if failed != nil || r == nil {
		return failed
	}
	return w.wait(r)
}

func (w *writer) wait(r *round) error {
	w.mu.Lock()
	if r == w.next && !r.wanted {
		r.wanted = true
		w.signal()
	}
	w.mu.Unlock()
	<-r.over
	return r.err
}

// signal wakes the goroutine that writes.
func (w *writer) signal() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// err is the first failure.
func (w *writer) err() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.failed
}

// close writes what waits, and ends.
func (w *writer) close() error {
	w.mu.Lock()
	w.closing = true
	w.drained.Broadcast()
	w.mu.Unlock()
	w.signal()
	<-w.done
	w.tx.close()
	return w.err()
}

func (w *writer) run() {
	defer close(w.done)
	late := time.NewTimer(0)
	<-late.C
	for due := false; ; {
		select {
		case <-w.wake:
		case <-late.C:
			due = true
		}
		w.mu.Lock()
		r, closing := w.next, w.closing
		now, waiting := r.wanted || due || closing || r.bytes > ahead, len(r.ops) > 0
		if now {
			w.last, w.next = r, newRound()
			w.drained.Broadcast()
		}
		w.mu.Unlock()
		switch {
		case now:
			late.Stop()
			due = false
			w.write(r)
		case waiting:
			late.Reset(unhurried)
		}
		if closing {
			return
		}
	}
}

// write does a round in one transaction.
func (w *writer) write(r *round) {
	defer close(r.over)
	if len(r.ops) == 0 {
		return
	}
	if r.err = w.err(); r.err != nil {
		return
	}
	err := w.transact(r.ops)
	r.ops = nil // what they hold is not needed any more
	if err != nil {
		r.err = w.wrong(err)
		w.mu.Lock()
		w.failed = r.err
		w.drained.Broadcast()
		w.mu.Unlock()
	}
}

func (w *writer) transact(ops []func(*tx) error) error {
	if err := w.present(); err != nil {
		return err
	}
	if err := w.tx.exec("BEGIN IMMEDIATE"); err != nil {
		return err
	}
	for _, op := range ops {
		if err := op(&w.tx); err != nil {
			_ = w.tx.exec("ROLLBACK")
			return err
		}
	}
	if err := w.tx.count(); err != nil {
		_ = w.tx.exec("ROLLBACK")
		return err
	}
	if err := w.tx.exec("COMMIT"); err != nil {
		_ = w.tx.exec("ROLLBACK")
		return err
	}
	return nil
}

// present tells whether the file is still where others will look for it.
func (w *writer) present() error {
	info, err := os.Stat(w.path)
	if err != nil || !os.SameFile(info, w.file) {
		return errors.New("it was removed or replaced while it was in use")
	}
	return nil
}

// wrong says that it was the journal that could not be written, and why, in words for people.
func (w *writer) wrong(err error) error {
	if e := (*WriteError)(nil); errors.As(err, &e) {
		return err
	}
	return &WriteError{w.path, inWords(err)}
}

// tx is the transaction of a round. Its statements are prepared once.
type tx struct {
	conn       *sql.Conn
	statements map[string]*sql.Stmt
	counts     map[*Run]counts // of runs that recorded something
}

// count writes the counts of runs once for all that they recorded.
func (t *tx) count() error {
	defer clear(t.counts)
	for r, c := range t.counts {
		if err := c.keep(t, r.key); err != nil {
			return err
		}
	}
	return nil
}

func (t *tx) prepared(query string) (*sql.Stmt, error) {
	if s := t.statements[query]; s != nil {
		return s, nil
	}
	s, err := t.conn.PrepareContext(context.Background(), query)
	if err == nil {
		t.statements[query] = s
	}
	return s, err
}

func (t *tx) exec(query string, args ...any) error {
	_, err := t.result(query, args...)
	return err
}

func (t *tx) result(query string, args ...any) (sql.Result, error) {
	s, err := t.prepared(query)
	if err != nil {
		return nil, err
	}
	return s.Exec(args...)
}

// row reads the one row of a query; [sql.ErrNoRows] where there is none.
func (t *tx) row(query string, args []any, into ...any) error {
	s, err := t.prepared(query)
	if err != nil {
		return err
	}
	return s.QueryRow(args...).Scan(into...)
}

func (t *tx) close() {
	for _, s := range t.statements {
		_ = s.Close()
	}
	_ = t.conn.Close()
}
