"""`msnas latency`: how long every part of a space's networks takes on this device, and how well their sum predicts.

`msnas latency MODEL`: how long that exported detector takes, whole. `msnas latency ARCH...`: networks of architectures
or zoo names with fresh weights, of any space, beside the FPN.
"""

import json
from pathlib import Path
from typing import Any

from msnas.call import Call
from msnas.errors import ConfigError
from msnas.pipeline.exported_latency import time_exported
from msnas.pipeline.latency_measurement import measured
from msnas.pipeline.network_latency import time_networks
from msnas.runs.tables import amount
from msnas.setup.open_run import setup_of
from msnas.setup.setup import Setup
from msnas.setup.zoo import published, with_published_shape


def main(call: Call) -> int:
    """Measure, write the table, print how well it predicts whole networks; of a model, print its times."""
    if call.positionals and not Path(call.positionals[0]).exists():
        return _of_networks(call)
    setup = setup_of(call.words)
    if call.positionals:
        return _of_model(call, setup)
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


def _of_model(call: Call, setup: Setup) -> int:
    if len(call.positionals) > 1:
        raise ConfigError(f"Give one model, the folder of `msnas export`, but got {', '.join(call.positionals)}.")
    path = Path(call.positionals[0])
    answer = time_exported(path if path.is_dir() else path.parent, setup)
    print(json.dumps(answer) if call.json else _times(answer))
    return 0


def _of_networks(call: Call) -> int:
    first = call.positionals[0]  # a published network is timed at the size that its cost is stated for
    size = "x".join(map(str, published(first).input_size)) if first.isidentifier() else None
    words = [*([f"input={size}"] if size else []), *call.with_architectures().words]
    setup = setup_of(with_published_shape(words))
    setup.check_detector()
    answer = time_networks(setup)
    if call.json:
        print(json.dumps(answer))
        return 0
    for row in answer["timed"]:
        low, high = row["quartiles_ms"]
        print(f"{row['name']:<26}{row['median_ms']:10.2f} ms  ({low:.2f}..{high:.2f})  {amount(row['macs'])}MACs")
    threads = f"{answer['threads']} threads" if answer["threads"] != 1 else "1 thread"
    print(f"One image of {answer['input']} in torch, nothing found, on {answer['device']} with {threads}.")
    return 0


def _times(answer: dict[str, Any]) -> str:
    lines = []
    for row in answer["timed"]:
        low, high = row["quartiles_ms"]
        each = f", {row['median_ms'] / row['batch']:.2f} an image" if row["batch"] > 1 else ""
        lines.append(
            f"{row['file']:<26}{row['engine']:<12}{row['median_ms']:10.2f} ms  ({low:.2f}..{high:.2f}, half of "
            f"{row['calls']} calls{each})"
        )
    threads = f"{answer['threads']} threads" if answer["threads"] != 1 else "1 thread"
    versions = f"onnxruntime {answer['onnxruntime']}, torch {answer['torch']}"
    return "\n".join([*lines, f"Whole detectors, NMS included, on {answer['device']} with {threads} ({versions})."])
