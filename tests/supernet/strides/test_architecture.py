"""An architecture as a value: its text both ways, stages and laterals, and which rule a wrong one breaks."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from supernet.errors import SpaceError
from supernet.strides.architecture import BLOCK_STRIDES, Architecture, Stage

TEXT = "1,2,2,1,2,1,0.5,1,1,0.5,1,1,0.5|8,8,16,16,32"
MALFORMED = {
    "": "exactly one bar",
    "|": "Block 1",
    "1,2": "exactly one bar",
    "1,2||4,4,4,8,8": "2 bars",
    "1,2|4,4,4,8,8|": "2 bars",
    "1,2|": "Head 1",
    "|4,4,4,8,8": "Block 1",
    "a,b|4,4,4,8,8": "Block 1",
    "1,3|4,4,4,8,8": "Block 2: the stride must be 0.5, 1 or 2, but got 3",
    "1,0|4,4,4,8,8": "Block 2",
    "1,-2|4,4,4,8,8": "Block 2",
    "1,+2|4,4,4,8,8": "Block 2",
    "1,\uff12|4,4,4,8,8": "Block 2",
    "1,2\u00a0|4,4,4,8,8": "Block 2",
    "1,.5|4,4,4,8,8": "Block 2",
    "1,2e0|4,4,4,8,8": "Block 2",
    "1,nan|4,4,4,8,8": "Block 2",
    "1,0.500000000000000000001|4,4,4,8,8": "Block 2",
    "1 2|4,4,4,8,8": "Block 1",
    "1,2,|4,4,4,8,8": "Block 3",
    "1;2|4,4,4,8,8": "Block 1",
    "1,2|4,4,4,8": "5 heads",
    "1,2|4,4,4,8,8,8": "5 heads",
    "1,2|4,4,4,8,8.5": "Head 5",
    "1,2|4,4,0,8,8": "Head 3",
    "1,2|4,4,4,8,x": "Head 5",
    "1,2\n|4,4,4,8,8": "Block 2",
}


def test_text_and_value_are_inverse():
    assert str(Architecture.parse(TEXT)) == TEXT


@pytest.mark.parametrize("text", [" 1.0 , 2 ,0.50 | 4, 4,8 ,8,8.0", "01,2.00,0.5|4,4,8,8,8"])
def test_numbers_written_otherwise_come_out_canonical(text):
    assert str(Architecture.parse(text)) == "1,2,0.5|4,4,8,8,8"


@pytest.mark.parametrize("text", MALFORMED, ids=repr)
def test_malformed_text_is_refused_naming_the_place(text):
    with pytest.raises(SpaceError, match=MALFORMED[text]):
        Architecture.parse(text)


@pytest.mark.parametrize("text", [None, 5, b"1,2|4,4,4,8,8", ["1,2|4,4,4,8,8"]])
def test_what_is_no_text_is_refused(text):
    with pytest.raises(SpaceError, match="as text"):
        Architecture.parse(text)


def test_a_huge_text_gives_a_short_message():
    with pytest.raises(SpaceError) as caught:
        Architecture.parse("7" * 100_000 + "|4")
    assert len(str(caught.value)) < 400


@given(st.text(alphabet="012.,5|48 -e\u0661", max_size=30))
def test_any_text_is_parsed_to_canonical_text_or_refused(text):
    try:
        parsed = Architecture.parse(text)
    except SpaceError:
        return
    assert Architecture.parse(str(parsed)) == parsed


@given(
    st.lists(st.sampled_from(BLOCK_STRIDES), min_size=1, max_size=30),
    st.lists(st.sampled_from([2, 4, 8, 16, 32, 64]), min_size=5, max_size=5),
)
def test_every_value_survives_its_text(strides, heads):
    architecture = Architecture(tuple(strides), tuple(heads))
    assert Architecture.parse(str(architecture)) == architecture


def test_values_are_hashable_and_plain_whatever_numbers_they_came_from():
    made = Architecture([np.float32(1.0), np.int64(2), np.float64(0.5)], np.array([4, 4, 4, 8, 8]))
    assert {made} == {Architecture.parse("1,2,0.5|4,4,4,8,8")}
    assert [type(number) for number in (*made.strides, *made.heads)] == [int, int, float] + [int] * 5


@pytest.mark.parametrize(
    ("strides", "heads", "rule"),
    [
        ((), (4, 4, 4, 8, 8), "at least one block"),
        ((True,), (4, 4, 4, 8, 8), "Block 1"),
        ((1,), (4, 4, 4, 8, True), "Head 5"),
        ((1,), (4, 4, 4, 8, None), "Head 5"),
        ((1,), (4, 4, 4, 8, float("inf")), "Head 5"),
        ((1, "2"), (4, 4, 4, 8, 8), "Block 2"),
    ],
)
def test_wrong_values_are_refused(strides, heads, rule):
    with pytest.raises(SpaceError, match=rule):
        Architecture(strides, heads)


def test_feature_strides_follow_the_blocks():
    architecture = Architecture.parse(TEXT)
    assert architecture.feature_strides() == (4, 8, 16, 16, 32, 32, 16, 16, 16, 8, 8, 8, 4)
    assert architecture.feature_strides(2) == (2, 4, 8, 8, 16, 16, 8, 8, 8, 4, 4, 4, 2)


@pytest.mark.parametrize(
    ("text", "base_stride", "place"),
    [
        ("0.5,2|4,4,4,8,8", 4, "Block 1: .*the stem's output, gives 2"),
        ("1,2,0.5,0.5|4,4,4,8,8", 4, "Block 4: .*4..64.* gives 2"),
        ("2,2,2,2,2|4,4,4,8,8", 4, "Block 5: .* gives 128"),
        ("2,2,2,2,2|4,4,4,8,8", 2, "Block 5: .*2..32.* gives 64"),
    ],
)
def test_a_feature_stride_out_of_range_names_the_block(text, base_stride, place):
    with pytest.raises(SpaceError, match=place):
        Architecture.parse(text).feature_strides(base_stride)


def test_stages_end_where_the_stride_changes_and_take_the_nearest_lateral():
    stages = Architecture.parse("1,1,2,0.5,1,2,2,0.5|4,4,4,8,8").stages()
    assert stages == (
        Stage(0, 1, 4, None),
        Stage(2, 2, 8, None),
        Stage(3, 4, 4, 1),
        Stage(5, 5, 8, 2),
        Stage(6, 6, 16, None),
        Stage(7, 7, 8, 5),
    )


def test_first_block_of_stride_two_opens_one_stage():
    assert Architecture.parse("2,1|8,8,8,8,8").stages() == (Stage(0, 1, 8, None),)


@pytest.mark.parametrize(
    ("text", "live"),
    [
        (TEXT, "1,2,2,1,2,1,0.5,1,1,0.5,1,1|8,8,16,16,32"),
        ("1,2,0.5,2,2,2|4,4,4,8,8", "1,2,0.5,2|4,4,4,8,8"),
        ("1,1,2,0.5,1|4,4,4,8,8", "1,1,2,0.5,1|4,4,4,8,8"),
    ],
)
def test_without_dead_blocks_a_path_ends_with_the_last_stage_that_a_head_reads(text, live):
    assert str(Architecture.parse(text).live()) == live


def test_the_feature_of_a_stride_is_its_last_stage():
    assert Architecture.parse(TEXT).feature_blocks() == {4: 12, 8: 11, 16: 8, 32: 5}
