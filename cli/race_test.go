//go:build race

package cli_test

// raced tells that the race detector is on, which takes several times the memory.
const raced = true
