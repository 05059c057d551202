package journal

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"time"

	"github.com/flowrun/flowrun/engine"
)

// Status is how a run stands.
type Status string

// How a run stands. The others are those of [engine.Status], as it ended.
const (
	Running     Status = "running"
	Completed   Status = "completed"
	Failed      Status = "failed"
	Cancelled   Status = "cancelled"
	Waiting     Status = "waiting"     // for an approval
	Interrupted Status = "interrupted" // it has not ended, and its owner is gone
	Damaged     Status = "damaged"     // what is kept of it is not as it was written
)

// Summary is a run in a list.
type Summary struct {
	ID        string
	Workflow  string
	File      string
	Status    Status
	UserID    string
	SessionID string
	Batch     string
	Line      int
	Origin    string
	StartedAt time.Time
	EndedAt   time.Time // zero while it has not
	Steps     int
	Failures  int
	Usage     engine.Usage // calls, tokens of input and output, cost, and calls without a price
	ErrorKind engine.ErrorKind
	Error     string // with its place
	Owner     Owner  // where it goes on

	key   int64
	since int64 // number of the first turn that counts
}

// Record is all of a run but its turns and events.
type Record struct {
	Summary
	Head   Head
	Result *engine.Result // nil while it has not ended
	Damage string         // what is wrong, where it is damaged
}

// resultRow is a result as it is written.
type resultRow struct {
	Output   engine.Value            `json:"output"`
	Error    *engine.Error           `json:"error,omitempty"`
	Steps    int                     `json:"steps"`
	Failures int                     `json:"failures,omitempty"`
	Usage    engine.ByAgent          `json:"usage,omitempty"`
	Nodes    map[string]engine.Named `json:"nodes,omitempty"`
	Waiting  []engine.Approval       `json:"waiting,omitempty"`
	Duration time.Duration           `json:"duration"`
}

func resultValues(r resultRow, change func(string, engine.Value) engine.Value) resultRow {
	r.Output = change("output", r.Output)
	r.Nodes = namedValues("nodes", r.Nodes, change)
	return r
}

func (r resultRow) result(s Summary) (*engine.Result, error) {
	err := errors.Join(checkError(r.Error), checkNames(r.Nodes), checkApprovals(r.Waiting), checkTally(engine.Tally{Steps: r.Steps, Failures: r.Failures, Usage: r.Usage}))
	return &engine.Result{RunID: s.ID, Workflow: s.Workflow, Status: engine.Status(s.Status), Output: r.Output.V, Error: r.Error, Steps: r.Steps, Failures: r.Failures,
		Usage: r.Usage, StartedAt: s.StartedAt, Duration: r.Duration, Nodes: r.Nodes, Waiting: r.Waiting}, err
}

// Filter says which runs are listed: those for which all that is set is true.
type Filter struct {
	Workflow  string
	Status    Status
	UserID    string
	SessionID string
	Batch     string
	Since     time.Time // started then or later
	Until     time.Time // started before
	Limit     int       // so many of the newest; 0: all
}

const summaryColumns = "key, id, workflow, file, status, user_id, session_id, batch, line, origin, started_at, ended_at, steps, failures, calls, input_tokens, output_tokens, cost, unpriced, error_kind, error, damage, since"

const recordColumns = summaryColumns + ", head, head_large, result, result_large"

// List lists runs, the newest first.
func (j *Journal) List(f Filter) ([]Summary, error) {
	where, args := f.where()
	n := 0
	if err := j.db.QueryRow("SELECT count(*) FROM runs"+where, args...).Scan(&n); err != nil {
		return nil, j.unread(err)
	}
	rows, err := j.db.Query("SELECT "+summaryColumns+" FROM runs"+where+" ORDER BY started_at DESC, key DESC", args...)
	if err != nil {
		return nil, j.unread(err)
	}
	defer rows.Close()
	if f.Limit > 0 {
		n = min(n, f.Limit)
	}
	all := make([]Summary, 0, n) // growing to 10,000 would take a fifth of the time
	for rows.Next() && (f.Limit == 0 || len(all) < f.Limit) {
		s, _ := j.summary(rows)
		if f.Status == "" || s.Status == f.Status {
			all = append(all, s)
		}
	}
	return all, j.unread(rows.Err())
}

func (f Filter) where() (string, []any) {
	var tests []string
	var args []any
	test := func(set bool, test string, arg any) {
		if set {
			tests = append(tests, test)
			args = append(args, arg)
		}
	}
	test(f.Workflow != "", "workflow = ?", f.Workflow)
	test(f.UserID != "", "user_id = ?", f.UserID)
	test(f.SessionID != "", "session_id = ?", f.SessionID)
	test(f.Batch != "", "batch = ?", f.Batch)
	test(!f.Since.IsZero(), "started_at >= ?", f.Since.UnixNano())
	test(!f.Until.IsZero(), "started_at < ?", f.Until.UnixNano())
	switch f.Status {
	case "", Damaged: // which is seen only in the row
	case Interrupted:
		test(true, "status = ?", Running)
	default:
		test(true, "status = ?", f.Status)
	}
	if len(tests) == 0 {
		return "", nil
	}
	return " WHERE " + strings.Join(tests, " AND "), args
}

// summary reads a row; damage says what is wrong with it.
func (j *Journal) summary(rows scans) (s Summary, damage string) {
	var started, ended int64
	err := rows.Scan(&s.key, &s.ID, &s.Workflow, &s.File, &s.Status, &s.UserID, &s.SessionID, &s.Batch, &s.Line, &s.Origin, &started, &ended, &s.Steps, &s.Failures,
		&s.Usage.Calls, &s.Usage.InputTokens, &s.Usage.OutputTokens, &s.Usage.Cost, &s.Usage.Unpriced, &s.ErrorKind, &s.Error, &damage, &s.since)
	s.StartedAt = time.Unix(0, started).UTC()
	if ended != 0 {
		s.EndedAt = time.Unix(0, ended).UTC()
	}
	switch {
	case damage != "":
	case err != nil:
		damage = err.Error()
	case s.Status == Running && j.folder.owned(s.ID):
		s.Owner = j.folder.owner(s.ID)
	case s.Status == Running:
		s.Status = Interrupted
	case s.Status != Completed && s.Status != Failed && s.Status != Cancelled && s.Status != Waiting:
		damage = quoted(string(s.Status)) + " is no status of a run"
	}
	if damage != "" {
		s.Status = Damaged
	}
	return s, damage
}

// Get gives a run. The error is an [*UnknownError]; where it is damaged the record comes with a [*DamagedError].
func (j *Journal) Get(id string) (*Record, error) {
	var err error
	rec := j.record(scanner(func(into ...any) error {
		err = j.db.QueryRow("SELECT "+recordColumns+" FROM runs WHERE id = ?", id).Scan(into...)
		return err
	}))
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return nil, &UnknownError{id}
	case err != nil && rec.key == 0:
		return nil, j.unread(err)
	case rec.Damage != "":
		return rec, &DamagedError{id, errors.New(rec.Damage)}
	}
	return rec, nil
}

// record reads a row of recordColumns.
func (j *Journal) record(row scans) *Record {
	rec := &Record{}
	var head, headLarge, result, resultLarge string
	rec.Summary, rec.Damage = j.summary(scanner(func(into ...any) error {
		return row.Scan(append(into, &head, &headLarge, &result, &resultLarge)...)
	}))
	if rec.Damage == "" {
		if err := rec.decode(j.folder, head, headLarge, result, resultLarge); err != nil {
			rec.Damage = err.Error()
			j.damaged(rec.key, err)
		}
	}
	if rec.Damage != "" {
		rec.Status = Damaged
	}
	return rec
}

type scans interface{ Scan(into ...any) error }

type scanner func(into ...any) error

func (s scanner) Scan(into ...any) error { return s(into...) }

func (r *Record) decode(f folder, head, headLarge, result, resultLarge string) error {
	h, err := decode(f, head, headLarge, headValues)
	if err != nil {
		return err
	}
	if r.Head, err = h.head(); err != nil {
		return err
	}
	if r.Head.ID != r.ID {
		return errors.New("its head is of another run")
	}
	if result == "" {
		return nil
	}
	res, err := decode(f, result, resultLarge, resultValues)
	if err != nil {
		return err
	}
	r.Result, err = res.result(r.Summary)
	return err
}

// damaged marks a run, so that it is known as damaged without reading all of it.
func (j *Journal) damaged(key int64, why error) {
	_ = j.w.put(0, func(t *tx) error {
		return t.exec("UPDATE runs SET damage = ? WHERE key = ? AND damage = ''", why.Error(), key)
	})()
}

// numbers masks the number of a turn or event in its key.
const numbers = 1<<32 - 1

// Turns are all entries of a run, in their order, those too that were folded into others later.
func (j *Journal) Turns(id string) ([]Turn, error) {
	s, err := j.find(id)
	if err != nil {
		return nil, err
	}
	var all []Turn
	err = j.turns(s, func(_ int64, t Turn) { all = append(all, t) })
	return all, err
}

// Reuse are the latest ends of a run's turns, those too that were folded into others or are past.
func (j *Journal) Reuse(id string) (map[string]*engine.Finished, error) {
	turns, err := j.Turns(id)
	if err != nil {
		return nil, err
	}
	ends := map[string]*engine.Finished{}
	for _, t := range turns {
		if t.Finished != nil {
			ends[t.Turn] = t.Finished
		}
	}
	return ends, nil
}

// find is what is needed of a run to read its rows.
func (j *Journal) find(id string) (*Summary, error) {
	s := &Summary{ID: id}
	err := j.db.QueryRow("SELECT key, since FROM runs WHERE id = ?", id).Scan(&s.key, &s.since)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, &UnknownError{id}
	}
	return s, j.unread(err)
}

func (j *Journal) turns(s *Summary, each func(n int64, t Turn)) error {
	return j.rows(s, "SELECT key, entry, large FROM turns", func(rows *sql.Rows) error {
		var key int64
		var entry, large string
		if err := rows.Scan(&key, &entry, &large); err != nil {
			return err
		}
		e, err := decodeEntry(j.folder, entry, large)
		if err == nil {
			n := key & numbers
			each(n, Turn{Entry: e, Past: n < s.since})
		}
		return err
	})
}

// Events are the events of a run, in their order; not nil where there are none.
func (j *Journal) Events(id string) ([]engine.Event, error) {
	s, err := j.find(id)
	if err != nil {
		return nil, err
	}
	all := []engine.Event{}
	err = j.rows(s, "SELECT key, event, large FROM events", func(rows *sql.Rows) error {
		var at int64
		var event, large string
		if err := rows.Scan(&at, &event, &large); err != nil {
			return err
		}
		e, err := decodeEvent(j.folder, event, large)
		if err == nil && int64(e.Seq) != at&numbers {
			err = errors.New("an event has another number than its own")
		}
		all = append(all, e)
		return err
	})
	return all, err
}

// rows reads the rows of a run; what is wrong with one damages the run.
func (j *Journal) rows(s *Summary, query string, each func(*sql.Rows) error) error {
	rows, err := j.db.QueryContext(context.Background(), query+" WHERE key >= ? AND key < ? ORDER BY key", s.key<<32, (s.key+1)<<32)
	if err != nil {
		return j.unread(err)
	}
	defer rows.Close()
	for rows.Next() {
		if err := each(rows); err != nil {
			j.damaged(s.key, err)
			return &DamagedError{s.ID, err}
		}
	}
	return j.unread(rows.Err())
}

func (j *Journal) lastSeq(run int64) (int, error) {
	var key sql.NullInt64
	err := j.db.QueryRow("SELECT max(key) FROM events WHERE key >= ? AND key < ?", run<<32, (run+1)<<32).Scan(&key)
	return int(key.Int64 & numbers), j.unread(err)
}

// unread says that the journal could not be read.
func (j *Journal) unread(err error) error {
	if err == nil {
		return nil
	}
	return &ReadError{j.path, inWords(err)}
}
