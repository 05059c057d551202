//go:build !unix

package cli_test

import "testing"

func TestSignal(t *testing.T) { t.Skip("signals and groups of processes are tested on Unix only") }
