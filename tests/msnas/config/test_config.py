"""The command line's words become the configuration that the user meant, or one clear error."""

import inspect

import pytest
from hydra.utils import get_class
from omegaconf import DictConfig, OmegaConf

from msnas.config import compose as config
from msnas.config.compose import build, compose, groups
from msnas.differences import flatten
from msnas.errors import ConfigError

EXPERIMENTS = groups()["experiment"]


@pytest.mark.parametrize(
    ("word", "key", "value"),
    [
        ("data.root=/with space/and,comma=1", "data.root", "/with space/and,comma=1"),
        ("data.root=it's", "data.root", "it's"),
        ("data.root=C:\\images", "data.root", "C:\\images"),
        ("budget.macs=145.45e9", "budget.macs", 145.45e9),
        ("space.heads=[4,8,16,32,64]", "space.heads", [4, 8, 16, 32, 64]),
        ("space.head_rules=false", "space.head_rules", False),
        ("input=800x1280", "input", "800x1280"),
        ("seed=7", "seed", 7),
    ],
)
def test_a_value_arrives_as_it_was_typed(word, key, value):
    assert flatten(compose([word]))[key] == value


def test_the_last_of_two_words_wins():
    assert compose(["space=msnas_r34", "seed=1", "space=msnas_r50", "seed=2"]).space.block == "bottleneck"


def test_the_command_line_beats_the_scale():
    assert compose(["scale=tiny", "space.channels=48"]).space.channels == 48


def test_an_explicit_scale_beats_the_one_an_experiment_asks_for():
    assert compose(["experiment=aquarium", "scale=small"]).space.channels == 64


@pytest.mark.parametrize("word", ["budget.macs=baseline", "budget.macs=<=1e8", "train.steps=null"])
def test_a_number_of_an_experiment_gives_way_to_what_the_option_may_be(word):
    key, _, value = word.partition("=")
    found = OmegaConf.select(compose(["experiment=score_table", word]), key)
    assert found == (None if value == "null" else value)


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("space=msnas_r19", "Did you mean 'msnas_r18'"),
        ("budget.mac=1e9", "Did you mean 'budget.macs'"),
        ("proxy.lr=0.1", "It is called 'candidate.lr'"),
        ("decoder.reward=ap", "It is called 'candidate.reward'"),
        ("baseline.pretrained=timm", "It is called 'baseline.weights'"),
        ("conf=0.5", "It is called 'score'"),
        ("imgsz=640", "It is called 'data.short_side'"),
        ("epochs=3", "It is called 'schedule.epochs'"),
        ("candidate.warmup=0.1", "It belongs to candidate=scratch"),
        ("seed=abc", "seed must be an integer, but got 'abc'."),
        ("seed=0,1", "seed must be an integer, but got '0,1'. --multirun makes a run of each."),
        ("space.head_rules=2", "space.head_rules must be true or false"),
        ("schedule.milestones=5", "schedule.milestones must be a list such as [42, 47], but got '5'"),
        ("schedule.milestones=[a]", "schedule.milestones must be a list such as [42, 47], but got '[a]'"),
        ("strategy.mutation_rate=true", "strategy.mutation_rate must be a number, but got 'true'"),
        ("train.steps=0", "train.steps must be at least 1, but got 0"),
        ("retrain.checkpoint_every=0", "retrain.checkpoint_every must be at least 1, but got 0"),
        ("schedule.warmup=-0.5", "schedule.warmup must be at least 0, but got -0.5"),
        ("train=5", "group of options"),
        ("nonsense", "key=value"),
        ("+new=1", "key=value"),
        ("seed=${oc.env:HOME}", "seed must be an integer"),
    ],
)
def test_a_wrong_word_is_one_clear_line(word, message):
    with pytest.raises(ConfigError, match=None) as error:
        compose([word])
    assert message in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("experiment", EXPERIMENTS)
@pytest.mark.parametrize("scale", groups()["scale"])
def test_every_experiment_composes_at_every_scale(experiment, scale):
    assert isinstance(compose([f"experiment={experiment}", f"scale={scale}"]), DictConfig)


@pytest.mark.parametrize("detector", groups()["detector"])
@pytest.mark.parametrize("scale", groups()["scale"])
def test_every_detector_can_be_built_at_every_scale(detector, scale):
    options = compose([f"detector={detector}", f"scale={scale}"]).detector
    known = inspect.signature(get_class(options._target_)).parameters
    assert {name for name in options if not name.startswith("_")} <= set(known)


@pytest.mark.parametrize("strategy", groups()["strategy"])
def test_an_experiments_option_that_the_chosen_strategy_has_not_does_not_apply(strategy):
    alone, asked = (compose([*words, f"strategy={strategy}"]).strategy for words in ((), ("experiment=demo_scratch",)))
    assert set(asked) == set(alone)
    assert asked.population_size == 6


def test_an_option_that_the_chosen_strategy_has_not_is_refused_where_the_user_gives_it():
    with pytest.raises(ConfigError, match=r"no option 'strategy\.n_random'\. It belongs to strategy=algorithm1"):
        compose(["experiment=demo_scratch", "strategy=nsga2", "strategy.n_random=1"])


def test_only_classes_of_this_library_are_built():
    with pytest.raises(ConfigError, match="must lie inside"):
        build({"_target_": "os.system", "command": "true"})


def test_a_target_that_does_not_exist_is_named():
    with pytest.raises(ConfigError, match=r"evolution\.nothing"):
        build({"_target_": "evolution.nothing.Nothing"})


def test_every_configuration_group_is_found_in_the_yaml_folder():
    assert {
        "space",
        "data",
        "detector",
        "strategy",
        "budget",
        "schedule",
        "scale",
        "hardware",
        "experiment",
    } <= set(groups())
    assert (config.conf_folder() / "config.yaml").exists()
