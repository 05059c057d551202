// Package leaktest fails the tests of a package that leave something running. It is for tests alone.
package leaktest

import (
	"fmt"
	"os"
	"strings"
	"time"

	"go.uber.org/goleak"
)

// patience is how long processes may take to end that were killed.
const patience = 5 * time.Second

// Tests are those of a package.
type Tests struct{ m interface{ Run() int } }

// Of makes the tests of a package fail where they leave goroutines or processes, those that their processes left too.
// Processes are seen on Linux.
func Of(m interface{ Run() int }) Tests { return Tests{m} }

// Main runs the tests, as TestMain has to.
func Main(m interface{ Run() int }) { os.Exit(Of(m).Run()) }

// Run runs the tests and gives the code with which the program is to end.
func (t Tests) Run() int {
	err := adopt()
	code := t.m.Run()
	if code != 0 {
		return code
	}
	if err == nil {
		err = goleak.Find()
	}
	if err == nil {
		err = alone()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "leaktest:", err)
		return 1
	}
	return 0
}

// alone says which processes are still there.
func alone() error {
	for began := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		left, err := children()
		if err != nil || len(left) == 0 {
			return err
		}
		if time.Since(began) > patience {
			return fmt.Errorf("processes are left:\n%s", strings.Join(left, "\n"))
		}
	}
}
