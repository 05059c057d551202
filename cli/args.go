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

// arrange puts arguments into the order that the library understands: it drops flags that stand behind other arguments,
// refuses a mix of a flag's names, and reads -h before an argument as a command. What is wrong with the command or a
// flag is said here; a call for help comes before mistakes in flags.
func arrange(app *urfave.App, args []string) ([]string, error) {
	if len(args) < 2 {
		return args, nil
	}
	var command *urfave.Command
	var flags, rest []string
	var wrong error // the first mistake
	asked := false
	hint := "" // what to write where the name for a grant stood behind a space
	for todo := args[1:]; len(todo) > 0; {
		arg := todo[0]
		todo = todo[1:]
		switch {
		case arg == "--" && command != nil:
			rest = append(rest, todo...)
			todo = nil
		case arg == "-h" || arg == "--help" || arg == "help" && command == nil:
			asked = true
		case arg == "--version" && command == nil:
			command = app.Command("version")
		case len(arg) > 1 && arg[0] == '-' && command == nil:
			return nil, usage("%s stands before a command; write flowrun COMMAND %s", arg, arg)
		case len(arg) > 1 && arg[0] == '-':
			flag, used, err := arrangeFlag(command, arg, todo)
			if wrong == nil {
				wrong = err
			}
			flags, todo = append(flags, flag), todo[used:]
			if strings.HasSuffix(flag, everything) && len(todo) > 0 && !strings.HasPrefix(todo[0], "-") {
				hint = "; names follow =, as in " + arg + "=" + todo[0]
			}
		case command == nil:
			if command = app.Command(arg); command == nil {
				return nil, usage("there is no command %q%s", arg, spec.DidYouMean(arg, commandNames(app)))
			}
		default:
			rest = append(rest, arg)
		}
	}
	switch {
	case asked:
		return nil, &helpWanted{command}
	case wrong != nil:
		return nil, wrong
	}
	if problem := tooMany(command, len(rest)); problem != "" {
		return nil, usage("%s%s", problem, hint)
	}
	return slices.Concat(args[:1], []string{command.Name}, flags, []string{"--"}, rest), nil
}

// tooMany tells that a command takes fewer arguments, if it does.
func tooMany(command *urfave.Command, n int) string {
	switch takes := strings.Trim(command.ArgsUsage, "[]"); {
	case takes == "" && n > 0:
		return fmt.Sprintf("flowrun %s takes no arguments", command.Name)
	case n > 1 && !strings.HasSuffix(takes, "..."):
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
	return spelt + "=" + value, used, check(flag, value)
}

// choices are what flags take that take one of a few words, by the flag's name.
var choices = map[string][]string{
	"output":  {"text", "json"},
	"format":  {"mermaid", "dot", "json"},
	"example": examples.Names(),
}

// check refuses a value that the flag does not take.
func check(flag urfave.Flag, value string) error {
	name := flag.Names()[0]
	switch flag.(type) {
	case *urfave.BoolFlag:
		if _, err := strconv.ParseBool(value); err != nil {
			return usage("--%s is true or false, not %q", name, value)
		}
	case *urfave.IntFlag:
		if n, err := strconv.Atoi(value); err != nil || n < 1 {
			return usage("--%s is a whole number of at least 1, not %q", name, value)
		}
	case *urfave.GenericFlag:
		if len(split(value)) == 0 {
			return usage("--%s= names nothing; write --%s=NAME,... or, to allow all, --%s", name, name, name)
		}
	}
	if of := choices[name]; of != nil && !slices.Contains(of, value) {
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
