"""The space behind a pretrained prefix: counts, rules, laterals of the prefix, costs with the prefix's."""

import json
import pickle
import subprocess
import sys

import numpy as np
import pytest
from enumeration import every_draw, small_prefix, valid_genomes

from supernet.cost import Cost, total
from supernet.errors import SpaceError
from supernet.space import Budget
from supernet.strides.architecture import Architecture
from supernet.strides.prefix_space import PrefixSpace

FPN = "2,0.5,0.5,0.5,0.5|4,8,16,32,64"
VARIANTS = {
    "cut 8": {"cut": 8},
    "cut 16": {"cut": 16},
    "cut 32": {"cut": 32},
    "without stride 4": {"finest": 8, "block": "bottleneck"},
    "dead blocks": {"live": False},
    "tied heads": {"tied": (2, 5)},
    "fixed heads": {"heads": (8, 8, 16, 16, 16)},
    "rules off": {"head_rules": False},
}


@pytest.fixture(params=VARIANTS, ids=str)
def space(request):
    return small_prefix(**VARIANTS[request.param])


@pytest.mark.parametrize(
    ("cut", "encoders", "architectures", "live"),
    [(8, 1_224, 22_985, 15_947), (16, 1_413, 21_478, 15_650), (32, 1_224, 17_861, 13_347)],
)
def test_spaces_of_seven_blocks_have_the_brute_force_sizes(cut, encoders, architectures, live):
    spaces = [small_prefix(cut=cut, depth=7, live=rule) for rule in (False, True)]
    assert [space.count_encoders() for space in spaces] == [encoders] * 2
    assert [space.count() for space in spaces] == [architectures, live]


def test_count_equals_enumeration_and_each_number_draws_another(space):
    assert space.count() == len(valid_genomes(space))
    assert sorted(every_draw(space.sample)) == valid_genomes(space)


def test_a_budget_holds_exactly_what_is_enumerated(space):
    costs = {genome: space.cost(genome).macs for genome in valid_genomes(space)}
    budget = Budget("macs", int(np.median(list(costs.values()))), 0.03)
    inside = [genome for genome, macs in costs.items() if budget.low <= macs <= budget.high]
    bounded = space.within(budget)
    assert bounded.count() == space.count(budget) == len(inside)
    assert sorted(every_draw(bounded.sample)) == inside


def test_children_are_the_valid_neighbours():
    space = small_prefix(cut=32)
    parent = valid_genomes(space)[100]
    drawn = every_draw(lambda rng: space.neighbour([parent], "encoder", 2, rng))
    differs = [(sum(a != b for a, b in zip(g, parent, strict=True)), g) for g in valid_genomes(space)]
    assert sorted(drawn) == [g for number, g in differs if 1 <= number <= 2 and g[5:] == parent[5:]]


def test_allowed_walks_through_all_genomes_and_no_others():
    space = small_prefix(depth=4, finest=8)

    def complete(prefix):
        if len(prefix) == len(space.cardinalities):
            return [prefix]
        return [genome for gene in space.allowed(prefix) for genome in complete((*prefix, gene))]

    assert complete(()) == valid_genomes(space)


def test_costs_of_one_of_many_and_of_the_parts_are_equal(space):
    genomes = valid_genomes(space)[:: max(1, len(valid_genomes(space)) // 200)]
    expected = [total(space.parts(space.decode(genome)).values()) for genome in genomes]
    macs, params = space.costs(genomes)
    assert [space.cost(genome) for genome in genomes] == expected
    assert [Cost(*pair) for pair in zip(macs.tolist(), params.tolist(), strict=True)] == expected


def test_an_fpn_is_a_point_with_a_lateral_from_every_stage_of_the_prefix():
    space = small_prefix(cut=32)
    parts = space.parts(space.parse(FPN))
    assert space.is_valid(space.encode(space.parse(FPN)))
    assert [name for name in parts if name.startswith("lateral")] == [f"lateral s{s}" for s in (32, 16, 8, 4)]
    assert parts["prefix"] == space.start.cost
    assert str(space.fpn_like(Budget("macs", 1e9))) == FPN


@pytest.mark.parametrize(
    ("text", "laterals"),
    [
        ("1,2,0.5,1,0.5|8,8,16,16,32", ["lateral 1", "lateral s8"]),  # its own stage at 16 is nearer than the prefix's
        ("2,0.5,1,0.5,1|8,8,16,16,32", ["lateral s16", "lateral s8"]),  # not what it began from: that is stage 1
        ("0.5,1,1,2,2|8,8,16,16,32", ["lateral s8", "lateral s16"]),
        ("1,0.5,1,1,1|8,8,16,16,16", ["lateral s8"]),  # a first stage adds no lateral of what it began from
    ],
)
def test_laterals_come_from_the_nearest_stage_of_blocks_or_prefix(text, laterals):
    parts = small_prefix().parts(Architecture.parse(text))
    assert [name for name in parts if name.startswith("lateral")] == laterals


def test_a_lateral_of_the_prefix_that_a_dead_block_adds_is_dead():
    space = small_prefix()
    path = space.parse("1,0.5,2,0.5,0.5|8,8,16,16,16")
    parts = space.parts(path)
    assert space.dead_cost(path) == parts["block 5"] + parts["lateral s4"]


@pytest.mark.parametrize(
    ("settings", "text", "rule"),
    [
        ({"cut": 32}, "2,2,0.5,0.5,0.5|8,16,16,32,64", "Block 2: .* gives 128"),
        ({"cut": 8}, "0.5,0.5,2,2,2|4,4,8,8,16", "Block 2: .* gives 2"),
        (
            {"finest": 8},
            "0.5,0.5,2,2,2|8,8,16,16,32",
            "Block 2: the finest feature stride of this space is 8, but got 4",
        ),
        ({}, "2,0.5,2,0.5,2|8,8,16,16,32", "Head 1: some block must produce"),
        ({}, "0.5,1,1,2,2|8,8,16,16,16", "Block 5: .* ends at stride 32, which no head reads"),
    ],
)
def test_a_broken_rule_is_named_with_its_place(settings, text, rule):
    space = small_prefix(**settings)
    with pytest.raises(SpaceError, match=rule):
        space.validate(Architecture.parse(text))
    assert not space.is_valid(space.encode(Architecture.parse(text)))


@pytest.mark.parametrize(
    ("wrong", "rule"),
    [
        ({"cut": 4}, "cut must be one of the strides 8, 16, 32, but got 4"),
        ({"cut": None}, "cut must be"),
        ({"finest": 16}, "finest must be 4, or 8"),
        ({"backbone": "resnet19"}, "A backbone is a timm model"),
        ({"latency": ()}, "a time for each part, .*'prefix'"),
        ({"channels": 0}, "channels must be"),
        ({"depth": 1}, "No architecture keeps the rules"),
    ],
    ids=str,
)
def test_an_impossible_setting_is_refused(wrong, rule):
    with pytest.raises(SpaceError, match=rule):
        small_prefix(**wrong)


@pytest.mark.parametrize("settings", VARIANTS.values(), ids=VARIANTS)
def test_a_space_survives_json_and_pickle(settings):
    space = small_prefix(**settings)
    assert PrefixSpace(**json.loads(json.dumps(space.config))).config == space.config
    bounded = space.within(Budget("macs", 1e15, mode="ceiling"))
    assert pickle.loads(pickle.dumps(bounded)).budget == bounded.budget


@pytest.mark.parametrize(("cut", "finest"), [(8, 4), (16, 4), (16, 8), (32, 8)])
def test_the_fpn_like_point_is_nearest_of_all_that_go_down_and_up(cut, finest):
    space = small_prefix(cut=cut, finest=finest, depth=9)
    heads = tuple(space.levels.index(max(stride, finest)) for stride in space.levels)
    costs = sorted({space.cost((*genes, *heads)).macs for genes in _down_and_up(space)})
    for target in costs[:: max(1, len(costs) // 6)]:
        assert space.cost(space.encode(space.fpn_like(Budget("macs", target)))).macs == target


def _down_and_up(space):
    """Genes of all paths that only go down, and reach 64, before they only go up, and reach the finest stride."""
    paths = np.array(np.meshgrid(*[[0, 1, 2]] * space.depth)).reshape(space.depth, -1).T
    first, finest = space.levels.index(space.cut), space.levels.index(space.finest)
    moves = [2] * (4 - first) + [0] * (4 - finest)
    return [path for path in paths.tolist() if [gene for gene in path if gene != 1] == moves]


def test_behind_a_prefix_there_is_no_ssd_like_point():
    with pytest.raises(SpaceError, match="begins at stride 4, but this space at 16"):
        small_prefix().ssd_like(Budget("macs", 1e9))


def test_importing_the_space_needs_no_torch():
    code = "import sys, supernet.strides.prefix_space; print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "False"
