"""Every experiment of the paper builds: at full scale without memory, at the tiny scale for one step of training."""

import pytest
import torch

from msnas.config.compose import compose, groups
from msnas.pipeline.supernet_training import paths
from msnas.setup.setup import Setup
from supernet.strides.architecture import Architecture

TABLES = [name for name in groups()["experiment"] if name.startswith("table")]
CLASSES = [f"class {number}" for number in range(80)]


@pytest.mark.parametrize("experiment", TABLES)
def test_a_path_of_the_full_scale_runs_on_the_meta_device(experiment):
    config = compose([f"experiment={experiment}"])
    with torch.device("meta"):
        detector = Setup(config).family.pretraining_detector(CLASSES)
        features = detector.encoder(torch.empty(2, 3, 128, 128), paths(Setup(config))(0))
    assert [feature.shape[1] for feature in features] == [config.space.channels] * 5


@pytest.mark.parametrize("experiment", TABLES)
def test_the_tiny_scale_takes_a_step(experiment):
    config = compose([f"experiment={experiment}", "scale=tiny", "space.channels=8", "input=128x128"])
    detector = Setup(config).family.pretraining_detector(CLASSES).train()
    images = [torch.rand(3, 64, 64) for _ in range(2)]
    target = {"boxes": torch.tensor([[4.0, 4.0, 40.0, 40.0]]), "labels": torch.tensor([1]), "image_id": 1}
    target["masks"] = torch.ones(1, 64, 64, dtype=torch.uint8)
    losses = detector(images, [target, dict(target)], paths(Setup(config))(0))
    sum(losses.values()).backward()
    assert ("loss_mask" in losses) == config.detector.mask
    assert all(torch.isfinite(loss) for loss in losses.values())


@pytest.mark.parametrize(("experiment", "macs"), [("table1_r18", 145_311_329_280), ("table1_r34", 184_570_014_720)])
def test_the_budget_of_a_table_is_its_baseline(experiment, macs):
    config = compose([f"experiment={experiment}"])
    assert Setup(config).baseline_cost.macs == macs
    assert Setup(config).bounded_space.budget.holds(Setup(config).baseline_cost)


def test_table_2_fixes_the_heads_as_an_fpn_has_them():
    path = paths(Setup(compose(["experiment=table2_fpn_style"])))(3)
    assert path.heads == (4, 8, 16, 32, 64)


def test_table_3_admits_heads_that_the_rules_refuse():
    text = "1,1,1,1,1,1,1,1,1,1,1,1,1|4,4,4,4,4"
    free = Setup(compose(["experiment=table3_no_rules"])).space
    bound = Setup(compose(["experiment=table1_r18"])).space
    genome = free.encode(Architecture.parse(text))
    assert free.is_valid(genome)
    assert not bound.is_valid(genome)


def test_a_budget_that_is_a_number_scales_the_baseline_to_it():
    config = compose(["data=coco", "budget.macs=60e9"])
    assert Setup(config).baseline_cost.macs == pytest.approx(60e9, rel=0.01)
    assert len(list(Setup(config).family.baseline_detector(CLASSES).parameters())) > 0
