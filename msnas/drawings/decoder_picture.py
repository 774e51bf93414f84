"""A NAS-FCOS decoder as a picture, after Figs. 3 and 4 of arXiv 1906.04423: the pyramid's blocks, and the head.

A basic block stands in a column of its own on the lane of its stride: an operation on either input, the sign that
merges them (a plus, or "cat"), then the feature. Lanes run from coarse (above) to fine; the head is below.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from msnas.drawings import palette
from msnas.drawings.canvas import Canvas, picture
from msnas.drawings.curves import Point, Rectangle, best_curve
from msnas.drawings.head_picture import HEAD_HEIGHT, OPERATIONS, draw_head, fill_of, head_width, label_of
from supernet.nas_fcos.decoder import AGGREGATIONS, UNARY_OPS, Decoder, Pyramid

LANE, PITCH = 1.15, 2.25  # inches: height of a stride's lane, width of a block's column
LEFT, TOP, BOTTOM, OUTPUTS = 1.0, 0.8, 0.45, 3.3  # OUTPUTS: width of the last columns, P3..P7
FEATURE = (0.25, 0.18)  # half width and half height of a feature's box,
OPERATION = (0.34, 0.13)  # of an operation's
FROM_FEATURE, MERGE, APART = 1.12, 0.51, 0.23  # how far left of the feature its parts lie; operations above and below
RADIUS = 0.14
INPUT, OUTPUT, INNER, DANGLING = "#ffe08a", "#9cc9f0", "#e3e7ed", "#d9c2e6"
DASHES = (0, (3.2, 1.8))  # of a dangling block's links
FILLS = {"input": INPUT, "output": OUTPUT, "inner": INNER, "dangling": DANGLING, **OPERATIONS}
LINES: dict[str, dict[str, Any]] = {
    "resized bilinearly": {"color": palette.UP},
    "dangling, added to every output": {"color": palette.LATERAL, "linestyle": DASHES},
}


@dataclass(frozen=True, slots=True)
class Link:
    """One input of a block, or of an output level (then `op` is None).

    resized: it is brought to another resolution (a block upsamples its coarser input; an output has its level's).
    """

    source: int
    target: int
    op: str | None
    resized: bool
    dangling: bool = False


def block_links(pyramid: Pyramid) -> list[Link]:
    """Two for every block, in the order of the blocks; ids are the pool's."""
    found = []
    for own, block in enumerate(pyramid.blocks, start=pyramid.num_inputs):
        for source, op in ((block.first, block.first_op), (block.second, block.second_op)):
            found.append(Link(source, own, UNARY_OPS[op], pyramid.strides[source] != pyramid.strides[own]))
    return found


def output_links(pyramid: Pyramid) -> list[Link]:
    """One for every output level (the target), and one for every dangling block that is added to it."""
    found = []
    for level, source in pyramid.outputs.items():
        for feature in (source, *pyramid.dangling):
            found.append(Link(feature, level, None, pyramid.strides[feature] != 2**level, feature != source))
    return found


def draw_decoder(decoder: Decoder, path: Path, *, title: str = "NAS-FCOS decoder", subtitle: str = "") -> None:
    """Write the decoder as a picture, SVG or PNG by the ending of `path`; FCOS's own pyramid is not drawn."""
    pyramid = decoder.pyramid
    lanes = [] if pyramid is None else sorted({8, 16, 32, *pyramid.strides}, reverse=True)
    across = 0 if pyramid is None else LEFT + PITCH * len(pyramid.blocks) + 0.9 + OUTPUTS
    top = TOP + LANE * len(lanes)
    with picture(path, max(across, head_width(decoder.head)), top + HEAD_HEIGHT + BOTTOM) as canvas:
        canvas.text(0.25, 0.27, title, fontsize=13, fontweight="bold")
        canvas.text(0.25, 0.54, subtitle, fontsize=8.5, color=palette.QUIET)
        if pyramid is not None:
            _PyramidDrawing(canvas, pyramid, lanes).draw()
        draw_head(canvas, decoder.head, top)
        canvas.legend(FILLS, LINES, canvas.height - BOTTOM / 2)


class _PyramidDrawing:
    """The pyramid's half of the picture."""

    def __init__(self, canvas: Canvas, pyramid: Pyramid, lanes: list[int]) -> None:
        self.canvas, self.pyramid, self.lanes = canvas, pyramid, lanes
        self.obstacles = [rectangle for feature in range(len(pyramid.strides)) for rectangle in self._room(feature)]

    def draw(self) -> None:
        """All layers, from the back to the front."""
        for row, stride in enumerate(self.lanes):
            self.canvas.lane(TOP + LANE * row, LANE, palette.LANES[row % 2])
            self.canvas.text(0.36, TOP + LANE * (row + 0.5), f"stride {stride}", fontsize=8.5, color=palette.QUIET)
        for index, link in enumerate(block_links(self.pyramid)):
            self._block_link(link, above=index % 2 == 0)
        for link in output_links(self.pyramid):
            self._output_link(link)
        for feature in range(len(self.pyramid.strides)):
            self._feature(feature)
        self._outputs()

    def _place(self, feature: int) -> Point:
        """The middle of a feature's box: inputs share the first column, every block has the next one."""
        column = max(0, feature - self.pyramid.num_inputs + 1)
        return LEFT + PITCH * column + (0.3 if column == 0 else 0.6), self._lane(self.pyramid.strides[feature])

    def _lane(self, stride: int) -> float:
        return TOP + LANE * (self.lanes.index(stride) + 0.5)

    def _level(self, level: int) -> Point:
        """The middle of an output's box."""
        return self.canvas.width - OUTPUTS + 1.1, self._lane(2**level)

    def _operation(self, feature: int, above: bool) -> Point:
        x, y = self._place(feature)
        return x - FROM_FEATURE, y - APART if above else y + APART

    def _room(self, feature: int) -> list[Rectangle]:
        """What a feature and its operations take up."""
        x, y = self._place(feature)
        room = [Rectangle(x, y, FEATURE[0] + 0.05, FEATURE[1] + 0.06)]
        if feature >= self.pyramid.num_inputs:
            room.append(Rectangle(x - MERGE, y, MERGE - FEATURE[0], RADIUS + 0.06))
            for above in (True, False):
                room.append(Rectangle(*self._operation(feature, above), OPERATION[0] + 0.04, OPERATION[1] + 0.04))
        return room

    def _curve(self, source: int, end: Point, **style: object) -> None:
        x, y = self._place(source)
        bottom = TOP + LANE * len(self.lanes)
        curve = best_curve((x + FEATURE[0], y), end, self.obstacles, top=TOP, bottom=bottom)
        self.canvas.curve(curve, **style)  # type: ignore[arg-type]

    def _block_link(self, link: Link, above: bool) -> None:
        """From the source to its operation, and from there to the merge."""
        assert link.op is not None
        x, y = self._operation(link.target, above)
        self._curve(link.source, (x - OPERATION[0], y))
        self.canvas.box((x, y), OPERATION, fill_of(link.op), label_of(link.op), fontsize=6.8)
        merge_x, merge_y = self._place(link.target)
        colour = palette.UP if link.resized else palette.INK
        self.canvas.arrow((x + OPERATION[0], y), (merge_x - MERGE, merge_y), shrink=RADIUS, colour=colour)

    def _output_link(self, link: Link) -> None:
        x, y = self._level(link.target)
        if link.dangling:
            self._curve(link.source, (x - MERGE, y - RADIUS * 0.6), colour=palette.LATERAL, line=DASHES)
        elif self.pyramid.dangling:
            self._curve(link.source, (x - MERGE - RADIUS * 0.6, y), colour=palette.UP if link.resized else palette.INK)
        else:
            self._curve(link.source, (x - FEATURE[0], y), colour=palette.UP if link.resized else palette.INK)

    def _feature(self, feature: int) -> None:
        place = x, y = self._place(feature)
        first = self.pyramid.num_inputs
        if feature < first:
            self.canvas.box(place, FEATURE, INPUT, f"C{6 - first + feature}", fontsize=11, fontweight="bold")
            return
        concatenates = AGGREGATIONS[self.pyramid.blocks[feature - first].aggregation] == "concat"
        self.canvas.arrow((x - MERGE + RADIUS, y), (x - FEATURE[0], y))
        self.canvas.sign((x - MERGE, y), RADIUS, "cat" if concatenates else "+", fontsize=6.5 if concatenates else 12)
        fill = DANGLING if feature in self.pyramid.dangling else INNER
        self.canvas.box(place, FEATURE, fill, f"x{feature - first + 1}", fontsize=10, fontweight="bold")

    def _outputs(self) -> None:
        for level in (3, 4, 5):
            x, y = self._level(level)
            self.canvas.box((x, y), FEATURE, OUTPUT, f"P{level}", fontsize=11, fontweight="bold")
            if self.pyramid.dangling:
                self.canvas.sign((x - MERGE, y), RADIUS * 0.6, "+", fontsize=8)
                self.canvas.arrow((x - MERGE + RADIUS * 0.6, y), (x - FEATURE[0], y))
        x, y = self._level(5)
        for step in (1, 2):
            place = (x + 0.72 * step, y)
            self.canvas.box(place, FEATURE, OUTPUT, f"P{5 + step}", fontsize=11, fontweight="bold")
            self.canvas.arrow((place[0] - 0.72 + FEATURE[0], y), (place[0] - FEATURE[0], y))
        self.canvas.text(
            x + 0.72, y - 0.32, "3x3 convolutions of stride 2", ha="center", fontsize=6.8, color=palette.QUIET
        )
