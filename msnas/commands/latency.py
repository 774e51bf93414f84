"""`msnas latency`: how long every part of a space's networks takes on this device, and how well their sum predicts."""

import json
from typing import Any

from msnas.call import Call
from msnas.pipeline.latency_measurement import measured
from msnas.setup.open_run import setup_of


def main(call: Call) -> int:
    """Measure, write the table, print how well it predicts whole networks."""
    setup = setup_of(call.words)
    setup.check_latency()
    table = measured(setup)
    path = setup.write_latencies(table)
    print(json.dumps({"table": str(path), **table}) if call.json else _text(str(path), table))
    return 0


def _text(path: str, table: dict[str, Any]) -> str:
    lines = [f"{name:<14}{time / 1e3:10.3f} ms" for name, time in table["parts"].items()]
    if table["median_error"] is not None:
        times = [row["measured_us"] / 1e3 for row in table["checked"]]
        lines.append(
            f"{len(times)} whole networks take {min(times):.1f}..{max(times):.1f} ms; the sum of the parts is off by "
            f"{table['median_error']:.1%} (median), {table['largest_error']:.1%} (largest)."
        )
    return "\n".join([*lines, f"Written: {path}. Next: msnas search budget.latency_ms=..."])
