package cli

import (
	"cmp"
	"fmt"
	"strings"

	urfave "github.com/urfave/cli/v2"
)

// width is how many columns help takes at most.
const width = 80

// help describes the program, or one of its commands.
func help(app *urfave.App, command *urfave.Command) string {
	var b strings.Builder
	if command == nil {
		fmt.Fprintf(&b, "%s: %s\n\nUsage: flowrun COMMAND [FLAGS] [ARGUMENTS]\n\n", app.Name, app.Usage)
		for _, c := range app.Commands {
			entry(&b, c.Name, c.Usage, 14)
		}
		b.WriteString("\nflowrun COMMAND --help tells more about each. To begin, try flowrun init.\n")
		return b.String()
	}
	fmt.Fprintf(&b, "%s\n\nUsage: flowrun %s", command.Usage, command.Name)
	if len(command.Flags) > 0 {
		b.WriteString(" [FLAGS]")
	}
	fmt.Fprintf(&b, "%s\n", strings.TrimRight(" "+command.ArgsUsage, " "))
	if command.Description != "" {
		fmt.Fprintf(&b, "\n%s", command.Description)
	}
	category := ""
	for i, f := range command.Flags {
		c := f.(urfave.CategorizableFlag).GetCategory()
		if i == 0 || c != category {
			fmt.Fprintf(&b, "\n%s\n\n", cmp.Or(c, "Flags, before or behind the arguments:"))
		}
		category = c
		name, usage := flagHelp(f)
		entry(&b, name, usage, 25)
	}
	return b.String()
}

// entry writes a name and what it means beside it, over as many lines as that takes.
func entry(b *strings.Builder, name, meaning string, column int) {
	line := fmt.Sprintf("  %-*s ", column-3, name)
	if len(line) > column { // no room beside it
		b.WriteString(strings.TrimRight(line, " ") + "\n")
		line = strings.Repeat(" ", column)
	}
	for i, word := range strings.Fields(meaning) {
		switch {
		case i == 0:
		case len(line)+1+len(word) > width:
			b.WriteString(line + "\n")
			line = strings.Repeat(" ", column)
		default:
			line += " "
		}
		line += word
	}
	b.WriteString(line + "\n")
}

// flagHelp is how a flag is written, and what it means. The value's name stands between backquotes in the flag's usage.
func flagHelp(f urfave.Flag) (name, usage string) {
	name, usage = "--"+f.Names()[0], f.(urfave.DocGenerationFlag).GetUsage()
	for _, other := range f.Names()[1:] {
		dashes := "--"
		if len(other) == 1 {
			dashes = "-"
		}
		name = dashes + other + ", " + name
	}
	if parts := strings.Split(usage, "`"); len(parts) == 3 {
		usage = strings.Join(parts, "")
		if isGrant(f) {
			name += "[=" + parts[1] + ",...]"
		} else {
			name += " " + parts[1]
		}
	}
	if s, ok := f.(*urfave.StringFlag); ok && s.Value != "" {
		usage += fmt.Sprintf(" (default %s)", s.Value)
	}
	return name, usage
}
