"""All paths of a space, or of a part of it, counted by their exact cost: a layered graph with a count at each node.

A node of layer n stands for all ways to choose the first n genes that end in one state at one cost; its edges
lead back to the nodes of layer n - 1 that it came from. Counts are exact, so a number below a node's count
names one of its paths ("unranking"), and a uniform number a uniform path: nothing is rejected.
"""

from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from supernet.strides.counting.path_rules import START, Bools, Genes, Ints, PathRules

FAR = 2**61  # more than anything costs


@dataclass(frozen=True)
class Automaton:
    """Which genes are asked for, as a second small automaton over T tags that runs beside the rules.

    follow [N, T, 3]: the tag after gene g of block n, -1 where that is not wanted. accept [T]: tags to end
    with. first: the tag before the first block.
    """

    follow: Ints
    accept: Bools
    first: int = 0


def everything(depth: int) -> Automaton:
    """Every gene is wanted."""
    return Automaton(np.zeros((depth, 1, 3), np.int64), np.ones(1, np.bool_))


@dataclass(frozen=True)
class Layer:
    """Nodes after n blocks in ascending order of `keys`, and the edges that lead back.

    keys [F]: (state * tags + tag) * span + cost / unit. counts [F]. starts [F + 1]: node f has the edges
    starts[f]..starts[f + 1] - 1. parents [E]: their nodes in the layer before. genes [E]: the gene of each.
    """

    keys: Ints
    counts: Ints
    starts: npt.NDArray[np.int32]
    parents: npt.NDArray[np.int32]
    genes: Genes


class UnitCosts:
    """Costs of one metric over their greatest common divisor `unit`, which keeps keys small.

    step, finish: as in the rules. span: more than any path of `depth` blocks costs.
    """

    def __init__(self, rules: PathRules, metric: str, depth: int) -> None:
        step, finish = rules.step[metric], rules.finish[metric]
        self.rules, self.metric, self.depth = rules, metric, depth
        self.unit = int(np.gcd.reduce(np.concatenate([step.ravel(), finish]))) or 1
        self.step, self.finish = step // self.unit, finish // self.unit
        self.span = int(self.to_go(everything(depth), None, np.max, -FAR)[0][START, 0]) + 2

    def to_go(self, automaton: Automaton, needs: int | None, pick: Callable[..., Ints], never: int) -> list[Ints]:
        """[N + 1][S + 1, T]: the least or most that a wanted path can still cost after n blocks, by state and tag.

        needs: mask of the levels that its heads read; None: any heads or none. pick: np.min or np.max. never: where no
        path is wanted.
        """
        rules, states = self.rules, np.arange(self.rules.dead + 1)
        ready = (states != rules.dead) & (True if needs is None else rules.serves(states, needs))
        costs = [np.where(ready[:, None] & automaton.accept, self.finish[:, None], never)]
        for tag_after in automaton.follow[::-1]:  # [T, 3]
            after = costs[-1][rules.follow[:, None], tag_after] + self.step[:, None]  # [S + 1, T, 3]
            costs.append(pick(np.where(tag_after < 0, never, after), axis=2))
        return costs[::-1]


class PathTable:
    """The graph for one metric: `layers[n]` after n blocks, costs without stem and heads.

    bounds: only paths that cost low..high are wanted, and nodes from which none can be reached are left out early,
    as far as the least and the most still to come tell; None keeps all. needs: mask of the levels that the heads of
    a path read, with bounds.
    """

    def __init__(
        self, costs: UnitCosts, automaton: Automaton, *, bounds: tuple[int, int] | None = None, needs: int = 0
    ) -> None:
        self.costs, self.rules = costs, costs.rules
        self.unit, self.span = costs.unit, costs.span
        self.automaton = automaton
        self.depth, self.tags, _ = automaton.follow.shape
        assert (self.rules.dead + 1) * self.tags * self.span < 2**63, "keys must fit 64 bits"
        rooms = [None] * self.depth if bounds is None else self._rooms(bounds, needs)
        edges = np.zeros(2, np.int32), np.empty(0, np.int32), np.empty(0, np.int8)
        self.layers = [Layer(np.array([automaton.first * self.span]), np.ones(1, np.int64), *edges)]
        for block, room in enumerate(rooms):
            self.layers.append(self._next(block, room))

    def _rooms(self, bounds: tuple[int, int], needs: int) -> list[tuple[Ints, Ints]]:
        """For each block: what a path may have cost after it, from and to, by state and tag [S + 1, T]."""
        low, high = -(-bounds[0] // self.unit), bounds[1] // self.unit
        least = self.costs.to_go(self.automaton, needs, np.min, FAR)
        most = self.costs.to_go(self.automaton, needs, np.max, -FAR)
        return [(low - dear, high - cheap) for dear, cheap in zip(most[1:], least[1:], strict=True)]

    def _next(self, block: int, room: tuple[Ints, Ints] | None) -> Layer:
        """Every node followed by every gene; nodes that meet are merged, their counts added."""
        before = self.layers[block]
        code, cost = np.divmod(before.keys, self.span)
        state, tag = np.divmod(code, self.tags)
        state_after = self.rules.follow[state]  # [F, 3]
        tag_after = self.automaton.follow[block, tag]
        cost_after = cost[:, None] + self.costs.step[state]
        wanted = (state_after != self.rules.dead) & (tag_after >= 0)
        if room is not None:
            lowest, highest = room
            wanted &= (lowest[state_after, tag_after] <= cost_after) & (cost_after <= highest[state_after, tag_after])
        if block == self.depth - 1:
            wanted &= self.automaton.accept[tag_after]
            cost_after += self.costs.finish[state_after]
        keys = (state_after * self.tags + tag_after) * self.span + cost_after
        parents, genes = np.nonzero(wanted)
        keys = keys[parents, genes]
        order = np.argsort(keys, kind="stable")
        keys, parents, genes = keys[order], parents[order], genes[order]
        starts = np.flatnonzero(np.diff(keys, prepend=-1))
        counts = np.add.reduceat(before.counts[parents], starts) if len(starts) else before.counts[:0]
        ends = np.append(starts, len(keys)).astype(np.int32)
        return Layer(keys[starts], counts, ends, parents.astype(np.int32), genes.astype(np.int8))

    def path(self, node: int, number: int) -> list[int]:
        """Genes of the `number`-th path, 0 <= number < count, of those that end in `node` (last layer)."""
        path = []
        for counts, starts, parents, genes in self._views:
            edge = starts[node]
            while number >= (count := counts[parents[edge]]):
                number -= count
                edge += 1
            path.append(genes[edge])
            node = parents[edge]
        return path[::-1]

    def paths(self, nodes: Ints) -> Genes:
        """All paths [n, N] that end in one of `nodes` (last layer)."""
        paths = np.empty((len(nodes), self.depth), np.int8)
        for block in range(self.depth)[::-1]:
            layer = self.layers[block + 1]
            first, after = layer.starts[nodes], layer.starts[nodes + 1]
            edges = ranges(first, after)
            paths = np.repeat(paths, after - first, axis=0)
            paths[:, block] = layer.genes[edges]
            nodes = layer.parents[edges].astype(np.int64)
        return np.asfortranarray(paths)  # gene by gene, as they are compared

    @cached_property
    def _views(self) -> list[tuple[Sequence[int], ...]]:
        """Per block from the last: counts of the layer before, and edges; reading one number is fast here."""
        return [
            (as_view(before.counts), as_view(layer.starts), as_view(layer.parents), as_view(layer.genes))
            for before, layer in zip(self.layers[-2::-1], self.layers[:0:-1], strict=True)
        ]

    def find(self, layer: int, state: int, cost: int) -> int | None:
        """The node of an unrestricted table where paths that lead to `state` at `cost` end, if it has one."""
        keys: Any = self._keys[layer]
        key = state * self.span + cost // self.unit
        node = bisect_left(keys, key)
        return node if node < len(keys) and keys[node] == key else None

    @cached_property
    def _keys(self) -> list[Sequence[int]]:
        return [as_view(layer.keys) for layer in self.layers]

    @property
    def nbytes(self) -> int:
        """Memory of the graph."""
        arrays = (array for layer in self.layers for array in vars(layer).values())
        return sum(array.nbytes for array in arrays)


def ranges(first: npt.NDArray[Any], after: npt.NDArray[Any]) -> Ints:
    """first[0]..after[0] - 1, first[1]..after[1] - 1, and so on, in one array."""
    lengths = after - first
    starts = np.repeat(first - np.append(0, np.cumsum(lengths)[:-1]), lengths)
    joined: Ints = starts + np.arange(len(starts))
    return joined


def as_view(array: npt.NDArray[Any]) -> Sequence[int]:
    """The array for reading single numbers as Python integers, which numpy itself is slow at."""
    view: Any = array.data
    numbers: Sequence[int] = view
    return numbers
