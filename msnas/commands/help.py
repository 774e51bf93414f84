"""What `msnas` and `msnas STAGE --help` print; composed from the same yaml that a run uses."""

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from omegaconf import ListConfig

from msnas.commands.command_list import COMMANDS
from msnas.config.comments import meanings, summary
from msnas.config.compose import compose, composed, folders, groups
from msnas.config.retrain_recipe import OWN, followed
from msnas.differences import flatten
from msnas.families.family import Family
from msnas.runs.folder import RETRAIN, STAGES, newest
from msnas.runs.state import state_lines
from msnas.setup.make_family import family_class, own_groups
from msnas.setup.open_run import state_of

WIDTH = 120  # columns
NAMES = 34  # columns that are enough for most options; a longer one has its meaning on the lines below


def overview() -> str:
    """The stages in the order in which a user needs them, and what to do next in this folder."""
    width = max(map(len, COMMANDS))
    lines = ["usage: msnas STAGE [POSITIONAL...] [key=value...] [--json] [--help] [--version]", ""]
    lines += [f"  {name:<{width}}  {stage.summary}" for name, stage in COMMANDS.items()]
    lines += ["", "`msnas STAGE --help` shows a stage's options with their defaults and what they mean."]
    lines += [
        "As in hydra: --multirun (-m) for sweeps such as seed=0,1,2, --cfg job, --info defaults, --config-dir DIR."
    ]
    lines += ["Exit codes: 0 done, 1 data or result not sound, 2 command or configuration wrong, 130 interrupted."]
    lines += ["", *_here(Path(compose().runs_root))]
    return "\n".join(lines)


def _here(root: Path) -> list[str]:
    """The state of the newest run, or how to begin."""
    folders = newest(root)
    if not folders:
        return [
            f"There is no run in {root}/ yet. `msnas demo` shows all stages in minutes; "
            "`msnas init D` prepares a search on your own data in the folder D."
        ]
    return state_lines(state_of(folders[0]))


def stage_help(name: str, words: Sequence[str] = ()) -> str:
    """One stage: its summary, the choices of its groups, its options with their values under `words` and meanings."""
    stage, (config, chosen) = COMMANDS[name], composed(words)
    places = folders(words)
    known, told, leaves = groups(places), meanings(places, chosen), flatten(config)
    flags = "[--json] [--estimate]" if stage.estimates else "[--json]"
    lines = [f"usage: msnas {name} {stage.positionals} [key=value...] {flags}".replace("  ", " "), "", stage.summary]
    if stage.estimates:
        lines += ["--estimate begins nothing: it says what this stage and those after it will take on this machine."]
    for option in options_of(name, family_class(str(config.family))):
        own = [key for key in leaves if (key == option or key.startswith(f"{option}.")) and "._" not in key]
        own = [key for key in own if followed(key) == key or leaves[key] != leaves[followed(key)]]
        if option in known or own != [option]:
            lines.append("")
        if option in known:
            lines.append(f"{option}=  one of, now {chosen[option]}:")
            for choice in known[option]:
                lines += _entry(choice, summary(places, option, choice), indent=4)
        for key in own:
            lines += _entry(f"{key}={_shown(leaves[key])}", told.get(key, ""), indent=2)
        if option == RETRAIN:  # what follows other options is told a group at a time
            for group in OWN:
                lines += _entry(f"{option}.{group}.OPTION=", told[f"{option}.{group}"], indent=2)
    return "\n".join(lines)


def options_of(name: str, family: type[Family]) -> list[str]:
    """The options of a stage, the family's own behind them; a search that may be the first stage has those of both."""
    groups_of, options = own_groups(family), list(COMMANDS[name].options)
    if name == "search" and family.pretraining != "supernet":
        options = [*options_of("train", family), *options]
    own = [group for stage, command in STAGES.items() if command == name for group in groups_of[stage]]
    return list(dict.fromkeys([*options, *own]))


def _entry(name: str, text: str, indent: int) -> list[str]:
    """`name` and, in a column of its own, what it means; wrapped."""
    column = indent + NAMES + 2
    first = f"{' ' * indent}{name}"
    if not text:
        return [first]
    lines = textwrap.wrap(text, WIDTH - column, break_on_hyphens=False, break_long_words=False)
    padded = [f"{' ' * column}{line}" for line in lines]
    if len(first) > column - 2:
        return [first, *padded]
    return [f"{first:<{column}}{lines[0]}", *padded[1:]]


def _shown(value: Any) -> str:
    """The value as it can be typed."""
    if isinstance(value, ListConfig):
        return f"[{','.join(map(_shown, value))}]"
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
