"""What `space.heads` may be."""

import pytest

from msnas.config.compose import compose
from msnas.errors import ConfigError
from msnas.setup.setup import Setup


@pytest.mark.parametrize("space", ["msnas_r18", "msnas_timm"])
@pytest.mark.parametrize("heads", ["bogus", "8", "[8,16]"])
def test_heads_that_are_none_are_told_recall_and_null(space, heads):
    with pytest.raises(
        ConfigError, match=r"^space\.heads must be 5 strides .*, recall \(.*\) or null \(searched\), but got"
    ):
        assert Setup(compose([f"space={space}", f"space.heads={heads}", "input=128x128"])).space
