"""Whether a trained trunk does anything: what is lost when all its residual branches are removed."""

from collections.abc import Sequence

from msnas.pipeline.rank_table import LITTLE
from msnas.report.numbers import ap
from msnas.report.run_data import Record


def residuals_sentence(networks: Sequence[Record]) -> str:
    """What the winner's and the FPN's trunks carry: the AP they lose without their residual branches; "" if unknown."""
    winner = next((row for row in networks if not row["baseline"]), None)
    fpn = next((row for row in networks if row["fpn"]), None)
    parts = [_carried(row) for row in (winner, fpn) if row and row.get("ap_without_residuals") is not None]
    return f"By removing the residual branches: {'; '.join(parts)}." if parts else ""


def _carried(row: Record) -> str:
    carried = row["ap"] - row["ap_without_residuals"]
    longer = ": train longer" if carried < LITTLE * row["ap"] else ""
    return f"the trunk of {row['name']} carries {ap(carried)} of {ap(row['ap'])} AP{longer}"
