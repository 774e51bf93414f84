"""One invocation of a command: its words, and the configuration that they compose."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any


@dataclass(frozen=True)
class Call:
    """One invocation of a stage, taken apart."""

    stage: str
    positionals: tuple[str, ...] = ()
    words: tuple[str, ...] = ()
    json: bool = False

    @cached_property
    def config(self) -> Any:
        """The composed configuration of this call's words, and of those of the run that they name."""
        from msnas.config.compose import compose
        from msnas.runs.folder import with_own

        return compose(with_own(self.words))
