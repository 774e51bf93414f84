"""`msnas check`: is the data sound, which sizes do its objects have, and which settings fit them."""

import sys

from omegaconf import DictConfig
from rich.console import Console

from msnas.cli import Call
from msnas.data.check import CheckReport, check_data
from msnas.data.check_text import print_report
from msnas.setting import data_settings


def main(call: Call) -> int:
    """Print the report; 0 where the data is sound, 1 where training would refuse it."""
    report = check_data(data_settings(call.config))
    if call.json:
        print(report.to_json())
    else:
        print_report(report, Console())
    return report.exit_code


def check(config: DictConfig) -> CheckReport:
    """The same for another stage, on the standard error."""
    report = check_data(data_settings(config))
    print_report(report, Console(file=sys.stderr))
    return report
