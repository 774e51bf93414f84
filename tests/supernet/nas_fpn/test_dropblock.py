"""DropBlock drops whole squares while training, as many as asked, and none in evaluation."""

import pytest
import torch

from supernet.errors import SpaceError
from supernet.nas_fpn.dropblock import DropBlock, drop_blocks


def keep(value):
    return torch.tensor(value)


def test_evaluation_is_the_identity():
    x = torch.randn(2, 3, 8, 8)
    assert DropBlock(0.5).eval()(x) is x


def test_the_kept_share_is_close_to_what_was_asked():
    torch.manual_seed(0)
    kept = (drop_blocks(torch.ones(8, 32, 40, 40), keep(0.9), 3) != 0).float().mean()
    assert abs(float(kept) - 0.9) < 0.01  # squares overlap a little, so slightly more is kept


def test_what_is_kept_makes_up_for_what_is_dropped():
    torch.manual_seed(0)
    assert drop_blocks(torch.ones(2, 4, 16, 16), keep(0.8), 3).mean().item() == pytest.approx(1.0)


def test_dropped_positions_come_in_squares_inside_the_map():
    torch.manual_seed(1)
    dropped = drop_blocks(torch.ones(1, 1, 40, 40), keep(0.998), 3)[0, 0] == 0
    rows, columns = torch.where(dropped)
    assert len(rows) == 9
    assert rows.max() - rows.min() == columns.max() - columns.min() == 2


@pytest.mark.parametrize("size", [(1, 1), (2, 2), (2, 5)])
def test_a_map_smaller_than_the_square_is_dropped_in_smaller_squares(size):
    torch.manual_seed(0)
    x = torch.ones(64, 16, *size)
    out = drop_blocks(x, keep(0.5), 3)
    assert out.shape == x.shape
    assert 0.3 < float((out != 0).float().mean()) < 0.7


def test_the_schedule_ramps_from_nothing_dropped_to_keep():
    torch.manual_seed(0)
    layer = DropBlock(0.5, ramp=4)
    x = torch.ones(16, 16, 24, 24)
    shares = [float((layer(x) == 0).float().mean()) for _ in range(6)]
    assert shares[0] == 0
    assert shares[:5] == sorted(shares[:5])
    assert shares[4] == pytest.approx(shares[5], abs=0.03)


def test_a_resumed_schedule_goes_on_where_it_was():
    first, second = DropBlock(0.5, ramp=10), DropBlock(0.5, ramp=10)
    x = torch.ones(2, 2, 8, 8)
    for _ in range(5):
        first(x)
    second.load_state_dict(first.state_dict())
    torch.manual_seed(7)
    expected = first(x)
    torch.manual_seed(7)
    assert torch.equal(second(x), expected)


def test_settings_without_a_meaning_are_errors():
    with pytest.raises(SpaceError, match="keep=0"):
        DropBlock(0)
