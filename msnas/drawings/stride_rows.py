"""Architectures as pictures, after Fig. 1 of MSNAS: blocks left to right, fine features above coarse ones.

Colour and number of a block say what it does to the feature (2 down, 1 keep, ½ up); the bars below say
what it costs; each lane ends in the heads that read its feature. Several architectures stand one above the
other, block under block, with what differs from the first one marked.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib.lines import Line2D
from matplotlib.patches import FancyBboxPatch, Patch, PathPatch
from matplotlib.path import Path as Curve
from matplotlib.patheffects import withStroke

from msnas.drawings import palette
from msnas.drawings.diagram import Diagram, Head, Node
from msnas.drawings.figure_file import figure_file
from msnas.drawings.palette import TIMES

LANE, PITCH = 0.66, 0.6  # inches: height of a stride's lane, width of a block's column
LEFT, RIGHT, TOP = 1.05, 2.75, 0.72
BARS, GAP = 1.3, 0.45  # the strip of costs; the room between two architectures
LEGEND_ENTRY = 1.65  # the room of one entry
BLOCK_WIDTH, BLOCK_HEIGHT = 0.4, 0.3
DASHES = (0, (3.2, 1.8))  # of the laterals
CHANGES = {2.0: "2", 1.0: "1", 0.5: "½"}  # what a block says; the stem, or the prefix, says its name


def draw_diagrams(diagrams: Sequence[Diagram], path: Path) -> None:
    """Write the diagrams as one picture, SVG or PNG by the ending of `path`."""
    columns = max(diagram.columns for diagram in diagrams)
    width = LEFT + PITCH * columns + RIGHT
    heights = [TOP + LANE * len(diagram.strides) + BARS for diagram in diagrams]
    legend = 0.5
    height = sum(heights) + GAP * (len(diagrams) - 1) + legend
    top = 0.0
    most = max(max(_bars(diagram).values()) for diagram in diagrams)
    compared = any(comparable(diagrams[0], other) for other in diagrams[1:])
    dead = any(diagram.dead_macs for diagram in diagrams)
    with figure_file(path, width, height) as figure:
        axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
        axes.set_xlim(0, width)
        axes.set_ylim(height, 0)  # inches from the top left corner
        axes.axis("off")
        for diagram, own in zip(diagrams, heights, strict=True):
            _Canvas(axes, diagram, top, width, diagrams, most).draw()
            top += own + GAP
        _legend(axes, height - legend / 2, width, compared=compared, dead=dead)


def _bars(diagram: Diagram) -> dict[int | str, int]:
    """MACs of each column and each extra."""
    bars: dict[int | str, int] = {}
    for node in diagram.nodes:
        bars[node.column] = bars.get(node.column, 0) + node.macs
    bars.update(diagram.extras)
    return bars


class _Canvas:
    """One diagram at its place in the figure; every method draws one layer."""

    def __init__(
        self, axes: Any, diagram: Diagram, top: float, width: float, all_drawn: Sequence[Diagram], most: int
    ) -> None:
        self.axes, self.diagram, self.top, self.width, self.most = axes, diagram, top, width, most
        self.unit = unit_of(min(other.macs for other in all_drawn))
        self.first = first = all_drawn[0]
        self.compared = first is not diagram and comparable(first, diagram)
        self.marked_heads = differing_heads(first, diagram) if self.compared else []

    def draw(self) -> None:
        """All layers, from the back to the front."""
        self._title()
        self._lanes()
        self._differences()
        self._stages()
        self._way(self.diagram, edgecolor=palette.INK, linewidth=1.6)
        self._laterals()
        self._heads()
        for node in self.diagram.nodes:
            self._block(node)
        self._cost_bars()

    def x(self, column: float) -> float:
        """Middle of a column, inches."""
        return LEFT + PITCH * (column + 0.5)

    def y(self, stride: int) -> float:
        """Middle of a stride's lane, inches from the top."""
        return self.top + TOP + LANE * (self.diagram.strides.index(stride) + 0.5)

    def _text(self, x: float, y: float, text: str, **style: Any) -> None:
        self.axes.text(x, y, text, **{"va": "center", "ha": "left", "color": palette.INK, **style})

    def _box(self, x: float, y: float, width: float, height: float, radius: float, **style: Any) -> None:
        style = {"boxstyle": f"round,pad=0,rounding_size={radius}", "linewidth": 0, **style}
        self.axes.add_patch(FancyBboxPatch((x, y), width, height, **style))

    def _curve(self, points: Sequence[tuple[float, float]], **style: Any) -> None:
        codes = [Curve.MOVETO, Curve.CURVE4, Curve.CURVE4, Curve.CURVE4]
        self.axes.add_patch(PathPatch(Curve(points, codes), fill=False, capstyle="round", **style))

    def _title(self) -> None:
        self._text(0.25, self.top + 0.27, self.diagram.title, fontsize=13, fontweight="bold")
        total = f"{self.diagram.macs / self.unit[1]:.2f} {self.unit[0]}"
        if self.diagram.dead_macs:
            total += f", {self.diagram.dead_macs / self.unit[1]:.2f} of them dead"
        self._text(self.width - 0.25, self.top + 0.27, total, ha="right", fontsize=13, fontweight="bold")
        self._text(0.25, self.top + 0.52, self.diagram.subtitle, color=palette.QUIET, fontsize=8.5)

    def _lanes(self) -> None:
        height, width = self.diagram.input_size
        for row, stride in enumerate(self.diagram.strides):
            y = self.y(stride)
            stripe = {"facecolor": palette.LANES[row % 2], "zorder": 0}
            self._box(0.25, y - LANE / 2, self.width - 0.5, LANE, 0.0, **stripe)
            self._text(0.36, y - 0.09, f"stride {stride}", fontsize=9, fontweight="bold")
            size = f"{height // stride} {TIMES} {width // stride}"
            self._text(0.36, y + 0.1, size, fontsize=7.5, color=palette.QUIET)

    def _differences(self) -> None:
        """The first diagram's way as a grey line, and a halo round every block that chose otherwise."""
        if not self.compared:
            return
        for node in self.first.nodes:
            x, y = self.x(node.column) - BLOCK_WIDTH / 2, self.y(node.stride) - BLOCK_HEIGHT / 2
            self._box(x, y, BLOCK_WIDTH, BLOCK_HEIGHT, 0.06, facecolor=palette.GHOST, zorder=0.5)
        self._way(self.first, edgecolor=palette.GHOST, linewidth=5, zorder=0.5)
        width, height = BLOCK_WIDTH + 0.14, BLOCK_HEIGHT + 0.14
        for node in differing_nodes(self.first, self.diagram):
            x, y = self.x(node.column) - width / 2, self.y(node.stride) - height / 2
            self._box(x, y, width, height, 0.1, facecolor=palette.MARK, zorder=4)

    def _stages(self) -> None:
        for first, last in self.diagram.stages:
            a, b = self.diagram.nodes[first], self.diagram.nodes[last]
            left, right = self.x(a.column) - BLOCK_WIDTH / 2, self.x(b.column) + BLOCK_WIDTH / 2
            style = {"facecolor": palette.PAPER, "edgecolor": palette.LINE, "linewidth": 1.0}
            self._box(left - 0.06, self.y(a.stride) - 0.21, right - left + 0.12, 0.42, 0.1, **style)

    def _way(self, diagram: Diagram, **style: Any) -> None:
        """The links of `diagram` from block to block, in this diagram's lanes."""
        for start, end in diagram.path:
            a, b = diagram.nodes[start], diagram.nodes[end]
            if a.column == b.column:  # straight down, as P5 to P6
                x = self.x(a.column)
                ends = [(x, self.y(a.stride) + BLOCK_HEIGHT / 2), (x, self.y(b.stride) - BLOCK_HEIGHT / 2)]
                self._curve([ends[0], ends[0], ends[1], ends[1]], **style)
                continue
            x0, x1 = self.x(a.column) + BLOCK_WIDTH / 2, self.x(b.column) - BLOCK_WIDTH / 2
            y0, y1 = self.y(a.stride), self.y(b.stride)
            reach = 0.14 if y0 != y1 else 0.0
            self._curve([(x0, y0), (x0 + reach, y0), (x1 - reach, y1), (x1, y1)], **style)

    def _laterals(self) -> None:
        """Arcs above the lane, from a feature of one stage's end, or of the prefix, to a later stage's end (eq. 6)."""
        for start, end in self.diagram.laterals:
            a, b = self.diagram.nodes[start], self.diagram.nodes[end]
            y = self.y(b.stride) - BLOCK_HEIGHT / 2
            x0, x1 = self.x(a.column) + 0.08, self.x(b.column) - 0.02
            rise = 0.24
            style = {"edgecolor": palette.LATERAL, "linewidth": 1.5, "linestyle": DASHES}
            self._curve([(x0, y), (x0 + 0.25, y - rise), (x1 - 0.25, y - rise), (x1, y - 0.05)], **style)
            dot = {"color": palette.LATERAL, "markerfacecolor": palette.PAPER, "markeredgewidth": 1.2}
            self.axes.plot([x1], [y - 0.02], marker="o", markersize=6.5, zorder=6, **dot)
            self.axes.plot([x1], [y - 0.02], marker="+", markersize=5, zorder=7, **dot)

    def _block(self, node: Node) -> None:
        x, y = self.x(node.column), self.y(node.stride)
        fill = palette.BLOCKS[node.change]
        words = CHANGES.get(node.change, node.name)
        left, upper = x - BLOCK_WIDTH / 2, self.y(self._finest(node)) - BLOCK_HEIGHT / 2
        dead = self.diagram.is_dead(node)
        look = _dead(fill) if dead else {"facecolor": fill}
        self._box(left, upper, BLOCK_WIDTH, y + BLOCK_HEIGHT / 2 - upper, 0.06, zorder=5, **look)
        style = {"ha": "center", "color": palette.ON_BLOCKS[node.change], "zorder": 6}
        if dead:
            style |= {"color": palette.INK, "path_effects": [withStroke(linewidth=3, foreground=palette.PAPER)]}
        size = 11 if len(words) < 3 else 8 if len(words) < 5 else 7
        self._text(x, y, words, fontsize=size, fontweight="bold", **style)

    def _finest(self, node: Node) -> int:
        """The finest stride that is read of it: its own, or one that a prefix had before."""
        nodes = self.diagram.nodes
        return min([node.stride, *(nodes[end].stride for start, end in self.diagram.laterals if nodes[start] is node)])

    def _heads(self) -> None:
        left = self.width - RIGHT + 0.35
        for stride in {head.stride: None for head in self.diagram.heads}:
            heads = [head for head in self.diagram.heads if head.stride == stride]
            node = self.diagram.nodes[self.diagram.features[stride]]
            y, x0 = self.y(stride), self.x(node.column) + BLOCK_WIDTH / 2
            self.axes.plot([x0, left - 0.05], [y, y], color=palette.HEAD, linewidth=1.6, zorder=2)
            pitch = min(0.2, (LANE - 0.04) / len(heads))
            half = pitch * len(heads) / 2 - 0.015
            self.axes.plot([left - 0.05] * 2, [y - half, y + half], color=palette.HEAD, linewidth=1.6)
            for row, head in enumerate(heads):
                self._head(head, left, y + pitch * (row - (len(heads) - 1) / 2), pitch)
        self._text(left, self.top + TOP - 0.1, "heads, by object size", fontsize=8, color=palette.QUIET)

    def _head(self, head: Head, left: float, y: float, pitch: float) -> None:
        """A chip with a square as large as the objects that the head finds."""
        height, width = pitch - 0.03, RIGHT - 0.75
        if head.name in self.marked_heads:
            self._box(left - 0.07, y - pitch / 2, width + 0.14, pitch, 0.06, facecolor=palette.MARK, zorder=3)
        self._box(left, y - height / 2, width, height, 0.04, facecolor=palette.HEAD, zorder=4)
        side = height * (0.14 + 0.13 * head.size)
        square = {"facecolor": "none", "edgecolor": palette.PAPER, "linewidth": 0.9, "zorder": 5}
        self._box(left + 0.13 - side / 2, y - side / 2, side, side, 0.0, **square)
        text = {"color": palette.PAPER, "fontsize": min(8.0, 52 * height), "zorder": 6}
        self._text(left + 0.28, y, head.name, fontweight="bold", **text)
        self._text(left + width - 0.08, y, head.objects, ha="right", **text)

    def _cost_bars(self) -> None:
        base = self.top + TOP + LANE * len(self.diagram.strides) + BARS - 0.3
        room = BARS - 0.62
        self._text(0.36, base - room * 0.55, self.unit[0], fontsize=9, fontweight="bold")
        self._text(0.36, base - room * 0.55 + 0.19, "per block", fontsize=7.5, color=palette.QUIET)
        columns = {node.column: node for node in reversed(self.diagram.nodes)}
        pitch = min(0.95, (RIGHT - 0.75) / max(1, len(self.diagram.extras)))
        extras = {name: self.width - RIGHT + 0.35 + pitch * (i + 0.5) for i, name in enumerate(self.diagram.extras)}
        for key, macs in _bars(self.diagram).items():
            node = columns[key] if isinstance(key, int) else None
            x = self.x(key) if isinstance(key, int) else extras[key]
            height = room * macs / self.most
            fill = palette.BLOCKS[node.change] if node else palette.HEAD
            self._box(x - 0.15, base - height, 0.3, height, 0.0, facecolor=fill)
            if dead := self.diagram.dead.get(key, 0):  # of a live block: the lateral that a dead one adds
                self._box(x - 0.15, base - height, 0.3, height * dead / macs, 0.0, **_dead(fill))
            style = {"fontsize": 7.5, "ha": "center"}
            self._text(x, base - height - 0.09, _short(macs / self.unit[1]), **style)
            name = node.name if node else str(key)
            self._text(x, base + 0.11, name, color=palette.QUIET, **style)
        self.axes.plot([LEFT, self.width - 0.35], [base, base], color=palette.QUIET, linewidth=0.8)


def comparable(first: Diagram, second: Diagram) -> bool:
    """Whether a block-by-block comparison has a meaning: same strides, same number of blocks, same heads."""
    heads = [[head.name for head in diagram.heads] for diagram in (first, second)]
    return first.strides == second.strides and first.columns == second.columns and heads[0] == heads[1]


def differing_nodes(first: Diagram, second: Diagram) -> list[Node]:
    """Blocks of `second` that change the stride otherwise than the first's block at the same place."""
    before = {node.column: node.change for node in first.nodes}
    return [node for node in second.nodes if before.get(node.column) != node.change]


def differing_heads(first: Diagram, second: Diagram) -> list[str]:
    """Names of the heads of `second` that read another stride than in the first diagram."""
    before = {head.name: head.stride for head in first.heads}
    return [head.name for head in second.heads if before.get(head.name) != head.stride]


def unit_of(macs: int) -> tuple[str, float]:
    """The unit that costs of this size read best in, and how many MACs it is."""
    return ("GMACs", 1e9) if macs >= 1e9 else ("MMACs", 1e6)


def _dead(colour: str) -> dict[str, Any]:
    """The look of what no head reads: hatched in its colour."""
    return {"facecolor": palette.PAPER, "edgecolor": colour, "hatch": "//////", "linewidth": 1}


def _short(number: float) -> str:
    return f"{number:.2f}" if number < 10 else f"{number:.1f}" if number < 100 else f"{number:.0f}"


def _legend(axes: Any, y: float, width: float, *, compared: bool, dead: bool) -> None:
    words = {2.0: "2: halves the feature", 1.0: "1: keeps its size", 0.5: "½: doubles it"}
    handles: list[Any] = [Patch(facecolor=palette.BLOCKS[key], label=text) for key, text in words.items()]
    dashed: Any = {"color": palette.LATERAL, "linestyle": DASHES, "marker": "o"}
    dashed |= {"markerfacecolor": palette.PAPER, "label": f"lateral 1{TIMES}1, added"}
    handles += [Line2D([], [], **dashed)]
    handles += [Line2D([], [], color=palette.HEAD, linewidth=1.6, label="feature that heads read")]
    if compared:
        handles += [Patch(facecolor=palette.MARK, label="chose otherwise than the first")]
        handles += [Line2D([], [], color=palette.GHOST, linewidth=5, label="way of the first")]
    if dead:
        handles += [Patch(label="dead: no head reads it", **_dead(palette.QUIET))]
    place = {"loc": "center", "bbox_to_anchor": (width / 2, y), "bbox_transform": axes.transData}
    style = {"frameon": False, "fontsize": 8, "handlelength": 1.8, "columnspacing": 1.8}
    rows = -(-len(handles) // int(width / LEGEND_ENTRY))
    axes.legend(handles=handles, ncols=-(-len(handles) // rows), **place, **style)
