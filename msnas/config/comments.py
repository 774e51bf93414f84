"""What every option means: the comments of `conf/` are the one source, and this reads them.

A comment stands behind its option and may go on in deeper lines of comment alone, or on the lines above it. An option
inside braces has the comment of what holds the braces.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from msnas.config.retrain_recipe import OWN, RETRAIN

_GLOBAL = "# @package _global_"
_OPTION = re.compile(r"( *)([A-Za-z_]\w*):(?: (.*))?$")
_INNER = re.compile(r"(\w+):")


def meanings(folders: Sequence[Path], choices: Mapping[str, str]) -> dict[str, str]:
    """The meaning of every option that has one, by its dotted key, under these choices of the groups.

    folders: where groups are looked up, the first that has the choice counts. Where several files set an option, the
    first with a comment says what it means, in the order in which they are composed. What retraining may have of its
    own means what the option means that it follows.
    """
    found = comments(folders[0] / "config.yaml")
    for group, choice in choices.items():
        for path in _with_bases(folders, group, choice):
            prefix = "" if _is_global(path) else f"{group}."
            for key, text in comments(path).items():
                found.setdefault(prefix + key, text)
    own = {f"{RETRAIN}.{key}": text for key, text in found.items() if key.partition(".")[0] in OWN}
    return {**own, **found}


def choice_file(folders: Sequence[Path], group: str, choice: str) -> Path:
    """The yaml file of a group's choice, in the first folder that has it."""
    places = [folder / group / f"{choice}.yaml" for folder in folders]
    return next(place for place in places if place.exists())


def summary(folders: Sequence[Path], group: str, choice: str) -> str:
    """The first line of the comment at the head of a choice's file, "" where there is none."""
    lines = choice_file(folders, group, choice).read_text(encoding="utf-8").splitlines()
    head = []
    for line in lines:
        if not line.startswith("#"):
            break
        if line != _GLOBAL:
            head.append(line.lstrip("# "))
    return head[0] if head else ""


def comments(path: Path) -> dict[str, str]:
    """The comments of the options of one file, by dotted keys inside that file."""
    found: dict[str, str] = {}
    parents: list[tuple[int, str]] = []
    above: list[str] = []
    last: tuple[int, str] | None = None  # (column of its comment, key) of the option just read
    for line in path.read_text(encoding="utf-8").splitlines():
        stripped = line.strip()
        if stripped.startswith("#"):
            text, column = stripped.lstrip("# "), line.index("#")
            if last is not None and column > last[0]:
                found[last[1]] = f"{found.get(last[1], '')} {text}".strip()
            else:
                above.append(text)
            continue
        match = _OPTION.match(line)
        if match is None:
            above, last = [], None
            continue
        indent, name = len(match[1]), match[2]
        parents = [parent for parent in parents if parent[0] < indent]
        key = ".".join([*(parent for _, parent in parents), name])
        parents.append((indent, name))
        value, hash_, text = (match[3] or "").partition("#")
        if said := text.strip() if hash_ else " ".join(above):
            found[key] = said
        if value.startswith("{"):
            holder = said or found.get(key.rpartition(".")[0], "")
            found |= {f"{key}.{inner}": holder for inner in _INNER.findall(value) if holder}
        above, last = [], (indent, key)
    return found


def _is_global(path: Path) -> bool:
    return path.read_text(encoding="utf-8").startswith(_GLOBAL)


def _with_bases(folders: Sequence[Path], group: str, choice: str) -> list[Path]:
    """The file of a choice behind those that its `defaults` build on in the same group."""
    path = choice_file(folders, group, choice)
    content = OmegaConf.load(path)
    bases = content.get("defaults", []) if isinstance(content, DictConfig) else []
    names = [str(base).partition("@")[0] for base in bases if isinstance(base, str) and base != "_self_"]
    return [*(file for name in names for file in _with_bases(folders, group, name)), path]
