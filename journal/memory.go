package journal

import (
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/flowrun/flowrun/engine"
	"github.com/flowrun/flowrun/spec"
)

// Exchange is one that an agent had and remembers.
type Exchange struct {
	Run  string
	Turn string
	At   time.Time
	engine.Memory
}

// Session is what agents remember of one session of a user.
type Session struct {
	UserID    string
	ID        string
	Exchanges int
	Tokens    int
	Last      time.Time
}

// remember keeps an exchange of a turn, in the transaction of that.
func (r *Run) remember(t *tx, turn string, m *engine.Memory, at time.Time) error {
	return t.exec("INSERT INTO exchanges (run, turn, user_id, session_id, agent, at, tokens, prompt, reply) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
		r.key, turn, r.head.UserID, r.head.SessionID, m.Agent, at.UnixNano(), m.Tokens, m.Prompt, m.Reply)
}

// Exchanges are those that an agent had in a session of a user, the newest first; an empty agent stands for all.
func (j *Journal) Exchanges(user, session, agent string) ([]Exchange, error) {
	var all []Exchange
	err := j.EachExchange(user, session, agent, func(x Exchange) bool { all = append(all, x); return true })
	return all, err
}

// EachExchange gives what Exchanges does, one after another, as long as more are wanted.
func (j *Journal) EachExchange(user, session, agent string, more func(Exchange) bool) error {
	query := "SELECT coalesce(r.id, ''), e.turn, e.agent, e.at, e.tokens, e.prompt, e.reply FROM exchanges e LEFT JOIN runs r ON r.key = e.run WHERE e.user_id = ? AND e.session_id = ?"
	args := []any{user, session}
	if agent != "" {
		query += " AND e.agent = ?"
		args = append(args, agent)
	}
	rows, err := j.db.Query(query+" ORDER BY e.key DESC", args...)
	if err != nil {
		return j.unread(err)
	}
	defer rows.Close()
	for rows.Next() {
		var x Exchange
		var at int64
		if err := rows.Scan(&x.Run, &x.Turn, &x.Agent, &at, &x.Tokens, &x.Prompt, &x.Reply); err != nil {
			return j.unread(err)
		}
		x.At = time.Unix(0, at).UTC()
		if !more(x) {
			return nil
		}
	}
	return j.unread(rows.Err())
}

// Sessions are those of which agents remember something, the latest first; an empty user stands for all.
func (j *Journal) Sessions(user string) ([]Session, error) {
	query, args := "", []any(nil)
	if user != "" {
		query, args = " WHERE user_id = ?", []any{user}
	}
	rows, err := j.db.Query("SELECT user_id, session_id, count(*), sum(tokens), max(at) FROM exchanges"+query+" GROUP BY user_id, session_id ORDER BY max(at) DESC", args...)
	if err != nil {
		return nil, j.unread(err)
	}
	defer rows.Close()
	var all []Session
	for rows.Next() {
		var s Session
		var at int64
		if err := rows.Scan(&s.UserID, &s.ID, &s.Exchanges, &s.Tokens, &at); err != nil {
			return nil, j.unread(err)
		}
		s.Last = time.Unix(0, at).UTC()
		all = append(all, s)
	}
	return all, j.unread(rows.Err())
}

// RemoveSession lets agents forget a session of a user, and tells how many exchanges that were.
func (j *Journal) RemoveSession(user, session string) (n int64, err error) {
	kept := j.w.put(0, func(t *tx) error {
		result, err := t.result("DELETE FROM exchanges WHERE user_id = ? AND session_id = ?", user, session)
		if err == nil {
			n, err = result.RowsAffected()
		}
		return err
	})
	return n, kept()
}

// Decision is what a person decided for a turn that waited for it.
type Decision struct {
	Turn  string
	Value any
	By    string
	At    time.Time
}

// DecidedError says that a turn has its decision already.
type DecidedError struct {
	ID string
	Decision
}

// Error names who decided.
func (e *DecidedError) Error() string {
	by := ""
	if e.By != "" {
		by = fmt.Sprintf(" by %q", e.By)
	}
	return fmt.Sprintf("%s of run %s was decided%s already: %s", quoted(e.Turn), shownID(e.ID), by, quoted(spec.AsJSON(e.Value)))
}

// Decide keeps a decision. The first one for a turn counts: the error is a [*DecidedError] then.
func (j *Journal) Decide(id string, d Decision) error {
	s, err := j.find(id)
	if err != nil {
		return err
	}
	var before *Decision
	kept := j.w.put(len(d.By), func(t *tx) error {
		var value string
		var at int64
		b := Decision{Turn: d.Turn}
		err := t.row("SELECT value, by, at FROM decisions WHERE run = ? AND turn = ?", []any{s.key, d.Turn}, &value, &b.By, &at)
		if errors.Is(err, sql.ErrNoRows) {
			return t.exec("INSERT INTO decisions (run, turn, value, by, at) VALUES (?, ?, ?, ?, ?)", s.key, d.Turn, spec.AsJSON(d.Value), d.By, d.At.UnixNano())
		}
		b.Value, _ = spec.ParseJSON(value)
		b.At = time.Unix(0, at).UTC()
		before = &b
		return err
	})
	if err := kept(); err != nil {
		return err
	}
	if before != nil {
		return &DecidedError{id, *before}
	}
	return nil
}

// Decisions are those of a run, by turn.
func (j *Journal) Decisions(id string) (map[string]Decision, error) {
	s, err := j.find(id)
	if err != nil {
		return nil, err
	}
	rows, err := j.db.Query("SELECT turn, value, by, at FROM decisions WHERE run = ?", s.key)
	if err != nil {
		return nil, j.unread(err)
	}
	defer rows.Close()
	all := map[string]Decision{}
	for rows.Next() {
		var d Decision
		var value string
		var at int64
		err := rows.Scan(&d.Turn, &value, &d.By, &at)
		if err == nil {
			d.Value, err = spec.ParseJSON(value)
		}
		if err != nil {
			j.damaged(s.key, err)
			return nil, &DamagedError{id, err}
		}
		d.At = time.Unix(0, at).UTC()
		all[d.Turn] = d
	}
	return all, j.unread(rows.Err())
}
