"""The NAS-FCOS spaces are counted and drawn exactly."""

from collections import Counter
from itertools import product

import numpy as np
import pytest

from supernet.errors import SpaceError
from supernet.nas_fcos.decoder import PUBLISHED, Pyramid
from supernet.nas_fcos.head_space import HeadSpace
from supernet.nas_fcos.pyramid_space import PyramidSpace
from supernet.space import Budget


@pytest.fixture(scope="module")
def four_blocks():
    return PyramidSpace(blocks=4, lowest_level=3, backbone="resnet18", channels=8, input_size=(64, 64))


@pytest.fixture(scope="module")
def loose_counts():
    """How many choices of four blocks' ids over C3..C5 leave how many blocks unconsumed, by enumeration."""
    pools = [range(3 + block) for block in range(4) for _ in range(2)]
    return Counter(4 - len({3, 4, 5, 6} & set(ids)) for ids in product(*pools))


@pytest.mark.parametrize(("lowest", "size"), [(2, 2.8577e23), (3, 2.5719e22)])
def test_seven_blocks_have_the_published_size(lowest, size):
    assert PyramidSpace(lowest_level=lowest).size() == pytest.approx(size, rel=2e-5)


def test_heads_of_six_layers_are_326_592():
    assert HeadSpace().size() == 326_592


def test_as_many_small_pyramids_are_valid_as_enumeration_finds(four_blocks, loose_counts):
    assert four_blocks.count() == (loose_counts[3] + loose_counts[4]) * 50**4


def test_allowed_keeps_three_blocks_unconsumed(four_blocks):
    reads_block_one = (0, 1, 0, 0, 0, 3, 3, 0, 0, 0)
    assert four_blocks.allowed(reads_block_one) == (0, 1, 2, 3)  # block 2 (id 4) must be left


def test_a_genome_is_valid_exactly_where_it_decodes(four_blocks):
    rng = np.random.default_rng(0)
    for _ in range(300):
        genome = tuple(int(rng.integers(n)) for n in four_blocks.cardinalities)
        try:
            four_blocks.decode(genome)
            decodes = True
        except SpaceError:
            decodes = False
        assert four_blocks.is_valid(genome) == decodes


def test_draws_are_uniform_over_the_valid_pyramids(four_blocks, loose_counts):
    rng, draws = np.random.default_rng(1), 2000
    seen = Counter(len(four_blocks.decode(four_blocks.sample(rng)).unconsumed) for _ in range(draws))
    total = loose_counts[3] + loose_counts[4]
    expected = {loose: draws * loose_counts[loose] / total for loose in (3, 4)}
    chi_square = sum((seen[loose] - number) ** 2 / number for loose, number in expected.items())
    assert chi_square < 10.8  # 1 degree of freedom, one in a thousand


def test_a_genome_decodes_to_what_it_was_encoded_from():
    space = PyramidSpace()
    assert space.decode(space.encode(PUBLISHED.pyramid)) == PUBLISHED.pyramid


def test_a_head_genome_decodes_to_what_it_was_encoded_from():
    space = HeadSpace()
    assert space.decode(space.encode(PUBLISHED.head)) == PUBLISHED.head


def test_a_pyramid_of_another_space_is_refused():
    with pytest.raises(SpaceError, match="7 blocks over 4 features, but got 3 over 4"):
        PyramidSpace().encode(Pyramid.parse("0,1,0,0,0:1,1,0,0,0:2,2,0,0,0"))


def test_every_draw_inside_a_budget_lies_inside(four_blocks):
    target = four_blocks.cost(four_blocks.sample(np.random.default_rng(5))).macs
    bounded = four_blocks.within(Budget("macs", target, tolerance=0.02))
    rng = np.random.default_rng(0)
    assert all(abs(bounded.cost(bounded.sample(rng)).macs / target - 1) <= 0.02 for _ in range(20))


def test_an_empty_budget_is_one_error_that_names_the_nearest_cost():
    space = HeadSpace(backbone="resnet18", channels=8, input_size=(64, 64))
    with pytest.raises(SpaceError, match=r"No decoder with macs in .* the nearest has"):
        space.within(Budget("macs", 5, tolerance=0.01))


@pytest.mark.parametrize("section", ["operations", "sharing"])
def test_a_neighbour_of_a_head_differs_in_one_gene_of_its_section(section):
    space = HeadSpace()
    parent = space.encode(PUBLISHED.head)
    child = space.neighbour([parent], section, 1, np.random.default_rng(0))
    changed = [place for place, (a, b) in enumerate(zip(parent, child, strict=True)) if a != b]
    assert len(changed) == 1
    assert changed[0] in range(7)[space.sections[section]]


def test_a_neighbour_of_a_pyramid_is_valid():
    space = PyramidSpace()
    parent = space.encode(PUBLISHED.pyramid)
    child = space.neighbour([parent], "pyramid", 2, np.random.default_rng(0))
    assert space.is_valid(child)
    assert 1 <= sum(a != b for a, b in zip(parent, child, strict=True)) <= 2


def test_a_budget_without_a_neighbour_gives_none():
    space = HeadSpace(backbone="resnet18", channels=8, input_size=(64, 64))
    parent = space.encode(PUBLISHED.head)
    alone = space.within(Budget("params", space.cost(parent).params, tolerance=0))
    assert alone.neighbour([parent], "sharing", 1, np.random.default_rng(0)) is None
