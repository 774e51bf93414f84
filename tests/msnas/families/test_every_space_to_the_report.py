"""Every space of conf/space through train, search, retrain and report: tiny sizes, no option turned off."""

import pytest
import torch

from msnas.cli import main
from msnas.config.compose import compose, groups
from msnas.files import read_json
from msnas.setup.setup import Setup

DATA = "data=shapes data.size=64 data.short_side=64 data.long_side=64 data.train=20 data.val=6 data.workers=0"
SIZES = "scale=tiny input=128x128 data.search_val.minimum=6 schedule.batch=4 train.steps=2 retrain.steps=1 top_k=1"
SEARCH = "strategy.population_size=2 strategy.children=2 strategy.iterations=1 search.finalists=1 search.replicates=1"
OF_FAMILY = {  # what makes a family's networks small, and the detector that they stand under
    "StrideFamily": "space.channels=8 baseline.channels=8 candidate.iterations=1 candidate.bn_images=16 budget=none",
    "PrefixFamily": "space.channels=8 baseline.channels=8 candidate.iterations=1 candidate.bn_images=16 budget=none "
    "backbone.weights=none backbone.train=full space.backbone=mobilenetv3_small_050",
    "CellFamily": "space.backbone=resnet10 space.channels=8 baseline.channels=8 baseline.width=0.125 "
    "proxy.iterations=1 detector=retinanet "
    "strategy=regularized strategy.sample_size=2",
    "FcosFamily": "space.channels=8 network.channels=8 baseline.channels=8 baseline.width=0.125 decoder.iterations=1 "
    "decoder.batch=4 detector=fcos strategy=regularized strategy.sample_size=2 backbone.decoder_channels=8",
}
HEADS = "heads.channels=8 heads.training=1 heads.population_size=2 heads.children=2 heads.iterations=1"


@pytest.mark.parametrize("space", groups()["space"])
def test_a_run_of_the_space_reaches_its_report(space, tmp_path, monkeypatch):
    monkeypatch.setenv("MSNAS_CACHE", str(tmp_path / "cache"))
    threads = torch.get_num_threads()
    setup = Setup(compose([f"space={space}"]))
    family = setup.family_class
    words = [f"space={space}", *OF_FAMILY[family.__name__].split(), *DATA.split(), *SIZES.split(), *SEARCH.split()]
    words += HEADS.split() if "heads" in setup.config else []
    words += [f"runs_root={tmp_path / 'runs'}", "run=r", "hardware.train_threads=1", "hardware.device=cpu"]
    if family.pretraining == "supernet":
        assert main(["train", *words]) == 0
    assert [main([stage, *words]) for stage in ("search", "retrain", "report")] == [0, 0, 0]
    rows = read_json(tmp_path / "runs" / "r" / "retrain" / "table.json")["rows"]
    assert {"winner 1", "FPN baseline"} <= {row["name"] for row in rows}
    assert (tmp_path / "runs" / "r" / "report.html").stat().st_size > 100_000
    torch.set_num_threads(threads)
