"""What a run found, as drawings inside its page: each family of networks has its own."""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from msnas.drawings.found import draw_found
from msnas.drawings.stride_networks import Fpn, draw
from msnas.report.page_data import space_of
from msnas.report.run_data import Record, RunData
from msnas.setup.training import fit_of
from supernet.nas_fcos.decoder import Decoder
from supernet.strides.architecture import Architecture

NOTHING = {"drawing": None, "compared": None, "drawing_title": ""}


def drawings(run: RunData, data: Record) -> Record:
    """The winner's `drawing` and, of an MSNAS run, `compared`: beside the FPN baseline. None where there is none.

    data: the run's `page_data`.
    """
    trained = next((row for row in data["networks"] if not row["baseline"]), None)
    text = (trained or next(iter(data["winners"]), {"architecture": None}))["architecture"]
    if text is None:
        return NOTHING
    named = trained is not None and trained["one_shot"] is None
    title = "The search's first choice" if trained is None else trained["name"] if named else "The winner"
    space = space_of(run)
    found = Decoder.parse(text) if "/" in text else space.parse(text)
    side = fit_of(run.config).base_scale
    alone = _inline("one", lambda path: draw_found(found, space, path, title=title, base_scale=side))
    words = {**NOTHING, "drawing_title": "What was trained" if named else "What was found", "drawing": alone}
    if isinstance(found, Architecture):
        baseline, both = run.config.baseline, [title, "FPN baseline"]
        fpn = Fpn(baseline.backbone, baseline.width, baseline.channels)
        words["compared"] = _inline("two", lambda path: draw([found, fpn], space, path, titles=both, base_scale=side))
    return words


def _inline(name: str, write: Callable[[Path], None]) -> Any:
    """The element of the SVG that `write` makes, its ids unlike those of any other drawing on the page."""
    from markupsafe import Markup

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"{name}.svg"
        write(path)
        text = path.read_text()
    text = text[text.index("<svg") :]
    for mark in ('id="', "#"):
        text = text.replace(f"{mark}m", f"{mark}{name}-m").replace(f"{mark}p", f"{mark}{name}-p")
    return Markup(text)
