package main

import (
	"context"
	"fmt"
	"io"
)

// completeBash asks the program for what it has, so that it fits the version that runs.
// Commands and flags are the lines of its help that begin with two spaces.
const completeBash = `_hydrant() {
  local word=${COMP_WORDS[COMP_CWORD]} words=
  local commands='"${COMP_WORDS[0]}" help 2>/dev/null | sed -n "s/^  \([a-z]\{1,\}\) .*/\1/p"'
  if [ "$COMP_CWORD" -eq 1 ]; then
    words=$(eval "$commands")
  elif [ "${word#-}" != "$word" ]; then
    local of=("${COMP_WORDS[1]}")
    case ${COMP_WORDS[2]} in nats | check) of+=("${COMP_WORDS[2]}") ;; esac
    words=$("${COMP_WORDS[0]}" help "${of[@]}" 2>/dev/null | sed -n 's/^  \(-[a-z-]\{1,\}\).*/\1/p')
  elif [ "$COMP_CWORD" -eq 2 ]; then
    case ${COMP_WORDS[1]} in
      completion) words=bash ;;
      help) words="config $(eval "$commands")" ;;
      policy) words=check ;;
      setup) words=nats ;;
    esac
  fi
  COMPREPLY=($(compgen -W "$words" -- "$word"))
}
complete -o default -F _hydrant hydrant
`

func runCompletion(_ context.Context, args []string, out io.Writer) error {
	flags := newFlags("completion", `
hydrant completion bash

In ~/.bashrc:  eval "$(hydrant completion bash)"
In ~/.zshrc:   autoload -U +X bashcompinit && bashcompinit
               eval "$(hydrant completion bash)"
`)
	bash := len(args) > 0 && args[0] == "bash"
	if bash {
		args = args[1:]
	}
	if err := parse(flags, args); err != nil {
		return err
	}
	if bash {
		_, err := io.WriteString(out, completeBash)
		return err
	}
	return fmt.Errorf("%w: for which shell? There is bash; see `hydrant completion -h`", errUsage)
}
