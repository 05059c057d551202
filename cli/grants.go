package cli

import (
	"strings"

	urfave "github.com/urfave/cli/v2"

	"github.com/flowrun/flowrun/engine"
	"github.com/flowrun/flowrun/spec"
)

// names is the value of an --allow flag: all, or the names after =. It may be given several times.
type names struct {
	any   bool
	names []string
}

// everything is the value of a flag that was given without one: no argument can hold a NUL.
const everything = "\x00"

// Set adds a value.
func (n *names) Set(value string) error {
	if value == everything {
		n.any = true
		return nil
	}
	n.names = append(n.names, split(value)...)
	return nil
}

// split reads names with commas between them.
func split(value string) []string {
	var names []string
	for name := range strings.SplitSeq(value, ",") {
		if name = strings.TrimSpace(name); name != "" {
			names = append(names, name)
		}
	}
	return names
}

func (n *names) String() string { return strings.Join(n.names, ",") }

var grantUsage = map[string]string{
	"exec": "run commands, all or each `COMMAND` named",
	"net":  "send requests to hosts, those of the open internet or each `HOST` named",
	"env":  "read environment variables, all or each `NAME` named",
	"mcp":  "use servers of tools, all or each `NAME` that the file gives one",
	"read": "attach files, and include those outside of its folder, all or those at or below each `PATH`",
}

// grantFlags are the --allow flags.
func grantFlags() []urfave.Flag {
	const category = "What the pipeline may do besides asking models; by default none of it:"
	var flags []urfave.Flag
	for _, sort := range []string{"exec", "net", "env", "read", "mcp"} {
		f := grantFlag(sort)
		f.Category = category
		flags = append(flags, f)
	}
	return append(flags, &urfave.BoolFlag{Category: category, Name: "allow-all", Usage: "all of these"})
}

func grantFlag(sort string) *urfave.GenericFlag {
	return &urfave.GenericFlag{Name: "allow-" + sort, Usage: grantUsage[sort], Value: &names{}}
}

// grants are what the flags allow.
func grants(c *urfave.Context) engine.Grants {
	g := engine.Grants{All: c.Bool("allow-all"), By: map[string]engine.Grant{}}
	for _, sort := range []string{"exec", "net", "env", "read", "mcp"} {
		if n, ok := c.Generic("allow-" + sort).(*names); ok {
			g.By[sort] = engine.Grant{Any: n.any, Names: n.names}
		}
	}
	return g
}

// readOptions are what the flags allow files to include.
func readOptions(c *urfave.Context) []spec.Option {
	n, _ := c.Generic("allow-read").(*names)
	switch {
	case c.Bool("allow-all") || n != nil && n.any:
		return []spec.Option{spec.AllowRead()}
	case n != nil && len(n.names) > 0:
		return []spec.Option{spec.AllowRead(n.names...)}
	}
	return nil
}
