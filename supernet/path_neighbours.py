"""Children of one parent (mutation) or two (crossover), drawn uniformly from those that a window holds.

For the encoder, "is a child" is a small automaton over the genes, counted beside the rules in a path table of
its own; the few thousand choices of heads are enumerated.
"""

from collections.abc import Sequence

import numpy as np

from supernet.path_rules import Bools, Ints, code_of
from supernet.path_table import PathTable, Restriction
from supernet.path_window import Genome, Window


def encoder_child(window: Window, parents: Sequence[Genome], radius: int, rng: np.random.Generator) -> Genome | None:
    """A child whose path varies and whose heads are the first parent's; None where the window has none."""
    depth, heads = window.table.depth, window.heads
    paths, tails = [p[:depth] for p in parents], [tuple(p[depth:]) for p in parents]
    code = code_of(tails[0])
    if not heads.allowed[code]:
        return None
    if len(paths) == 1:
        restriction = mutations(paths[0], radius)
    else:
        restriction = crossovers(paths[0], paths[1], radius, second_too=tails[0] != tails[1])
    fixed = window.table.rules.stem[window.metric] + int(heads.cost[window.metric][code])
    bounds = window.low - fixed, window.high - fixed
    table = PathTable(window.table.costs, restriction, bounds=bounds, needs=int(heads.needs[code]))
    children = Window(table, heads, window.low, window.high, np.array([code]))
    return children.draw(rng) if children.total else None


def heads_child(window: Window, parents: Sequence[Genome], radius: int, rng: np.random.Generator) -> Genome | None:
    """A child whose heads vary and whose path is the first parent's; None where the window has none."""
    depth = window.table.depth
    paths, tails = [tuple(p[:depth]) for p in parents], [p[depth:] for p in parents]
    choices = window.heads.genes[window.heads_for(paths[0])]
    if len(tails) == 1:
        wanted = mutated_heads(choices, tails[0], radius)
    else:
        wanted = crossed_heads(choices, tails[0], tails[1], radius, second_too=paths[0] != paths[1])
    children = choices[wanted].tolist()
    return (*paths[0], *children[int(rng.integers(len(children)))]) if children else None


def mutations(parent: Sequence[int], radius: int) -> Restriction:
    """Paths that differ from `parent` in 1 to `radius` genes; the tag is how many differ so far."""
    tags = np.arange(radius + 1)
    differs = np.arange(3) != np.array(parent)[:, None]  # [N, 3]
    after = tags[:, None] + differs[:, None, :]  # [N, T, 3]
    return Restriction(np.where(after > radius, -1, after), tags > 0)


def crossovers(first: Sequence[int], second: Sequence[int], radius: int, *, second_too: bool) -> Restriction:
    """Paths with every gene from either parent but for at most `radius` free ones, and not `first` itself.

    second_too: whether the path of `second` is wanted. The tag is 4 * (free genes so far) + 2 * (all as in
    `first`) + (all as in `second`).
    """
    genes = np.arange(3)
    as_first, as_second = genes == np.array(first)[:, None], genes == np.array(second)[:, None]  # [N, 3]
    tags = np.arange(4 * (radius + 1))[:, None]
    free = tags // 4 + ~(as_first | as_second)[:, None, :]  # [N, T, 3]
    same_first = (tags // 2 % 2 == 1) & as_first[:, None, :]
    same_second = (tags % 2 == 1) & as_second[:, None, :]
    after = 4 * free + 2 * same_first + same_second
    accept = (tags // 2 % 2 == 0) & ((tags % 2 == 0) | second_too)
    return Restriction(np.where(free > radius, -1, after), accept[:, 0], first=3)


def mutated_heads(choices: Ints, parent: Sequence[int], radius: int) -> Bools:
    """Which of `choices` [K, 5] differ from `parent` in 1 to `radius` heads."""
    distance = (choices != np.array(parent)).sum(axis=1)
    chosen: Bools = (distance >= 1) & (distance <= radius)
    return chosen


def crossed_heads(
    choices: Ints, first: Sequence[int], second: Sequence[int], radius: int, *, second_too: bool
) -> Bools:
    """Which of `choices` [K, 5] take all but `radius` heads (at most) from the parents, as `crossovers`."""
    as_first, as_second = choices == np.array(first), choices == np.array(second)
    chosen: Bools = (~(as_first | as_second)).sum(axis=1) <= radius
    chosen &= ~as_first.all(axis=1)
    return chosen if second_too else chosen & ~as_second.all(axis=1)
