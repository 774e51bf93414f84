"""One invocation of a command, taken apart."""

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Call:
    """words: the `key=value` words, as typed. estimate: only say what the command would take."""

    command: str
    positionals: tuple[str, ...] = ()
    words: tuple[str, ...] = ()
    json: bool = False
    estimate: bool = False

    @property
    def record(self) -> tuple[str, ...]:
        """The command and its words, for the record of a run."""
        return (self.command, *self.words)

    def with_architectures(self) -> "Call":
        """The call with its positionals as the option that they stand for."""
        if not self.positionals:
            return self
        quoted = ",".join(f"'{word}'" for word in self.positionals)
        return replace(self, positionals=(), words=(*self.words, f"retrain.architectures=[{quoted}]"))
