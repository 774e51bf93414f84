"""Intervals over trainings and test images, on APs whose noise is known."""

import numpy as np
import pytest

from msnas.report.paired_draws import Interval, PairedDraws

DRAWS, SEED_NOISE, IMAGE_NOISE = 200, 0.02, 0.01


def trained(ap: float, seeds: int, rng: np.random.Generator, images: np.ndarray) -> dict[int, np.ndarray]:
    """APs by seed, [1 + draws]: noise of each training, and noise of the images that all networks share."""
    return {seed: ap + SEED_NOISE * rng.normal() + images for seed in range(seeds)}


def difference(seeds: int, true: float, rng: np.random.Generator) -> Interval:
    images = np.concatenate([[0.0], IMAGE_NOISE * rng.normal(size=DRAWS)])
    aps = {name: trained(ap, seeds, rng, images) for name, ap in (("a", 0.4 + true), ("b", 0.4))}
    return PairedDraws(aps).interval(["a"], ["b"])


@pytest.mark.parametrize("seeds", [2, 3, 5])
def test_the_interval_holds_a_difference_under_known_noise_of_seeds(seeds: int) -> None:
    rng = np.random.default_rng(1)
    found = [difference(seeds, 0.03, rng) for _ in range(300)]
    assert np.mean([one.low <= 0.03 <= one.high for one in found]) >= 0.92


def test_two_equal_networks_are_seldom_told_apart() -> None:
    rng = np.random.default_rng(2)
    found = [difference(3, 0.0, rng) for _ in range(300)]
    assert np.mean([one.low > 0 or one.high < 0 for one in found]) <= 0.08


def test_a_difference_far_above_the_noise_is_seen() -> None:
    rng = np.random.default_rng(3)
    assert all(difference(3, 0.4, rng).low > 0 for _ in range(50))


def test_the_standard_error_is_that_of_the_trainings() -> None:
    rng = np.random.default_rng(4)
    errors = [difference(5, 0.0, rng).se for _ in range(300)]
    assert np.sqrt(np.mean(np.square(errors))) == pytest.approx(SEED_NOISE * np.sqrt(2 / 5), rel=0.08)


def test_one_training_leaves_the_images_alone() -> None:
    images = np.linspace(-1, 1, DRAWS + 1)
    found = PairedDraws({"a": {0: 0.5 + 0.1 * images}}).interval(["a"])
    assert found.trainings == 1
    assert (found.low, found.high) == pytest.approx(tuple(np.quantile(0.5 + 0.1 * images[1:], [0.025, 0.975])))


def test_seeds_that_move_both_networks_alike_leave_no_doubt() -> None:
    flat = np.zeros(DRAWS + 1)
    aps = {name: {seed: flat + ap + seed for seed in range(3)} for name, ap in (("a", 0.5), ("b", 0.4))}
    found = PairedDraws(aps).interval(["a"], ["b"])
    assert (found.low, found.high) == pytest.approx((0.1, 0.1))


def test_against_random_networks_the_interval_is_over_them() -> None:
    flat = np.zeros(DRAWS + 1)
    aps = {"winner": dict.fromkeys(range(3), flat + 0.5)}
    aps |= {f"random {i}": {0: flat + ap} for i, ap in enumerate((0.2, 0.3, 0.4, 0.5))}
    found = PairedDraws(aps).interval(["winner"], [name for name in aps if name != "winner"])
    assert found.value == pytest.approx(0.15)
    assert found.se == pytest.approx(np.std([0.2, 0.3, 0.4, 0.5], ddof=1) / 2, rel=0.15)
    assert found.trainings == 3
