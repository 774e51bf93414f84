"""A NAS-FPN pyramid as a value: the rules of merging cells and the published seven."""

import pytest

from supernet.errors import SpaceError
from supernet.nas_fpn.pyramid_plan import DISCOVERED, Cell, PyramidPlan

# Two outputs only: the smallest pyramid that every rule can be seen in. Inputs 0 (level 3) and 1 (level 4).
SMALL = PyramidPlan((Cell(0, 1, 4, "gp"), Cell(0, 2, 3, "sum"), Cell(2, 3, 4, "sum")), (3, 4))


def test_the_discovered_cells_in_the_order_of_the_release():
    assert [cell.level for cell in DISCOVERED.cells] == [4, 4, 3, 4, 5, 7, 6]
    assert [cell.op for cell in DISCOVERED.cells] == ["gp", "sum", "sum", "sum", "gp", "gp", "gp"]
    assert DISCOVERED.outputs() == (7, 8, 9, 11, 10)


def test_c5_and_c7_are_the_leftovers_of_the_discovered_cells():
    assert DISCOVERED.leftovers() == ((), (), (), (), (2,), (4,), ())


def test_gp_carries_the_coarser_input():
    carried = [DISCOVERED.carried(cell) for cell in DISCOVERED.cells if cell.op == "gp"]
    assert carried == [3, 8, 9, 10]  # C6, P4 out, P5 out, P7 out


def test_gp_of_one_level_carries_the_first_input():
    assert DISCOVERED.carried(Cell(6, 5, 4, "gp")) == 6


def test_a_feature_that_only_a_later_cell_consumes_is_left_over():
    plan = PyramidPlan((Cell(0, 1, 3, "sum"), Cell(0, 1, 4, "sum")), (3, 4))
    assert plan.leftovers() == ((), ())
    late = PyramidPlan((Cell(1, 2, 5, "sum"), Cell(2, 3, 4, "sum"), Cell(0, 1, 3, "sum")), (3, 4, 5))
    assert late.leftovers() == ((), (), ())
    early = PyramidPlan((Cell(1, 2, 3, "sum"), Cell(0, 3, 4, "sum"), Cell(1, 2, 5, "gp")), (3, 4, 5))
    assert early.leftovers() == (
        (0,),
        (),
        (),
    )  # input 0 is read by the second cell, but the first makes its level


def test_the_text_form_goes_both_ways():
    assert PyramidPlan.parse(str(DISCOVERED)) == DISCOVERED
    assert PyramidPlan.parse("1,3,4,1|1,5,4,0|0,6,3,0|6,7,4,0|7,8,5,1|6,9,7,1|9,10,6,1") == DISCOVERED


def test_a_text_of_four_levels_is_read_as_p3_to_p6():
    assert PyramidPlan.parse("0,1,6,gp|0,4,3,sum|1,5,4,sum|2,6,5,gp|3,7,6,sum").levels == (3, 4, 5, 6)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1,3,4", "cell 1 is '1,3,4'"),
        ("1,3,4,max|" + str(DISCOVERED), "cell 1 is '1,3,4,max'"),
        (str(DISCOVERED).replace("1,3,4,gp", "3,3,4,gp"), "Cell 1 must read two different candidates"),
        (str(DISCOVERED).replace("1,3,4,gp", "1,5,4,gp"), "Cell 1 can read candidates 0..4"),
        (str(DISCOVERED).replace("1,3,4,gp", "1,3,3,gp"), "Cell 1 is intermediate"),
        (str(DISCOVERED).replace("1,3,4,gp", "1,3,8,gp"), "Cell 1 must make one of the levels"),
        (str(DISCOVERED).replace("7,8,5,gp", "7,8,4,gp"), "each of the levels"),
    ],
)
def test_a_broken_rule_is_named_with_its_cell(text, message):
    with pytest.raises(SpaceError, match=message.replace("(", r"\(")):
        PyramidPlan.parse(text)
