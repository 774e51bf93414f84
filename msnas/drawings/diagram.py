"""An architecture as nodes and links on a grid: columns are blocks in order, rows are feature strides.

What `stride_rows.py` draws, free of any drawing library; stages and laterals follow MSNAS eq. 4-6,
the groups of object sizes its Fig. 2b.
"""

from dataclasses import dataclass
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
    extras: what costs MACs beside the nodes, such as the RPN, by name.
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

    @property
    def macs(self) -> int:
        """Multiply-accumulates of the first stage: all nodes and extras."""
        return sum(node.macs for node in self.nodes) + sum(self.extras.values())

    @property
    def columns(self) -> int:
        """How many columns the nodes take."""
        return 1 + max(node.column for node in self.nodes)


def object_sizes(groups: int, base_scale: float) -> tuple[str, ...]:
    """The range of sqrt(box area) of each group, in pixels; `base_scale` is the side of k0 = 4 (Fig. 2b)."""
    bounds = [base_scale * 2.0 ** (k - 4) for k in range(2, groups + 1)]  # group i ends where k = i + 1 begins
    text = [f"{bound:.0f}" for bound in bounds]
    middle = [f"{low}{DASH}{high} px" for low, high in pairwise(text)]
    return (f"< {text[0]} px", *middle, f"≥ {text[-1]} px")
