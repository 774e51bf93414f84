"""`msnas check`: is the data sound, which sizes do its objects have, and which settings fit them."""

import sys
from dataclasses import replace

from omegaconf import DictConfig
from rich.console import Console

from msnas.cli import Call
from msnas.data.check import CheckReport, check_data
from msnas.data.check_text import print_report
from msnas.data.statistics import Fit
from msnas.setting import data_settings


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
    settings = data_settings(config)
    if not is_stride_space(config):
        return replace(check_data(settings), groups=(), recalls=(), suggestion=None)
    scales = {key: config.detector.get(key) for key in ("anchor_scale", "base_scale")}
    return check_data(settings, Fit.of(settings.short_side, config.space.base_stride, **scales))


def is_stride_space(config: DictConfig) -> bool:
    """Whether heads choose the strides that they read, as in MSNAS."""
    return "base_stride" in config.space
