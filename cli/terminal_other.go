//go:build !unix

package cli

import "os"

// foreground tells whether a terminal belongs to the program at the moment.
func foreground(*os.File) bool { return true }
