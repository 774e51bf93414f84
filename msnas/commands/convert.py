"""`msnas convert D out=...`: YOLO text or Pascal VOC files as a COCO folder, and what `msnas check` says of it."""

import json
from pathlib import Path

from rich.console import Console

from msnas.call import Call
from msnas.data.check.data_report import check_data
from msnas.data.check.report_text import report_text
from msnas.data.conversion import convert
from msnas.errors import ConfigError
from msnas.setup.open_run import setup_of


def main(call: Call) -> int:
    """Convert, check the result, print the next command; 0 where the result is sound, else 1."""
    if len(call.positionals) != 1:
        raise ConfigError("Give one folder of YOLO text or Pascal VOC files: msnas convert D out=FOLDER.")
    setup = setup_of(call.words)
    source = Path(call.positionals[0])
    out = setup.arguments.out or Path(f"{source.resolve().name}-coco")
    images = convert(source, out, pixel_limit=setup.pixel_limit)
    report = check_data(setup.data_in(out))
    if call.json:
        print(json.dumps({"out": str(out), "images": images, "sound": report.sound}))
        return report.exit_code
    Console().print(report_text(report))
    told = ", ".join(f"{number:,} images in {name}.json" for name, number in images.items())
    print(f"\n{told}; {out / 'images'} is the source. Next:\n\n    msnas init {out}")
    return report.exit_code
