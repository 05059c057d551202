// Command bench runs the same work on flowrun, on other engines and on bare goroutines, and prints tables of what it
// cost and of how each behaves when something goes wrong. docs/performance.md shows what it printed and how to read it.
//
//	go run .            what a step costs on every system
//	go run . behave     who does what when a branch fails, a deadline passes, ...
//	go run . own        flowrun's own figures beside its targets
package main

import (
	"fmt"
	"os"
)

func main() {
	if err := command(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func command(args []string) error {
	switch {
	case len(args) == 0:
		return compare(os.Stdout)
	case len(args) == 1 && args[0] == "behave":
		return behave(os.Stdout)
	case len(args) == 3 && args[0] == "probe": // what behave starts
		return probe(os.Stdout, args[1], args[2])
	case len(args) == 1 && args[0] == "own":
		return own(os.Stdout)
	case len(args) == 1 && args[0] == "each": // what own starts
		return eachItem(os.Stdout)
	}
	return fmt.Errorf("usage: go run . [behave | own]")
}
