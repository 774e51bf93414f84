"""What the training boxes choose: the groups of object sizes, and which heads are tied."""

import numpy as np
import pytest
from omegaconf import OmegaConf

from msnas.config.compose import compose
from msnas.errors import ConfigError, DataError, RunError
from msnas.setup.box_choices import ties
from msnas.setup.open_run import open_existing, open_new
from msnas.setup.setup import Setup


def words(folder, *more):
    return [f"data.root={folder.root}", f"runs_root={folder.root / 'runs'}", "scale=tiny", "space.depth=7", *more]


def set_sides(folder, sides):
    """Square boxes of these sides, in pixels of the file, over and over."""
    for number, item in enumerate(folder.train["annotations"]):
        side = sides[number % len(sides)]
        item["bbox"], item["area"] = [0, 0, side, side], side**2
    return folder.write()


@pytest.mark.parametrize(
    ("shares", "tied"),
    [
        ((0.2, 0.2, 0.2, 0.2, 0.2), []),
        ((0.3, 0.3, 0.3, 0.1, 0.0), [5]),
        ((0.3, 0.3, 0.39, 0.01, 0.0), [5]),
        ((0.0, 0.3, 0.4, 0.2, 0.1), [2]),
        ((0.0, 0.0, 0.5, 0.5, 0.0), [2, 3, 5]),
        ((0.5, 0.0, 0.0, 0.0, 0.5), [2, 3, 4]),
        ((0.0, 0.0, 0.0, 1.0, 0.0), [2, 3, 5]),
    ],
)
def test_the_head_of_a_group_without_boxes_reads_what_its_finer_neighbour_does(shares, tied):
    assert ties(np.array(shares)) == tied


def test_tied_heads_are_in_the_space_and_in_the_run(folder):
    run = open_new(words(folder.write(), "space.tied=empty"))
    chosen = OmegaConf.load(run.folder / "config.yaml").chosen
    assert list(chosen.tied) == list(run.setup.space.tied) != []
    assert run.setup.space.count() < Setup(compose(words(folder))).space.count()


def test_the_groups_of_the_data_are_in_the_run_and_in_the_detector(folder):
    run = open_new(words(folder.write(), "detector.groups=data"))
    chosen = OmegaConf.to_container(OmegaConf.load(run.folder / "config.yaml").chosen)
    detector = run.setup.family.baseline_detector(["a"])
    assert detector.config["groups"] == chosen["groups"]
    assert [size for (size,) in detector.rpn.anchor_generator.sizes] == chosen["groups"]["anchors"]
    assert list(detector.roi_heads.box_roi_pool.borders) == chosen["groups"]["borders"][1:]  # P2 has two groups


def test_a_run_that_has_begun_keeps_its_groups_whatever_becomes_of_the_data(folder):
    begun = open_new(words(folder.write(), "run=a", "detector.groups=data"))
    begun.stage("supernet")
    set_sides(folder, [3])
    later = open_existing(words(folder, "run=a"), stage="search")
    assert later.setup.fit == begun.setup.fit
    assert OmegaConf.load(later.folder / "config.yaml").chosen.groups.borders == list(begun.setup.fit.placed.borders)


def test_the_same_words_take_up_the_same_run(folder):
    first = open_new(words(folder.write(), "detector.groups=data"))
    first.stage("supernet")
    assert open_new(words(folder, "detector.groups=data")).folder == first.folder


def test_a_run_of_the_paper_s_groups_cannot_change_to_the_data_s(folder):
    open_new(words(folder.write(), "run=a")).stage("supernet")
    with pytest.raises(RunError, match=r"made with detector.groups=paper, but got detector.groups=data"):
        open_existing(words(folder, "run=a", "detector.groups=data"), stage="search")


def test_options_that_leave_nothing_to_the_boxes_keep_no_choice(folder):
    assert "chosen" not in OmegaConf.load(open_new(words(folder.write())).folder / "config.yaml")


@pytest.mark.parametrize(
    ("given", "rule"),
    [
        (["detector.groups=coco"], "detector.groups is paper or data, but got 'coco'"),
        (["detector.groups=data", "space=nas_fpn", "detector=retinanet"], "space=nas_fpn serve no groups of sizes"),
        (["detector.groups=data", "detector=fcos"], "no option 'detector.groups'"),
    ],
)
def test_groups_without_a_meaning_are_refused(folder, given, rule):
    with pytest.raises(ConfigError, match=rule):
        _ = Setup(compose(["scale=tiny", f"data.root={folder.write().root}", *given])).fit


def test_ties_by_the_boxes_need_a_detector_with_groups(folder):
    with pytest.raises(ConfigError, match=r"space\.tied=empty needs a detector with groups"):
        _ = Setup(compose(words(folder.write(), "detector=fcos", "space.tied=empty"))).space


def test_data_without_a_box_choose_nothing(folder):
    folder.train["annotations"] = []
    with pytest.raises(DataError, match="need a sound box in the training data"):
        _ = Setup(compose(words(folder.write(), "detector.groups=data"))).fit


def test_the_groups_of_the_data_do_not_depend_on_the_scales(folder):
    plain, scaled = (
        Setup(compose(words(folder.write(), "detector.groups=data", *more)))
        for more in ([], ["detector.anchor_scale=0.4", "detector.base_scale=9"])
    )
    assert scaled.fit.groups == plain.fit.groups
    anchors = [setup.family.baseline_detector(["a"]).rpn.anchor_generator.sizes for setup in (plain, scaled)]
    assert anchors[0] == anchors[1]


def test_anchors_of_retinanet_follow_the_groups(folder):
    setup = Setup(compose(words(folder.write(), "detector.groups=data", "detector=retinanet")))
    sizes = setup.family.baseline_detector(["a"]).anchor_generator.sizes
    assert [smallest for smallest, *_ in sizes] == pytest.approx(setup.fit.placed.anchors)
