"""What `msnas` and `msnas STAGE --help` print; composed from the same yaml that a run uses."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from msnas.config.compose import compose, flatten, groups
from msnas.runs.folder import newest
from msnas.runs.state import state_lines
from msnas.setup.open_run import state_of


def overview(stages: Mapping[str, Any]) -> str:
    """The stages in the order in which a user needs them, and what to do next in this folder."""
    width = max(map(len, stages))
    lines = ["usage: msnas STAGE [POSITIONAL...] [key=value...] [--json] [--help] [--version]", ""]
    lines += [f"  {name:<{width}}  {stage.summary}" for name, stage in stages.items()]
    lines += ["", "`msnas STAGE --help` shows a stage's options with their defaults."]
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


def stage_help(name: str, stage: Any) -> str:
    """One stage: its summary, its options with defaults, the choices of its groups."""
    config = compose()
    known = groups()
    leaves = flatten(config)
    lines = [
        f"usage: msnas {name} {stage.positionals} [key=value...] [--json]".replace("  ", " "),
        "",
        stage.summary,
    ]
    for option in stage.options:
        if option in known:
            lines += ["", f"{option}=  one of: {', '.join(known[option])}"]
        own = [k for k in leaves if k == option or k.startswith(f"{option}.")]
        for key in own:
            if not isinstance(leaves[key], DictConfig) and "._" not in key:
                lines.append(f"  {key}={_shown(leaves[key])}")
    return "\n".join(lines)


def _shown(value: Any) -> str:
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
