import pytest

from msnas.engine.schedule import Schedule
from msnas.errors import ConfigError

PAPER = {"batch": 32, "epochs": 48, "lr": 0.04, "warmup": 1, "warmup_lr": 0.00125, "milestones": (42, 47)}


def test_learning_rate_warms_up_linearly_and_drops_at_each_milestone():
    schedule = Schedule(steps=100, batch=2, lr=1.0, warmup_steps=4, warmup_start=0.2, milestones=(50, 80))
    rates = [schedule.lr_at(step) for step in (0, 2, 4, 49, 50, 80, 99)]
    assert rates == pytest.approx([0.2, 0.6, 1.0, 1.0, 0.1, 0.01, 0.01])


def test_epochs_of_the_paper_become_steps():
    schedule = Schedule.of_epochs(images=320, **PAPER)
    assert (schedule.steps, schedule.warmup_steps, schedule.milestones) == (480, 10, (420, 470))
    assert schedule.lr_at(0) == 0.00125


def test_a_run_of_given_length_keeps_the_shares_of_warm_up_and_milestones():
    schedule = Schedule.of_epochs(images=320, steps=4800, **PAPER)
    assert (schedule.steps, schedule.warmup_steps, schedule.milestones) == (4800, 100, (4200, 4700))


def test_a_cosine_falls_from_the_learning_rate_to_a_hundredth_at_the_last_step():
    schedule = Schedule(steps=105, batch=2, lr=1.0, warmup_steps=4, decay="cosine")
    assert [schedule.lr_at(step) for step in (0, 4, 54, 104)] == pytest.approx([0.0, 1.0, 0.505, 0.01])


def test_a_cosine_of_epochs_leaves_the_milestones_out():
    assert Schedule.of_epochs(images=320, decay="cosine", **PAPER).milestones == ()


@pytest.mark.parametrize(("given", "steps"), [(20, 20), (0, 0), (1000, 480)])
def test_a_warm_up_in_steps_takes_the_place_of_the_one_in_epochs(given, steps):
    assert Schedule.of_epochs(images=320, warmup_steps=given, **PAPER).warmup_steps == steps


@pytest.mark.parametrize("wrong", [-1, 1.5, "many"])
def test_a_warm_up_that_is_no_number_of_steps_is_refused(wrong):
    with pytest.raises(ConfigError, match=rf"`warmup_steps >= 0`, an integer, but got warmup_steps={wrong}"):
        Schedule.of_epochs(images=320, warmup_steps=wrong, **PAPER)


@pytest.mark.parametrize("steps", [1, 2, 3, 7])
def test_a_run_of_a_few_steps_is_a_valid_schedule(steps):
    assert Schedule.of_epochs(images=10_000, steps=steps, **PAPER).steps == steps


@pytest.mark.parametrize(
    "wrong",
    [
        {"steps": 0},
        {"batch": 0},
        {"lr": 0.0},
        {"lr": float("nan")},
        {"warmup_steps": 11},
        {"warmup_start": 2.0},
        {"milestones": (5, 5)},
        {"milestones": (10,)},
        {"gamma": 0.0},
        {"momentum": 1.0},
        {"optimizer": "adam"},
        {"decay": "linear"},
        {"betas": (0.9, 1.0)},
        {"slow": 0.0},
        {"weight_decay": -1.0},
        {"clip": float("inf")},
    ],
)
def test_a_value_that_breaks_a_rule_is_refused_with_the_rule_and_the_value(wrong):
    with pytest.raises(ConfigError, match=rf"must keep `.*{next(iter(wrong))}.*but got .*=."):
        Schedule(**({"steps": 10, "batch": 1, "lr": 1.0} | wrong))
