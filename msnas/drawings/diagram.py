"""An architecture as nodes and links on a grid: columns are blocks in order, rows are feature strides.

What `stride_rows.py` draws, free of any drawing library; stages and laterals follow MSNAS eq. 4-6,
the groups of object sizes its Fig. 2b.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from msnas.drawings.palette import DASH

STEM = 4.0  # the `change` of the stem, which no block has


@dataclass(frozen=True, slots=True)
class Node:
    """One block. name: printed below it; change: its own stride (0.5, 1, 2, STEM); stride: its feature's."""

    name: str
    column: int
    change: float
    stride: int
    macs: int


@dataclass(frozen=True, slots=True)
class Head:
    """One detection head. objects: what it detects, in words; size: 1 (smallest objects) to 5."""

    name: str
    objects: str
    size: int
    stride: int


@dataclass(frozen=True, slots=True)
class Diagram:
    """One network. `path` and `laterals` hold (from, to) indices into `nodes`.

    features: stride -> index of the node whose output is read. stages: runs of nodes, (first, last).
    extras: what costs MACs beside the nodes, such as the RPN, by name. dead: the MACs of those that influence nothing,
    by the node's column or the extra's name.
    """

    title: str
    subtitle: str
    nodes: tuple[Node, ...]
    path: tuple[tuple[int, int], ...]
    laterals: tuple[tuple[int, int], ...]
    stages: tuple[tuple[int, int], ...]
    features: dict[int, int]
    heads: tuple[Head, ...]
    extras: dict[str, int]
    strides: tuple[int, ...]
    input_size: tuple[int, int]
    dead: Mapping[int | str, int] = field(default_factory=dict)

    @property
    def macs(self) -> int:
        """Multiply-accumulates of the first stage: all nodes and extras."""
        return sum(node.macs for node in self.nodes) + sum(self.extras.values())

    @property
    def dead_macs(self) -> int:
        """How many of them influence nothing."""
        return sum(self.dead.values())

    def is_dead(self, node: Node) -> bool:
        """Whether no head reads what a node computes."""
        return 0 < node.macs == self.dead.get(node.column)

    @property
    def columns(self) -> int:
        """How many columns the nodes take."""
        return 1 + max(node.column for node in self.nodes)


def object_sizes(borders: Sequence[float]) -> tuple[str, ...]:
    """The range of sqrt(box area) of each group (Fig. 2b); borders: between the groups, pixels."""
    text = [f"{border:.0f}" for border in borders]
    middle = [f"{low}{DASH}{high} px" for low, high in pairwise(text)]
    return (f"< {text[0]} px", *middle, f"≥ {text[-1]} px")
