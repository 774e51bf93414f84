"""A figure of matplotlib, sized in inches, that becomes a file; the same drawing gives the same bytes."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from matplotlib import rc_context
from matplotlib.figure import Figure

from msnas.drawings import palette
from msnas.errors import ConfigError
from msnas.files import written

STYLE: Any = {
    "font.family": "sans-serif",
    "font.size": 9,
    "svg.fonttype": "none",
    "svg.hashsalt": "msnas",
    "text.color": palette.INK,
}


@contextmanager
def figure_file(path: Path, width: float, height: float) -> Iterator[Figure]:
    """An empty figure that becomes `path`, SVG or PNG by its ending, when it is drawn.

    Raises ConfigError for another ending.
    """
    if path.suffix not in (".svg", ".png"):
        raise ConfigError(f"A picture's name ends in .svg or .png, but got {str(path)!r}.")
    with rc_context(STYLE):
        figure = Figure(figsize=(width, height))
        yield figure
        metadata = {"Date": None} if path.suffix == ".svg" else None
        with written(path) as partial:
            figure.savefig(partial, format=path.suffix[1:], dpi=200, metadata=metadata, facecolor=palette.PAPER)
