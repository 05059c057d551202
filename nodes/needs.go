package nodes

import (
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"github.com/flowrun/flowrun/spec"
)

// commandNeed is what must be granted before a command may run: its name, and all that the user should see of it.
func commandNeed(argv []*spec.Expr, environment []spec.Entry, stdin, dir *spec.Expr, at spec.Pos) spec.Need {
	n := spec.Need{Grant: "exec", Pos: at, What: commandLine(argv, environment, stdin, dir)}
	name, literal := argv[0].Constant()
	folder := any("")
	if dir != nil {
		var known bool
		folder, known = dir.Constant()
		literal = literal && (known || !relative(spec.AsText(name)))
	}
	if literal {
		n.Name = commandName(spec.AsText(name), spec.AsText(folder), environment)
	}
	if loads := loading(environment); literal && loads != "" {
		n.Why = loads + " can make any command of it"
	}
	return n
}

// commandName is the name by which a command is granted, as the working directory knows it: a path with folders in it
// begins where the command runs. It is empty where the environment could make any other command of this one.
func commandName(name, dir string, environment []spec.Entry) string {
	switch {
	case loading(environment) != "":
		return ""
	case dir != "" && relative(name):
		return filepath.Join(dir, name)
	}
	return name
}

// relative tells whether a command is looked for from the folder in which it runs, and not on the PATH.
func relative(command string) bool {
	return !filepath.IsAbs(command) && strings.ContainsAny(command, `/`+string(filepath.Separator))
}

// loading is the first variable by which code is loaded into a program, or another is found in its place: those of the
// dynamic linkers, and PATH. See ld.so(8), and dyld(1) of macOS.
func loading(environment []spec.Entry) string {
	for _, e := range environment {
		switch name := strings.ToUpper(e.Name); {
		case strings.HasPrefix(name, "LD_"), strings.HasPrefix(name, "DYLD_"), name == "PATH", name == "GCONV_PATH":
			return e.Name
		}
	}
	return ""
}

var plainWord = regexp.MustCompile(`^[A-Za-z0-9_@%+:,./-]+$`)

// commandLine is a command with all that shapes what it does, as the file writes it.
func commandLine(argv []*spec.Expr, environment []spec.Entry, stdin, dir *spec.Expr) string {
	var words []string
	for _, e := range environment {
		words = append(words, e.Name+"="+quoted(written(e.Value.(*spec.Expr))))
	}
	for i, x := range argv {
		word := quoted(written(x))
		if i == 0 && strings.HasPrefix(word, `"`) { // which looks like another's name, perhaps
			word = strconv.QuoteToASCII(written(x))
		}
		words = append(words, word)
	}
	if stdin != nil {
		words = append(words, "<<<", quoted(written(stdin)))
	}
	line := strings.Join(words, " ")
	if dir != nil {
		line += " (in " + quoted(written(dir)) + ")"
	}
	return line
}

// written is a text as the file writes it, with its expressions.
func written(x *spec.Expr) string {
	if v, literal := x.Constant(); literal {
		return spec.AsText(v)
	}
	return x.Source()
}

// quoted is a word in quotes, where it would not be seen as one word without.
func quoted(word string) string {
	if plainWord.MatchString(word) {
		return word
	}
	return strconv.Quote(word)
}

// requestNeed is what must be granted before a request may be sent.
func requestNeed(method string, address *spec.Expr, at spec.Pos) spec.Need {
	return spec.Need{Grant: "net", Name: literalHost(address), Pos: at, What: strings.TrimSpace(method + " " + written(address))}
}
