package cli

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	urfave "github.com/urfave/cli/v2"

	"github.com/flowrun/flowrun/examples"
	"github.com/flowrun/flowrun/spec"
)

// helpWanted is a call for help, about a command or the whole program.
type helpWanted struct{ command *urfave.Command }

func (*helpWanted) Error() string { return "help" }

// arrange puts arguments into the order that the library understands: the command, its flags spelt as one argument each,
// and the rest behind --. What is wrong with the command or a flag is said here; a call for help comes before mistakes
// in flags.
func arrange(app *urfave.App, args []string) ([]string, error) {
	if len(args) < 2 {
		return args, nil
	}
	l := &line{app: app}
	for todo := args[1:]; len(todo) > 0; {
		used, err := l.take(todo[0], todo[1:])
		if err != nil {
			return nil, err
		}
		todo = todo[1+used:]
	}
	switch {
	case l.asked:
		return nil, &helpWanted{l.command}
	case l.wrong != nil:
		return nil, l.wrong
	}
	if problem := tooMany(l.command, len(l.rest)); problem != "" {
		return nil, usage("%s%s", problem, l.hint)
	}
	return slices.Concat(args[:1], []string{l.command.Name}, l.flags, []string{"--"}, l.rest), nil
}

// line is a command line that is taken apart.
type line struct {
	app     *urfave.App
	command *urfave.Command
	flags   []string
	rest    []string
	asked   bool   // for help
	wrong   error  // the first mistake in a flag
	hint    string // what to write where the name for a grant stood behind a space
}

// take puts an argument into its place and tells how many of the following go with it.
func (l *line) take(arg string, following []string) (used int, err error) {
	isFlag := len(arg) > 1 && arg[0] == '-'
	switch {
	case arg == "-h" || arg == "--help" || arg == "help" && l.command == nil:
		l.asked = true
	case arg == "--version" && l.command == nil:
		l.command = l.app.Command("version")
	case isFlag && l.command == nil:
		return 0, usage("%s stands before a command; write flowrun COMMAND %s", arg, arg)
	case l.command == nil:
		if l.command = l.app.Command(arg); l.command == nil {
			return 0, usage("there is no command %q%s", arg, spec.DidYouMean(arg, commandNames(l.app)))
		}
	case arg == "--":
		l.rest = append(l.rest, following...)
		return len(following), nil
	case isFlag:
		return l.flag(arg, following), nil
	default:
		l.rest = append(l.rest, arg)
	}
	return 0, nil
}

func (l *line) flag(arg string, following []string) (used int) {
	spelt, used, err := arrangeFlag(l.command, arg, following)
	if l.wrong == nil {
		l.wrong = err
	}
	l.flags = append(l.flags, spelt)
	if strings.HasSuffix(spelt, everything) && len(following) > 0 && !strings.HasPrefix(following[0], "-") {
		l.hint = "; names follow =, as in " + arg + "=" + following[0]
	}
	return used
}

// tooMany tells that a command takes fewer arguments, if it does.
func tooMany(command *urfave.Command, n int) string {
	switch takes := strings.Trim(command.ArgsUsage, "[]"); {
	case takes == "" && n > 0:
		return fmt.Sprintf("flowrun %s takes no arguments", command.Name)
	case strings.HasSuffix(takes, "...") || n <= len(strings.Fields(takes)):
	case len(strings.Fields(takes)) > 1:
		return fmt.Sprintf("flowrun %s takes %s, not %d arguments", command.Name, takes, n)
	default:
		return fmt.Sprintf("flowrun %s takes one %s, not %d arguments", command.Name, takes, n)
	}
	return ""
}

// arrangeFlag spells a flag as one argument and tells how many of the following it took.
func arrangeFlag(command *urfave.Command, arg string, following []string) (spelt string, used int, err error) {
	typed, value, given := strings.Cut(arg, "=")
	flag := findFlag(command, typed)
	if flag == nil {
		return "", 0, usage("flowrun %s has no flag %s%s", command.Name, typed, flagMeant(command, typed))
	}
	spelt = "--" + flag.Names()[0]
	switch {
	case given:
	case isGrant(flag):
		return spelt + "=" + everything, 0, nil
	case !takesValue(flag):
		return spelt, 0, nil
	case len(following) == 0:
		return "", 0, usage("%s needs a value", spelt)
	default:
		value, used = following[0], 1
	}
	return spelt + "=" + value, used, check(command, flag, value)
}

// choices are what flags take that take one of a few words, by the flag's name, with its command where others differ.
var choices = map[string][]string{
	"output":       {"text", "json"},
	"test output":  {"text", "json", "junit"},
	"format":       {"mermaid", "dot", "json"},
	"batch format": {"jsonl", "csv"},
	"example":      examples.Names(),
	"runs status":  statuses,
}

// choicesOf are what a command's flag takes; none where that is anything.
func choicesOf(command *urfave.Command, flag urfave.Flag) []string {
	name := flag.Names()[0]
	if own := choices[command.Name+" "+name]; own != nil {
		return own
	}
	return choices[name]
}

// check refuses a value that the flag does not take.
func check(command *urfave.Command, flag urfave.Flag, value string) error {
	name := flag.Names()[0]
	switch flag.(type) {
	case *urfave.BoolFlag:
		if _, err := strconv.ParseBool(value); err != nil {
			return usage("--%s is true or false, not %q", name, value)
		}
	case *urfave.IntFlag:
		least := 1
		if name == "limit" { // of a list: 0 is all
			least = 0
		}
		if n, err := strconv.Atoi(value); err != nil || n < least {
			return usage("--%s is a whole number of at least %d, not %q", name, least, value)
		}
	case *urfave.GenericFlag:
		if len(split(value)) == 0 {
			return usage("--%s= names nothing; write --%s=NAME,... or, to allow all, --%s", name, name, name)
		}
	}
	if of := choicesOf(command, flag); of != nil && !slices.Contains(of, value) {
		return usage("--%s is %s, not %q%s", name, oneOf(of), value, spec.DidYouMean(value, of))
	}
	return nil
}

// oneOf lists words: a, b or c.
func oneOf(words []string) string {
	last := len(words) - 1
	return strings.Join(words[:last], ", ") + " or " + words[last]
}

// isGrant tells whether a flag grants something: its value may be missing, and stands after = only.
func isGrant(f urfave.Flag) bool {
	_, ok := f.(*urfave.GenericFlag)
	return ok
}

func takesValue(f urfave.Flag) bool {
	d, ok := f.(urfave.DocGenerationFlag)
	return ok && d.TakesValue()
}

// findFlag is the flag of a name that was typed with its dashes.
func findFlag(command *urfave.Command, typed string) urfave.Flag {
	for _, f := range command.Flags {
		if slices.Contains(f.Names(), strings.TrimLeft(typed, "-")) {
			return f
		}
	}
	return nil
}

// flagMeant completes a message about an unknown flag. Nobody is led to --allow-all by a slip of the finger.
func flagMeant(command *urfave.Command, typed string) string {
	if meant := spec.DidYouMean(typed, flagNames(command)); !strings.Contains(meant, "--allow-all") {
		return meant
	}
	return ""
}

// flagNames are a command's flags with their dashes.
func flagNames(command *urfave.Command) []string {
	var names []string
	for _, f := range command.Flags {
		names = append(names, "--"+f.Names()[0])
	}
	return names
}

func commandNames(app *urfave.App) []string {
	var names []string
	for _, c := range app.Commands {
		names = append(names, c.Name)
	}
	return names
}
