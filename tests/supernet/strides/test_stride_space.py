"""The stride space: published counts, rules in words and in tables, costs of one and of many, settings."""

import json
import pickle
from itertools import product

import numpy as np
import pytest
from enumeration import small_space, valid_genomes
from hypothesis import given, settings
from hypothesis import strategies as st

from supernet.cost import Cost
from supernet.errors import SpaceError
from supernet.space import Budget
from supernet.strides.architecture import Architecture
from supernet.strides.first_stage_cost import first_stage_cost
from supernet.strides.stride_space import StrideSpace

R18 = StrideSpace(block="basic", depth=13, channels=180)
TARGET = Budget("macs", 145.45e9, 0.01)
FPN = (4, 8, 16, 32, 64)
VARIANTS = {
    "published": {},
    "bottleneck": {"block": "bottleneck"},
    "stride 2": {"base_stride": 2},
    "rules off": {"head_rules": False},
    "fixed heads": {"heads": (4, 4, 8, 16, 16)},
    "short": {"depth": 2},
    "dead blocks": {"live": False},
    "tied heads": {"tied": (2, 5)},
    "narrow stem": {"stem": 16},
}


@pytest.fixture(params=VARIANTS, ids=str)
def space(request):
    return small_space(**VARIANTS[request.param])


def test_counts_with_dead_blocks_are_the_published_numbers():
    space = StrideSpace(block="basic", depth=13, channels=180, live=False)
    assert space.count_encoders() == 293_867
    assert space.count_encoders(with_heads=True) == 293_865
    assert space.count() == 13_003_499
    assert space.count(TARGET) == space.within(TARGET).count() == 209_524


@pytest.mark.parametrize(
    ("block", "depth", "channels", "target", "architectures", "inside"),
    [
        ("basic", 13, 180, 145.45e9, 8_144_403, 124_709),
        ("basic", 21, 160, 182.20e9, 34_869_595_522, 643_497_196),
        ("bottleneck", 21, 144, 197.33e9, 34_869_595_522, 444_397_810),
    ],
    ids=["R18", "R34", "R50"],
)
def test_live_architectures_are_so_many(block, depth, channels, target, architectures, inside):
    space = StrideSpace(block=block, depth=depth, channels=channels)
    assert space.count() == architectures
    assert space.count(Budget("macs", target, 0.01)) == inside


def test_two_thirds_of_the_space_of_seven_blocks_is_live():
    counts = [StrideSpace(block="basic", depth=7, channels=8, live=live).count() for live in (True, False)]
    assert counts == [10_995, 16_363]


def test_a_tied_head_leaves_fewer_architectures_and_as_many_encoders():
    spaces = [StrideSpace(block="basic", depth=7, channels=8, tied=heads) for heads in ((), (5,), (2, 5))]
    assert [space.count() for space in spaces] == [10_995, 6_275, 3_081]  # by brute force
    assert [space.count_encoders() for space in spaces] == [707] * 3


def test_the_space_of_r18_with_its_last_head_tied_has_about_half_the_architectures():
    tied = StrideSpace(block="basic", depth=13, channels=180, tied=(5,))
    assert (tied.count(), tied.count(TARGET)) == (4_265_082, 64_180)


def test_the_rule_on_dead_blocks_leaves_the_cheapest_and_the_dearest():
    assert R18.cost_range() == (24_131_065_920, 584_756_689_920)


def test_a_space_of_21_blocks_has_the_published_number_of_encoders():
    assert StrideSpace(block="bottleneck", depth=21, channels=144).count_encoders() == 912_137_899


def test_the_deepest_space_s_counts_fit_and_are_exact():
    deep = StrideSpace(block="basic", depth=38, channels=8, input_size=(64, 64))
    genomes = [deep.sample(np.random.default_rng(seed)) for seed in range(20)]
    assert all(map(deep.is_valid, genomes))
    assert deep.count_encoders() == sum(_paths_by_stride(38))
    assert 2**60 < deep.count() < 2**63


def _paths_by_stride(depth):
    """Walks on five levels by steps of at most one, counted level by level."""
    ends = [1, 0, 0, 0, 0]
    for _ in range(depth):
        ends = [sum(ends[max(0, level - 1) : level + 2]) for level in range(5)]
    return ends


def test_count_equals_enumeration(space):
    assert space.count() == len(valid_genomes(space))


@pytest.mark.parametrize("metric", ["macs", "params"])
def test_counts_inside_budgets_equal_enumeration(space, metric):
    costs = np.array([getattr(space.cost(genome), metric) for genome in valid_genomes(space)])
    for target in np.quantile(costs, [0, 0.2, 0.5, 0.9, 1], method="nearest"):
        for budget in (
            Budget(metric, int(target), 0),
            Budget(metric, int(target), 0.04),
            Budget(metric, int(target), mode="ceiling"),
        ):
            assert space.count(budget) == ((budget.low <= costs) & (costs <= budget.high)).sum()


def test_cost_range_equals_enumeration(space):
    costs = [space.cost(genome) for genome in valid_genomes(space)]
    assert space.cost_range("macs") == (min(c.macs for c in costs), max(c.macs for c in costs))
    assert space.cost_range("params") == (min(c.params for c in costs), max(c.params for c in costs))


def test_validity_in_tables_equals_validity_in_words(space):
    rng = np.random.default_rng(0)
    genomes = rng.integers(0, space.cardinalities, (4000, len(space.cardinalities)))
    genomes[:2000, space.depth :].sort(axis=1)
    expected = [_keeps_the_rules(space, genome.tolist()) for genome in genomes]
    assert 0 < sum(expected) < 2000
    assert [space.is_valid(genome.tolist()) for genome in genomes] == expected
    assert space.valid(genomes).tolist() == expected


def _keeps_the_rules(space, genome):
    try:
        space.validate(space.decode(genome))
    except SpaceError:
        return False
    return True


def test_costs_of_one_of_many_and_of_the_closed_form_are_equal(space):
    genomes = valid_genomes(space)[:: max(1, len(valid_genomes(space)) // 300)]
    names = ("block", "channels", "base_stride", "stem", "input_size")
    settings = {name: getattr(space, name) for name in names}
    expected = [first_stage_cost(space.decode(genome), **settings) for genome in genomes]
    macs, params = space.costs(genomes)
    assert [space.cost(genome) for genome in genomes] == expected
    assert [Cost(*pair) for pair in zip(macs.tolist(), params.tolist(), strict=True)] == expected


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(["basic", "bottleneck"]),
    st.integers(2, 24),
    st.integers(1, 300),
    st.sampled_from([2, 4]),
    st.booleans(),
    st.integers(0, 2**32),
)
def test_any_draw_is_valid_and_costs_the_closed_form(block, depth, channels, base_stride, head_rules, seed):
    kind = {"block": block, "channels": channels, "base_stride": base_stride, "input_size": (64, 192)}
    space = StrideSpace(depth=depth, head_rules=head_rules, **kind)
    genome = space.sample(np.random.default_rng(seed))
    architecture = space.decode(genome)
    space.validate(architecture)
    assert space.encode(architecture) == genome
    assert space.cost(genome) == first_stage_cost(architecture, **kind)


def test_many_genomes_that_break_rules_cost_minus_one():
    space = small_space()
    genomes = [valid_genomes(space)[0], (0, 1, 1, 1, 1, 0, 0, 0, 0, 1), (9, 1, 1, 1, 1, 0, 0, 0, 0, -1)]
    macs, params = space.costs(genomes)
    assert macs.tolist() == [space.cost(genomes[0]).macs, -1, -1]
    assert params.tolist() == [space.cost(genomes[0]).params, -1, -1]
    assert space.costs(np.empty((0, 10), int))[0].shape == (0,)


@pytest.mark.parametrize(
    ("settings", "text", "rule"),
    [
        ({}, "1,2,1,1|4,4,4,8,8", "has 5 blocks, but got 4"),
        ({}, "1,1,1,1,0.5|4,4,4,8,8", "Block 5: feature strides must lie in 4..64"),
        ({}, "0.5,1,1,1,1|4,4,4,8,8", "Block 1: .*stem"),
        ({}, "1,2,1,1,1|4,8,4,8,8", "Head 3: strides must not decrease .* 4 after 8"),
        ({}, "1,2,1,1,1|4,4,4,8,16", "Head 5: some block must produce .* 16 where the encoder has 4, 8"),
        ({}, "2,2,1,1,1|16,16,16,16,16", "Head 1: the finest stride must be <= 8, but got 16"),
        ({}, "1,2,1,1,1|4,4,4,4,4", "Head 5: the coarsest stride must be >= 8, but got 4"),
        ({}, "1,2,1,1,1|8,8,8,8,8", "Heads 1 to 5: not all may read one stride"),
        ({}, "1,2,1,1,1|2,4,4,8,8", "Head 1: the stride must be one of"),
        ({}, "1,2,2,0.5,0.5|8,8,8,16,16", "Block 5: .* block 5 ends at stride 4, which no head reads"),
        ({"base_stride": 2}, "2,2,1,1,1|4,4,8,8,16", "Head 5: some block must produce"),
        ({"base_stride": 2}, "2,2,2,1,1|8,8,8,8,16", "Head 1: the finest stride must be <= 4, but got 8"),
        ({"heads": (4, 4, 4, 8, 8)}, "1,2,1,1,1|4,4,8,8,8", "Head 3: the heads of this space are fixed"),
        ({"tied": (3, 5)}, "1,2,2,1,1|4,4,4,8,16", "Head 5: it must read what head 4 reads .*, but got 16 after 8"),
    ],
)
def test_a_broken_rule_is_named_with_its_place(settings, text, rule):
    space = small_space(**settings)
    with pytest.raises(SpaceError, match=rule):
        space.validate(Architecture.parse(text))


def test_a_text_may_name_dead_blocks_and_no_other_broken_rule():
    space, dead = small_space(), Architecture.parse("1,2,2,0.5,0.5|8,8,8,16,16")
    assert space.parse(str(dead)) == dead
    assert space.cost(space.encode(dead)) == small_space(live=False).cost(space.encode(dead))
    with pytest.raises(SpaceError, match="Head 5: some block"):
        small_space().parse("1,2,1,1,1|4,4,4,8,16")


def test_a_text_may_name_heads_that_are_not_tied():
    space, untied = small_space(tied=(5,)), Architecture.parse("1,2,2,1,1|4,4,4,8,16")
    assert space.parse(str(untied)) == untied
    assert not space.is_valid(space.encode(untied))
    assert space.cost(space.encode(untied)) == small_space().cost(space.encode(untied))


def test_head_rules_off_keeps_the_order_alone():
    space = small_space(head_rules=False)
    space.validate(Architecture.parse("1,2,0.5,1,1|4,4,4,4,4"))
    space.validate(Architecture.parse("2,2,2,1,1|16,16,32,32,32"))
    with pytest.raises(SpaceError, match="must not decrease"):
        space.validate(Architecture.parse("1,2,1,1,1|8,4,4,4,4"))


def test_base_stride_2_accepts_halved_rules():
    small_space(base_stride=2).validate(Architecture.parse("1,2,1,1,1|2,2,2,4,4"))
    assert small_space(base_stride=2).levels == (2, 4, 8, 16, 32)


def test_fixed_heads_leave_one_section():
    assert list(small_space(heads=FPN).sections) == ["encoder"]
    assert list(small_space().sections) == ["encoder", "heads"]


@pytest.mark.parametrize(
    ("wrong", "rule"),
    [
        ({"block": "inverted"}, "basic, bottleneck"),
        ({"depth": 0}, "depth must be an integer in 1..38"),
        ({"depth": 2.5}, "depth"),
        ({"depth": True}, "depth"),
        ({"depth": 1}, "No architecture keeps the rules"),
        ({"channels": 0}, "channels must be"),
        ({"channels": -8}, "channels"),
        ({"channels": None}, "channels"),
        ({"stem": 0}, "stem must be an integer in 1"),
        ({"base_stride": 3}, "base_stride must be 4"),
        ({"base_stride": 8}, "base_stride"),
        ({"head_rules": "no"}, "head_rules"),
        ({"live": None}, "live must be true or false"),
        ({"tied": (1,)}, "tied must be numbers of heads in 2..5"),
        ({"tied": (5, 3)}, "tied must be"),
        ({"tied": "empty"}, "tied must be .*, but got 'empty'"),
        ({"tied": (2, 3, 4, 5)}, "No architecture keeps the rules"),
        ({"heads": (4, 8)}, "5 heads, but got"),
        ({"heads": 8}, "5 heads, but got 8"),
        ({"heads": "48888"}, "5 heads, but got"),
        ({"heads": (4, 4, None, 8, 8)}, "Head 3"),
        ({"heads": (8, 4, 8, 8, 8)}, "Head 2"),
        ({"heads": (4, 4, 4, 4, 128)}, "Head 5"),
        ({"heads": (16, 16, 16, 32, 32)}, "Head 1: the finest"),
        ({"heads": FPN, "depth": 4}, "No architecture keeps the rules"),
        ({"heads": FPN, "base_stride": 2}, "Head 5"),
        ({"input_size": (416, 416)}, "448x448"),
        ({"input_size": (0, 0)}, "64x64"),
        ({"input_size": (-64, 64)}, "64x64"),
        ({"input_size": 832}, "input_size must be"),
        ({"input_size": "832x1280"}, "input_size must be"),
        ({"input_size": (64, 64, 64)}, "input_size must be"),
        ({"input_size": (64.0, 64)}, "input_size must be"),
        ({"input_size": (1 << 20, 64)}, "input_size must be"),
    ],
    ids=str,
)
def test_an_impossible_setting_is_refused(wrong, rule):
    with pytest.raises(SpaceError, match=rule):
        StrideSpace(**{"block": "basic", "depth": 5, "channels": 8, "input_size": (64, 64), **wrong})


def test_a_genome_without_meaning_is_refused():
    with pytest.raises(SpaceError, match=r"5 genes in 0\.\.2, then five in 0\.\.4"):
        small_space().decode((0, 1, 2, 3, 0, 0, 0, 0, 0, 0))
    assert not small_space().is_valid((1, 2))


def test_the_cost_of_a_genome_that_breaks_a_rule_names_the_rule():
    with pytest.raises(SpaceError, match="Head 5: the coarsest"):
        small_space().cost((1, 2, 1, 1, 1, 0, 0, 0, 0, 0))


def test_allowed_walks_through_all_genomes_and_no_others(space):
    def complete(prefix):
        if len(prefix) == len(space.cardinalities):
            return [prefix]
        return [genome for gene in space.allowed(prefix) for genome in complete((*prefix, gene))]

    assert complete(()) == valid_genomes(space)


def test_nothing_is_allowed_after_a_broken_rule_or_a_whole_genome():
    space = small_space()
    assert space.allowed((0,)) == ()
    assert space.allowed((7,)) == ()
    assert space.allowed((1, 2, 1, 1, 1, 4)) == ()
    assert space.allowed(valid_genomes(space)[0]) == ()


@pytest.mark.parametrize("settings", VARIANTS.values(), ids=VARIANTS)
def test_a_space_survives_json_and_pickle(settings):
    space = small_space(**settings)
    assert StrideSpace(**json.loads(json.dumps(space.config))).config == space.config
    assert pickle.loads(pickle.dumps(space)).config == space.config


def test_the_ssd_like_path_is_monotone_and_nearest_to_the_budget():
    path = R18.ssd_like(TARGET)
    costs = [R18.cost(genome).macs for genome in _ssd_like_genomes(13)]
    assert path.heads == FPN
    assert set(path.strides) == {1, 2}
    assert path.feature_strides()[-1] == 64
    assert abs(R18.cost(R18.encode(path)).macs - 145.45e9) == min(abs(macs - 145.45e9) for macs in costs)


def _ssd_like_genomes(depth):
    paths = np.array(np.meshgrid(*[[1, 2]] * (depth - 1))).reshape(depth - 1, -1).T
    return [(1, *map(int, path), 0, 1, 2, 3, 4) for path in paths if (path == 2).sum() == 4]


def test_the_ssd_like_path_keeps_below_a_ceiling():
    ceiling = Budget("macs", 145.45e9, mode="ceiling")
    costs = sorted(R18.cost(genome).macs for genome in _ssd_like_genomes(13))
    assert R18.cost(R18.encode(R18.ssd_like(ceiling))).macs == max(c for c in costs if c <= 145.45e9)
    lowest = Budget("macs", 1, mode="ceiling")
    assert R18.cost(R18.encode(R18.ssd_like(lowest))).macs == costs[0]


@pytest.mark.parametrize(
    ("settings", "rule"),
    [
        ({"depth": 4}, "An SSD-like path needs at least 5 blocks here, but this space has depth=4"),
        ({"heads": (4, 4, 4, 8, 8)}, "those of this space are fixed"),
    ],
)
def test_a_space_without_an_ssd_like_path_says_so(settings, rule):
    with pytest.raises(SpaceError, match=rule):
        small_space(**settings).ssd_like(TARGET)


def test_the_fpn_like_path_of_r34_has_the_budget_and_that_of_r18_is_above_it():
    r34 = StrideSpace(block="basic", depth=21, channels=160)
    found = [(space, space.fpn_like(Budget("macs", target))) for space, target in ((R18, 145.45e9), (r34, 182.2e9))]
    assert [space.cost(space.encode(path)).macs for space, path in found] == [153_021_775_920, 182_116_737_920]


def test_the_fpn_like_path_goes_down_and_up_with_a_lateral_at_every_stride():
    path = R18.fpn_like(TARGET)
    strides = path.feature_strides()
    down, up = strides[: strides.index(64)], strides[strides.index(64) :]
    assert list(down) == sorted(down)
    assert list(up) == sorted(up, reverse=True)
    assert [stage.stride for stage in path.stages() if stage.lateral is not None] == [32, 16, 8, 4]
    assert path.heads == FPN


def test_the_fpn_like_path_is_nearest_of_all_that_go_down_and_up():
    space = small_space(depth=11, base_stride=2)
    paths = [genes for genes in product(range(3), repeat=11) if _goes_down_and_up(genes)]
    costs = sorted({space.cost((*genes, 0, 1, 2, 3, 4)).macs for genes in paths})
    for target in costs[:: len(costs) // 7]:
        path = space.fpn_like(Budget("macs", target))
        assert space.cost(space.encode(path)).macs == target


def _goes_down_and_up(genes):
    moves = [gene for gene in genes if gene != 1]
    return genes[0] == 1 and moves == [2] * 4 + [0] * 4


def test_the_fpn_like_path_has_a_head_a_stride_whatever_is_tied():
    tied = StrideSpace(block="basic", depth=13, channels=180, tied=(2, 5))
    assert tied.fpn_like(TARGET) == R18.fpn_like(TARGET)


def test_a_space_without_an_fpn_like_path_says_so():
    with pytest.raises(SpaceError, match="needs at least 9 blocks here, but this space has depth=8"):
        small_space(depth=8).fpn_like(TARGET)
