"""`msnas check`: is the data sound, which sizes do its objects have, and which settings fit them."""

from rich.console import Console

from msnas.call import Call
from msnas.data.check.report_text import report_text
from msnas.pipeline.data_checking import checked
from msnas.setup.open_run import setup_of


def main(call: Call) -> int:
    """Print the report; 0 where the data is sound, 1 where training would refuse it."""
    report = checked(setup_of(call.words))
    if call.json:
        print(report.to_json())
    else:
        Console().print(report_text(report))
    return report.exit_code
