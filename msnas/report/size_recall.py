"""How many objects of each group of sizes the winners and the FPN find, as a table."""

from collections.abc import Sequence

from msnas.drawings.diagram import object_sizes
from msnas.report.run_data import Record


def size_recalls(networks: Sequence[Record]) -> Record | None:
    """`sizes`: the groups in words; `rows`: winners and the FPN, each with its `recalls`; None where none is known."""
    measured = [row for row in networks if row.get("group_recall") and (row["fpn"] or not row["baseline"])]
    if not measured:
        return None
    rows = [{"name": row["name"], "recalls": row["group_recall"]} for row in measured]
    return {"sizes": object_sizes(measured[0]["group_borders"]), "rows": rows}
