//go:build !unix

package allowed

import (
	"errors"
	"io/fs"
)

// private says why an open file is none to trust. Who may write to it the folder tells, which is the user's.
func private(info fs.FileInfo) error {
	if !info.Mode().IsRegular() {
		return errors.New("it is not a regular file")
	}
	return nil
}
