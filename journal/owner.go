package journal

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"
	"unicode/utf8"

	"github.com/gofrs/flock"
)

// Owner is the process in which a run goes on.
type Owner struct {
	PID   int       `json:"pid"`
	Host  string    `json:"host"`
	Since time.Time `json:"since"`
}

// String names it in a message.
func (o Owner) String() string {
	if o.PID == 0 {
		return "another process"
	}
	s := fmt.Sprintf("process %d", o.PID)
	if here, _ := os.Hostname(); o.Host != here {
		s += fmt.Sprintf(" on %q", o.Host)
	}
	return s + " since " + o.Since.Local().Format(time.DateTime)
}

// ownership of a run is a lock of the system's on a file: it is free as soon as the process is gone, however that ended.
type ownership struct {
	lock *flock.Flock
	path string
}

// ownerFile is the file of a run; its name cannot be anything but one in its folder, whatever the run is called.
func (f folder) ownerFile(id string) string {
	sum := sha256.Sum256([]byte(id))
	return filepath.Join(string(f), "owners", hex.EncodeToString(sum[:16]))
}

// who is where the owner of a locked file says who it is. It is not in the file itself: there are systems on which
// nobody else can read what is locked.
func who(path string) string { return path + ".json" }

const (
	few   = 4 // tries: others only look whether a run is owned, and let go of it at once
	most  = 400
	pause = 3 * time.Millisecond
)

// own takes a run for this process. The error is a [*LiveError] where another has it.
func (f folder) own(id string) (*ownership, error) {
	path := f.ownerFile(id)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, err
	}
	for n := range most {
		lock := flock.New(path, flock.SetFlag(os.O_CREATE|os.O_RDWR), flock.SetPermissions(0o600))
		ok, err := lock.TryLock()
		switch {
		case err != nil:
			return nil, err
		case !ok && n >= few && f.owner(id).PID != 0: // who has it may not have said so yet
			return nil, &LiveError{ID: id, Owner: f.owner(id)}
		case !ok:
			time.Sleep(pause)
			continue
		}
		if there(lock, path) {
			o := &ownership{lock, path}
			if err := o.sign(); err != nil {
				o.release()
				return nil, err
			}
			return o, nil
		}
		_ = lock.Close() // whoever owned it before has just let go of it
	}
	return nil, &LiveError{ID: id, Owner: f.owner(id)}
}

// there tells whether a locked file is still the one that others find.
func there(lock *flock.Flock, path string) bool {
	locked, err := lock.Stat()
	if err != nil {
		return false
	}
	now, err := os.Lstat(path)
	return err == nil && os.SameFile(locked, now)
}

func (o *ownership) sign() error {
	host, _ := os.Hostname()
	b, err := json.Marshal(Owner{os.Getpid(), host, time.Now().UTC().Truncate(time.Second)})
	if err != nil {
		return err
	}
	return os.WriteFile(who(o.path), b, 0o600)
}

// release gives the run up. The file goes first, so that nobody takes it for one that counts.
func (o *ownership) release() {
	_ = os.Remove(who(o.path))
	_ = os.Remove(o.path)
	_ = o.lock.Close()
}

// owned tells whether a process has a run.
func (f folder) owned(id string) bool {
	path := f.ownerFile(id)
	if _, err := os.Lstat(path); err != nil {
		return false
	}
	lock := flock.New(path, flock.SetFlag(os.O_RDONLY))
	free, err := lock.TryRLock()
	_ = lock.Close()
	return err == nil && !free
}

// owner is who has a run, as far as it says so already: what stands there may be of one before, which was killed.
func (f folder) owner(id string) (o Owner) {
	b, err := os.ReadFile(who(f.ownerFile(id)))
	if err != nil || len(b) > 1<<10 || json.Unmarshal(b, &o) != nil || o.gone() {
		return Owner{}
	}
	return o
}

// gone tells whether it is known that there is no such process any more.
func (o Owner) gone() bool {
	if here, _ := os.Hostname(); o.Host != here {
		return false
	}
	p, err := os.FindProcess(o.PID)
	if err != nil {
		return true
	}
	defer func() { _ = p.Release() }()
	return errors.Is(p.Signal(syscall.Signal(0)), os.ErrProcessDone)
}

// checkID refuses what nobody could name.
func checkID(id string) error {
	switch {
	case id == "" || len(id) > 200:
		return fmt.Errorf("a run id has 1 to 200 bytes, not %d", len(id))
	case !utf8.ValidString(id):
		return fmt.Errorf("a run id is text, not %s", quoted(id))
	}
	return nil
}

// checkIdentity refuses users and sessions that would be others when they are read back.
func checkIdentity(h Head) error {
	for _, id := range []string{h.UserID, h.SessionID} {
		if !utf8.ValidString(id) {
			return fmt.Errorf("a user or session is text, not %s", quoted(id))
		}
	}
	return nil
}
