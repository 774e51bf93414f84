"""What a run found, as drawings inside its page."""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from msnas.families.family import Picture
from msnas.report.run_data import Record, RunData

NOTHING = {"drawing": None, "compared": None, "drawing_title": ""}


def drawings(run: RunData, data: Record) -> Record:
    """The winner's `drawing` and, where the family has one, `compared`: beside the FPN baseline. Else None.

    data: the run's `page_data`.
    """
    trained = next((row for row in data["networks"] if not row["baseline"]), None)
    text = (trained or next(iter(data["winners"]), {"architecture": None}))["architecture"]
    if text is None:
        return NOTHING
    named = trained is not None and trained["one_shot"] is None
    title = "The search's first choice" if trained is None else trained["name"] if named else "The winner"
    family, borders = run.setup.family, run.setup.fit.groups.borders
    found = family.parse(text)
    picture = Picture(found, title, space=run.setup.space)
    alone = _inline("one", lambda path: family.draw([picture], path, borders=borders))
    words = {**NOTHING, "drawing_title": "What was trained" if named else "What was found", "drawing": alone}
    if both := family.pictures_beside_baseline(found, title):
        words["compared"] = _inline("two", lambda path: family.draw(both, path, borders=borders))
    return words


def _inline(name: str, write: Callable[[Path], None]) -> Any:
    """The element of the SVG that `write` makes, its ids unlike those of any other drawing on the page."""
    from markupsafe import Markup  # an extra

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"{name}.svg"
        write(path)
        text = path.read_text(encoding="utf-8")
    text = text[text.index("<svg") :]
    for mark in ('id="', "#"):
        for kind in "mph":  # markers, paths, hatches; no colour begins so
            text = text.replace(f"{mark}{kind}", f"{mark}{name}-{kind}")
    return Markup(text)
