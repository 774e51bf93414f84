"""The architectures of a path table whose total cost lies between two bounds: how many, which, one at random.

A path table counts encoders; an architecture adds heads that the encoder serves. A interval pairs the final
states of the table with the choices of heads and keeps, of each pair, the paths that leave the total cost
inside the bounds.
"""

from bisect import bisect_right
from collections.abc import Sequence
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np

from supernet.strides.counting.path_rules import Bools, Genes, HeadRules, Ints
from supernet.strides.counting.path_table import FAR, PathTable, as_view, ranges

Genome = tuple[int, ...]


class CostInterval:
    """Architectures of `table` with heads among `codes` that cost low..high, both inclusive.

    codes [K]: rows of `heads` to choose from. `total` is the exact number of architectures inside.
    """

    def __init__(self, table: PathTable, heads: HeadRules, low: int, high: int, codes: Ints | None = None) -> None:
        self.table, self.heads, self.metric = table, heads, table.costs.metric
        self.low, self.high = min(low, FAR), min(high, FAR)
        self.codes = np.flatnonzero(heads.allowed) if codes is None else codes
        self._stem = table.rules.stem[self.metric]
        self._sums = np.append(0, np.cumsum(table.layers[-1].counts))  # paths before each final node
        first, after = self._pairs
        numbers = (self._sums[after] - self._sums[first]).ravel()
        chosen = np.flatnonzero(numbers)
        self._ends = as_view(np.cumsum(numbers[chosen]))
        self._starts = as_view(self._sums[first].ravel()[chosen])
        self._rows = as_view(np.resize(self.codes, numbers.shape)[chosen])  # pairs lie state by state, head by head
        self.total = int(self._ends[-1]) if len(chosen) else 0

    @cached_property
    def _pairs(self) -> tuple[Ints, Ints]:
        """first, after [Q, K]: final nodes first..after - 1 of state and tag q are inside with heads k."""
        table, keys = self.table, self.table.layers[-1].keys
        finals = np.unique(keys // table.span)
        fixed = self._stem + self.heads.cost[self.metric][self.codes]
        low = np.clip(-((fixed - self.low) // table.unit), 0, table.span - 1)
        high = np.clip((self.high - fixed) // table.unit, -1, table.span - 1)
        first = np.searchsorted(keys, finals[:, None] * table.span + low, "left")
        after = np.searchsorted(keys, finals[:, None] * table.span + high, "right")
        served = self._serves((finals // table.tags)[:, None])
        return first, np.where(served, np.maximum(first, after), first)

    def _serves(self, states: Any) -> Bools:
        """Whether paths that end in `states` serve each choice of heads."""
        return self.table.rules.serves(states, self.heads.needs[self.codes])

    def draw(self, rng: np.random.Generator) -> Genome:
        """One architecture, each with the same probability. The interval must not be empty."""
        number = int(rng.integers(self.total))
        pair = bisect_right(self._ends, number)
        number += self._starts[pair] - (self._ends[pair - 1] if pair else 0)
        node = bisect_right(self._sums_view, number) - 1
        path = self.table.path(node, number - self._sums_view[node])
        return (*path, *self.heads.lists[self._rows[pair]])

    @cached_property
    def _sums_view(self) -> Sequence[int]:
        return as_view(self._sums)

    def paths(self, code: int, most: int) -> Genes | None:
        """All paths [n, N] that cost low..high with the heads of `code`, one of `codes`; None if more than `most`."""
        first, after = (nodes[:, int(np.searchsorted(self.codes, code))] for nodes in self._pairs)
        if (self._sums[after] - self._sums[first]).sum() > most:
            return None
        return self.table.paths(ranges(first, after))

    def walk(self, rng: np.random.Generator) -> Genome:
        """A naive walk: each block's gene uniform among `allowed`, then uniform heads."""
        path: list[int] = []
        for _ in range(self.table.depth):
            choices = self.allowed(path)
            path.append(choices[int(rng.integers(len(choices)))])
        codes = self.heads_for(path)
        return (*path, *self.heads.lists[codes[int(rng.integers(len(codes)))]])

    def nearest(self) -> tuple[int | None, int | None]:
        """The largest cost below the interval and the smallest above it, None where there is none."""
        table, keys = self.table, self.table.layers[-1].keys
        first, after = self._pairs
        finals = np.unique(keys // table.span)
        served = self._serves((finals // table.tags)[:, None])
        fixed = np.broadcast_to(self._stem + self.heads.cost[self.metric][self.codes], first.shape)
        edges = np.append(np.searchsorted(keys, finals * table.span), len(keys))
        is_below, is_above = served & (first > edges[:-1, None]), served & (after < edges[1:, None])
        below_it = fixed[is_below] + keys[first[is_below] - 1] % table.span * table.unit
        above_it = fixed[is_above] + keys[after[is_above]] % table.span * table.unit
        return (
            int(below_it.max()) if below_it.size else None,
            int(above_it.min()) if above_it.size else None,
        )

    def allowed(self, prefix: Sequence[int]) -> tuple[int, ...]:
        """Genes that can follow `prefix` on the way to an architecture inside; for unrestricted tables."""
        depth = self.table.depth
        if len(prefix) < depth:
            return tuple(gene for gene in range(3) if self._is_open([*prefix, gene]))
        path, begun = prefix[:depth], tuple(prefix[depth:])
        genes = (self.heads.lists[code] for code in self.heads_for(path))
        return tuple(sorted({g[len(begun)] for g in genes if tuple(g[: len(begun)]) == begun}))

    def _is_open(self, path: Sequence[int]) -> bool:
        """Whether these first genes can be completed to an architecture inside."""
        state, cost = self.table.rules.read(path, self.metric)
        if len(path) == self.table.depth:
            cost += int(self.table.rules.finish[self.metric][state])
        node = self.table.find(len(path), state, cost)
        return node is not None and bool(self._alive[len(path)][node])

    @cached_property
    def _alive(self) -> list[Bools]:
        """For each layer, the nodes from which the interval can be reached."""
        first, after = self._pairs
        layers = self.table.layers
        inside = np.zeros(len(layers[-1].keys) + 1, np.int64)
        np.add.at(inside, first.ravel(), 1)
        np.add.at(inside, after.ravel(), -1)
        alive = [np.cumsum(inside[:-1]) > 0]
        for before, layer in pairwise(layers[::-1]):
            reached = np.zeros(len(layer.keys), np.bool_)
            reached[before.parents[np.repeat(alive[-1], np.diff(before.starts))]] = True
            alive.append(reached)
        return alive[::-1]

    def heads_for(self, path: Sequence[int]) -> list[int]:
        """Codes of the heads that make of a whole path an architecture inside."""
        rules = self.table.rules
        state, cost = rules.read(path, self.metric)
        costs = self._stem + cost + rules.finish[self.metric][state] + self.heads.cost[self.metric][self.codes]
        inside = self._serves(state) & (self.low <= costs) & (costs <= self.high)
        codes: list[int] = self.codes[inside].tolist()
        return codes
