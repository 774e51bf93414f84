"""One invocation of a command, taken apart."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Call:
    """words: the `key=value` words, as typed."""

    command: str
    positionals: tuple[str, ...] = ()
    words: tuple[str, ...] = ()
    json: bool = False

    @property
    def record(self) -> tuple[str, ...]:
        """The command and its words, for the record of a run."""
        return (self.command, *self.words)
