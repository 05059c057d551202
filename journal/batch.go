package journal

import (
	"database/sql"
	"errors"

	"github.com/flowrun/flowrun/engine"
)

// Batch is what is kept of a batch: of all its runs together.
type Batch struct {
	ID   string
	Last int          // the line of the last run that began; 0 where none did
	Used engine.Usage // by all of them
	Live []Summary    // those that go on now
}

// OwnBatch takes for this process, until release is called, all batches whose ids begin with a prefix. The error is a
// [*LiveError] with that prefix where another process has them.
func (j *Journal) OwnBatch(prefix string) (release func(), err error) {
	owned, err := j.folder.own("\xff" + prefix) // no run is called so: it is no text
	if live := (*LiveError)(nil); errors.As(err, &live) {
		return nil, &LiveError{prefix, live.Owner}
	}
	if err != nil {
		return nil, j.w.wrong(err)
	}
	return owned.release, nil
}

// LatestBatch is the last batch, in the order of the ids, whose id begins with a prefix; empty where there is none.
func (j *Journal) LatestBatch(prefix string) (id string, err error) {
	err = j.db.QueryRow("SELECT batch FROM runs WHERE batch <> '' AND batch >= ? AND batch < ? ORDER BY batch DESC LIMIT 1", prefix, prefix+"\U0010ffff").Scan(&id)
	if errors.Is(err, sql.ErrNoRows) {
		return "", nil
	}
	return id, j.unread(err)
}

// Batch adds up what is kept of a batch; nothing of one that never was.
func (j *Journal) Batch(id string) (*Batch, error) {
	rows, err := j.db.Query("SELECT "+summaryColumns+" FROM runs WHERE batch = ? AND batch <> '' ORDER BY line", id)
	if err != nil {
		return nil, j.unread(err)
	}
	defer rows.Close()
	b := &Batch{ID: id}
	for rows.Next() {
		s, _ := j.summary(rows)
		b.Used.Add(s.Usage)
		b.Last = s.Line
		if s.Status == Running {
			b.Live = append(b.Live, s)
		}
	}
	return b, j.unread(rows.Err())
}

// BatchRuns are runs of a batch in the order of their lines, at most so many of those behind a line. What is wrong with a
// damaged one stands in it.
func (j *Journal) BatchRuns(id string, behind, most int) ([]*Record, error) {
	rows, err := j.db.Query("SELECT "+recordColumns+" FROM runs WHERE batch = ? AND batch <> '' AND line > ? ORDER BY line LIMIT ?", id, behind, most)
	if err != nil {
		return nil, j.unread(err)
	}
	defer rows.Close()
	var all []*Record
	for rows.Next() {
		all = append(all, j.record(rows))
	}
	return all, j.unread(rows.Err())
}
