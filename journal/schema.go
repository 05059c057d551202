package journal

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/gofrs/flock"
)

// application marks the file as flowrun's: "flow".
const application = 0x666c6f77

// migrations bring a journal from the version that is their index to the next.
var migrations = []string{
	// A key of turns and events is that of the run, shifted by 32, and their number within it: they are written in order,
	// without an index.
	`CREATE TABLE runs (
		key INTEGER PRIMARY KEY,
		id TEXT NOT NULL UNIQUE,
		workflow TEXT NOT NULL,
		file TEXT NOT NULL,
		status TEXT NOT NULL,
		user_id TEXT NOT NULL,
		session_id TEXT NOT NULL,
		batch TEXT NOT NULL,
		line INTEGER NOT NULL,
		origin TEXT NOT NULL,
		started_at INTEGER NOT NULL,
		ended_at INTEGER NOT NULL DEFAULT 0,
		steps INTEGER NOT NULL DEFAULT 0,
		failures INTEGER NOT NULL DEFAULT 0,
		calls INTEGER NOT NULL DEFAULT 0,
		input_tokens INTEGER NOT NULL DEFAULT 0,
		output_tokens INTEGER NOT NULL DEFAULT 0,
		cost INTEGER NOT NULL DEFAULT 0,
		unpriced INTEGER NOT NULL DEFAULT 0,
		error_kind TEXT NOT NULL DEFAULT '',
		error TEXT NOT NULL DEFAULT '',
		damage TEXT NOT NULL DEFAULT '',
		since INTEGER NOT NULL DEFAULT 0,
		head TEXT NOT NULL,
		head_large TEXT NOT NULL,
		result TEXT NOT NULL DEFAULT '',
		result_large TEXT NOT NULL DEFAULT ''
	) STRICT;
	CREATE INDEX runs_by_time ON runs (started_at);
	CREATE INDEX runs_by_workflow ON runs (workflow, started_at);
	CREATE INDEX runs_by_status ON runs (status, started_at);
	CREATE INDEX runs_by_user ON runs (user_id, started_at);
	CREATE INDEX runs_by_session ON runs (session_id, started_at);
	CREATE INDEX runs_by_batch ON runs (batch, line) WHERE batch <> '';
	CREATE TABLE turns (
		key INTEGER PRIMARY KEY,
		entry TEXT NOT NULL,
		large TEXT NOT NULL
	) STRICT;
	CREATE TABLE events (
		key INTEGER PRIMARY KEY,
		event TEXT NOT NULL,
		large TEXT NOT NULL
	) STRICT;
	CREATE TABLE outputs (
		hash TEXT NOT NULL,
		run INTEGER NOT NULL,
		PRIMARY KEY (hash, run)
	) STRICT, WITHOUT ROWID;
	CREATE INDEX outputs_by_run ON outputs (run);
	CREATE TABLE decisions (
		run INTEGER NOT NULL,
		turn TEXT NOT NULL,
		value TEXT NOT NULL,
		by TEXT NOT NULL,
		at INTEGER NOT NULL,
		PRIMARY KEY (run, turn)
	) STRICT, WITHOUT ROWID;
	CREATE TABLE exchanges (
		key INTEGER PRIMARY KEY,
		run INTEGER NOT NULL,
		turn TEXT NOT NULL,
		user_id TEXT NOT NULL,
		session_id TEXT NOT NULL,
		agent TEXT NOT NULL,
		at INTEGER NOT NULL,
		tokens INTEGER NOT NULL,
		prompt TEXT NOT NULL,
		reply TEXT NOT NULL
	) STRICT;
	CREATE INDEX exchanges_by_session ON exchanges (user_id, session_id, agent, key);
	CREATE INDEX exchanges_by_run ON exchanges (run);`,
}

// Version is that of the journals which this program writes.
const version = 1

// patience is how long a write waits for those of other processes.
const patience = time.Minute

// source names the file to the driver.
func source(path string) string {
	q := url.Values{"_pragma": {
		fmt.Sprintf("busy_timeout(%d)", patience.Milliseconds()), "trusted_schema(0)", "cell_size_check(1)", "synchronous(FULL)", "journal_size_limit(67108864)",
	}, "mode": {"rw"}}
	p := filepath.ToSlash(path)
	if !strings.HasPrefix(p, "/") {
		p = "/" + p // a volume of Windows
	}
	return (&url.URL{Scheme: "file", Path: p, OmitHost: true, RawQuery: q.Encode()}).String()
}

// ready checks that a file is a journal, and makes or migrates it.
func (j *Journal) ready(conn *sql.Conn) error {
	at, err := versionOf(conn)
	if err != nil {
		return err
	}
	var mode string
	if err := conn.QueryRowContext(context.Background(), "PRAGMA journal_mode").Scan(&mode); err != nil {
		return err
	}
	if at < version || mode != "wal" {
		if at, err = j.migrate(conn); err != nil {
			return err
		}
	}
	if err := checkSchema(conn, at); err != nil {
		return err
	}
	return checkWritable(conn, at)
}

// checkWritable refuses a file that can only be read, before anything runs. It writes, and takes that back: where the
// file is read only, a transaction that was to write begins all the same.
func checkWritable(conn *sql.Conn, at int) error {
	for _, s := range []string{"BEGIN IMMEDIATE", fmt.Sprintf("PRAGMA user_version = %d", at), "ROLLBACK"} {
		if _, err := conn.ExecContext(context.Background(), s); err != nil {
			_, _ = conn.ExecContext(context.Background(), "ROLLBACK")
			return err
		}
	}
	return nil
}

// migrate makes or migrates the journal; of several processes one does.
func (j *Journal) migrate(conn *sql.Conn) (at int, err error) {
	if err := j.folder.make(); err != nil {
		return 0, err
	}
	alone := flock.New(filepath.Join(string(j.folder), "migrating"), flock.SetPermissions(0o600))
	if err := alone.Lock(); err != nil {
		return 0, err
	}
	defer alone.Close()
	ctx := context.Background()
	if _, err := conn.ExecContext(ctx, "PRAGMA journal_mode = WAL"); err != nil {
		return at, err
	}
	if at, err = versionOf(conn); err != nil || at >= version {
		return at, err
	}
	statements := []string{"BEGIN IMMEDIATE"}
	statements = append(statements, migrations[at:]...)
	statements = append(statements, fmt.Sprintf("PRAGMA application_id = %d", application), fmt.Sprintf("PRAGMA user_version = %d", version), "COMMIT")
	for _, s := range statements {
		if _, err := conn.ExecContext(ctx, s); err != nil {
			_, _ = conn.ExecContext(ctx, "ROLLBACK")
			return at, err
		}
	}
	return version, nil
}

// versionOf is the version of a journal, 0 of an empty file.
func versionOf(conn *sql.Conn) (int, error) {
	var app, at, things int
	err := conn.QueryRowContext(context.Background(),
		"SELECT (SELECT application_id FROM pragma_application_id), (SELECT user_version FROM pragma_user_version), (SELECT count(*) FROM sqlite_schema)").Scan(&app, &at, &things)
	switch {
	case err != nil:
		return 0, err
	case app == 0 && at == 0 && things == 0:
		return 0, nil
	case app != application:
		return 0, errors.New("it is the database of another program")
	case at > version:
		return 0, fmt.Errorf("it was written by a newer flowrun: it is of version %d, and this one knows %d", at, version)
	case at < 1:
		return 0, fmt.Errorf("it is of version %d, which there never was", at)
	}
	return at, nil
}

// checkSchema refuses what flowrun did not make: a trigger or a view would run as a part of its own statements.
func checkSchema(conn *sql.Conn, at int) error {
	rows, err := conn.QueryContext(context.Background(), "SELECT type, name FROM sqlite_schema WHERE name NOT LIKE 'sqlite\\_%' ESCAPE '\\'")
	if err != nil {
		return err
	}
	defer rows.Close()
	var found []string
	for rows.Next() {
		var kind, name string
		if err := rows.Scan(&kind, &name); err != nil {
			return err
		}
		found = append(found, kind+" "+name)
	}
	if err := rows.Err(); err != nil {
		return err
	}
	slices.Sort(found)
	if want := things(migrations[:at]); !slices.Equal(found, want) {
		return errors.New("its tables are not those that flowrun made")
	}
	return nil
}

// things are the tables and indexes that statements make, sorted.
func things(statements []string) []string {
	var all []string
	for _, line := range strings.Split(strings.Join(statements, "\n"), "\n") {
		if words := strings.Fields(line); len(words) > 2 && words[0] == "CREATE" {
			all = append(all, strings.ToLower(words[1])+" "+words[2])
		}
	}
	slices.Sort(all)
	return all
}
