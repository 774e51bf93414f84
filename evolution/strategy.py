"""What a search strategy is: ask for genomes, be told their evaluations, keep all of its state in one dict.

The package sees a search space only through the two Protocols below; any object with these methods will do.
"""

import json
import math
import operator
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Protocol, Self

import numpy as np

from evolution.errors import StrategyError

Genome = tuple[int, ...]
Record = dict[str, Any]  # JSON values only
Rng = np.random.Generator

OK = "ok"
FAILED = "failed"


class Space(Protocol):
    """A search space with its budget bound in: for `is_valid` and `sample` there is nothing outside of it."""

    @property
    def cardinalities(self) -> tuple[int, ...]:
        """How many values each gene has."""

    @property
    def sections(self) -> Mapping[str, slice]:
        """The named parts of a genome that are varied one at a time (MSNAS: encoder, heads)."""

    def is_valid(self, genome: Genome, /) -> bool:
        """Whether `genome` keeps the space's rules and the budget."""

    def sample(self, rng: Rng, /) -> Genome:
        """A valid genome inside the budget, each with the same probability."""


class NeighbourSpace(Space, Protocol):
    """A space that also finds valid in-budget neighbours itself, so that nothing has to be rejected."""

    def neighbour(self, parents: Sequence[Genome], section: str, radius: int, rng: Rng, /) -> Genome | None:
        """A child drawn uniformly from the valid neighbours inside the budget; None if there is none.

        One parent: mutation, 1 to `radius` genes of `section` differ from it. Two parents: crossover, at most
        `radius` genes of `section` are free of both parents, the others equal one of them. Genes outside
        of `section` are the first parent's.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """One candidate scored once. A failed one has a reason and the score `()`, which is below every other.

    Numbers survive `to_json` and `from_json` bit for bit. Raises StrategyError where a field breaks its rule.
    """

    genome: Genome
    score: tuple[float, ...] = ()  # larger is better; the first is the AP
    metrics: Mapping[str, float] = field(default_factory=dict)
    draws: tuple[float, ...] = ()  # the score on bootstrap draws of the scored images, the same ones for every genome
    cost: Mapping[str, int | float] = field(default_factory=dict)  # exact: macs, params, ...
    recipe: Mapping[str, Any] = field(default_factory=dict)  # how it was scored: iterations, lr, images, threads, ...
    seed: int = 0
    replicate: int = 0  # 0: the search's own score; 1, 2, ...: scored again on other batches
    rung: int = 0  # of successive halving; scores of different rungs are not comparable, and a higher rung is better
    seconds: float = 0.0
    status: str = OK
    reason: str = ""  # why it failed, one line
    generation: int = 0
    origin: str = ""  # which operator made it

    def __post_init__(self) -> None:
        put = object.__setattr__  # the dataclass is frozen; here values are only brought to their plain types
        put(self, "genome", as_genome(self.genome))
        put(self, "score", tuple(_finite("score", value) for value in self.score))
        put(self, "draws", tuple(_finite("draws", value) for value in self.draws))
        put(self, "metrics", {name: _finite(f"metrics.{name}", value) for name, value in self.metrics.items()})
        put(self, "cost", {name: _number(f"cost.{name}", value) for name, value in self.cost.items()})
        put(self, "recipe", _as_json("recipe", self.recipe))
        put(self, "seconds", _finite("seconds", self.seconds))
        put(self, "reason", " ".join(self.reason.split()))
        for name in ("seed", "replicate", "rung", "generation", "seconds"):
            if getattr(self, name) < 0:
                raise StrategyError(f"An evaluation's {name} is at least 0, but got {getattr(self, name)}.")
        self._check_status()

    def _check_status(self) -> None:
        if self.status not in (OK, FAILED):
            raise StrategyError(f"An evaluation's status is {OK!r} or {FAILED!r}, but got {self.status!r}.")
        if self.ok and (not self.score or self.reason):
            raise StrategyError(
                f"An evaluation that is {OK!r} has a score, no reason, but got {self.score=}, {self.reason=}."
            )
        if not self.ok and (self.score or not self.reason):
            raise StrategyError(
                f"A failed evaluation has a reason and no score, but got {self.score=}, {self.reason=}."
            )

    @property
    def ok(self) -> bool:
        return self.status == OK

    def to_dict(self) -> Record:
        """Plain JSON values, by field."""
        values = {one.name: getattr(self, one.name) for one in fields(self)}  # `asdict` takes half a millisecond
        return {**values, "genome": list(self.genome), "score": list(self.score), "draws": list(self.draws)}

    def to_json(self) -> str:
        return json.dumps(self.to_dict(), allow_nan=False, separators=(",", ":"))

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        return cls(**values)

    @classmethod
    def from_json(cls, text: str) -> Self:
        return cls.from_dict(json.loads(text))


class Strategy(Protocol):
    """Proposes genomes and learns from their evaluations. A generation is one `ask` and one `tell`."""

    @property
    def generation(self) -> int:
        """The generation that is asked, or will be next; 0 is the first."""

    @property
    def finished(self) -> bool:
        """Whether `ask` will give nothing any more."""

    @property
    def record(self) -> Record:
        """What happened in the generation told last, or why the search stopped.

        It has `generation`, and `survivors`, the genomes that the next generation is bred from, where it is bred from
        any.
        """

    def ask(self) -> list[Genome]:
        """The genomes to score next; the same ones until they are told; empty when the search is finished."""

    def tell(self, evaluations: Sequence[Evaluation]) -> None:
        """Take in the evaluations of all genomes asked, in any order."""

    def origin(self, genome: Genome) -> str:
        """The operator that made `genome`, one of those asked."""

    def choose(self, evaluations: Iterable[Evaluation], k: int) -> list[Evaluation]:
        """The best `k` of `evaluations` as this strategy understands best, best first; failed ones never."""

    def best(self, k: int) -> list[Evaluation]:
        """The best `k` of everything told so far, best first."""

    def state_dict(self) -> Record:
        """All state, the generator's included, as JSON values."""

    def load_state_dict(self, state: Record) -> None:
        """Go on exactly where `state_dict` was taken."""


def as_genome(values: Iterable[int]) -> Genome:
    """`values` as a genome of plain ints (numpy's are taken). Raises StrategyError for anything else."""
    try:
        genome = tuple(operator.index(value) for value in values)
    except TypeError:
        raise StrategyError(f"A genome is a sequence of ints, but got {values!r}.") from None
    if not genome:
        raise StrategyError("A genome has at least one gene, but got none.")
    return genome


def check_positive(**values: int) -> None:
    """Raise StrategyError unless every value is an int of at least 1."""
    for name, value in values.items():
        if not isinstance(value, int) or value < 1:
            raise StrategyError(f"`{name}` is a whole number of at least 1, but got {value!r}.")


def check_natural(name: str, value: int) -> int:
    """`value`; raises StrategyError unless it is an int of at least 0."""
    if not isinstance(value, int) or value < 0:
        raise StrategyError(f"`{name}` is a whole number of at least 0, but got {value!r}.")
    return value


def _finite(name: str, value: float) -> float:
    number = float(_number(name, value))
    if not math.isfinite(number):
        raise StrategyError(f"An evaluation's {name} is a finite number, but got {number}.")
    return number


def _number(name: str, value: float) -> int | float:
    """`value` as a plain int where it is whole by type, else as a plain float (numpy's scalars are taken)."""
    try:
        return operator.index(value)  # type: ignore[arg-type]  # a float has no __index__: that is the question
    except TypeError:
        pass
    try:
        return float(value)
    except (TypeError, ValueError):
        raise StrategyError(f"An evaluation's {name} is a number, but got {value!r}.") from None


def _as_json(name: str, values: Mapping[str, Any]) -> Record:
    """`values` as they will be read back from JSON: lists for tuples, strings for keys."""
    try:
        plain: Record = json.loads(json.dumps(dict(values), allow_nan=False))
    except (TypeError, ValueError) as error:
        raise StrategyError(f"An evaluation's {name} holds JSON values only, but {error}.") from None
    return plain
