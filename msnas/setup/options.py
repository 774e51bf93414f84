"""The options of single stages, as values."""

from dataclasses import dataclass

from msnas.errors import ConfigError
from msnas.runs.folder import FEWEST_ON_FRONT

SCRATCH, SUPERNET, BOTH = "scratch", "supernet", "both"  # how a retrained network begins
OTHER_START = "other start"  # the role of a chosen architecture's networks that begin as search_val did not choose
MOST_ON_FRONT = 8
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

    init: how winners begin, SCRATCH, SUPERNET or BOTH; supernet_share: of the schedule, for those that begin from the
    supernet. fpn, point, fpn_heads, random: what else is trained beside them. spread: so many of what the search
    scored, from its worst to its best. Fields are checked (ConfigError).
    """

    factor: float
    steps: int | None
    architectures: tuple[str, ...] | None
    init: str = SCRATCH
    supernet_share: float = 0.25
    seeds: int
    fpn: bool
    point: bool
    fpn_heads: bool = False
    random: int = 0
    spread: int = 0
    checkpoint_every: int

    def __post_init__(self) -> None:
        if self.spread < 0 or self.spread == 1:
            raise ConfigError(f"retrain.spread must be 0 or at least 2, but got {self.spread}.")
        if self.spread and self.architectures is not None:
            raise ConfigError("retrain.spread takes networks of a search; leave it out where architectures are named.")
        if self.init not in (SCRATCH, SUPERNET, BOTH):
            raise ConfigError(f"retrain.init must be {SCRATCH}, {SUPERNET} or {BOTH}, but got {self.init!r}.")
        if not 0 < self.supernet_share <= 1:
            raise ConfigError(
                f"`0 < retrain.supernet_share <= 1` must hold: no winner is trained for longer than the baselines; "
                f"but got {self.supernet_share}."
            )

    @property
    def extent(self) -> dict[str, int]:
        """Which networks are trained, and how often; it may grow or shrink when some are trained already."""
        return {name: int(getattr(self, name)) for name in ("seeds", "fpn", "point", "fpn_heads", "random", "spread")}

    def share(self, start: str) -> float:
        """The share of the schedule that a network trains for that begins so."""
        return self.supernet_share if start == SUPERNET else 1.0


@dataclass(frozen=True, kw_only=True)
class FrontOptions:
    """Options `front.*`; fields are checked (ConfigError). networks: along the front; fpn: also an FPN of each size."""

    networks: int
    fpn: bool

    def __post_init__(self) -> None:
        if not FEWEST_ON_FRONT <= self.networks <= MOST_ON_FRONT:
            raise ConfigError(f"front.networks must be {FEWEST_ON_FRONT} to {MOST_ON_FRONT}, but got {self.networks}.")


@dataclass(frozen=True, kw_only=True)
class LatencyOptions:
    """Options `latency.*`. table: a file; None: the one that fits. The others are numbers of rounds and of networks."""

    table: str | None
    warmup: int
    repetitions: int
    calibrate: int
    check: int
