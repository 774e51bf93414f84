"""The options of single stages, as values."""

from dataclasses import dataclass

from msnas.errors import ConfigError

SAMPLINGS = ("uniform", "walk")  # how a supernet draws the paths of its steps


@dataclass(frozen=True, kw_only=True)
class TrainOptions:
    """Options `train.*`; fields are checked (ConfigError).

    steps: None: the schedule's epochs. paths: "all", or "in_budget". sampling: of all paths, "uniform" or "walk".
    """

    steps: int | None
    paths: str
    sampling: str
    checkpoint_every: int

    def __post_init__(self) -> None:
        if self.paths not in ("all", "in_budget"):
            raise ConfigError(f"train.paths must be all or in_budget, but got {self.paths!r}.")
        if self.sampling not in SAMPLINGS:
            raise ConfigError(f"train.sampling must be one of {', '.join(SAMPLINGS)}, but got {self.sampling!r}.")


@dataclass(frozen=True, kw_only=True)
class RetrainOptions:
    """Options `retrain.*`. factor: length of the schedule; steps: instead of it. architectures: named ones, or None.

    fpn, point, fpn_heads, random: what else is trained beside them.
    """

    factor: float
    steps: int | None
    architectures: tuple[str, ...] | None
    seeds: int
    fpn: bool
    point: bool
    fpn_heads: bool = False
    random: int = 0
    checkpoint_every: int


@dataclass(frozen=True, kw_only=True)
class LatencyOptions:
    """Options `latency.*`. table: a file; None: the one that fits. The others are numbers of rounds and of networks."""

    table: str | None
    warmup: int
    repetitions: int
    calibrate: int
    check: int
