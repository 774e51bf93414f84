"""Crossover and mutation, one section of the genome at a time, by our own generator (DEAP has a global one).

Two ways to vary. `paper` (MSNAS, Algorithm 1): uniform per-gene crossover and mutation; a child that is
invalid or outside of the budget is thrown away. `exact`: the space draws the child from its valid neighbours
inside the budget.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Container, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeGuard

from evolution.errors import StrategyError
from evolution.strategy import Genome, NeighbourSpace, Record, Rng, Space

VARIATIONS = ("auto", "paper", "exact")
RANDOM = "random"  # the origin of a genome drawn from the space


@dataclass(frozen=True, slots=True)
class Operator:
    """Crossover (two parents) or mutation (one parent) of one section."""

    section: str
    parents: int

    @property
    def name(self) -> str:
        return f"{self.section} {'crossover' if self.parents == 2 else 'mutation'}"


@dataclass(slots=True)
class Offspring:
    """The new children of one generation and how they came about."""

    wanted: int
    children: dict[Genome, str] = field(default_factory=dict)  # genome -> origin, in the order they came
    attempts: int = 0
    draws: Counter[str] = field(default_factory=Counter)  # operator -> children tried
    accepted: Counter[str] = field(default_factory=Counter)  # operator -> children taken
    grown: defaultdict[str, Counter[int]] = field(default_factory=lambda: defaultdict(Counter))
    """operator -> radius -> children that were found only after the radius had grown to it (`exact`)."""

    @property
    def full(self) -> bool:
        return len(self.children) >= self.wanted

    def add(self, other: "Offspring") -> None:
        """Count another offspring's children in."""
        self.wanted += other.wanted
        self.children.update(other.children)
        self.attempts += other.attempts
        self.draws.update(other.draws)
        self.accepted.update(other.accepted)
        for name, radii in other.grown.items():
            self.grown[name].update(radii)

    def record(self) -> Record:
        """As JSON values, for the generation's record."""
        return {
            "wanted": self.wanted,
            "children": len(self.children),
            "attempts": self.attempts,
            "draws": dict(self.draws),
            "accepted": dict(self.accepted),
            "grown": {name: {str(r): n for r, n in sorted(radii.items())} for name, radii in self.grown.items()},
        }


class Variation(Protocol):
    """Makes one child by one operator."""

    @property
    def patience(self) -> int | None:
        """Attempts in a row without a new child after which more are hopeless; None: all that are allowed."""

    def child(
        self, operator: Operator, parents: Sequence[Genome], taken: Container[Genome], rng: Rng, offspring: Offspring
    ) -> Genome | None:
        """A valid in-budget child that is not in `taken`, or None; `offspring` counts draws and radii."""


class PaperVariation:
    """Algorithm 1 as published: vary, then keep the child only if it is valid, inside the budget and new."""

    patience = None

    def __init__(self, space: Space, *, mutation_rate: float) -> None:
        self.space = space
        self.mutation_rate = mutation_rate

    def child(
        self, operator: Operator, parents: Sequence[Genome], taken: Container[Genome], rng: Rng, offspring: Offspring
    ) -> Genome | None:
        section = self.space.sections[operator.section]
        if operator.parents == 2:
            child = crossover(parents[0], parents[1], section, rng)
        else:
            child = mutate(parents[0], section, self.space.cardinalities, self.mutation_rate, rng)
        offspring.draws[operator.name] += 1
        return child if child not in taken and self.space.is_valid(child) else None


class ExactVariation:
    """Draws children from the parents' valid in-budget neighbours, further off where all are known."""

    def __init__(self, space: NeighbourSpace, *, draws: int, patience: int) -> None:
        self.space = space
        self.draws = draws
        self.patience = patience

    def child(
        self, operator: Operator, parents: Sequence[Genome], taken: Container[Genome], rng: Rng, offspring: Offspring
    ) -> Genome | None:
        largest = len(_positions(self.space.sections[operator.section], parents[0]))
        smallest = 0 if operator.parents == 2 else 1
        for radius in range(smallest, largest + 1):
            child = self._draw(operator, parents, radius, taken, rng, offspring)
            if child is not None:
                if radius > smallest:
                    offspring.grown[operator.name][radius] += 1
                return child
        return None

    def _draw(
        self,
        operator: Operator,
        parents: Sequence[Genome],
        radius: int,
        taken: Container[Genome],
        rng: Rng,
        offspring: Offspring,
    ) -> Genome | None:
        """A new neighbour at this radius; None if there is none or `draws` draws met only known ones."""
        for _ in range(self.draws):
            child = self.space.neighbour(parents, operator.section, radius, rng)
            offspring.draws[operator.name] += 1
            if child is None:
                return None
            if child not in taken:
                return child
        return None


def crossover(first: Genome, second: Genome, section: slice, rng: Rng) -> Genome:
    """`first` with every gene of `section` taken from either parent, each with probability 1/2."""
    child = list(first)
    genes = _positions(section, first)
    for position, from_second in zip(genes, rng.random(len(genes)) < 0.5, strict=True):
        if from_second:
            child[position] = second[position]
    return tuple(child)


def mutate(parent: Genome, section: slice, cardinalities: Sequence[int], rate: float, rng: Rng) -> Genome:
    """`parent` with each gene of `section` changed with probability `rate`, to any of its other values."""
    child = list(parent)
    genes = _positions(section, parent)
    for position, changed in zip(genes, rng.random(len(genes)) < rate, strict=True):
        if changed and cardinalities[position] > 1:
            step = int(rng.integers(1, cardinalities[position]))
            child[position] = (child[position] + step) % cardinalities[position]
    return tuple(child)


def operators_of(space: Space) -> list[Operator]:
    """Crossover and mutation of every section that has a choice at all, in Algorithm 1's order (line 6)."""
    return [
        Operator(name, parents)
        for name, section in space.sections.items()
        if any(count > 1 for count in space.cardinalities[section])
        for parents in (2, 1)
    ]


def make_variation(name: str, space: Space, *, mutation_rate: float, draws: int, patience: int) -> Variation:
    """The variation called `name`; `auto` is `exact` where the space offers `neighbour`, else `paper`.

    Raises StrategyError for an unknown name, a rate outside of (0, 1], or `exact` without `neighbour`.
    """
    if name not in VARIATIONS:
        raise StrategyError(f"`variation` is one of {', '.join(VARIATIONS)}, but got {name!r}.")
    if not 0 < mutation_rate <= 1:
        raise StrategyError(f"`0 < mutation_rate <= 1` must hold, but got {mutation_rate=}.")
    if name != "paper" and _has_neighbours(space):
        return ExactVariation(space, draws=draws, patience=patience)
    if name == "exact":
        raise StrategyError(
            f"variation=exact needs a space with `neighbour`, which {type(space).__name__} lacks: take paper."
        )
    return PaperVariation(space, mutation_rate=mutation_rate)


def breed(
    attempt: Callable[[], Iterable[tuple[Operator, Sequence[Genome]]]],
    variation: Variation,
    taken: set[Genome],
    rng: Rng,
    *,
    wanted: int,
    max_attempts: int,
) -> Offspring:
    """Vary until `wanted` new children or `max_attempts` attempts are there; every child is added to `taken`.

    `attempt` gives what one attempt tries: operators with their parents.
    """
    offspring = Offspring(wanted)
    barren = 0
    while offspring.attempts < max_attempts and not offspring.full and barren != variation.patience:  # Alg. 1, line 5
        before = len(offspring.children)
        for operator, parents in attempt():
            child = None if offspring.full else variation.child(operator, parents, taken, rng, offspring)
            if child is not None:
                offspring.children[child] = operator.name
                offspring.accepted[operator.name] += 1
                taken.add(child)
        offspring.attempts += 1
        barren = barren + 1 if len(offspring.children) == before else 0
    return offspring


def sample_new(space: Space, count: int, taken: set[Genome], rng: Rng, *, max_attempts: int) -> Offspring:
    """`count` genomes of the space that are not in `taken`, which they are added to.

    Gives up, with those it has, after `max_attempts` draws in a row of known genomes only (a small space).
    """
    offspring = Offspring(count)
    known = 0
    while not offspring.full and known < max_attempts:
        genome = space.sample(rng)
        offspring.draws[RANDOM] += 1
        known += 1
        if genome not in taken:
            offspring.children[genome] = RANDOM
            offspring.accepted[RANDOM] += 1
            taken.add(genome)
            known = 0
    return offspring


def _positions(section: slice, genome: Genome) -> range:
    return range(*section.indices(len(genome)))


def _has_neighbours(space: Space) -> TypeGuard[NeighbourSpace]:
    return callable(getattr(space, "neighbour", None))
