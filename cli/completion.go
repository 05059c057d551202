package cli

import (
	"fmt"

	urfave "github.com/urfave/cli/v2"
)

// completions are scripts that ask the program itself for what may follow.
var completions = map[string]string{
	"bash": `# flowrun: source <(flowrun completion bash)
_flowrun() {
  local cur="${COMP_WORDS[COMP_CWORD]}" words
  if [[ "$cur" == -* ]]; then
    words=$("${COMP_WORDS[@]:0:COMP_CWORD}" "$cur" --generate-bash-completion 2>/dev/null)
  else
    words=$("${COMP_WORDS[@]:0:COMP_CWORD}" --generate-bash-completion 2>/dev/null)
  fi
  COMPREPLY=($(compgen -W "$words" -- "$cur"))
  if [[ ${#COMPREPLY[@]} -eq 0 ]]; then
    COMPREPLY=($(compgen -f -- "$cur"))
  fi
}
complete -o filenames -F _flowrun flowrun
`,
	"zsh": `#compdef flowrun
# flowrun: source <(flowrun completion zsh)
_flowrun() {
  local -a words_found
  if [[ "${words[CURRENT]}" == -* ]]; then
    words_found=("${(@f)$(${words[@]:0:$((CURRENT-1))} ${words[CURRENT]} --generate-bash-completion 2>/dev/null)}")
  else
    words_found=("${(@f)$(${words[@]:0:$((CURRENT-1))} --generate-bash-completion 2>/dev/null)}")
  fi
  if [[ -n "${words_found[1]}" ]]; then
    _describe 'flowrun' words_found
  else
    _files
  fi
}
compdef _flowrun flowrun
`,
	"fish": `# flowrun: flowrun completion fish | source
function __flowrun_complete
  set -l words (commandline -opc) (commandline -ct)
  if string match -q -- '-*' (commandline -ct)
    $words --generate-bash-completion 2>/dev/null
  else
    set -e words[-1]
    $words --generate-bash-completion 2>/dev/null
  end
end
complete -c flowrun -a '(__flowrun_complete)'
`,
	"powershell": `# flowrun: flowrun completion powershell | Out-String | Invoke-Expression
Register-ArgumentCompleter -Native -CommandName flowrun -ScriptBlock {
  param($wordToComplete, $commandAst, $cursorPosition)
  $line = $commandAst.ToString()
  if (-not $wordToComplete.StartsWith('-')) { $line = $line.Substring(0, $line.Length - $wordToComplete.Length) }
  Invoke-Expression "$line --generate-bash-completion" | Where-Object { $_ -like "$wordToComplete*" } | ForEach-Object {
    [System.Management.Automation.CompletionResult]::new($_, $_, 'ParameterValue', $_)
  }
}
`,
}

var shells = []string{"bash", "zsh", "fish", "powershell"}

func (p *program) completionCommand() *urfave.Command {
	return &urfave.Command{
		Name: "completion", Usage: "print the completion script of a shell", ArgsUsage: "bash|zsh|fish|powershell",
		BashComplete: func(c *urfave.Context) {
			for _, s := range shells {
				fmt.Fprintln(c.App.Writer, s)
			}
		},
		Action: func(c *urfave.Context) error {
			script, ok := completions[c.Args().First()]
			if !ok {
				return usage("completion is for bash, zsh, fish or powershell, not %q", c.Args().First())
			}
			_, err := fmt.Fprint(p.Out, script)
			return err
		},
	}
}
