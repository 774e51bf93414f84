"""The rules and costs of a stride space as tables: a small automaton that reads a path block by block.

What a path may do next, and what that costs, depends on three things only: its feature stride now, the set of
strides it has visited, and what kind of stage ended earlier at the stride of now, if any (then this stage owes a
lateral connection when it ends). Those triples are the states, at most 240; validity, costs, counting and
sampling all read these tables. Strides appear as levels 0..4 (base_stride << level), sets of levels as bit
masks, genes as in `StrideSpace`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt

from supernet.cost import Cost, conv_cost
from supernet.strides.architecture import NUM_GROUPS, NUM_LEVELS
from supernet.strides.first_stage_cost import EXPANSIONS, PathStart, block_cost, rpn_head_cost
from supernet.strides.latency_parts import METRIC, REST, Parts
from supernet.strides.stride_rules import broken_bound

Ints = npt.NDArray[np.int64]
Genes = npt.NDArray[np.int8]
Bools = npt.NDArray[np.bool_]

GENE_STRIDES = (0.5, 1, 2)  # of genes 0, 1, 2
COUNT = "count"  # the metric in which everything costs nothing: a table of it counts, and no more
START = 0  # the state before the first block


@dataclass(frozen=True)
class PathRules:
    """The automaton. S states and, last, the dead one, which nothing leaves.

    follow [S + 1, 3]: the state after a gene. step[metric] [S + 1, 3]: what the gene's block costs, and the
    lateral of the stage that it ends. finish[metric] [S + 1]: the lateral that the last stage owes.
    stem[metric]: what every path pays. visited [S + 1]: mask of the levels that a path which ends here has
    produced. must [S + 1]: mask of the levels that its heads must read: the last block's, where paths are `live`.
    """

    follow: Ints
    step: dict[str, Ints]
    finish: dict[str, Ints]
    stem: dict[str, int]
    visited: Ints
    must: Ints

    def serves(self, states: Any, needs: Any) -> Bools:
        """Whether paths that end in `states` serve heads that read the levels of the masks `needs`; broadcast."""
        served: Bools = (self.visited[states] & needs == needs) & (needs & self.must[states] == self.must[states])
        return served

    @property
    def dead(self) -> int:
        """The state of everything that broke a rule."""
        return len(self.visited) - 1

    def read(self, path: Sequence[int], metric: str) -> tuple[int, int]:
        """State and cost after the first genes of a path; without the stem and what its last stage owes."""
        follow, step = self._lists[""], self._lists[metric]
        state, cost = START, 0
        for gene in path:
            cost += step[state][gene]
            state = follow[state][gene]
        return state, cost

    @cached_property
    def _lists(self) -> dict[str, list[list[int]]]:
        """The tables as lists, which give single numbers faster than numpy; "" is `follow`."""
        return {"": self.follow.tolist(), **{metric: table.tolist() for metric, table in self.step.items()}}

    def read_all(self, paths: Ints) -> tuple[Ints, dict[str, Ints]]:
        """Final states [n] of whole paths [n, N], and costs [n] by metric, stem and laterals included."""
        at = np.full(len(paths), START)
        costs = {metric: np.full(len(paths), stem) for metric, stem in self.stem.items() if metric != COUNT}
        follow, steps = self.follow.ravel(), {metric: self.step[metric].ravel() for metric in costs}
        for genes in paths.T:
            move = at * 3 + genes
            for metric, cost in costs.items():
                cost += steps[metric].take(move)
            at = follow.take(move)
        for metric, cost in costs.items():
            cost += self.finish[metric].take(at)
        return at, costs

    def count_paths(self, depth: int) -> list[int]:
        """How many paths of `depth` blocks end in each state but the dead one; exact, of any size."""
        follow = self._lists[""]
        counts = [int(state == START) for state in range(self.dead)]
        for _ in range(depth):
            after = [0] * (self.dead + 1)
            for state, count in enumerate(counts):
                for gene in range(3):
                    after[follow[state][gene]] += count
            counts = after[:-1]
        return counts


@dataclass(frozen=True)
class HeadRules:
    """All 5**5 choices of the heads, coded in base 5 with the first head leading.

    genes [3125, 5]: level that each head reads. needs [3125]: mask of the levels that must be produced.
    allowed [3125]: whether the rules among heads hold. cost[metric] [3125]: output convolutions and RPN
    heads. free [F]: the heads, 0..4, that are not tied to the head before them.
    """

    genes: Ints
    needs: Ints
    allowed: Bools
    cost: dict[str, Ints]
    free: Ints

    @cached_property
    def lists(self) -> list[list[int]]:
        """`genes` as lists, which give single choices faster than numpy."""
        lists: list[list[int]] = self.genes.tolist()
        return lists


def path_rules(
    start: PathStart,
    *,
    block: str,
    channels: int,
    base_stride: int,
    input_size: tuple[int, int],
    live: bool,
    latency: Parts | None = None,
) -> PathRules:
    """The automaton of a space whose settings are known to be sound."""
    moves, times = _Moves(start, base_stride), dict(latency or ())
    states = moves.reachable()
    index = {state: number for number, state in enumerate(states)}
    dead = len(states)
    follow = np.full((dead + 1, 3), dead, np.int64)
    metrics = (COUNT, "macs", "params", *([METRIC] if times else []))
    step = {metric: np.zeros((dead + 1, 3), np.int64) for metric in metrics}
    finish = {metric: np.zeros(dead + 1, np.int64) for metric in step}
    pixels = [input_size[0] * input_size[1] // (base_stride << level) ** 2 for level in range(NUM_LEVELS)]
    width = EXPANSIONS[block] * channels
    for number, state in enumerate(states):
        level, _, owes = state or (moves.first, 0, NOTHING)
        owed = Cost(0, 0)
        if owes != NOTHING:
            at = base_stride << level
            source, part = (width, f"lateral {at}") if owes == OWN else (dict(start.ended)[at], f"lateral s{at}")
            owed = conv_cost(source, width, 1, pixels[level], bias=True)
            owed = replace(owed, latency_us=times.get(part, 0))
        _put(finish, number, owed)
        for gene, stride in enumerate(GENE_STRIDES):
            after = moves.after(state, gene)
            if after is None:
                continue
            follow[number, gene] = index[after]
            inputs = start.channels if state is None else width
            cost = block_cost(block, inputs, channels, stride, pixels[level])
            name = f"first {stride}" if state is None else f"block {base_stride << level} {stride}"
            cost = replace(cost, latency_us=times.get(name, 0))
            _put(step, (number, gene), cost if stride == 1 else cost + owed)
    visited = np.array([0 if state is None else state[1] for state in states] + [0], np.int64)
    must = np.array([0 if state is None else live << state[0] for state in states] + [0], np.int64)
    fixed = {COUNT: 0, "macs": start.cost.macs, "params": start.cost.params}
    if times:
        fixed[METRIC] = times[start.name] + times[REST]
    return PathRules(follow, step, finish, fixed, visited, must)


NOTHING, OWN, PREFIX = range(3)  # the source of the lateral that a stage owes: none, an earlier block, a prefix
_State = tuple[int, int, int] | None  # (level, visited levels, source of the lateral); None before block 1


class _Moves:
    """Which states follow each other behind a start."""

    def __init__(self, start: PathStart, base_stride: int) -> None:
        levels = {base_stride << level: level for level in range(NUM_LEVELS)}
        self.first, self.finest = levels[start.stride], levels[start.finest]
        self._ended = {levels[stride] for stride, _ in start.ended}

    def after(self, state: _State, gene: int) -> _State:
        """The state that a block of this gene leads to; None where its feature stride is not allowed."""
        level, visited, _ = state or (self.first, 0, NOTHING)
        after = level + gene - 1
        if not self.finest <= after < NUM_LEVELS:
            return None
        if gene == 1:  # the first block adds no lateral of what it began from
            return state or (after, 1 << after, NOTHING)
        source = OWN if visited >> after & 1 else PREFIX if after in self._ended else NOTHING
        return after, visited | 1 << after, source

    def reachable(self) -> list[_State]:
        """Every state, the one before block 1 first."""
        states: list[_State] = [None]
        for state in states:  # grows while it is read
            found = (self.after(state, gene) for gene in range(3))
            states.extend(after for after in dict.fromkeys(found) if after is not None and after not in states)
        return states


def head_rules(
    *,
    block: str,
    channels: int,
    base_stride: int,
    input_size: tuple[int, int],
    rules: bool,
    tied: tuple[int, ...],
    fixed: tuple[int, ...] | None,
    latency: Parts | None = None,
) -> HeadRules:
    """Every choice of heads. rules: eq. 7's bounds (the order always holds). tied: numbers of the heads that read what
    the head before them reads. fixed: the one choice.
    """
    genes = np.array(list(product(range(NUM_LEVELS), repeat=NUM_GROUPS)), np.int64)
    pixels = np.array([input_size[0] * input_size[1] // (base_stride << level) ** 2 for level in range(NUM_LEVELS)])
    needs = np.bitwise_or.reduce(1 << genes, axis=1)
    allowed: Bools = np.all(np.diff(genes, axis=1) >= 0, axis=1)
    if rules:
        strides = base_stride << genes
        allowed[allowed] = [broken_bound(heads, base_stride) is None for heads in strides[allowed].tolist()]  # eq. 7
    follows = np.isin(np.arange(NUM_GROUPS), np.array(tied, np.int64) - 1)
    allowed &= np.all(np.diff(genes, axis=1)[:, follows[1:]] == 0, axis=1)
    if fixed is not None:
        allowed &= np.all(genes == np.array(fixed), axis=1)
    reads = (needs[:, None] >> np.arange(NUM_LEVELS)) & 1  # [3125, 5]: the levels that have an output convolution
    output, rpn = (
        conv_cost(EXPANSIONS[block] * channels, channels, 3, 1, bias=True),
        rpn_head_cost(channels, 1),
    )
    cost = {
        COUNT: np.zeros(len(genes), np.int64),
        "macs": output.macs * (reads * pixels).sum(axis=1) + rpn.macs * pixels[genes].sum(axis=1),
        "params": output.params * reads.sum(axis=1) + rpn.params * NUM_GROUPS,
    }
    if latency is not None:
        times = dict(latency)
        outputs, heads = (  # a level that no block may have, no head reads
            np.array([times.get(f"{part} {base_stride << level}", 0) for level in range(NUM_LEVELS)])
            for part in ("output", "rpn")
        )
        cost[METRIC] = (reads * outputs).sum(axis=1) + heads[genes].sum(axis=1)
    return HeadRules(genes, needs, allowed, cost, np.flatnonzero(~follows))


def code_of(heads: Sequence[int]) -> int:
    """The row of `HeadRules` that holds these levels."""
    code = 0
    for level in heads:
        code = code * NUM_LEVELS + level
    return code


def _put(tables: dict[str, Ints], where: int | tuple[int, int], cost: Cost) -> None:
    for metric, table in tables.items():
        if metric != COUNT:
            table[where] = getattr(cost, metric)
