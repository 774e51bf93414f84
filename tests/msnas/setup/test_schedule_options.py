"""The options of `schedule.*` as the schedule of a training."""

from msnas.config.compose import compose
from msnas.setup.setup import Setup


def test_optimizer_decay_and_warm_up_reach_the_schedule():
    words = [
        "schedule.optimizer=adamw",
        "schedule.decay=cosine",
        "schedule.warmup_steps=7",
        "schedule.decay_norms=false",
    ]
    schedule = Setup(compose(words)).schedule.over(320, steps=100)
    assert (schedule.optimizer, schedule.decay, schedule.decay_norms) == ("adamw", "cosine", False)
    assert (schedule.warmup_steps, schedule.milestones) == (7, ())


def test_a_longer_training_keeps_a_warm_up_that_is_given_in_steps():
    config = compose(["schedule.warmup_steps=7"])
    assert Setup(config).schedule.over(320, steps=100, factor=4.0).warmup_steps == 7


def test_the_published_schedule_is_sgd_with_steps():
    schedule = Setup(compose([])).schedule.over(320, steps=None)
    assert (schedule.optimizer, schedule.decay, schedule.steps, schedule.milestones) == ("sgd", "step", 480, (420, 470))
