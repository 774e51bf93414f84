"""`msnas check`: is the data sound, which sizes do its objects have, and which settings fit them."""

import sys
from dataclasses import replace

from omegaconf import DictConfig
from rich.console import Console

from msnas.call import Call
from msnas.data.check.data_report import CheckReport, check_data
from msnas.data.check.report_text import print_report
from msnas.setup.training import data_settings, fit_of


def main(call: Call) -> int:
    """Print the report; 0 where the data is sound, 1 where training would refuse it."""
    report = checked(call.config)
    if call.json:
        print(report.to_json())
    else:
        print_report(report, Console())
    return report.exit_code


def check(config: DictConfig) -> CheckReport:
    """The same for another stage, on the standard error."""
    report = checked(config)
    print_report(report, Console(file=sys.stderr))
    return report


def checked(config: DictConfig) -> CheckReport:
    """The data held against the configured settings, without a word.

    Heads, anchors and suggestions are those of MSNAS's spaces; of others the report says nothing about them.
    """
    if not is_stride_space(config):
        return replace(check_data(data_settings(config)), groups=(), recalls=(), suggestion=None)
    return check_data(data_settings(config), fit_of(config))


def is_stride_space(config: DictConfig) -> bool:
    """Whether heads choose the strides that they read, as in MSNAS."""
    return "base_stride" in config.space
