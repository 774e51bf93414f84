"""Runs the blocks of a page: commands in this process, at the smallest size; what needs more is composed only."""

import contextlib
import io
import re
import shlex
import tomllib

from doc_blocks import ROOT, Block
from tiny_words import fitting

from msnas.cli import _expanded, main, parse
from msnas.commands.command_list import COMMANDS
from msnas.config.compose import split
from msnas.config.hydra_words import combinations, take_flags
from msnas.config.run_config import named, stored_words
from msnas.setup.open_run import setup_of

SMALL = (
    *("data.short_side=64", "data.long_side=64", "data.search_val.minimum=6", "data.workers=0", "schedule.batch=4"),
    *("train.steps=4", "hardware.device=cpu", "hardware.train_threads=1", "space.channels=8", "space.base_stride=4"),
    *("baseline.channels=8", "budget.macs=13e6", "budget.tolerance=0.1", "candidate.batch=4"),
    *("candidate.iterations=1", "strategy.population_size=3", "strategy.children=2", "strategy.iterations=1"),
    *("strategy.n_random=1", "search.finalists=2", "search.replicates=2", "top_k=1", "retrain.steps=4"),
)
TRAINING = ("train", "search", "retrain")
PRINTING = ("sh", "console")


class Shell:
    """Gives the commands of a page in order; remembers with which words the runs were made that were only composed."""

    def __init__(self) -> None:
        self.given: list[str] = []  # commands that did not fail
        self._made: dict[str, list[str]] = {}

    def run(self, block: Block) -> None:
        """Run a block's commands (compose those of one that `needs` something), or its Python."""
        if block.language in PRINTING:
            for command, shown in block.commands:
                answer = self.answer(command, composed=block.option("needs") is not None)
                assert not shown or answer.splitlines() == shown, f"{block}: {command} prints\n{answer}"
                self.given.append(command)
        elif block.language == "python" and block.option("file") is None:
            exec(compile(block.text, str(block), "exec"), {"__name__": "__main__"})

    def answer(self, command: str, *, composed: bool) -> str:
        """What the command prints; "" where it is only composed. Fails where it does, or is of no known kind."""
        words = shlex.split(command, comments=True)
        while words and re.fullmatch(r"[A-Z_]+=\S*", words[0]):
            words.pop(0)
        if words[0] in KNOWN:
            KNOWN[words[0]](words)
            return ""
        start = next((i for i, word in enumerate(words) if word in ("msnas", "msnas.cli")), None)
        assert start is not None, f"{command}: no known program"
        assert composed or start == 0, f"{command}: several processes are composed only, mark the block with needs="
        words = words[start + 1 :]
        if not composed:
            return printed(words)
        self._compose(words)
        return ""

    def _compose(self, words: list[str]) -> None:
        """Compose the configuration of a command that is too much to run here, behind the words that made its run."""
        stage, *rest = words
        assert stage in COMMANDS, words
        plain = [word for word in rest if not word.startswith("@")]
        name = next((word for word in plain if word.startswith("run=")), "")
        flags, plain = take_flags(plain)
        if flags.multirun:
            plain = combinations(plain)[-1]
        call = parse(stage, [*self._made.get(name, []), *plain])
        assert setup_of(call.words).space_name
        self._made.setdefault(name, [word for word in call.words if name])


def _pip(words: list[str]) -> None:
    known = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    named = {name for word in words for part in re.findall(r"\[([\w,]+)\]", word) for name in part.split(",")}
    assert named <= set(known), words


def _make(words: list[str]) -> None:
    assert re.search(rf"^{words[1]}:", (ROOT / "Makefile").read_text(), re.M), words


def _python(words: list[str]) -> None:
    assert (ROOT / words[1]).exists(), words


KNOWN = {"pip": _pip, "make": _make, "python": _python}


def printed(words: list[str]) -> str:
    """What `msnas WORDS` prints."""
    out, err = io.StringIO(), io.StringIO()
    if words and words[0] in TRAINING and "--help" not in words:
        words = [*words, *small(words)]
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main(words)
    assert code == 0, f"msnas {shlex.join(words)} ends with {code}: {err.getvalue()[-500:]}"
    return out.getvalue()


def small(words: list[str]) -> list[str]:
    """What makes a training small, but for what the command itself says, or has said where it began the run."""
    root, run = named(words[1:])
    before = stored_words(root / run) if run else []
    said = {split(word)[0] for word in [*before, *words[1:]] if "=" in word}
    given = [word for one in words[1:] for word in _expanded(one) if "=" in word]
    wanted = [word for word in fitting(SMALL, given) if split(word)[0] not in said]
    return [word for word in wanted if not ("budget" in said and word.startswith("budget."))]
