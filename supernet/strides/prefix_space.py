"""The stride space behind a pretrained prefix: mixed blocks that begin where a stage of a timm backbone ended.

Stages of the prefix count as ended stages for the laterals of eq. 4-6 ("Multi-scale Network Architecture Search for
Object Detection"); heads read only strides that a mixed block has produced.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from supernet.strides.latency_parts import check_parts
from supernet.strides.prefix_start import prefix_start
from supernet.strides.stride_rules import StrideRules
from supernet.strides.stride_space import StrideSpace

BASE_STRIDE = 4


class PrefixSpace(StrideSpace):
    """Architectures of `depth` mixed blocks of `channels` channels and five heads behind a prefix.

    backbone: a timm model with features. cut: the stride at which the prefix ends, 8, 16 or 32. finest: the finest
    stride that blocks may have, 4 or 8. The other arguments are those of `StrideSpace`, whose strides are 4..64 here.
    Costs include the prefix's, which needs torch. Raises SpaceError where there is no such space.
    """

    def __init__(
        self,
        *,
        backbone: str,
        cut: int,
        depth: int,
        channels: int,
        block: str = "basic",
        finest: int = 4,
        head_rules: bool = True,
        live: bool = True,
        tied: Sequence[int] | None = None,
        heads: Sequence[int] | None = None,
        input_size: Sequence[int] = (832, 1280),
        latency: Mapping[str, int] | None = None,
    ) -> None:
        rules = StrideRules(
            block=block,
            depth=depth,
            channels=channels,
            base_stride=BASE_STRIDE,
            head_rules=head_rules,
            live=live,
            tied=tied,
            heads=heads,
            input_size=input_size,
        )
        start = prefix_start(backbone, cut, finest, rules.size)
        self.backbone, self.cut, self.finest = backbone, cut, finest
        self.latency = None if latency is None else check_parts(latency, BASE_STRIDE, start)
        self._build(start, rules)

    @property
    def config(self) -> dict[str, Any]:
        """What the constructor needs to make this space again, as JSON."""
        rules = {name: value for name, value in self._rules.config.items() if name != "base_stride"}
        prefix = {"backbone": self.backbone, "cut": self.cut, "finest": self.finest}
        return {**prefix, **rules, "latency": None if self.latency is None else dict(self.latency)}
