"""A NAS-FCOS decoder as a value: its text, its rules, and which block feeds which level."""

import pytest

from supernet.errors import SpaceError
from supernet.nas_fcos.decoder import PUBLISHED, Decoder, Head, Pyramid

TEXT = "3,3,4,4,1:3,3,4,4,1:4,3,4,3,1:1,3,4,3,1:5,3,4,4,1:4,7,4,4,1:7,2,4,4,1"


def test_a_pyramid_is_its_text():
    assert str(Pyramid.parse(TEXT)) == TEXT


def test_a_pyramid_over_three_features_is_its_text():
    text = "c3:2,2,4,4,1:0,1,0,0,0:1,2,3,3,0"
    assert str(Pyramid.parse(text)) == text


def test_a_head_is_its_text():
    assert str(Head.parse("5,1,5,0,4,4|2")) == "5,1,5,0,4,4|2"


@pytest.mark.parametrize("text", [f"{TEXT}/5,1,5,0,4,4|0", "fcos/fcos", f"{TEXT}/fcos", "fcos/1,1|2"])
def test_a_decoder_is_its_text(text):
    assert str(Decoder.parse(text)) == text


def test_the_last_three_unconsumed_blocks_are_p5_p4_p3_in_that_order():
    assert PUBLISHED.pyramid.outputs == {5: 8, 4: 9, 3: 10}


def test_the_third_published_block_dangles():
    assert PUBLISHED.pyramid.dangling == (6,)


def test_a_block_has_the_finer_stride_of_its_inputs():
    assert PUBLISHED.pyramid.strides == (4, 8, 16, 32, 32, 32, 32, 8, 32, 8, 8)


def test_the_published_pyramid_without_c2_reads_the_same_features():
    pyramid = PUBLISHED.pyramid.without_unread_c2()
    assert (pyramid.num_inputs, pyramid.strides) == (3, PUBLISHED.pyramid.strides[1:])


def test_c2_stays_where_a_block_reads_it():
    pyramid = Pyramid.parse("0,1,0,0,0:1,1,0,0,0:2,2,0,0,0")
    assert pyramid.without_unread_c2() == pyramid


def test_fewer_than_three_unconsumed_blocks_are_refused():
    with pytest.raises(SpaceError, match=r"At least 3 blocks must be left unconsumed .* but got 2"):
        Pyramid.parse("0,1,0,0,0:1,1,0,0,0:4,2,0,0,0")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("4,1,0,0,0:1,1,0,0,0:2,2,0,0,0", "Block 1: first must lie in 0..3, but got 4"),
        ("0,1,0,5,0:1,1,0,0,0:2,2,0,0,0", "Block 1: second_op must lie in 0..4, but got 5"),
        ("0,1,0,0,0:1,1,0,0,2:2,2,0,0,0", "Block 2: aggregation must lie in 0..1, but got 2"),
        ("0,1,0,0:1,1,0,0,0:2,2,0,0,0", "A block has five numbers"),
        ("0,1,x,0,0:1,1,0,0,0:2,2,0,0,0", "Integers separated by commas"),
        ("5,1,5,0,4,4|0", "A pyramid has the form"),
        ("0,1,0,0,0:1,1,0,0,0:2,2,0,0,0/1,1|0", "A pyramid has the form"),
    ],
)
def test_a_pyramid_that_breaks_a_rule_names_block_and_rule(text, message):
    with pytest.raises(SpaceError, match=message):
        Pyramid.parse(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1,6|0", "Head layer 2 must lie in 0..5, but got 6"),
        ("1,1|3", "0 <= share <= 2"),
        ("1,1", "OPS|SHARE"),
        ("1,1|0,1", "OPS|SHARE"),
        ("1,1,0,0,0:1,1,0,0,0/1,1|0", "OPS|SHARE"),
    ],
)
def test_a_head_that_breaks_a_rule_is_refused(text, message):
    with pytest.raises(SpaceError, match=message):
        Head.parse(text)
