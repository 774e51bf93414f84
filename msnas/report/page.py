"""The report: one HTML file that needs nothing else, from one run folder or several.

Charts are drawn in the browser from the page's own JSON by some hundred lines of plain script instead of
plotly, whose bundle alone weighs 4.9 MB: the page stays small enough to be mailed and opened on a phone.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from msnas import __version__
from msnas.drawings import palette
from msnas.errors import ConfigError
from msnas.files import write_text
from msnas.report import numbers
from msnas.report.found import drawings
from msnas.report.held_out import evidence, front_intervals
from msnas.report.page_data import page_data
from msnas.report.run_data import Record, RunData
from msnas.report.sentences import run_context
from msnas.report.sizes import sizes_of
from msnas.report.verdicts import comparison
from msnas.runs.folder import REPORT

TEMPLATES = Path(__file__).parent / "templates"
SCRIPTS = ("chart.js", "tooltip.js", "search.js", "samples.js", "result.js", "sizes.js", "main.js")


def report(runs: Sequence[Path], path: Path | None = None) -> Path:
    """Write the page of the run folders `runs` and return its path (default: `report.html` of the first run).

    Raises RunError where a folder is no run, ConfigError where the extra `report` is not installed.
    """
    target = path or Path(runs[0]) / REPORT
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
    intervals, pictures, note = evidence(run)
    data = page_data(run, intervals=intervals, pictures=pictures, note=note, sizes=sizes_of(run, front_intervals(run)))
    return {**run_context(data), **drawings(run, data), "config": run.config_text}


def _environment() -> Any:
    try:
        import jinja2  # an extra
    except ImportError:
        raise ConfigError('The report needs jinja2: pip install "msnas[report]".') from None
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,  # names of runs, classes and files come from users
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    shown = ("ap", "score", "signed", "macs", "millions", "whole", "percent", "duration", "number")
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
    from markupsafe import Markup  # an extra

    text = json.dumps(content, allow_nan=False, separators=(",", ":"))
    return Markup(text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029"))
