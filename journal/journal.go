// Package journal keeps runs in one SQLite file, so that they outlive their process: the position of each run for the
// engine, its events, and how it ended. It knows nothing of how a pipeline is read, shown or asked for.
//
// What it reads back is data and is checked as such: whoever can write to the file can change what a run is told that
// it did before, and nothing else.
package journal

import (
	"context"
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"syscall"
)

// Journal is an open journal. It may be used by several goroutines, and the file by several processes at once.
type Journal struct {
	path   string // of the file itself, no link
	db     *sql.DB
	folder folder
	w      *writer
	closed sync.Once
}

// Open opens the journal at a path, and makes or migrates it where that is needed. The error is an [*OpenError].
func Open(path string) (*Journal, error) { return open(path, "sqlite") }

func open(path, driver string) (*Journal, error) {
	real, err := locate(path)
	if err != nil {
		return nil, err
	}
	j := &Journal{path: real, folder: folder(real + ".d")}
	if err := j.connect(driver); err != nil {
		return nil, &OpenError{Path: path, Err: inWords(err)}
	}
	return j, nil
}

// connect opens the file and readies it.
func (j *Journal) connect(driver string) (err error) {
	if j.db, err = sql.Open(driver, source(j.path)); err != nil {
		return err
	}
	conn, err := j.db.Conn(context.Background())
	if err == nil {
		if err = j.ready(conn); err == nil {
			j.w, err = newWriter(j.path, conn)
		}
		if err != nil {
			_ = conn.Close()
		}
	}
	if err != nil {
		_ = j.db.Close()
	}
	return err
}

// Path is where the journal is.
func (j *Journal) Path() string { return j.path }

// Close writes what still waits and closes the file. The error is that of the first write that failed, if one did.
// Runs give up their ownership themselves, with [Run.Close].
func (j *Journal) Close() error {
	var err error
	j.closed.Do(func() {
		err = j.w.close()
		if failed := j.db.Close(); err == nil && failed != nil {
			err = j.w.wrong(failed)
		}
	})
	return err
}

// smallest is how many bytes a database has at least: https://sqlite.org/fileformat.html#page_size. SQLite takes a smaller
// file for an empty one and writes over it.
const smallest = 512

// locate finds the file that a path leads to, and makes an empty one where there is none. It opens no file that is there:
// closing it would take away the locks that this process has on it, https://sqlite.org/howtocorrupt.html#_posix_advisory_locks_canceled_by_a_separate_thread_doing_close_.
func locate(path string) (string, error) {
	wrong := func(missing bool, err error) (string, error) {
		if p := (*os.PathError)(nil); errors.As(err, &p) {
			err = p.Err
		}
		return "", &OpenError{path, missing, err}
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		return wrong(true, err)
	}
	info, err := os.Stat(abs)
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) || errors.Is(err, os.ErrPermission) {
		if err := os.MkdirAll(filepath.Dir(abs), 0o700); err != nil {
			return wrong(true, err)
		}
		f, err := os.OpenFile(abs, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
		if err == nil {
			err = f.Close()
		}
		if err != nil && !errors.Is(err, os.ErrExist) { // another process may have made it meanwhile
			return wrong(true, err)
		}
		if info, err = os.Stat(abs); err != nil {
			return wrong(true, err)
		}
	} else if err != nil {
		return wrong(false, err)
	}
	switch {
	case info.IsDir():
		return wrong(false, errors.New("it is a folder"))
	case !info.Mode().IsRegular():
		return wrong(false, errors.New("it is not a regular file"))
	case info.Size() > 0 && info.Size() < smallest:
		return wrong(false, errOtherKind)
	}
	real, err := filepath.EvalSymlinks(abs)
	if err != nil {
		return wrong(false, err)
	}
	if info.Mode().Perm()&0o077 != 0 { // it holds what runs were told and answered
		if err := os.Chmod(real, 0o600); err != nil {
			return wrong(false, err)
		}
	}
	for _, beside := range []string{real + "-wal", real + "-shm"} { // which SQLite makes with the mode that the file has just then
		if info, err := os.Lstat(beside); err == nil && info.Mode().IsRegular() && info.Mode().Perm() != 0o600 {
			_ = os.Chmod(beside, 0o600) // else SQLite says what it cannot do
		}
	}
	return real, nil
}
