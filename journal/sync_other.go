//go:build !unix

package journal

// syncFolder does nothing: these systems keep names themselves.
func syncFolder(string) error { return nil }
