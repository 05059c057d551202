// Command flowrun runs declarative pipelines of LLM agents.
package main

import (
	"os"

	"github.com/flowrun/flowrun/cli"
)

func main() {
	os.Exit(cli.Main(os.Args, cli.Streams{In: os.Stdin, Out: os.Stdout, Err: os.Stderr}))
}
