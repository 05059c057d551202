package journal

import (
	"errors"
	"fmt"
	"syscall"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// OpenError says why a file is no journal to use.
type OpenError struct {
	Path    string
	Missing bool // there is none, and none could be made
	Err     error
}

// Error names the file.
func (e *OpenError) Error() string {
	if e.Missing {
		return fmt.Sprintf("the journal %s cannot be made: %v", e.Path, e.Err)
	}
	return fmt.Sprintf("%s is no journal to use: %v", e.Path, e.Err)
}

// Unwrap is the cause.
func (e *OpenError) Unwrap() error { return e.Err }

// ReadError says that the journal could not be read.
type ReadError struct {
	Path string
	Err  error
}

// Error names the file.
func (e *ReadError) Error() string { return fmt.Sprintf("reading the journal %s: %v", e.Path, e.Err) }

// Unwrap is the cause.
func (e *ReadError) Unwrap() error { return e.Err }

// WriteError says that the journal could not be written. It is remembered: nothing is written after it.
type WriteError struct {
	Path string
	Err  error
}

// Error names the file.
func (e *WriteError) Error() string { return fmt.Sprintf("writing the journal %s: %v", e.Path, e.Err) }

// Unwrap is the cause.
func (e *WriteError) Unwrap() error { return e.Err }

// LiveError says that a run goes on in another process.
type LiveError struct {
	ID    string
	Owner Owner
}

// Error names the owner.
func (e *LiveError) Error() string {
	return fmt.Sprintf("run %s goes on in %s", shownID(e.ID), e.Owner)
}

// UnknownError says that there is no such run.
type UnknownError struct{ ID string }

// Error names the run.
func (e *UnknownError) Error() string {
	return fmt.Sprintf("there is no run %s in the journal", shownID(e.ID))
}

// ExistsError says that a run has the id already.
type ExistsError struct{ ID string }

// Error names the run.
func (e *ExistsError) Error() string { return fmt.Sprintf("there is a run %s already", shownID(e.ID)) }

// DamagedError says that what is kept of a run is not as it was written.
type DamagedError struct {
	ID  string
	Err error
}

// Error names the run.
func (e *DamagedError) Error() string {
	return fmt.Sprintf("what the journal has of run %s is damaged: %v", shownID(e.ID), e.Err)
}

// Unwrap is the cause.
func (e *DamagedError) Unwrap() error { return e.Err }

// shownID shows an id: as it is where it is plain.
func shownID(id string) string {
	if q := quoted(id); q != `"`+id+`"` || id == "" {
		return q
	}
	return id
}

var (
	errOtherKind = errors.New("it is another kind of file")
	errFull      = errors.New("disk full")
)

// inWords says what SQLite and the system mean, for people.
func inWords(err error) error {
	switch {
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return errFull
	case errors.Is(err, syscall.EFBIG):
		return noMore(err)
	}
	e := (*sqlite.Error)(nil)
	if !errors.As(err, &e) {
		return err
	}
	switch e.Code() {
	case sqlite3.SQLITE_IOERR_WRITE, sqlite3.SQLITE_IOERR_TRUNCATE, sqlite3.SQLITE_IOERR_SHMSIZE:
		return noMore(err)
	}
	switch e.Code() & 0xff {
	case sqlite3.SQLITE_FULL:
		return errFull
	case sqlite3.SQLITE_NOTADB:
		return errOtherKind
	case sqlite3.SQLITE_CORRUPT:
		return errors.New("it is damaged")
	case sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM:
		return errors.New("it cannot be written to")
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED:
		return fmt.Errorf("another process has not let go of it for %s", patience)
	}
	return err
}

func noMore(err error) error {
	return fmt.Errorf("nothing more can be written (disk full, broken, or a limit on the size of files): %w", err)
}
