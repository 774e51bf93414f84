"""Run folders: found again by name or by configuration, and never changed under a stage that has begun."""

import errno
import fcntl
import multiprocessing

import pytest
from omegaconf import OmegaConf

from msnas.errors import ConfigError, RunError
from msnas.files import read_json, write_json, write_text
from msnas.runs.folder import is_held
from msnas.setup.open_run import open_existing, open_new, setup_of


@pytest.fixture
def root(tmp_path):
    return f"runs_root={tmp_path / 'runs'}"


def test_a_new_run_is_named_after_data_and_space(root):
    assert open_new([root]).name == "coco-msnas_r18-001"


def test_the_same_configuration_finds_its_run_again(root):
    assert open_new([root, "seed=1"]).name == open_new([root, "seed=1"]).name


def test_another_configuration_gets_a_run_of_its_own(root):
    assert open_new([root, "seed=1"]).name != open_new([root, "seed=2"]).name


def test_a_later_stage_keeps_the_words_of_the_first(root):
    open_new([root, "seed=5", "space=msnas_r34"])
    setup = open_existing([root, "budget.macs=1e9"]).setup
    assert (setup.seed, setup.space_options["depth"], setup.budget.target) == (5, 21, 1e9)


def test_an_option_of_a_stage_that_has_begun_may_not_change(root):
    open_new([root, "run=a", "seed=5"]).stage("supernet")
    with pytest.raises(RunError, match="made with seed=5, but got seed=6"):
        open_existing([root, "run=a", "seed=6"])


def test_an_option_of_a_stage_that_has_not_begun_may_change(root):
    open_new([root, "run=a"]).stage("supernet")
    assert open_existing([root, "run=a", "top_k=3"]).setup.top_k == 3


def made_with_other_defaults(folder):
    """A run folder as an earlier release, whose default of `train.paths` was another, left it."""
    config = OmegaConf.load(folder / "config.yaml")
    config.train.paths = "in_budget"
    OmegaConf.save(config, folder / "config.yaml")


def test_a_default_that_has_changed_since_leaves_a_run_as_it_was_made(root):
    run = open_new([root, "run=a", "seed=5"])
    run.stage("supernet")
    made_with_other_defaults(run.folder)
    assert open_existing([root, "run=a", "top_k=3"]).setup.train.paths == "in_budget"


def test_the_new_default_is_refused_where_it_is_asked_for(root):
    run = open_new([root, "run=a"])
    run.stage("supernet")
    made_with_other_defaults(run.folder)
    with pytest.raises(RunError, match=r"made with train\.paths=in_budget"):
        open_existing([root, "run=a", "train.paths=all"])


def test_where_the_data_lie_may_change(root):
    open_new([root, "run=a", "data.root=here"]).stage("supernet")
    assert open_existing([root, "run=a", "data.root=there"]).setup.data.root == "there"


def test_an_unknown_run_is_an_error_that_names_the_known_ones(root):
    open_new([root, "run=known"])
    with pytest.raises(RunError, match="known"):
        open_existing([root, "run=unknown"])


@pytest.mark.parametrize("name", ["..", ".", "a/b", "../a"])
def test_a_run_is_named_and_not_a_path(root, name):
    with pytest.raises(ConfigError, match=r"run must be the name of a folder in runs_root, but got"):
        open_new([root, f"run={name}"])


def test_no_run_at_all_says_how_to_make_one(root):
    with pytest.raises(RunError, match="msnas train"):
        open_existing([root])


def test_an_incomplete_stage_names_the_command_that_completes_it(root):
    run = open_new([root, "run=a"])
    with pytest.raises(RunError, match="msnas train run=a"):
        run.require("supernet")


def _hold(root, held, release):
    run = open_new([root, "run=a"])
    with run.locked():
        held.set()
        release.wait(20)


@pytest.mark.parametrize("name", ["words.json", "config.yaml", "supernet/done.json"])
@pytest.mark.parametrize("share", [0, 0.5])
def test_a_file_that_was_cut_off_is_told_by_its_name_and_left_as_it_is(root, name, share):
    run = open_new([root, "run=a"])
    write_json(run.stage("supernet") / "done.json", {"steps": 4})
    path = run.folder / name
    text = path.read_text()[: int(share * path.stat().st_size)]
    path.write_text(text)
    with pytest.raises(RunError, match=rf"{name} is damaged \(.*\); restore a copy") as told:
        open_existing([root, "run=a"], stage="search").require("supernet")
    assert "\n" not in str(told.value)
    assert path.read_text() == text


def test_a_run_is_worked_on_by_one_process_at_a_time(root):
    context = multiprocessing.get_context("spawn")
    held, release = context.Event(), context.Event()
    holder = context.Process(target=_hold, args=(root, held, release))
    holder.start()
    assert held.wait(20)
    with pytest.raises(RunError, match="Another process"), open_new([root, "run=a"]).locked():
        pass
    release.set()
    holder.join(20)
    assert holder.exitcode == 0


def test_a_file_system_without_locks_is_told_in_one_line(root, monkeypatch):
    run = open_new([root, "run=a"])
    (run.folder / ".lock").touch()

    def none_left(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", none_left)
    with pytest.raises(RunError, match=r"cannot \(No locks available\); put runs_root=FOLDER on another"), run.locked():
        pass
    assert not is_held(run.folder)


def test_json_is_written_whole_or_not_at_all(tmp_path):
    path = tmp_path / "a.json"
    write_json(path, {"a": 1})
    with pytest.raises(TypeError):
        write_json(path, {"a": object()})
    assert read_json(path) == {"a": 1}


def test_a_run_that_no_stage_has_begun_leaves_nothing_behind(root):
    run = open_new([root, "run=a"])
    run.forget_unless_begun("supernet")
    assert not run.folder.exists()


def test_a_run_that_has_begun_is_kept(root):
    run = open_new([root, "run=a"])
    run.stage("supernet")
    run.forget_unless_begun("supernet")
    assert run.folder.exists()


def test_words_of_a_stage_that_has_not_begun_are_forgotten(root):
    open_new([root, "run=a"]).stage("supernet")
    open_existing([root, "run=a", "fidelity=halving"], stage="search").forget_unless_begun("search")
    assert open_existing([root, "run=a"]).setup.rungs == ()


def test_words_of_a_stage_that_has_begun_are_kept(root):
    open_new([root, "run=a"]).stage("search")
    open_existing([root, "run=a", "retrain.steps=3"], stage="retrain").stage("retrain")
    open_existing([root, "run=a", "retrain.seeds=1"], stage="retrain").forget_unless_begun("retrain")
    assert open_existing([root, "run=a"]).setup.retrain.steps == 3


def test_options_of_a_run_s_own_space_need_no_other_word(tmp_path):
    words = ["experiment=nas_fpn", "data=shapes", f"runs_root={tmp_path}", "run=cells"]
    open_new(words)
    again = [f"runs_root={tmp_path}", "run=cells", "network.stacks=2"]
    assert [setup.family.network.stacks for setup in (setup_of(again), open_existing(again).setup)] == [2, 2]


def test_an_option_of_a_strategy_ends_where_a_later_word_chooses_another_that_has_not_got_it(root):
    open_new([root, "run=a", "strategy.n_random=1", "strategy.children=3"]).stage("supernet")
    strategy = open_existing([root, "run=a", "strategy=nsga2"], stage="search").setup.strategy
    assert (strategy.options["children"], "n_random" in strategy.options) == (3, False)


def test_a_text_that_cannot_take_its_place_leaves_nothing_behind(tmp_path):
    (tmp_path / "report").mkdir()
    with pytest.raises(OSError, match="report"):
        write_text(tmp_path / "report", "page")
    assert [path.name for path in tmp_path.iterdir()] == ["report"]
