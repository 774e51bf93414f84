"""`msnas check [D]`: is the data sound, which sizes do its objects have, and which settings fit them.

D: the folder, `data=coco data.root=D`.
"""

from pathlib import Path

from rich.console import Console

from msnas.call import Call
from msnas.data.check.report_text import report_text
from msnas.errors import ConfigError
from msnas.pipeline.data_checking import checked
from msnas.setup.open_run import setup_of


def main(call: Call) -> int:
    """Print the report; 0 where the data is sound, 1 where training would refuse it."""
    report = checked(setup_of([*_folder(call), *call.words]))
    if call.json:
        print(report.to_json())
    else:
        Console().print(report_text(report))
    return report.exit_code


def _folder(call: Call) -> list[str]:
    """The words that the positional stands for. Raises ConfigError for more than one and for what is no folder."""
    if len(call.positionals) > 1:
        raise ConfigError(f"Give one folder in COCO format, but got {', '.join(call.positionals)}.")
    if not call.positionals:
        return []
    root = Path(call.positionals[0])
    if not root.is_dir():
        raise ConfigError(f"D must be a folder in COCO format, but {root} is none.")
    return ["data=coco", f"data.root={root}"]
