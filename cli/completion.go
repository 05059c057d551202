package cli

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	urfave "github.com/urfave/cli/v2"

	"github.com/flowrun/flowrun/agents"
	"github.com/flowrun/flowrun/spec"
)

// completionFlag, as the last argument, asks which words may come next. Before it stands the command line so far, with
// the word that is being typed if that begins with -. A shell gives an empty word in place of any other, which tells
// apart "--input" half typed and "--input " with its value to come.
const completionFlag = "--generate-bash-completion"

// complete prints what may come next, a word a line; nothing where a file or a free text belongs.
func (p *program) complete(app *urfave.App, line []string) error {
	for _, word := range candidates(app, line) {
		if _, err := fmt.Fprintln(p.Out, word); err != nil {
			return err
		}
	}
	return nil
}

func candidates(app *urfave.App, line []string) []string {
	typed := ""
	if last := len(line) - 1; last >= 0 && (line[last] == "" || line[last][0] == '-') {
		line, typed = line[:last], line[last]
	}
	b := begun{app: app}
	for _, word := range line {
		if !b.take(word) {
			return nil
		}
	}
	switch {
	case b.open != nil && b.open.Names()[0] == "check":
		return pricedModels()
	case b.open != nil:
		return choicesOf(b.command, b.open)
	case typed != "" && !b.onlyArguments:
		return flagCandidates(b.command, typed)
	case b.command == nil:
		return commandNames(app)
	}
	return argumentCandidates(b.command.Name, b.arguments)
}

// begun is a command line that is not whole yet.
type begun struct {
	app           *urfave.App
	command       *urfave.Command // nil: it comes next
	open          urfave.Flag     // whose value comes next
	arguments     int
	onlyArguments bool // come now
}

// take takes the next word in, and tells whether something can follow it.
func (b *begun) take(word string) bool {
	switch {
	case b.open != nil:
		b.open = nil
	case b.onlyArguments:
		b.arguments++
	case word == "--":
		b.onlyArguments = true
	case strings.HasPrefix(word, "-") && b.command != nil:
		b.open = waiting(b.command, word)
	case b.command != nil:
		b.arguments++
	case word == "help" || strings.HasPrefix(word, "-"):
	default:
		b.command = b.app.Command(word)
		return b.command != nil
	}
	return true
}

// argumentCandidates are the arguments of a command that can follow so many others.
func argumentCandidates(command string, others int) []string {
	switch command {
	case "resume", "retry":
		return runIDs()
	case "runs":
		if others > 0 {
			return runIDs()
		}
		return slices.Sorted(maps.Keys(runsActions))
	}
	if others > 0 {
		return nil
	}
	switch command {
	case "approve":
		return runIDs()
	case "explain":
		return topics()
	case "models":
		return agents.NewSet().Names()
	case "cache":
		return cacheActions
	case "audit":
		return auditActions
	case "sessions":
		return sessionActions
	case "completion":
		return shells
	}
	return nil
}

// pricedModels are the models that the built-in prices name.
func pricedModels() []string {
	var names []string
	for name := range agents.BuiltinPrices().All() {
		if !strings.HasSuffix(name, "*") {
			names = append(names, name)
		}
	}
	return names
}

// waiting is the flag of a word, if the word is such that its value comes next.
func waiting(command *urfave.Command, word string) urfave.Flag {
	if f := findFlag(command, word); f != nil && takesValue(f) && !isGrant(f) {
		return f
	}
	return nil
}

// flagCandidates are the flags that begin with what was typed, or what the flag takes that was typed in full.
func flagCandidates(command *urfave.Command, typed string) []string {
	if command == nil {
		return beginning(typed, []string{"--help", "--version"})
	}
	flags := beginning(typed, append(flagNames(command), "--help"))
	name, _, given := strings.Cut(typed, "=")
	flag := findFlag(command, name)
	if flag == nil || choicesOf(command, flag) == nil || len(flags) > 0 && flags[0] != typed {
		return flags
	}
	values := slices.Clone(choicesOf(command, flag))
	for i := range values {
		if given {
			values[i] = name + "=" + values[i]
		}
	}
	return values
}

func beginning(with string, words []string) []string {
	return slices.DeleteFunc(words, func(w string) bool { return !strings.HasPrefix(w, with) })
}

// completions are scripts that ask the program itself for what may follow, and offer files where it knows nothing. None
// lets its shell read again what was typed.
var completions = map[string]string{
	"bash": `# flowrun: source <(flowrun completion bash)
_flowrun() {
  local cur="${COMP_WORDS[COMP_CWORD]}" line=() offers word
  # bash takes --flag=value for three words.
  for word in "${COMP_WORDS[@]:0:COMP_CWORD}"; do
    [[ "$word" == = ]] || line+=("$word")
  done
  [[ "$cur" == = ]] && cur=
  [[ "$cur" == -* ]] && line+=("$cur") || line+=("")
  offers=$("${line[@]}" --generate-bash-completion 2>/dev/null)
  if [[ -z "$offers" ]]; then
    compopt -o filenames -o default 2>/dev/null
    offers=$(compgen -f -- "$cur")
  fi
  COMPREPLY=()
  while IFS= read -r word; do
    [[ -n "$word" && "$word" == "$cur"* ]] && COMPREPLY+=("$word")
  done <<< "$offers"
}
complete -F _flowrun flowrun
`,
	"zsh": `#compdef flowrun
# flowrun: source <(flowrun completion zsh), behind compinit
_flowrun() {
  local -a line offers
  line=("${(@Q)words[1,CURRENT-1]}")
  [[ "${words[CURRENT]}" == -* ]] && line+=("${words[CURRENT]}") || line+=("")
  offers=("${(@f)$("${line[@]}" --generate-bash-completion 2>/dev/null)}")
  if [[ -n "${offers[1]}" ]]; then
    compadd -a offers
  else
    [[ "${words[CURRENT]}" == -*=* ]] && compset -P '*='
    _files
  fi
}
if [[ "${funcstack[1]}" == _flowrun ]]; then
  _flowrun
else
  compdef _flowrun flowrun
fi
`,
	"fish": `# flowrun: flowrun completion fish | source
function __flowrun_ask
  set -l line (commandline -opc)
  set -l cur (commandline -ct)
  string match -q -- '-*' "$cur"; or set cur ''
  set -g __flowrun_offers ($line "$cur" --generate-bash-completion 2>/dev/null)
  set -q __flowrun_offers[1]
end
complete -c flowrun -n __flowrun_ask -f -a '$__flowrun_offers'
`,
	"powershell": `# flowrun: flowrun completion powershell >> $PROFILE
Register-ArgumentCompleter -Native -CommandName flowrun -ScriptBlock {
  param($wordToComplete, $commandAst, $cursorPosition)
  $words = @($commandAst.CommandElements | Where-Object { $_.Extent.EndOffset -lt $cursorPosition } | ForEach-Object {
    if ($null -ne $_.Value) { "$($_.Value)" } else { $_.ToString() }
  })
  $rest = @($words | Select-Object -Skip 1)
  if ($wordToComplete.StartsWith('-')) { $rest += $wordToComplete } else { $rest += '' }
  & $words[0] @rest --generate-bash-completion 2>$null | Where-Object { $_.StartsWith($wordToComplete) } | ForEach-Object {
    [System.Management.Automation.CompletionResult]::new($_, $_, 'ParameterValue', $_)
  }
}
`,
}

var shells = []string{"bash", "zsh", "fish", "powershell"}

const completionDescription = `Sourced where the shell starts, it completes commands, flags and their values:

  bash        source <(flowrun completion bash)                in ~/.bashrc
  zsh         source <(flowrun completion zsh)                 in ~/.zshrc
  fish        flowrun completion fish | source                 in config.fish
  powershell  flowrun completion powershell >> $PROFILE        once
`

func (p *program) completionCommand() *urfave.Command {
	return &urfave.Command{
		Name: "completion", Usage: "print the completion script of a shell", ArgsUsage: strings.Join(shells, "|"),
		Description: completionDescription,
		Action: func(c *urfave.Context) error {
			shell := c.Args().First()
			script, ok := completions[shell]
			if !ok {
				return usage("completion is for %s, not %q%s", oneOf(shells), shell, spec.DidYouMean(shell, shells))
			}
			_, err := io.WriteString(p.Out, script)
			return err
		},
	}
}
