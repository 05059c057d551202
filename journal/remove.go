package journal

import (
	"database/sql"
	"errors"
	"os"
	"slices"
)

// Remove removes runs with all that is kept of them, what their agents remember too. None is removed where one is unknown
// or goes on: the error is an [*UnknownError] or a [*LiveError].
func (j *Journal) Remove(ids ...string) error {
	for _, id := range ids {
		if _, err := j.find(id); err != nil {
			return err
		}
		if j.folder.owned(id) {
			return &LiveError{id, j.folder.owner(id)}
		}
	}
	_, err := j.remove(ids, false)
	return err
}

// Prune removes the runs that ended or were cut, and tells which. Those that wait for an approval go only where the
// filter names that status. Large outputs that no run refers to go as well.
func (j *Journal) Prune(f Filter) ([]string, error) {
	all, err := j.List(f)
	if err != nil {
		return nil, err
	}
	var ids []string
	for _, s := range all {
		if s.Status != Running && (s.Status != Waiting || f.Status == Waiting) {
			ids = append(ids, s.ID)
		}
	}
	removed, err := j.remove(ids, true)
	if err != nil {
		return removed, err
	}
	return removed, j.sweep()
}

// atOnce is how many runs go in one transaction.
const atOnce = 100

// remove removes runs and tells which. One that somebody took meanwhile is an error, or passed over.
func (j *Journal) remove(ids []string, pass bool) (removed []string, err error) {
	for some := range slices.Chunk(ids, atOnce) {
		these, err := j.removeSome(some, pass)
		removed = append(removed, these...)
		if err != nil {
			return removed, err
		}
	}
	return removed, nil
}

func (j *Journal) removeSome(some []string, pass bool) (ids []string, err error) {
	var hashes []string
	for _, id := range some {
		owned, err := j.folder.own(id)
		if live := (*LiveError)(nil); errors.As(err, &live) {
			if pass {
				continue
			}
			return nil, err
		}
		if err != nil {
			return nil, j.w.wrong(err)
		}
		defer owned.release()
		ids = append(ids, id)
	}
	kept := j.w.put(0, func(t *tx) error {
		for _, id := range ids {
			of, err := t.remove(id)
			if err != nil {
				return err
			}
			hashes = append(hashes, of...)
		}
		return nil
	})
	if err := kept(); err != nil {
		return nil, err
	}
	return ids, j.clear(hashes) // in a later transaction: what was removed is gone for sure
}

// remove removes the rows of a run, and gives the large outputs to which it referred.
func (t *tx) remove(id string) (hashes []string, err error) {
	var key int64 // as it is now: the key of a run that another process removed may be that of a new one
	if err := t.row("SELECT key FROM runs WHERE id = ?", []any{id}, &key); err != nil {
		if errors.Is(err, sql.ErrNoRows) {
			err = nil
		}
		return nil, err
	}
	if hashes, err = t.texts("SELECT hash FROM outputs WHERE run = ?", key); err != nil {
		return nil, err
	}
	for _, of := range []string{"turns", "events"} {
		if err := t.exec("DELETE FROM "+of+" WHERE key >= ? AND key < ?", key<<32, (key+1)<<32); err != nil {
			return nil, err
		}
	}
	for _, of := range []string{"outputs", "decisions", "exchanges"} {
		if err := t.exec("DELETE FROM "+of+" WHERE run = ?", key); err != nil {
			return nil, err
		}
	}
	return hashes, t.exec("DELETE FROM runs WHERE key = ?", key)
}

// clear removes the large outputs among some to which no run refers. It is done within a transaction: nobody writes one
// meanwhile.
func (j *Journal) clear(hashes []string) error {
	if len(hashes) == 0 {
		return nil
	}
	return j.w.put(0, func(t *tx) error {
		for _, hash := range hashes {
			used, err := t.texts("SELECT hash FROM outputs WHERE hash = ? LIMIT 1", hash)
			if err != nil {
				return err
			}
			if len(used) == 0 {
				_ = os.Remove(j.folder.output(hash)) // what stays is swept another time
			}
		}
		return nil
	})()
}

// sweep removes all large outputs to which no run refers, also those that a process which was killed left behind.
func (j *Journal) sweep() error {
	entries, err := os.ReadDir(j.folder.outputs())
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return &ReadError{j.path, err}
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return j.clear(names)
}

// texts are the results of a query with one column.
func (t *tx) texts(query string, args ...any) (all []string, err error) {
	s, err := t.prepared(query)
	if err != nil {
		return nil, err
	}
	rows, err := s.Query(args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var text string
		if err := rows.Scan(&text); err != nil {
			return nil, err
		}
		all = append(all, text)
	}
	return all, rows.Err()
}
