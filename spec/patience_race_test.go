//go:build race

package spec

const patience = 20
