"""`msnas retrain ARCH...`: architectures that the user names, beside the baseline, without a search."""

import pytest
from omegaconf import OmegaConf

from msnas.cli import main
from msnas.config.compose import compose
from msnas.engine.distributed import Group
from msnas.errors import ConfigError
from msnas.families.initial_weights import network
from msnas.files import read_json
from msnas.pipeline import retraining
from msnas.pipeline.retraining import named
from msnas.report.page import report
from msnas.setup.open_run import open_new, state_of
from msnas.setup.setup import Setup
from msnas.setup.zoo import published, with_published_shape
from supernet.nas_fpn.pyramid_plan import DISCOVERED

CELLS = ["space=nas_fpn", "detector=retinanet", "schedule=nas_fpn", "baseline.width=0.125", "baseline.channels=8"]
CELLS += ["space.channels=8", "space.stacks=1", "scale=tiny", "data=shapes", "data.size=64", "data.train=24"]
CELLS += ["data.val=6", "data.short_side=64", "data.long_side=64", "data.search_val.minimum=4", "data.workers=0"]
CELLS += ["schedule.batch=2", "retrain.steps=2", "retrain.seeds=2", "hardware.train_threads=1", "network.width=0.125"]
SWAPPED = "3,1,4,gp|1,5,4,sum|0,6,3,sum|6,7,4,sum|7,8,5,gp|6,9,7,gp|9,10,6,gp"
NARROW = "architecture of nas_fpn_r50_7at256, network.width=0.125, network.stacks=1, network.channels=8"
PATH = "1,2,2,1,2,1,0.5,1,1,0.5,1,1,0.5|8,8,16,16,32"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A zoo name and a text, two seeds each beside the baseline."""
    root = tmp_path_factory.mktemp("named") / "runs"
    words = [*CELLS, f"runs_root={root}", f"data.root={root.parent / 'shapes'}"]
    assert main(["retrain", "nas_fpn_r50_7at256", SWAPPED, *words]) == 0
    return root / "shapes-nas_fpn-001", words


def test_the_table_has_every_name_and_the_baseline_with_the_spread_over_seeds(run):
    rows = {row["name"]: row for row in read_json(run[0] / "retrain" / "table.json")["rows"]}
    assert set(rows) == {NARROW, "architecture 2", "FPN baseline"}
    assert rows[NARROW]["architecture"] == str(DISCOVERED)
    assert all(row["seeds"] == 2 and row["ap_spread"] is not None for row in rows.values())


def test_the_same_command_again_goes_on_with_the_same_run(run, capsys):
    folder, words = run
    assert main(["retrain", "nas_fpn_r50_7at256", SWAPPED, *words]) == 0
    assert "are retrained" in capsys.readouterr().out
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]


def test_other_data_in_a_run_that_has_begun_is_refused(run, capsys):
    folder, _ = run
    assert main(["retrain", f"run={folder.name}", f"runs_root={folder.parent}", "data.flip=0.1"]) == 2
    assert "was made with data.flip=0.5" in capsys.readouterr().err


def test_status_asks_for_no_search(run):
    state = state_of(run[0])
    assert [stage["stage"] for stage in state["stages"]] == ["retrain"]
    assert "report" in state["next"]


def test_the_report_calls_what_was_named_by_its_name(run):
    text = report([run[0]]).read_text()
    assert f"{NARROW} reaches AP" in text
    assert "What was trained" in text
    assert "search's first choice" not in text


@pytest.mark.parametrize("seed", [1, 2])
def test_another_seed_has_other_initial_weights(seed):
    family = Setup(compose([*CELLS, "input=128x128"])).family
    weights = [network(family, DISCOVERED, "ab", seed=number).state_dict() for number in (0, seed)]
    name = "encoder.projections.0.0.weight"
    assert not weights[0][name].equal(weights[1][name])


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["retinanet_fpn_r50"], "baseline, where nothing was searched"),
        (["nas_fpn_r50_7at255"], "Did you mean"),
        ([PATH], "A cell is written"),
        ([SWAPPED, SWAPPED], "different texts"),
        (["retrain.architectures=[]"], "different texts"),
    ],
)
def test_what_cannot_be_trained_is_told_before_a_run_is_made(words, told, tmp_path, capsys):
    assert main(["retrain", *words, *CELLS, f"runs_root={tmp_path}"]) == 2
    assert told in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_path_of_the_stride_space_is_trained_too(tmp_path):
    words = ["scale=tiny", "data=shapes", f"data.root={tmp_path / 'shapes'}", "data.size=64", "data.train=12"]
    words += ["data.val=4", "data.short_side=64", "data.long_side=64", "space.channels=8", "baseline.channels=8"]
    words += [
        "schedule.batch=2",
        "retrain.steps=1",
        "retrain.seeds=1",
        "retrain.point=false",
        "hardware.train_threads=1",
    ]
    words += ["data.search_val.minimum=4", "data.workers=0", f"runs_root={tmp_path}", "run=r"]
    assert main(["retrain", PATH, "retrain.fpn=false", *words]) == 0
    assert read_json(tmp_path / "r" / "retrain" / "table.json")["rows"][0]["architecture"] == PATH


def test_a_process_that_does_not_write_asks_for_no_table(tmp_path, monkeypatch):
    """The other one has not made it yet: whoever was faster failed, and all with it."""
    words = [
        *CELLS,
        f"retrain.architectures=['{SWAPPED}']",
        f"runs_root={tmp_path}",
        f"data.root={tmp_path / 'shapes'}",
    ]
    monkeypatch.setattr(retraining, "train_entries", lambda *_: None)
    monkeypatch.setattr(Group, "of_first", lambda self, decide: decide())  # no other process is there to decide
    assert retraining.retrain(open_new(words), (), Group(rank=1, size=2)) == ""


@pytest.mark.parametrize("family", ["nas_fpn_r50_7at384", "nas_fpn_mv2_3at256", "nas_fcos_r101_128", "msnas_r34_2"])
def test_a_name_of_the_zoo_is_trained_as_the_network_of_that_name(family):
    setup = Setup(compose(with_published_shape([f"retrain.architectures=[{family}]", "scale=tiny", "input=896x1280"])))
    [choice] = named(setup)
    assert choice.name == family
    entry = published(family)
    if family.startswith("msnas"):
        assert setup.family.cost(choice.architecture).macs > 100e9
    elif family.startswith("nas_fpn"):
        body = setup.family.network
        assert (body.stacks, body.channels) == (entry.stacks, entry.channels)
    else:
        assert (setup.family.space.backbone, setup.family.network.out_channels) == ("resnet101", 128)


def test_another_width_of_a_name_is_that_width_in_pyramid_and_head():
    words = ["network.channels=64", "scale=tiny", "input=128x192"]
    by_name = Setup(compose(with_published_shape(["retrain.architectures=[nas_fcos_r50_128]", *words])))
    network = by_name.family.network
    assert (network.channels, network.out_channels) == (64, None)


def test_beside_a_cell_network_of_the_zoo_stands_an_fpn_of_its_width():
    words = ["retrain.architectures=[nas_fpn_r50_7at384]", "scale=tiny", "input=896x1280"]
    setup = Setup(compose(with_published_shape(words)))
    baseline = setup.family.baseline
    assert (baseline.backbone, baseline.width, baseline.channels) == ("resnet50", 1.0, 384)


def test_the_configuration_that_is_shown_is_that_which_is_trained(capsys):
    assert main(["retrain", "nas_fpn_r50_7at384", "scale=tiny", "--cfg", "job"]) == 0
    shown = OmegaConf.create(capsys.readouterr().out)
    assert (shown.network.backbone, shown.network.channels, shown.network.stacks) == ("resnet50", 384, 7)


def test_names_of_several_shapes_are_refused():
    with pytest.raises(ConfigError, match="must be of one shape, but got nas_fpn_r50_7at256 and nas_fpn_r50_3at256"):
        with_published_shape(["retrain.architectures=['nas_fpn_r50_7at256','nas_fpn_r50_3at256']"])


def test_what_the_user_says_of_the_shape_stands():
    words = ["retrain.architectures=[nas_fpn_r50_7at256]", "network.channels=64", "space.stacks=3", "input=896x1280"]
    [choice] = named(Setup(compose(with_published_shape(words))))
    assert choice.name == "architecture of nas_fpn_r50_7at256, network.stacks=3, network.channels=64"


@pytest.mark.parametrize("name", ["nas_fpn_r50_7at256", "nas_fcos_r50_256"])
def test_what_the_user_says_of_the_baseline_leaves_the_network_its_shape(name):
    words = [f"retrain.architectures=[{name}]", "scale=tiny", "baseline.channels=74", "input=896x1280"]
    setup = Setup(compose(with_published_shape(words)))
    assert (setup.family.network.channels, setup.family.baseline.channels) == (256, 74)
    assert [choice.name for choice in named(setup)] == [name]


def test_what_the_user_says_of_the_network_leaves_the_baseline_its_published_shape():
    words = ["retrain.architectures=[nas_fpn_r50_7at256]", "scale=tiny", "network.width=0.25", "input=896x1280"]
    family = Setup(compose(with_published_shape(words))).family
    assert (family.network.width, family.baseline.width) == (0.25, 1.0)


def test_more_seeds_and_baselines_may_be_asked_for_when_a_run_is_done(tmp_path, capsys):
    words = ["run=r", f"runs_root={tmp_path}"]
    begin = [SWAPPED, *CELLS, f"data.root={tmp_path / 'shapes'}", "retrain.seeds=1", "retrain.fpn=false"]
    assert main(["retrain", *begin, *words]) == 0
    (first,) = (tmp_path / "r" / "retrain").glob("01-*/result.json")
    written = first.stat().st_mtime_ns
    assert main(["retrain", "retrain.seeds=2", "retrain.fpn=true", *words]) == 0
    rows = {row["name"]: row["seeds"] for row in read_json(tmp_path / "r" / "retrain" / "table.json")["rows"]}
    assert rows == {"architecture 1": 2, "FPN baseline": 2}
    assert first.stat().st_mtime_ns == written
    assert main(["retrain", *words]) == 0
    assert "are retrained" in capsys.readouterr().out
