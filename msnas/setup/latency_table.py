"""Measured latencies as a file: which parts of which networks take how long on which device. Torch-free.

`msnas latency` writes one into `runs_root/latency/`; a budget or an objective on latency reads it.
"""

from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from msnas.errors import ConfigError
from msnas.files import read_json, write_json
from msnas.setup.make_family import family_class
from supernet.strides.latency_parts import REST

STEPS = 8192  # the longest path's latency in steps: finer ones cost memory, and no measurement is as fine


def wants_latency(config: DictConfig) -> bool:
    """Whether latency is part of the budget or an objective."""
    return config.budget.latency_ms is not None or "latency_ms" in config.strategy.get("minimise", ())


def write_table(config: DictConfig, size: tuple[int, int], table: dict[str, Any]) -> Path:
    """Write what was measured; the file is named by device and network unless `latency.table` names it."""
    space, device = config.space, "".join(c if c.isalnum() else "-" for c in str(table["device"]).lower())
    start = f"{space.backbone}-{space.cut}" if "cut" in space else f"stem-{space.stem}"
    name = f"{device}-{start}-{space.block}-{space.channels}-{size[0]}x{size[1]}.json"
    path = Path(config.latency.table or Path(config.runs_root) / "latency" / name)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, {"network": network_of(config, size), **table})
    return path


def read_table(config: DictConfig, size: tuple[int, int]) -> dict[str, Any]:
    """The table that fits the configuration. Raises ConfigError where there is none, or more than one."""
    wanted, folder = network_of(config, size), Path(config.runs_root) / "latency"
    paths = [Path(config.latency.table)] if config.latency.table else sorted(folder.glob("*.json"))
    tables = {path: table for path in paths if (table := read_json(path)) is not None}
    fitting = {path: table for path, table in tables.items() if table.get("network") == wanted}
    if len(fitting) == 1:
        return next(iter(fitting.values()))
    shape = " ".join(f"{key}={value}" for key, value in wanted.items())
    if fitting:
        raise ConfigError(f"Several tables of latency fit {shape}: choose one, latency.table={next(iter(fitting))}.")
    where = config.latency.table or folder
    raise ConfigError(f"{where} has no table of latency for {shape}: measure one with `msnas latency`.")


def latency_of(config: DictConfig, size: tuple[int, int]) -> dict[str, int]:
    """Microseconds by part, rounded to a grid that the longest path has STEPS steps of."""
    check_measurable(config)
    parts: dict[str, float] = read_table(config, size)["parts"]
    return on_grid(parts, depth=int(config.space.depth))


def check_measurable(config: DictConfig) -> None:
    """Raise ConfigError unless the family's latency is a sum over parts."""
    if not family_class(config.family).has_part_latencies:
        raise ConfigError(
            f"Latency is measured part by part for MSNAS spaces only, but got space={config.space_name}; "
            "`msnas latency ARCH...` times whole networks of any space."
        )


def on_grid(parts: dict[str, float], *, depth: int) -> dict[str, int]:
    """Times in microseconds as multiples of one step, at least a microsecond."""
    longest = {
        kind: max(t for name, t in parts.items() if name.startswith(kind)) for kind in ("block", "output", "rpn")
    }
    start = sum(time for name, time in parts.items() if " " not in name and name != REST)  # a stem, or a prefix
    total = start + depth * longest["block"] + 5 * (longest["output"] + longest["rpn"])
    step = max(1, round(total / STEPS))
    return {name: round(time / step) * step for name, time in parts.items()}


def network_of(config: DictConfig, size: tuple[int, int]) -> dict[str, Any]:
    """What a measurement depends on beside the device."""
    names = ("block", "channels", "base_stride", "stem", "backbone", "cut", "finest")
    shape = {name: config.space[name] for name in names if name in config.space}
    return {**shape, "input": f"{size[0]}x{size[1]}"}
