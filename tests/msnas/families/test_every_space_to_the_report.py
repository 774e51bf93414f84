"""Every space of conf/space and of the docs through every stage: tiny sizes, else default options, none turned off."""

from pathlib import Path

import pytest
import timm
import torch
from added_files import added
from doc_blocks import PAGES, blocks
from safetensors.torch import save_file
from tiny_words import TINY, fitting

from msnas.cli import main
from msnas.config.compose import compose, groups
from msnas.errors import ConfigError
from msnas.files import read_json
from msnas.setup.setup import Setup

BACKBONE = "mobilenetv3_small_050"
SIZES = {  # beside TINY: what else makes the networks of a space small, and a budget that holds some of these
    "msnas_timm": f"space.backbone={BACKBONE} backbone.weights=weights.safetensors",
    "nas_fpn_lite": "baseline.width=1.0",
    "heads_only": "budget.tolerance=0.1",
    "widths": "budget.macs=4e5 budget.tolerance=0.3",
}
OF_PAGES = {  # space: the files of the page that adds it
    Path(str(block.option("file"))).stem: [one for one in blocks(page) if one.option("file")]
    for page in PAGES
    for block in blocks(page)
    if str(block.option("file")).startswith("conf/space/")
}


@pytest.fixture
def place(tmp_path, monkeypatch):
    """The current folder, with a weights file of a backbone in it."""
    monkeypatch.setenv("MSNAS_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    save_file(timm.create_model(BACKBONE).state_dict(), "weights.safetensors")
    threads = torch.get_num_threads()
    yield tmp_path
    torch.set_num_threads(threads)


def words_of(space):
    """The space at its defaults, under the default detector, or the one that the family's networks stand under."""
    words = [f"space={space}", "data=shapes", "scale=tiny", "run=r", *SIZES.get(space, "").split()]
    detector = next(name for name in ("faster_rcnn", *groups()["detector"]) if stands_under(space, name))
    return [*fitting(TINY, words), *words, f"detector={detector}"]  # the last word of an option counts


def stands_under(space, detector):
    try:
        Setup(compose([f"space={space}", f"detector={detector}"])).check_detector()
    except ConfigError:
        return False
    return True


@pytest.mark.parametrize("space", [*groups()["space"], *OF_PAGES])
def test_a_run_of_the_space_reaches_its_report(space, place, monkeypatch):
    added(OF_PAGES.get(space, []), place, monkeypatch)
    words = words_of(space)
    trains = Setup(compose(words)).family_class.pretraining is not None
    stages = [*(["train"] if trains else []), "search", "retrain", "report"]
    assert [main([stage, *words]) for stage in stages] == [0] * len(stages)
    assert read_json(place / "runs/r/search/result.json")["failed"] == 0
    rows = read_json(place / "runs/r/retrain/table.json")["rows"]
    assert {"winner 1", "FPN baseline"} <= {row["name"] for row in rows}
    assert (place / "runs/r/report.html").stat().st_size > 100_000
    given = {word.partition("=")[2] for word in words if word.startswith("backbone.weights=")} or {"none"}
    for path in (place / "runs/r/retrain").glob("*/result.json"):
        assert {read_json(path)["weights"], read_json(path.parent / "model.json")["meta"]["weights"]} == given
