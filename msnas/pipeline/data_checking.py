"""The data held against the configured settings."""

from dataclasses import replace

from msnas.data.check.data_report import CheckReport, check_data
from msnas.setup.setup import Setup


def checked(setup: Setup) -> CheckReport:
    """What `msnas check` finds.

    Heads, anchors and suggestions are those of spaces whose heads serve groups of sizes; of others the report says
    nothing about them.
    """
    if not setup.family_class.has_size_groups:
        return replace(check_data(setup.data), groups=(), recalls=(), suggestion=None)
    return check_data(setup.data, setup.fit, setup.fit_options)
