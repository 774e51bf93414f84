"""The report: one HTML file that needs nothing else, from one run folder or several.

Charts are drawn in the browser from the page's own JSON by some hundred lines of plain script instead of
plotly, whose bundle alone weighs 4.9 MB: the page stays small enough to be mailed and opened on a phone.
"""

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from msnas import __version__
from msnas.errors import ConfigError
from msnas.report import numbers, palette
from msnas.report.page_data import page_data, space_of
from msnas.report.run_data import Record, RunData
from msnas.report.words import comparison, run_context

TEMPLATES = Path(__file__).parent / "templates"
SCRIPTS = ("chart.js", "tooltip.js", "search.js", "result.js", "main.js")


def report(runs: Sequence[Path], path: Path | None = None) -> Path:
    """Write the page of the run folders `runs` and return its path (default: `report.html` of the first run).

    Raises RunError where a folder is no run, ConfigError where the extra `report` is not installed.
    """
    from msnas.runs import write_text

    target = path or Path(runs[0]) / "report.html"
    text = page([_context(RunData.read(Path(folder))) for folder in runs])
    target.parent.mkdir(parents=True, exist_ok=True)
    write_text(target, text)
    return target


def page(contexts: Sequence[Record]) -> str:
    """The HTML of runs that `_context` has prepared."""
    content = {"palette": _palette(), "runs": [context["data"] for context in contexts]}
    return str(
        _environment()
        .get_template("page.html")
        .render(
            runs=contexts,
            compared=comparison(contexts),
            json=_script(content),
            palette=content["palette"],
            scripts=SCRIPTS,
            version=__version__,
        )
    )


def _context(run: RunData) -> Record:
    from msnas.report.held_out import evidence

    intervals, pictures, note = evidence(run)
    data = page_data(run, intervals=intervals, pictures=pictures, note=note)
    return {**run_context(data), **_drawings(run, data), "config": run.config_text}


def _drawings(run: RunData, data: Record) -> Record:
    """The best architecture known so far as SVG, and beside the baseline; nothing for other spaces' runs."""
    from msnas.report.networks import Fpn, draw
    from supernet.architecture import Architecture

    trained = next((row for row in data["networks"] if not row["baseline"]), None)
    best = trained or next(iter(data["winners"]), None)
    space = space_of(run)
    if best is None or not hasattr(space, "base_stride") or "|" not in str(best.get("architecture")):
        return {"drawing": None}
    architecture = Architecture.parse(best["architecture"])
    side, settings = run.config.data.short_side, run.config.baseline
    fpn = Fpn(settings.backbone, settings.width, settings.channels)
    words = "The winner" if trained else "The search's first choice"
    with tempfile.TemporaryDirectory() as folder:
        one, two = Path(folder) / "one.svg", Path(folder) / "two.svg"
        draw([architecture], space, one, titles=[words], short_side=side)
        draw([architecture, fpn], space, two, titles=[words, "FPN baseline"], short_side=side)
        return {"drawing": _inline(one), "compared": _inline(two), "drawing_title": "What was found"}


def _inline(path: Path) -> Any:
    """An SVG file's element, without the file's own head, its ids made unlike those of any other drawing."""
    from markupsafe import Markup

    text = path.read_text()
    text = text[text.index("<svg") :]
    for mark in ('id="', "#"):
        text = text.replace(f"{mark}m", f"{mark}{path.stem}-m").replace(f"{mark}p", f"{mark}{path.stem}-p")
    return Markup(text)


def _environment() -> Any:
    try:
        import jinja2
    except ImportError:
        raise ConfigError('The report needs jinja2: pip install "msnas[report]".') from None
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,  # names of runs, classes and files come from users
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    shown = ("ap", "signed", "macs", "millions", "whole", "percent", "duration", "number")
    environment.filters |= {name: getattr(numbers, name) for name in shown}
    return environment


def _palette() -> Record:
    return {
        "ink": palette.INK,
        "quiet": palette.QUIET,
        "line": palette.LINE,
        "down": palette.DOWN,
        "keep": palette.KEEP,
        "up": palette.UP,
        "stem": palette.STEM,
        "head": palette.HEAD,
        "lateral": palette.LATERAL,
        "baseline": palette.BASELINE,
        "band": "#d5e5f3",
        "budgetBand": "#fdf0cf",
        "blocks": {f"{stride:g}": colour for stride, colour in palette.BLOCKS.items()},
        "strides": list(palette.STRIDES),
    }


def _script(content: Record) -> Any:
    """JSON that can stand inside a script element whatever its strings hold."""
    from markupsafe import Markup

    text = json.dumps(content, allow_nan=False, separators=(",", ":"))
    return Markup(text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029"))
