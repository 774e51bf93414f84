"""`msnas completion bash|zsh|fish`: a script that completes stages, options and the choices of groups.

It is made from the stages' own tables and the configuration; to use it, for example:
`source <(msnas completion bash)`.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from msnas.call import Call
from msnas.commands.command_list import COMMANDS
from msnas.config.compose import compose, groups
from msnas.differences import flatten
from msnas.errors import ConfigError


def main(call: Call) -> int:
    """Print the script of the one shell that is named."""
    if len(call.positionals) != 1 or call.positionals[0] not in _SHELLS:
        got = " ".join(call.positionals) or "none"
        raise ConfigError(f"Give one shell of {', '.join(_SHELLS)}, but got {got}.")
    leaves, choices = flatten(compose()), groups()
    words = {name: option_words(stage.options, leaves, choices) for name, stage in COMMANDS.items()}
    print(_SHELLS[call.positionals[0]](words), end="")
    return 0


def option_words(options: Sequence[str], leaves: Mapping[str, Any], choices: Mapping[str, list[str]]) -> list[str]:
    """What may be typed after a stage with these `options`: `key=` for values, `group=choice` for groups."""
    words: list[str] = []
    for option in options:
        words += [f"{option}={choice}" for choice in choices.get(option, ())]
        keys = [key for key in leaves if key == option or key.startswith(f"{option}.")]
        words += [f"{key}=" for key in keys if "._" not in key]
    return [*dict.fromkeys(words), "--json", "--help"]


def _bash(words: Mapping[str, list[str]]) -> str:
    """bash breaks words at `=`: the whole word is matched, and only what follows the `=` is given back."""
    cases = "\n".join(f'        {name}) words="{" ".join(options)}" ;;' for name, options in words.items())
    return f"""# bash completion of msnas; use it with: source <(msnas completion bash)
_msnas() {{
    local line="${{COMP_LINE:0:COMP_POINT}}" words stage typed
    typed="${{line##* }}"
    read -r _ stage _ <<< "$line"
    case "$stage" in
{cases}
    esac
    [[ "$line" =~ ^[^\\ ]+\\ +[^\\ ]*$ ]] && words="{" ".join(words)}"
    COMPREPLY=($(compgen -W "$words" -- "$typed"))
    if [[ ${{#COMPREPLY[@]}} -eq 1 && "${{COMPREPLY[0]}}" != *= ]]; then COMPREPLY[0]+=" "; fi
    if [[ "$typed" == *=* ]]; then COMPREPLY=("${{COMPREPLY[@]#"${{typed%%=*}}="}}"); fi
}}
complete -o nospace -o default -F _msnas msnas
"""


def _zsh(words: Mapping[str, list[str]]) -> str:
    stages = " ".join(f"'{name}:{COMMANDS[name].summary}'" for name in words)
    cases = []
    for name, options in words.items():
        open_, closed = ([w for w in options if w.endswith("=") is end] for end in (True, False))
        cases.append(f"    {name}) compadd -S '' -- {' '.join(open_)}; compadd -- {' '.join(closed)} ;;")
    body = "\n".join(cases)
    return f"""#compdef msnas
# zsh completion of msnas; use it with: source <(msnas completion zsh)
_msnas() {{
  if (( CURRENT == 2 )); then
    local -a stages=({stages})
    _describe stage stages
    return
  fi
  case $words[2] in
{body}
  esac
  _files
}}
compdef _msnas msnas
"""


def _fish(words: Mapping[str, list[str]]) -> str:
    lines = ["# fish completion of msnas; use it with: msnas completion fish | source"]
    for name, options in words.items():
        lines.append(f"complete -c msnas -n __fish_use_subcommand -f -a {name} -d '{COMMANDS[name].summary}'")
        lines.append(f"complete -c msnas -n '__fish_seen_subcommand_from {name}' -a '{' '.join(options)}'")
    return "\n".join(lines) + "\n"


_SHELLS = {"bash": _bash, "zsh": _zsh, "fish": _fish}
