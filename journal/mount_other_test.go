//go:build unix && !linux

package journal_test

import "errors"

func mountSmall(string) error { return errors.ErrUnsupported }

func unmount(string) error { return nil }

func remountReadOnly(string) error { return errors.ErrUnsupported }
