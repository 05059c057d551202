package journal

import (
	"errors"
	"os"
	"time"
)

// Remove removes runs with all that is kept of them, what their agents remember too. None is removed where one is unknown
// or goes on: the error is an [*UnknownError] or a [*LiveError].
func (j *Journal) Remove(ids ...string) error {
	var keys []int64
	for _, id := range ids {
		s, err := j.find(id)
		if err != nil {
			return err
		}
		owned, err := j.folder.own(id)
		if err != nil {
			return err
		}
		defer owned.release()
		keys = append(keys, s.key)
	}
	return j.remove(keys)
}

// Prune removes the runs that ended or were cut and began before a time, but for those that wait for an approval, and
// tells which. Large outputs that no run refers to go as well.
func (j *Journal) Prune(before time.Time) ([]string, error) {
	all, err := j.List(Filter{Until: before})
	if err != nil {
		return nil, err
	}
	var keys []int64
	var ids []string
	for _, s := range all {
		if s.Status == Running || s.Status == Waiting {
			continue
		}
		owned, err := j.folder.own(s.ID)
		if live := (*LiveError)(nil); errors.As(err, &live) {
			continue
		}
		if err != nil {
			return nil, j.w.wrong(err)
		}
		defer owned.release()
		keys, ids = append(keys, s.key), append(ids, s.ID)
	}
	if err := j.remove(keys); err != nil {
		return nil, err
	}
	return ids, j.sweep()
}

// remove removes the rows of runs, a few at a time, and then the files to which nobody refers any more.
func (j *Journal) remove(keys []int64) error {
	for _, key := range keys {
		var hashes []string
		kept := j.w.put(0, func(t *tx) (err error) {
			if hashes, err = t.texts("SELECT hash FROM outputs WHERE run = ?", key); err != nil {
				return err
			}
			for _, of := range []string{"turns", "events"} {
				if err := t.exec("DELETE FROM "+of+" WHERE key >= ? AND key < ?", key<<32, (key+1)<<32); err != nil {
					return err
				}
			}
			for _, of := range []string{"outputs", "decisions", "exchanges"} {
				if err := t.exec("DELETE FROM "+of+" WHERE run = ?", key); err != nil {
					return err
				}
			}
			return t.exec("DELETE FROM runs WHERE key = ?", key)
		})
		if err := kept(); err != nil {
			return err
		}
		if err := j.clear(hashes); err != nil {
			return err
		}
	}
	return nil
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
