/** What commands there are, for a person; and for bash and zsh. */
import type { Commands } from './command.ts'

export function helpText (commands: Commands): string {
  const shown = Object.entries(commands).filter(([, { isForPrograms }]) => isForPrograms !== true)
  const width = Math.max(...shown.map(([name]) => name.length)) + 2
  const lines = shown.map(([name, { summary }]) => `  ${name.padEnd(width)}${summary}\n`)
  return `Turnpike makes WebRTC connect.\n\nUsage: turnpike <command>\n\n${lines.join('')}\nturnpike <command> --help tells its options. Settings come from TURNPIKE_* variables: see docs/configuration.md.\n`
}

/** One command with its options, or all that begin with the word. */
export function helpOf (name: string, commands: Commands): string {
  const found = Object.entries(commands).filter(([known]) => known === name || known.startsWith(`${name} `))
  if (name === 'help' || found.length === 0) return helpText(commands)
  return found.map(([known, { summary, args, options }]) => {
    const takes = args.map(arg => (arg.endsWith('?') ? ` [${arg.slice(0, -1)}]` : ` <${arg}>`)).join('')
    const lines = Object.entries(options).map(([option, { value, text }]) => `  ${`--${option}${value === null ? '' : ` <${value}>`}`.padEnd(34)} ${text}\n`)
    return `turnpike ${known}${takes}\n  ${summary}\n${lines.join('')}`
  }).join('\n')
}

/** A script for `source <(turnpike completion bash)`. */
export function completionFor (shell: 'bash' | 'zsh', commands: Commands): string {
  const first = [...new Set(Object.keys(commands).map(name => name.split(' ')[0] ?? ''))]
  const groups = Map.groupBy(Object.keys(commands).filter(name => name.includes(' ')), name => name.split(' ')[0] ?? '')
  const seconds = [...groups].map(([group, names]) => `      ${group}) words="${names.map(name => name.split(' ')[1]).join(' ')}" ;;\n`)
  const options = Object.entries(commands).map(([name, command]) => `      "${name}") words="${[...Object.keys(command.options), 'help'].map(option => `--${option}`).join(' ')}" ;;\n`)
  const prelude = shell === 'zsh' ? 'autoload -U +X bashcompinit && bashcompinit\n' : ''
  return `${prelude}# Completion of turnpike for ${shell}: source <(turnpike completion ${shell})
_turnpike () {
  local word="\${COMP_WORDS[COMP_CWORD]}" words=""
  if [[ $word == -* ]]; then
    local name="\${COMP_WORDS[1]}"
    case "$name" in
      ${[...groups.keys()].join('|')}) name="$name \${COMP_WORDS[2]}" ;;
    esac
    case "$name" in
${options.join('')}    esac
  elif [[ $COMP_CWORD -eq 1 ]]; then
    words="${first.join(' ')}"
  elif [[ $COMP_CWORD -eq 2 ]]; then
    case "\${COMP_WORDS[1]}" in
${seconds.join('')}    esac
  fi
  COMPREPLY=($(compgen -W "$words" -- "$word"))
}
complete -o default -F _turnpike turnpike
`
}
