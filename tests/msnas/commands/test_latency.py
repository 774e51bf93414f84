"""`msnas latency`: a table of parts, read back as a budget."""

import json

import numpy as np
import pytest
from omegaconf import OmegaConf

from msnas.cli import main
from msnas.config.compose import compose
from msnas.errors import ConfigError
from msnas.setup.latency_table import latency_of, on_grid
from msnas.setup.setup import Setup
from supernet.strides.latency_parts import part_names, parts_of

WORDS = ("scale=tiny", "data=shapes", "input=64x64", "space.channels=8", "budget=none", "hardware.device=cpu")
QUICK = ("latency.warmup=1", "latency.repetitions=2", "latency.calibrate=2", "latency.check=3")


BEHIND_A_PREFIX = (
    *("space=msnas_timm", "space.backbone=mobilenetv3_small_050", "input=128x128"),
    "backbone.weights=package",  # no such package: none is needed
)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("latency")
    assert main(["latency", *WORDS, *QUICK, f"runs_root={root}"]) == 0
    return root


@pytest.fixture(scope="module")
def prefix_root(tmp_path_factory):
    root = tmp_path_factory.mktemp("prefix_latency")
    assert main(["latency", *WORDS, *BEHIND_A_PREFIX, *QUICK, f"runs_root={root}"]) == 0
    return root


def config(root, *words):
    return compose([*WORDS, f"runs_root={root}", *words])


def table(root):
    [path] = (root / "latency").glob("*.json")
    return json.loads(path.read_text())


def test_every_part_has_a_time(root):
    parts = table(root)["parts"]
    assert sorted(parts) == sorted(part_names(4))
    assert all(time > 0 for name, time in parts.items() if name != "rest")


def test_predictions_are_sums_of_parts_and_the_errors_theirs(root):
    written = table(root)
    space = Setup(config(root)).bounded_space
    assert len(written["checked"]) == 3
    for row in written["checked"]:
        names = parts_of(space.parse(row["architecture"]), 4)
        assert row["predicted_us"] == pytest.approx(sum(written["parts"][name] for name in names))
    errors = sorted(abs(row["predicted_us"] / row["measured_us"] - 1) for row in written["checked"])
    assert [written["median_error"], written["largest_error"]] == pytest.approx(errors[1:])


def test_a_latency_budget_holds_what_the_table_says(root):
    middle = sorted(row["predicted_us"] for row in table(root)["checked"])[1] / 1000
    space = Setup(config(root, f"budget.latency_ms={middle:.3f}", "budget.tolerance=0.1")).bounded_space
    drawn = [space.cost(space.sample(np.random.default_rng(seed))) for seed in range(5)]
    assert all(0.9 * middle <= cost.by_name()["latency_ms"] <= 1.1 * middle for cost in drawn)


def test_every_part_behind_a_prefix_has_a_time(prefix_root):
    start = Setup(config(prefix_root, *BEHIND_A_PREFIX)).space.start
    parts = table(prefix_root)["parts"]
    assert sorted(parts) == sorted(part_names(4, start))
    assert {"prefix", "first 0.5", "lateral s8", "lateral s16"} <= {name for name, time in parts.items() if time > 0}


def test_a_latency_budget_behind_a_prefix_holds_what_its_table_says(prefix_root):
    middle = sorted(row["predicted_us"] for row in table(prefix_root)["checked"])[1] / 1000
    words = [*BEHIND_A_PREFIX, f"budget.latency_ms={middle:.3f}", "budget.tolerance=0.1"]
    space = Setup(config(prefix_root, *words)).bounded_space
    drawn = [space.cost(space.sample(np.random.default_rng(seed))) for seed in range(5)]
    assert all(0.9 * middle <= cost.by_name()["latency_ms"] <= 1.1 * middle for cost in drawn)


@pytest.mark.parametrize("word", ["space.cut=8", "space.finest=4"])
def test_a_table_behind_another_prefix_does_not_fit(prefix_root, word):
    with pytest.raises(ConfigError, match="has no table of latency"):
        assert Setup(config(prefix_root, *BEHIND_A_PREFIX, "budget.latency_ms=3", word)).bounded_space


def test_a_table_behind_another_stem_does_not_fit(root):
    with pytest.raises(ConfigError, match="stem=32"):
        assert Setup(config(root, "budget.latency_ms=3", "space.stem=32")).bounded_space


def test_without_a_latency_budget_nothing_is_read(root):
    space = Setup(config(root / "elsewhere")).bounded_space
    assert space.latency is None


def test_a_missing_table_names_the_command(root):
    with pytest.raises(ConfigError, match="msnas latency"):
        assert Setup(config(root / "elsewhere", "budget.latency_ms=3")).bounded_space


def test_a_table_of_another_input_does_not_fit(root):
    words = OmegaConf.merge(config(root, "budget.latency_ms=3"), {"input": "128x128"})
    with pytest.raises(ConfigError, match="input=128x128"):
        assert Setup(words).bounded_space


def test_other_spaces_have_no_parts(root):
    with pytest.raises(ConfigError, match="MSNAS spaces only"):
        latency_of(config(root, "space=nas_fpn", "detector=retinanet"), (64, 64))


@pytest.mark.parametrize(
    ("name", "small"),
    [
        ("nas_fpn_r50_1at256", ("network.backbone=resnet10", "network.width=0.125")),
        ("nas_fcos_r50_128", ("space.backbone=resnet18", "space.width=0.125", "network.out_channels=8")),
    ],
)
def test_networks_by_name_are_timed_whole_beside_the_fpn(name, small, capsys):
    narrow = (*small, "network.channels=8", "baseline.channels=8")
    quick = ("latency.warmup=1", "latency.repetitions=2", "hardware.device=cpu", "input=128x128")
    assert main(["latency", name, *narrow, *quick, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    first, fpn = told["timed"]
    assert (first["name"].startswith(f"architecture of {name}"), fpn["name"]) == (True, "FPN baseline")
    assert min(first["median_ms"], fpn["median_ms"], first["macs"], fpn["macs"]) > 0


def test_the_grid_keeps_small_times_and_bounds_the_steps():
    parts = {name: 50_000.4 + 301 * number for number, name in enumerate(part_names(4))}
    coarse = on_grid(parts, depth=13)
    step = np.gcd.reduce(list(coarse.values()))
    assert step > 30
    assert all(abs(coarse[name] - time) <= step / 2 for name, time in parts.items())
    assert on_grid(dict.fromkeys(parts, 12.4), depth=13)["stem"] == 12
