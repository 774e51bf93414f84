"""Every experiment of the paper builds: at full scale without memory, at the tiny scale for one step of training."""

import pytest
import torch

from msnas.config.compose import compose, groups
from msnas.pipeline.supernet_training import paths
from msnas.setup.setup import Setup
from supernet.space import Budget
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


@pytest.mark.parametrize("experiment", TABLES)
def test_a_table_searches_as_the_paper_did(experiment):
    config = compose([f"experiment={experiment}"])
    assert (config.strategy.variation, config.space.live, config.baseline.scaled) == ("paper", False, False)


@pytest.mark.parametrize(
    ("experiment", "n_random"),
    [("table1_r18", 0), ("table1_r34", 10), ("table1_r50", 10), ("table4_no_finetune", 10), ("table5_no_random", 0)],
)
def test_a_table_draws_as_many_random_children_as_its_published_row(experiment, n_random):
    assert compose([f"experiment={experiment}"]).strategy.n_random == n_random


def test_table_4_scores_no_candidate_again():
    config = compose(["experiment=table4_no_finetune"])
    assert (config.candidate.finetune, config.search.replicates) == (False, 0)


def test_the_budget_of_the_r34_row_is_the_papers_and_its_baseline_the_published_one():
    setup = Setup(compose(["experiment=table1_r34"]))
    assert setup.bounded_space.budget == Budget("macs", 182_200_000_000, 0.01)
    assert setup.baseline_cost.macs == 184_570_014_720


@pytest.mark.parametrize(("experiment", "macs"), [("table1_r18", 145_311_329_280), ("table1_r50", 199_700_966_400)])
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


@pytest.mark.parametrize("scale", ["tiny", "tiny_fine"])
@pytest.mark.parametrize(
    "words",
    [
        ("experiment=nas_fpn",),
        ("experiment=nas_fpn", "space=nas_fpn_lite"),
        ("experiment=nas_fcos",),
        ("experiment=nas_fcos", "space=nas_fcos_head"),
    ],
    ids=" ".join,
)
def test_a_search_of_minutes_asks_for_few_evaluations_in_every_space(words, scale):
    assert Setup(compose([*words, f"scale={scale}", "input=128x128"])).evaluations <= 66
