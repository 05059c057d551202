package journal

import (
	"cmp"
	"database/sql"
	"errors"
	"sync"
	"time"

	"github.com/flowrun/flowrun/engine"
)

// Head is what a run was begun with.
type Head struct {
	ID             string         `json:"id"`
	Workflow       string         `json:"workflow"`
	File           string         `json:"file,omitempty"`   // its path from the root
	Folder         string         `json:"folder,omitempty"` // from the root, in which its commands run
	Source         string         `json:"source,omitempty"` // the pipeline itself, where it came from standard input
	Digest         string         `json:"digest"`           // of the file and all that it includes
	Input          any            `json:"input"`
	Params         map[string]any `json:"params,omitempty"`
	Models         []string       `json:"models,omitempty"`
	MaxSteps       int            `json:"max_steps,omitempty"`
	MaxVisits      int            `json:"max_visits,omitempty"`
	MaxConcurrency int            `json:"max_concurrency,omitempty"`
	Timeout        time.Duration  `json:"timeout,omitempty"`
	UserID         string         `json:"user_id,omitempty"`
	SessionID      string         `json:"session_id,omitempty"`
	StartedAt      time.Time      `json:"started_at"`
	Audit          string         `json:"audit,omitempty"`     // the trail of its events, a path from the root
	AuditKey       string         `json:"audit_key,omitempty"` // the file of its key, the same
	Batch          string         `json:"batch,omitempty"`
	Line           int            `json:"line,omitempty"`   // of the batch, from 1
	Origin         string         `json:"origin,omitempty"` // the run that it was forked from
	From           string         `json:"from,omitempty"`   // the node before which it takes over what that had finished
}

// headRow is a head as it is written: with values that stay what they are.
type headRow struct {
	Head
	Input  engine.Value `json:"input"`
	Params engine.Value `json:"params,omitzero"`
}

func rowOf(h Head) headRow {
	r := headRow{Head: h, Input: engine.Value{V: h.Input}}
	if h.Params != nil {
		r.Params.V = h.Params
	}
	return r
}

func (r headRow) head() (Head, error) {
	h := r.Head
	h.Input = r.Input.V
	if r.Params.V != nil {
		params, ok := r.Params.V.(map[string]any)
		if !ok {
			return h, errors.New("its params are no mapping")
		}
		h.Params = params
	}
	return h, nil
}

func headValues(r headRow, change func(string, engine.Value) engine.Value) headRow {
	r.Input = change("input", r.Input)
	r.Params = change("params", r.Params)
	return r
}

// Run is a run that this process owns. It is the [engine.Turns] of that run, and its Hear is a listener. It may be used
// by several goroutines, for one [engine.Run]: to go on later, take the run again.
type Run struct {
	j     *Journal
	key   int64
	head  Head
	owned *ownership

	position engine.Position

	mu     sync.Mutex
	next   int64 // number of an entry
	since  int64 // number of the first that counts
	seq    int   // of the last event
	counts counts
	idle   bool  // it was taken, and has not gone on yet
	anew   *anew // it begins again
	closed bool
	broken error // what could not be made a row
}

// anew is what else counts no more where a run begins again.
type anew struct {
	head      *row     // as it is from now on; nil where that is as it was
	undecided []string // what was decided for these turns
}

// write takes away what counts no more: what the run's agents said neither, until they say it again.
func (a *anew) write(t *tx, run int64) error {
	if a == nil {
		return nil
	}
	if err := t.exec("DELETE FROM exchanges WHERE run = ?", run); err != nil {
		return err
	}
	for _, turn := range a.undecided {
		if err := t.exec("DELETE FROM decisions WHERE run = ? AND turn = ?", run, turn); err != nil {
			return err
		}
	}
	if a.head == nil {
		return nil
	}
	return t.exec("UPDATE runs SET head = ?, head_large = ? WHERE key = ?", a.head.json, a.head.large.column(), run)
}

// Begin begins a run, which this process owns until the run is closed. The error is an [*ExistsError] where there is
// one of that id.
func (j *Journal) Begin(h Head) (*Run, error) {
	if err := cmp.Or(checkID(h.ID), checkIdentity(h)); err != nil {
		return nil, err
	}
	owned, err := j.folder.own(h.ID)
	if live := (*LiveError)(nil); errors.As(err, &live) {
		return nil, &ExistsError{h.ID}
	}
	if err != nil {
		return nil, j.w.wrong(err)
	}
	r := &Run{j: j, head: h, owned: owned}
	if err := r.insert(); err != nil {
		r.Close()
		return nil, err
	}
	return r, nil
}

func (r *Run) insert() error {
	h := r.head
	head, err := encode(rowOf(h), headValues)
	if err != nil {
		return err
	}
	exists := false
	kept := r.j.w.put(head.bytes(), func(t *tx) error {
		err := t.row("SELECT 1 FROM runs WHERE id = ?", []any{h.ID}, new(int))
		if exists = err == nil; exists {
			return nil
		}
		if !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		result, err := t.result(`INSERT INTO runs (id, workflow, file, status, user_id, session_id, batch, line, origin, started_at, head, head_large)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
			h.ID, h.Workflow, h.File, Running, h.UserID, h.SessionID, h.Batch, h.Line, h.Origin, h.StartedAt.UnixNano(), head.json, head.large.column())
		if err != nil {
			return err
		}
		if r.key, err = result.LastInsertId(); err != nil {
			return err
		}
		return head.large.keep(t, r.j.folder, r.key)
	})
	if err := kept(); err != nil {
		return err
	}
	if exists {
		return &ExistsError{h.ID}
	}
	return nil
}

// Take takes over a run that has ended or was cut, to go on with it; nothing changes before something is recorded. The
// error is a [*LiveError] where it goes on elsewhere, an [*UnknownError] or a [*DamagedError].
func (j *Journal) Take(id string) (*Run, error) {
	if _, err := j.find(id); err != nil { // before anything is made for it
		return nil, err
	}
	owned, err := j.folder.own(id)
	if err != nil {
		if live := (*LiveError)(nil); !errors.As(err, &live) {
			err = j.w.wrong(err)
		}
		return nil, err
	}
	r := &Run{j: j, owned: owned, idle: true}
	if err := r.load(id); err != nil {
		r.Close()
		return nil, err
	}
	return r, nil
}

// load reads what is kept of the run.
func (r *Run) load(id string) error {
	rec, err := r.j.Get(id)
	if err != nil {
		return err
	}
	r.key, r.head, r.since = rec.key, rec.Head, rec.since
	err = r.j.turns(&rec.Summary, func(n int64, t Turn) {
		r.next = n + 1
		if !t.Past {
			r.position.Record(t.Entry)
		}
	})
	if err != nil {
		return err
	}
	r.counts = countsOf(r.position.Find("/").Spent)
	r.seq, err = r.j.lastSeq(r.key)
	return err
}

// Head is what the run was begun with.
func (r *Run) Head() Head { return r.head }

// LastSeq is the number of the last event that is kept.
func (r *Run) LastSeq() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.seq
}

// Restart lets none of the turns count any more, nor what was decided for some: the run begins again, with the file of a
// digest, once something is recorded.
func (r *Run) Restart(digest string, undecided ...string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.anew = &anew{undecided: undecided}
	if digest != r.head.Digest {
		r.head.Digest = digest
		head, err := encode(rowOf(r.head), headValues)
		if err != nil {
			return err
		}
		r.anew.head = head
	}
	r.position.Reset()
	r.counts = counts{}
	r.since = r.next
	return nil
}

// Restarted tells whether there are turns that count no more.
func (r *Run) Restarted() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.since > 0
}

// Reuse are the latest ends of the run's turns, those too that were folded into others or dropped.
func (r *Run) Reuse() (map[string]*engine.Finished, error) { return r.j.Reuse(r.head.ID) }

// Find tells what is kept of a turn.
func (r *Run) Find(turn string) engine.Kept { return r.position.Find(turn) }

// Listed are the latest results of the nodes that the run's result lists.
func (r *Run) Listed() map[string]engine.Named { return r.position.Listed() }

// Err is why nothing more can be kept; nil while all can.
func (r *Run) Err() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.broken != nil {
		return r.broken
	}
	return r.j.w.err()
}

// Record keeps an entry.
func (r *Run) Record(e engine.Entry) (kept func() error) {
	memory, at := e.Memory, time.Now()
	e.Memory = nil // it has a table of its own
	row, err := encode(e, entryValues)
	if err != nil {
		r.breaks(err)
		return r.Err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	before := countsOf(r.position.Find(e.Turn).Spent)
	r.position.Record(e)
	r.counts = r.counts.plus(countsOf(r.position.Find(e.Turn).Spent)).minus(before)
	if e.Item {
		r.position.Forget(e.Turn)
	}
	sum := r.counts
	key := r.key<<32 | r.next
	r.next++
	return r.put(row.bytes(), func(t *tx) error {
		if err := row.large.keep(t, r.j.folder, r.key); err != nil {
			return err
		}
		t.counts[r] = sum
		if memory != nil {
			if err := r.remember(t, e.Turn, memory, at); err != nil {
				return err
			}
		}
		return t.exec("INSERT INTO turns (key, entry, large) VALUES (?, ?, ?)", key, row.json, row.large.column())
	})
}

// Hear keeps an event, when the journal comes to it: nobody waits for that. What is told of an answer as it comes is not
// kept.
func (r *Run) Hear(e engine.Event) {
	if e.Type == engine.ModelDelta {
		return
	}
	row := encodeEvent(e)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.seq = max(r.seq, e.Seq)
	key := r.key<<32 | int64(e.Seq)
	r.put(row.bytes(), func(t *tx) error {
		if err := row.large.keep(t, r.j.folder, r.key); err != nil {
			return err
		}
		return t.exec("INSERT OR REPLACE INTO events (key, event, large) VALUES (?, ?, ?)", key, row.json, row.large.column())
	})
}

// put adds an operation. The first makes a run that was taken one that goes on, in the same transaction. The lock is held.
func (r *Run) put(bytes int, op func(*tx) error) (kept func() error) {
	if !r.idle {
		return r.j.w.put(bytes, op)
	}
	r.idle = false
	since, anew := r.since, r.anew
	return r.j.w.put(bytes, func(t *tx) error {
		if err := anew.write(t, r.key); err != nil {
			return err
		}
		err := t.exec("UPDATE runs SET status = ?, since = ?, ended_at = 0, error_kind = '', error = '', result = '', result_large = '' WHERE key = ?", Running, since, r.key)
		if err != nil {
			return err
		}
		return op(t)
	})
}

// End records how the run ended.
func (r *Run) End(result *engine.Result) error {
	res := resultRow{Output: engine.Value{V: result.Output}, Error: result.Error, Steps: result.Steps, Failures: result.Failures, Usage: result.Usage,
		Nodes: result.Nodes, Waiting: result.Waiting, Duration: result.Duration}
	row, err := encode(res, resultValues)
	if err != nil {
		return r.breaks(err)
	}
	sum := countsOf(engine.Tally{Steps: result.Steps, Failures: result.Failures, Usage: result.Usage})
	kind, message := "", ""
	if result.Error != nil {
		kind, message = string(result.Error.Kind), result.Error.Error()
	}
	now := time.Now().UnixNano()
	r.mu.Lock()
	kept := r.put(row.bytes(), func(t *tx) error {
		if err := row.large.keep(t, r.j.folder, r.key); err != nil {
			return err
		}
		delete(t.counts, r)
		if err := sum.keep(t, r.key); err != nil {
			return err
		}
		return t.exec("UPDATE runs SET status = ?, ended_at = ?, error_kind = ?, error = ?, result = ?, result_large = ? WHERE key = ?",
			string(result.Status), now, kind, message, row.json, row.large.column(), r.key)
	})
	r.mu.Unlock()
	return kept()
}

func (r *Run) breaks(err error) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.broken == nil {
		r.broken = r.j.w.wrong(err)
	}
	return r.broken
}

// Close writes what waits, and gives the run up.
func (r *Run) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return nil
	}
	r.closed = true
	err := r.j.w.flush()
	r.owned.release()
	return err
}
