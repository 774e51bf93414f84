"""`msnas init D`: a file of options that `msnas train @FILE` reads."""

import pytest

from msnas.cli import _expanded as expanded
from msnas.cli import main, parse
from msnas.commands import init
from msnas.config.compose import compose, groups
from msnas.setup import pretrained_start
from msnas.setup.setup import Setup

CPU = "hardware.device=cpu"


@pytest.fixture
def here(folder, monkeypatch):
    """An empty current folder beside the data, on a machine without weights."""
    monkeypatch.chdir(folder.root.parent)
    monkeypatch.setattr(pretrained_start, "weights_at_hand", lambda: False)
    return folder


def make_small(folder):
    """Boxes of 3 x 3 pixels."""
    for split in (folder.train, folder.val):
        for item in split["annotations"]:
            item["bbox"], item["area"] = [*item["bbox"][:2], 3, 3], 9


def options():
    return compose(parse("train", expanded("@data.msnas")).words)


def test_the_file_holds_options_for_the_data(here):
    here.write()
    assert main(["init", "data", CPU]) == 0
    config = options()
    assert (config.data.root, config.data.name) == (str(here.root), "data")


def test_the_budget_holds_architectures_to_choose_from(here):
    here.write()
    assert main(["init", "data", CPU]) == 0
    assert Setup(options()).bounded_space.count() >= 100


def test_what_is_given_stands_in_the_file(here):
    here.write()
    assert main(["init", "data", CPU, "scale=small", "space=msnas_r34", "seed=4"]) == 0
    assert (options().scale_name, options().space.depth, options().seed) == ("small", 21, 4)


def test_many_scored_images_leave_some_for_the_finalists(here, monkeypatch):
    monkeypatch.setattr(init, "ENOUGH_SCORED", 2)
    here.write()
    assert main(["init", "data", CPU]) == 0
    assert options().data.selection == init.SELECTION


def test_few_scored_images_are_all_seen_by_the_search(here):
    here.write()
    assert main(["init", "data", CPU]) == 0
    assert options().data.selection == 0


def test_small_objects_get_finer_maps_and_the_scale_for_them(here):
    make_small(here)
    here.write()
    assert main(["init", "data", CPU]) == 0
    assert (options().space.base_stride, options().scale_name) == (2, "tiny_fine")


def test_groups_without_boxes_are_told_in_the_file(here):
    here.write()
    assert main(["init", "data", CPU, "scale=tiny", "detector.anchor_scale=9"]) == 0
    assert "# Less than 1% of the boxes are in group 2, 3, 4, 5" in (here.root.parent / "data.msnas").read_text()
    assert options().space.tied == "empty"


def test_where_every_group_has_boxes_all_heads_are_searched(here, monkeypatch):
    monkeypatch.setattr(init, "tied_heads", lambda config: [])
    here.write()
    assert main(["init", "data", CPU]) == 0
    assert options().space.tied is None


@pytest.mark.parametrize("detector", groups()["detector"])
def test_the_file_fits_every_detector(here, detector):
    make_small(here)
    for split in (here.train, here.val):
        for item in split["annotations"]:
            x, y, width, height = item["bbox"]
            item["segmentation"] = [[x, y, x + width, y, x + width, y + height]]
    here.write()
    assert main(["init", "data", CPU, f"detector={detector}"]) == 0
    assert Setup(options()).bounded_space.count() >= 100


def test_anchors_of_a_one_stage_detector_are_written_in_its_own_unit(here):
    make_small(here)
    here.write()
    scales = []
    for detector in ("faster_rcnn", "retinanet"):
        assert main(["init", "data", CPU, f"detector={detector}", f"out={detector}.msnas"]) == 0
        config = compose(parse("train", expanded(f"@{detector}.msnas")).words)
        scales.append((config.detector.anchor_scale, Setup(config).fit.anchor_scale))
    (two_stage, fit), (one_stage, same_fit) = scales
    assert one_stage == pytest.approx(two_stage * 4 * 800 / 128, rel=1e-3)
    assert same_fit == pytest.approx(fit, rel=1e-3)


def test_a_key_has_one_line(here):
    here.write()
    assert main(["init", "data", CPU, "data.name=fish"]) == 0
    keys = [word.partition("=")[0] for word in expanded("@data.msnas")]
    assert sorted(keys) == sorted(set(keys))
    assert options().data.name == "fish"


@pytest.mark.parametrize(("cores", "workers"), [(1, 0), (2, 2), (64, 4)])
def test_a_cpu_of_several_cores_gets_workers(here, monkeypatch, cores, workers):
    monkeypatch.setattr(init, "cores", lambda: cores)
    here.write()
    assert main(["init", "data", CPU]) == 0
    assert options().hardware.workers == workers


def test_three_commands_are_printed(here, capsys):
    here.write()
    main(["init", "data", CPU])
    commands = [line.strip() for line in capsys.readouterr().out.splitlines() if line.startswith("    ")]
    assert commands == ["msnas train @data.msnas", "msnas search", "msnas retrain"]


def test_data_that_training_refuses_are_told_and_nothing_is_written(here, capsys):
    here.train["annotations"][0]["category_id"] = 99
    here.write()
    assert main(["init", "data", CPU]) == 1
    assert "Nothing is written" in capsys.readouterr().err
    assert not (here.root.parent / "data.msnas").exists()


def test_a_file_that_exists_is_kept(here, capsys):
    here.write()
    assert [main(["init", "data", CPU]), main(["init", "data", CPU])] == [0, 2]
    assert "exists already" in capsys.readouterr().err


def test_a_folder_that_is_none_is_one_line(here, capsys):
    assert main(["init", "nowhere"]) == 2
    assert "nowhere is none" in capsys.readouterr().err


def test_words_of_a_file_keep_blanks_and_leave_comments_out(tmp_path):
    (tmp_path / "a.msnas").write_text("# why\n\ndata.root=my data\nseed=1\n")
    assert expanded(f"@{tmp_path / 'a.msnas'}") == ["data.root=my data", "seed=1"]


def test_a_missing_file_of_words_is_one_line(capsys):
    assert main(["train", "@nowhere.msnas"]) == 2
    assert "cannot be read" in capsys.readouterr().err


def test_cells_and_decoders_get_no_options_of_strides(here, capsys):
    here.write()
    assert main(["init", "data", CPU, "space=nas_fpn"]) == 2
    assert "fitted to MSNAS's spaces" in capsys.readouterr().err


def test_check_says_nothing_of_strides_where_none_are_chosen(here, capsys):
    here.write()
    assert main(["check", "data=coco", f"data.root={here.root}", "experiment=nas_fpn"]) == 0
    shown = capsys.readouterr().out
    assert "Box sides" in shown
    assert not any(word in shown for word in ("anchor_scale", "base_stride", "What each head would get"))
