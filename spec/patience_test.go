//go:build !race

package spec

// patience is how many times more an expression may take than it should: the race detector slows it down.
const patience = 1
