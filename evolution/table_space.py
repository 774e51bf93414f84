"""A search space that is a table: its genomes are listed, so that draws and neighbours are exact by enumeration."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import cached_property

import numpy as np
import numpy.typing as npt

from evolution.errors import StrategyError
from evolution.strategy import Genome, Rng

Bits = npt.NDArray[np.uint64]
Bools = npt.NDArray[np.bool_]
MOST_GENES = 64  # a genome's differences from another are the bits of one number


class TableSpace:
    """The rows of `genomes`, [n, genes]; nothing else is valid.

    cardinalities: how many values each gene has. sections: the parts of a genome that vary one at a time. Raises
    StrategyError where there is no row, a row comes twice, or genomes are too long.
    """

    def __init__(self, genomes: npt.ArrayLike, *, cardinalities: Sequence[int], sections: Mapping[str, slice]) -> None:
        self.genomes = np.asarray(genomes, dtype=np.int64)
        self.cardinalities, self.sections = tuple(cardinalities), dict(sections)
        self.rows: list[Genome] = [tuple(row) for row in self.genomes.tolist()]
        self._row_of = {genome: index for index, genome in enumerate(self.rows)}
        if not 0 < len(self._row_of) == len(self.rows):
            raise StrategyError(
                f"A table has at least one genome and none twice, but got {len(self.rows)}, "
                f"{len(self._row_of)} different."
            )
        if len(self.cardinalities) > MOST_GENES:
            raise StrategyError(
                f"A table's genomes have at most {MOST_GENES} genes, but got {len(self.cardinalities)}."
            )
        self._gene_bits = np.uint64(1) << np.arange(len(self.cardinalities), dtype=np.uint64)
        self._section_bits = {name: self._gene_bits[part].sum() for name, part in self.sections.items()}
        self._differences: dict[Genome, Bits] = {}
        self._last_key: tuple[object, ...] = ()
        self._found: npt.NDArray[np.intp] = np.empty(0, np.intp)

    def index(self, genome: Genome) -> int:
        """The row of a genome of the table."""
        return self._row_of[genome]

    def is_valid(self, genome: Genome) -> bool:
        """Whether the table lists `genome`."""
        return genome in self._row_of

    def sample(self, rng: Rng) -> Genome:
        """A row, each with the same probability."""
        return self.rows[int(rng.integers(len(self.rows)))]

    def neighbour(self, parents: Sequence[Genome], section: str, radius: int, rng: Rng) -> Genome | None:
        """A child drawn uniformly from `neighbours`; None where there is none."""
        key = (*parents, section, radius)
        if key != self._last_key:  # kept, since a child that is known already is drawn again
            self._last_key, self._found = key, np.flatnonzero(self.neighbours(parents, section, radius))
        return self.rows[self._found[rng.integers(len(self._found))]] if len(self._found) else None

    def neighbours(self, parents: Sequence[Genome], section: str, radius: int) -> Bools:
        """Which rows are children of `parents`, [n]: the first's but for genes of `section`, and none of the parents.

        At most `radius` of those genes are no parent's.
        """
        differences, inside = [self._difference(parent) for parent in parents], self._section_bits[section]
        new = np.bitwise_and.reduce(differences)
        found: Bools = (differences[0] & ~inside == 0) & (np.bitwise_count(new & inside) <= radius)
        for difference in differences:
            found &= difference != 0
        return found

    def allowed(self, prefix: Genome) -> tuple[int, ...]:
        """The next gene's values that still lead to a row, for a controller."""
        return self._next_genes.get(tuple(prefix), ())

    def _difference(self, parent: Genome) -> Bits:
        """The genes in which each row differs from `parent`, as bits, [n]; kept, since parents breed again."""
        if parent not in self._differences:
            self._differences[parent] = (self.genomes != np.array(parent)) @ self._gene_bits
        return self._differences[parent]

    @cached_property
    def _next_genes(self) -> dict[Genome, tuple[int, ...]]:
        following: defaultdict[Genome, set[int]] = defaultdict(set)
        for genome in self.rows:
            for place, gene in enumerate(genome):
                following[genome[:place]].add(gene)
        return {prefix: tuple(sorted(genes)) for prefix, genes in following.items()}
