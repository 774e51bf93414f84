"""A sheet to draw networks on: boxes, signs, arrows and curves at places in inches, y growing downwards."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Circle, FancyArrowPatch, FancyBboxPatch, Patch, Rectangle
from matplotlib.path import Path as Way

from msnas.drawings import palette
from msnas.drawings.curves import Curve, Point
from msnas.drawings.figure_file import figure_file


@contextmanager
def picture(path: Path, width: float, height: float) -> Iterator["Canvas"]:
    """A sheet of `width` x `height` inches that becomes `path` when it is drawn."""
    with figure_file(path, width, height) as figure:
        yield Canvas(figure, width, height)


class Canvas:
    """One figure of `width` x `height` inches."""

    def __init__(self, figure: Figure, width: float, height: float) -> None:
        self.width, self.height = width, height
        self.axes: Any = figure.add_axes((0.0, 0.0, 1.0, 1.0))
        self.axes.set_xlim(0, width)
        self.axes.set_ylim(height, 0)
        self.axes.axis("off")

    def text(self, x: float, y: float, text: str, **style: Any) -> None:
        """Text whose left middle is at (x, y)."""
        self.axes.text(
            x, y, text, **{"va": "center", "ha": "left", "color": palette.INK, "fontsize": 9, "zorder": 6, **style}
        )

    def lane(self, y: float, height: float, fill: str) -> None:
        """A stripe across the sheet."""
        self.axes.add_patch(Rectangle((0.25, y), self.width - 0.5, height, facecolor=fill, zorder=0))

    def box(self, place: Point, half: Point, fill: str, name: str, **style: Any) -> None:
        """A rounded box with a name, `half` its width and height."""
        corner, form = (place[0] - half[0], place[1] - half[1]), "round,pad=0,rounding_size=0.05"
        self.axes.add_patch(
            FancyBboxPatch(
                corner, 2 * half[0], 2 * half[1], boxstyle=form, facecolor=fill, edgecolor=palette.INK, zorder=5
            )
        )
        self.text(*place, name, ha="center", **style)

    def sign(self, place: Point, radius: float, name: str, **style: Any) -> None:
        """A circle with a sign in it."""
        self.axes.add_patch(Circle(place, radius, facecolor=palette.PAPER, edgecolor=palette.INK, zorder=5))
        self.text(*place, name, ha="center", fontweight="bold", **style)

    def arrow(self, start: Point, end: Point, *, shrink: float = 0.0, colour: str = palette.INK) -> None:
        """A straight arrow that ends `shrink` inches before `end`."""
        self._arrow(colour, "solid", posA=start, posB=end, shrinkA=0, shrinkB=shrink * 72)

    def curve(self, curve: Curve, *, colour: str = palette.INK, line: Any = "solid") -> None:
        """An arrow along a curve."""
        codes: Sequence[Any] = [Way.MOVETO, Way.CURVE4, Way.CURVE4, Way.CURVE4]
        self._arrow(colour, line, path=Way(list(curve), codes))

    def legend(self, fills: dict[str, str], lines: dict[str, dict[str, Any]], y: float) -> None:
        """What the boxes' fills and the lines' looks mean, in one row."""
        handles: list[Any] = [Patch(facecolor=f, edgecolor=palette.INK, label=text) for text, f in fills.items()]
        handles += [Line2D([], [], label=text, **look) for text, look in lines.items()]
        options = {"ncols": len(handles), "frameon": False, "fontsize": 8, "handlelength": 1.8, "columnspacing": 1.6}
        place = (self.width / 2, y)
        self.axes.legend(
            handles=handles, loc="center", bbox_to_anchor=place, bbox_transform=self.axes.transData, **options
        )

    def _arrow(self, colour: str, line: Any, **ends: Any) -> None:
        style = "-|>,head_length=4,head_width=2.2"
        self.axes.add_patch(
            FancyArrowPatch(arrowstyle=style, color=colour, linestyle=line, linewidth=1.3, zorder=2, **ends)
        )
