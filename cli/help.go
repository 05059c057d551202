package cli

import (
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
		fmt.Fprintf(&b, "%s: %s\n\nflowrun COMMAND [flags] [arguments]\n\n", app.Name, app.Usage)
		for _, c := range app.Commands {
			entry(&b, c.Name, c.Usage, 13)
		}
		b.WriteString("\nflowrun COMMAND --help tells more about each.\n")
		return b.String()
	}
	fmt.Fprintf(&b, "%s\n\nflowrun %s\n", command.Usage, strings.TrimSpace(command.Name+" "+command.ArgsUsage))
	if command.Description != "" {
		b.WriteByte('\n')
		fill(&b, "", command.Description)
	}
	if len(command.Flags) > 0 {
		b.WriteString("\nFlags, which may stand before and behind the arguments:\n\n")
	}
	for _, f := range command.Flags {
		entry(&b, flagNamesOf(f), flagUsage(f), 25)
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
	fill(b, line, meaning)
}

// fill writes text behind the beginning of a line, and indents what does not fit as far as it began.
func fill(b *strings.Builder, line, text string) {
	indent := strings.Repeat(" ", len(line))
	for i, word := range strings.Fields(text) {
		switch {
		case i == 0:
		case len(line)+1+len(word) > width:
			b.WriteString(line + "\n")
			line = indent
		default:
			line += " "
		}
		line += word
	}
	b.WriteString(line + "\n")
}

func flagNamesOf(f urfave.Flag) string {
	name := "--" + f.Names()[0]
	for _, short := range f.Names()[1:] {
		name = "-" + short + ", " + name
	}
	switch f.(type) {
	case *urfave.BoolFlag:
	case *urfave.GenericFlag:
		name += "[=NAME,...]"
	case *urfave.IntFlag:
		name += " N"
	default:
		name += " VALUE"
	}
	return name
}

func flagUsage(f urfave.Flag) string {
	usage := f.(urfave.DocGenerationFlag).GetUsage()
	if s, ok := f.(*urfave.StringFlag); ok && s.Value != "" {
		usage += fmt.Sprintf(" (default %s)", s.Value)
	}
	return usage
}
