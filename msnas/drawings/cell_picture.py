"""A NAS-FPN pyramid as a picture, after Fig. 6 of arXiv 1904.07392: cells left to right, fine levels below.

Every cell stands in a column of its own on the lane of its level: the operation that merges its two inputs
(GP or sum), then the feature that R-C-B makes of it. A link's colour says how its source is brought to the
cell's level. The standard FPN can stand beside it, as in Fig. 7 of the paper.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import singledispatch
from pathlib import Path
from typing import Any

from matplotlib.lines import Line2D
from matplotlib.patches import Circle, FancyArrowPatch, FancyBboxPatch, Patch, Rectangle
from matplotlib.path import Path as Curve

from msnas.drawings import palette
from msnas.drawings.figure_file import figure_file
from supernet.nas_fpn.fpn_levels import FpnLevels
from supernet.nas_fpn.pyramid_plan import PyramidPlan

LANE, PITCH = 0.95, 1.55  # inches: height of a level's lane, width of a cell's column
LEFT, TOP, BOTTOM = 1.0, 0.75, 0.6
RADIUS, WIDTH, HEIGHT = 0.17, 0.5, 0.36  # of an operation's circle; of a feature's box
INPUT, OUTPUT, INNER = "#ffe08a", "#9cc9f0", "#e3e7ed"  # the paper's yellow and blue; a feature in between
POOLED, REPEATED, SAME = palette.DOWN, palette.UP, palette.INK  # a link's colours
OPERATION, JOIN = 0.72, 0.39  # how far an operation, and a leftover's sum, lie left of the feature
BENDS = [sign * step / 25 for step in range(13) for sign in (-1, 1)]  # up to about half a link's length
DASHES = (0, (3.2, 1.8))  # of a leftover's link
Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Link:
    """One input of a cell. change: levels that its source is made coarser (finer where negative).

    attends: it is the one that a gp cell pools its attention from. leftover: added because nothing else used
    it.
    """

    source: int
    target: int
    change: int
    attends: bool = False
    leftover: bool = False


@dataclass(frozen=True, slots=True)
class Graph:
    """What is drawn of a pyramid: the inputs that there are, then a feature in each column, by id.

    behind: what makes a feature of what was merged. cells: whether there may be features in between, GP and leftovers.
    ops: how each feature's inputs are merged, None where there is one.
    """

    levels: tuple[int, ...]
    level_of: dict[int, int]
    ops: dict[int, str | None]
    outputs: frozenset[int]
    links: tuple[Link, ...]
    behind: str
    cells: bool
    legend: dict[str, Any]  # what colours of links mean


@singledispatch
def graph_of(plan: object) -> Graph:
    """The graph of a pyramid of cells, or of the FPN."""
    raise AssertionError(f"no pyramid: {plan!r}")


@graph_of.register
def _(plan: PyramidPlan) -> Graph:
    inputs = len(plan.levels)
    ids = range(inputs + len(plan.cells))
    return Graph(
        levels=plan.levels,
        level_of={candidate: plan.level_of(candidate) for candidate in ids},
        ops={inputs + index: cell.op for index, cell in enumerate(plan.cells)},
        outputs=frozenset(plan.outputs()),
        links=tuple(links(plan)),
        behind="R-C-B",
        cells=True,
        legend={"same level": SAME, "max-pooled": POOLED, "nearest, repeated": REPEATED},
    )


@graph_of.register
def _(fpn: FpnLevels) -> Graph:
    inputs, made = len(fpn.levels), range(len(fpn.made))
    read = {inputs + index: fpn.sources(index) for index in made}
    inside = [*(c for c in range(inputs) if any(c in sources for sources in read.values())), *read]
    found = [
        Link(s, target, fpn.level_of(target) - fpn.level_of(s)) for target, sources in read.items() for s in sources
    ]
    return Graph(
        levels=fpn.levels,
        level_of={candidate: fpn.level_of(candidate) for candidate in inside},
        ops={target: "sum" if len(sources) > 1 else None for target, sources in read.items()},
        outputs=frozenset(read),
        links=tuple(found),
        behind="3x3",
        cells=False,
        legend={"1x1": SAME, "3x3 of stride 2": POOLED, "before its 3x3, nearest, repeated": REPEATED},
    )


def links(plan: PyramidPlan) -> list[Link]:
    """Every input of every cell, in the order of the cells; ids are the plan's candidate ids."""
    found = []
    for index, (cell, leftover) in enumerate(zip(plan.cells, plan.leftovers(), strict=True)):
        target = plan.id_of(index)
        for source in (cell.first, cell.second):
            attends = cell.op == "gp" and plan.carried(cell) == source
            found.append(Link(source, target, cell.level - plan.level_of(source), attends))
        found += [Link(source, target, 0, leftover=True) for source in leftover]
    return found


@dataclass(frozen=True, slots=True)
class TitledPlan:
    """A pyramid with the words above its picture."""

    plan: PyramidPlan | FpnLevels
    title: str = "NAS-FPN pyramid"
    subtitle: str = ""


def draw_plans(pyramids: Sequence[TitledPlan], path: Path) -> None:
    """Write pyramids as one picture, one above the other."""
    pictures, above = [_Picture(one) for one in pyramids], 0.0
    width, height = max(one.width for one in pictures), sum(one.height for one in pictures)
    with figure_file(path, width, height) as figure:
        for one in pictures:
            above += one.height
            one.draw(figure.add_axes((0.0, 1 - above / height, one.width / width, one.height / height)))


class _Picture:
    """One plan on axes of its own; y grows downwards, in inches."""

    axes: Any

    def __init__(self, titled: TitledPlan) -> None:
        self.titled, self.graph = titled, graph_of(titled.plan)
        self.inputs = len(self.graph.levels)
        self.width = LEFT + PITCH * (len(self.graph.ops) + 1) + 0.1
        self.height = TOP + LANE * self.inputs + BOTTOM

    def draw(self, axes: Any) -> None:
        """All layers, from the back to the front, on axes of `width` x `height` inches."""
        self.axes = axes
        axes.set_xlim(0, self.width)
        axes.set_ylim(self.height, 0)
        axes.axis("off")
        self._text(0.25, 0.27, self.titled.title, fontsize=13, fontweight="bold")
        self._text(0.25, 0.52, self.titled.subtitle, fontsize=8.5, color=palette.QUIET)
        self._lanes()
        for link in self.graph.links:
            self._link(link)
        for candidate in self.graph.level_of:
            self._feature(candidate)
        self._legend()

    def x(self, candidate: int) -> float:
        """Middle of a feature's box: inputs share the first column, every cell has the next one."""
        column = 0 if candidate < self.inputs else candidate - self.inputs + 1
        return LEFT + PITCH * column + (0.35 if column == 0 else 1.0)

    def y(self, candidate: int) -> float:
        """Middle of the lane that a feature lies in."""
        row = self.inputs - 1 - self.graph.levels.index(self.graph.level_of[candidate])
        return TOP + LANE * (row + 0.5)

    def _text(self, x: float, y: float, text: str, **style: Any) -> None:
        self.axes.text(x, y, text, **{"va": "center", "ha": "left", "color": palette.INK, **style})

    def _lanes(self) -> None:
        for row, level in enumerate(reversed(self.graph.levels)):
            y = TOP + LANE * row
            fill = palette.LANES[row % 2]
            self.axes.add_patch(Rectangle((0.25, y), self.width - 0.5, LANE, facecolor=fill, zorder=0))
            self._text(0.36, y + LANE / 2 - 0.09, f"level {level}", fontweight="bold")
            self._text(0.36, y + LANE / 2 + 0.1, f"stride {2**level}", fontsize=7.5, color=palette.QUIET)

    def _link(self, link: Link) -> None:
        colour = POOLED if link.change > 0 else REPEATED if link.change < 0 else SAME
        style: dict[str, Any] = {"arrowstyle": "-|>,head_length=4,head_width=2.2", "color": colour, "zorder": 2}
        if link.leftover:
            path = self._over(link)
            self.axes.add_patch(FancyArrowPatch(path=path, linestyle=DASHES, linewidth=1.3, **style))
            return
        style["connectionstyle"] = f"arc3,rad={self._bend(link)}"
        style["linewidth"] = 2.6 if link.attends else 1.3
        start, end = self._ends(link)
        radius = RADIUS if self.graph.ops[link.target] else 0.0
        self.axes.add_patch(FancyArrowPatch(start, end, shrinkA=0, shrinkB=radius * 72, **style))

    def _ends(self, link: Link) -> tuple[Point, Point]:
        """From the right side of the source's box to the middle of the target's operation, or of its box."""
        source, target = link.source, link.target
        before = OPERATION if self.graph.ops[target] else WIDTH / 2
        return (self.x(source) + WIDTH / 2, self.y(source)), (self.x(target) - before, self.y(target))

    def _over(self, link: Link) -> Curve:
        """The way of a leftover: along the top of its lane, then down behind the operation."""
        left, y = self._ends(link)[0]
        right, top = self.x(link.target) - JOIN, y - LANE * 0.38
        points = [(left, y), (left + 0.25, y), (left + 0.3, top), (right - 0.2, top), (right, top), (right, y - 0.09)]
        codes = [Curve.MOVETO, Curve.CURVE3, Curve.CURVE3, Curve.LINETO, Curve.CURVE3, Curve.CURVE3]
        return Curve(points, codes)

    def _bend(self, link: Link) -> float:
        """How far a link bows, as a share of its length: the least that stays inside and runs through nothing."""
        start, end = self._ends(link)
        obstacles = [
            (x, self.y(c))
            for c in self.graph.level_of
            for x in ([self.x(c)] if c < self.inputs else [self.x(c), self.x(c) - OPERATION])
            if (x, self.y(c)) != end and c != link.source
        ]

        def badness(bend: float) -> tuple[bool, int, float]:
            way = _arc(start, end, bend)
            outside = any(not TOP + 0.05 < y < TOP + LANE * self.inputs - 0.05 for _, y in way)
            return outside, _hits(way, obstacles), abs(bend)

        return min(BENDS, key=badness)

    def _feature(self, candidate: int) -> None:
        x, y = self.x(candidate), self.y(candidate)
        level = self.graph.level_of[candidate]
        if candidate < self.inputs:
            self._box(x, y, INPUT, f"C{level}")
            return
        output = candidate in self.graph.outputs
        self._box(x, y, OUTPUT if output else INNER, f"P{level}" if output else "")
        self._text(x, y + (0.29 if output else 0.0), self.graph.behind, ha="center", fontsize=7.5, zorder=6)
        op = self.graph.ops[candidate]
        if op is None:
            return
        self._operation(x - OPERATION, y, RADIUS, op)
        if any(link.leftover and link.target == candidate for link in self.graph.links):
            self._operation(x - JOIN, y, RADIUS / 2, "sum")
        self.axes.plot([x - OPERATION, x - WIDTH / 2], [y, y], color=palette.INK, linewidth=1.3, zorder=3)

    def _box(self, x: float, y: float, fill: str, name: str) -> None:
        style: dict[str, Any] = {"boxstyle": "round,pad=0,rounding_size=0.06", "edgecolor": palette.INK}
        corner = (x - WIDTH / 2, y - HEIGHT / 2)
        self.axes.add_patch(FancyBboxPatch(corner, WIDTH, HEIGHT, facecolor=fill, zorder=5, **style))
        self._text(x, y, name, ha="center", fontsize=11, fontweight="bold", zorder=6)

    def _operation(self, x: float, y: float, radius: float, op: str) -> None:
        style: dict[str, Any] = {"facecolor": palette.PAPER, "edgecolor": palette.INK, "linewidth": 1.1}
        self.axes.add_patch(Circle((x, y), radius, zorder=5, **style))
        size = {"sum": 76, "gp": 50}[op] * radius
        self._text(x, y, {"sum": "+", "gp": "GP"}[op], ha="center", fontsize=size, fontweight="bold", zorder=6)

    def _legend(self) -> None:
        fills = {"input": INPUT, "output": OUTPUT}
        fills |= {"in between": INNER} if self.graph.cells else {}
        handles: list[Any] = [Patch(facecolor=fill, edgecolor=palette.INK, label=text) for text, fill in fills.items()]
        handles += [Line2D([], [], color=colour, label=text) for text, colour in self.graph.legend.items()]
        if self.graph.cells:
            handles += [Line2D([], [], color=SAME, linewidth=2.6, label="thick: GP's attention comes from it")]
            handles += [Line2D([], [], color=SAME, linestyle=DASHES, label="leftover, added before R-C-B")]
        options: dict[str, Any] = {
            "loc": "center",
            "bbox_to_anchor": (self.width / 2, self.height - BOTTOM / 2),
            "bbox_transform": self.axes.transData,
            "ncols": len(handles),
            "frameon": False,
            "fontsize": 8,
            "handlelength": 1.8,
            "columnspacing": 1.8,
        }
        self.axes.legend(handles=handles, **options)


def _arc(start: Point, end: Point, bend: float) -> list[Point]:
    """Points along matplotlib's arc3 of this bend, from end to end."""
    (x0, y0), (x1, y1) = start, end
    x, y = (x0 + x1) / 2 - bend * (y1 - y0), (y0 + y1) / 2 + bend * (x1 - x0)  # y grows downwards
    weights = [((1 - t) ** 2, 2 * t * (1 - t), t**2) for t in (step / 40 for step in range(1, 40))]
    return [(a * x0 + b * x + c * x1, a * y0 + b * y + c * y1) for a, b, c in weights]


def _hits(way: Sequence[Point], obstacles: Sequence[Point]) -> int:
    """How many of the features around `obstacles` a way runs through."""
    return sum(
        any(abs(x - ox) < WIDTH / 2 + 0.06 and abs(y - oy) < HEIGHT / 2 + 0.06 for x, y in way) for ox, oy in obstacles
    )
