"""`msnas check`: is the data sound, which sizes do its objects have, and which settings fit them."""

from rich.console import Console

from msnas.call import Call
from msnas.data.check.report_text import print_report
from msnas.pipeline.checking import checked
from msnas.setup.open_run import setup_of


def main(call: Call) -> int:
    """Print the report; 0 where the data is sound, 1 where training would refuse it."""
    report = checked(setup_of(call.words))
    if call.json:
        print(report.to_json())
    else:
        print_report(report, Console())
    return report.exit_code
