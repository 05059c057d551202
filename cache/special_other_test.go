//go:build !unix

package cache_test

import "errors"

var errNone = errors.New("there are none here")

func fifo(string) error   { return errNone }
func socket(string) error { return errNone }
