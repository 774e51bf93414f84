"""timm networks as backbones: what cannot be one is one line."""

import pytest

from supernet.backbone import backbone_cost
from supernet.errors import SpaceError


@pytest.mark.parametrize("name", ["swin_tiny_patch4_window7_224", "maxvit_tiny_tf_224"])
def test_one_that_does_not_take_the_size_is_refused_with_the_size(name):
    with pytest.raises(SpaceError, match=f"the size that costs are counted at, 192x256, but {name} does not"):
        backbone_cost(name, (3, 4, 5), (192, 256))


def test_one_of_fixed_size_is_counted_at_its_size():
    cost, channels = backbone_cost("swin_tiny_patch4_window7_224", (3, 4, 5), (224, 224))
    assert channels == (192, 384, 768)
    assert cost.params == pytest.approx(27.5e6, rel=0.01)


def test_an_unknown_name_is_answered_with_near_ones():
    with pytest.raises(SpaceError, match=r"near names: .*mobilenetv2_100"):
        backbone_cost("mobilenetv2-100", (3, 4, 5), (64, 64))
