"""What only Algorithm 1 promises."""

import pytest
from toy_space import PlainSpace, ToySpace, toy_evaluation

from evolution.errors import StrategyError
from evolution.multi_scale import MultiScaleEvolution

OPERATORS = {"encoder crossover", "encoder mutation", "heads crossover", "heads mutation"}


def told(strategy, generations):
    for _ in range(generations):
        strategy.tell([toy_evaluation(genome) for genome in strategy.ask()])
    return strategy


def small(space=None, **changes):
    return MultiScaleEvolution(
        ToySpace() if space is None else space,
        **{"seed": 0, "population_size": 20, "children": 20, "iterations": 5, "n_random": 4, **changes},
    )


def test_the_papers_numbers_are_the_defaults():
    strategy = MultiScaleEvolution(ToySpace(), seed=0)
    numbers = (strategy.population_size, strategy.children, strategy.iterations, strategy.n_random)
    assert numbers == (50, 50, 20, 10)
    assert strategy.max_attempts == 1000
    assert MultiScaleEvolution(PlainSpace(), seed=0).variation.mutation_rate == 0.1


@pytest.mark.parametrize("variation", ["paper", "exact"])
def test_an_iteration_delivers_its_children_and_the_random_ones(variation):
    strategy = told(small(variation=variation), 2)
    accepted = strategy.record["accepted"]
    assert strategy.record["children"] == strategy.record["wanted"] == 24
    assert accepted.pop("random") == 4
    assert set(accepted) <= OPERATORS
    assert len(accepted) >= 3


def test_exact_needs_one_attempt_for_four_children():
    exact, paper = (told(small(variation=name), 2).record["attempts"] for name in ("exact", "paper"))
    assert exact <= 7 < paper


def test_the_population_is_the_best_of_all_so_far():
    strategy = small()
    everything = []
    for _ in range(4):
        evaluations = [toy_evaluation(genome) for genome in strategy.ask()]
        everything += evaluations
        strategy.tell(evaluations)
        best = sorted((evaluation.score for evaluation in everything), reverse=True)[:20]
        assert [individual.evaluation.score for individual in strategy.population] == best
        assert strategy.record["best"] == best[0][0]
    assert [evaluation.score for evaluation in strategy.best(5)] == best[:5]


def test_an_iteration_stops_after_max_attempts():
    strategy = told(small(variation="paper", max_attempts=3, n_random=1), 2)
    assert strategy.record["attempts"] == 3
    assert strategy.record["children"] < strategy.record["wanted"] == 21


def test_without_children_and_random_ones_the_search_ends_at_its_optimum():
    space = ToySpace(low=352, high=352)
    strategy = small(space, population_size=10, n_random=0)
    told(strategy, 1)
    assert strategy.ask() == []
    assert strategy.finished
    assert "generation 1" in strategy.stopped


def test_a_population_of_one_is_enough():
    assert told(small(population_size=1), 4).generation == 4


def test_a_negative_number_of_random_children_is_refused():
    with pytest.raises(StrategyError, match="n_random"):
        small(n_random=-1)
