"""The arguments of single commands, as values."""

from dataclasses import dataclass
from pathlib import Path

from omegaconf import DictConfig


@dataclass(frozen=True, kw_only=True)
class CommandOptions:
    """Which run and where runs lie, and what one command or another is told; None: what fits.

    zoo: of a published network. n: networks that are drawn. rank: of a winner. onnx: whether to write it too; None: of
    a front. score: the least of a detection that is shown. every: which frames of a video. split: of the data, which
    is evaluated on. out: the file or folder that is written. keep: runs that keep checkpoints.
    """

    run: str | None
    runs_root: Path
    zoo: str | None
    n: int
    rank: int
    onnx: bool | None
    score: float
    every: int
    split: str | None
    out: Path | None
    keep: int | None

    @classmethod
    def of(cls, config: DictConfig) -> "CommandOptions":
        """Those of a configuration; names are texts, whatever yaml made of them."""
        run, zoo, out = (None if config[name] is None else str(config[name]) for name in ("run", "zoo", "out"))
        given = {name: config[name] for name in ("n", "rank", "onnx", "score", "every", "split", "keep")}
        return cls(run=run, runs_root=Path(config.runs_root), zoo=zoo, out=Path(out) if out else None, **given)
