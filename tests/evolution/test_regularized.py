"""What only aging evolution promises."""

import pytest
from toy_space import ToySpace, toy_evaluation

from evolution.errors import StrategyError
from evolution.regularized import RegularizedEvolution


def test_the_oldest_die_whatever_their_score():
    strategy = RegularizedEvolution(ToySpace(), seed=0, population_size=10, children=4, iterations=9)
    asked = []
    for _ in range(5):
        genomes = strategy.ask()
        asked += genomes
        strategy.tell([toy_evaluation(genome) for genome in genomes])
        assert [individual.genome for individual in strategy.population] == asked[-10:]


def test_a_tournament_of_the_whole_population_breeds_from_near_its_best():
    strategy = RegularizedEvolution(ToySpace(), seed=0, population_size=6, sample_size=6, children=1, iterations=9)
    strategy.tell([toy_evaluation(genome) for genome in strategy.ask()])
    (child,) = strategy.ask()
    parents = [individual.genome for individual in strategy.population]
    assert min(sum(a != b for a, b in zip(child, parent, strict=True)) for parent in parents) <= 3


def test_the_tournament_is_a_quarter_of_the_population_unless_told():
    assert RegularizedEvolution(ToySpace(), seed=0, population_size=100).sample_size == 25
    assert RegularizedEvolution(ToySpace(), seed=0, population_size=3).sample_size == 2


def test_a_tournament_larger_than_the_population_is_refused():
    with pytest.raises(StrategyError, match="sample_size=30, population_size=20"):
        RegularizedEvolution(ToySpace(), seed=0, population_size=20, sample_size=30)
