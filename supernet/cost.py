"""What networks cost, in closed form: exact integers, with nothing built.

MACs are those of all convolutions (and matrix products) for one image; bias, norm, activation, pooling, interpolation
and additions are not counted. Parameters include biases and the affine weights of batch norm. Sizes are (height, width)
in pixels.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from supernet.errors import SpaceError


@dataclass(frozen=True, slots=True)
class Cost:
    """Multiply-accumulates for one image, and parameters; the latency where it was measured, else 0."""

    macs: int
    params: int
    latency_us: int = 0

    def __add__(self, other: "Cost") -> "Cost":
        return Cost(self.macs + other.macs, self.params + other.params, self.latency_us + other.latency_us)

    def by_name(self) -> dict[str, int | float]:
        """What the history keeps: `macs`, `params` and, where it was measured, `latency_ms`."""
        latency = {"latency_ms": self.latency_us / 1000} if self.latency_us else {}
        return {"macs": self.macs, "params": self.params, **latency}


def total(parts: Iterable[Cost]) -> Cost:
    """The sum of `parts`."""
    return sum(parts, Cost(0, 0))


def conv_cost(inputs: int, outputs: int, kernel: int, pixels: int, *, bias: bool = False, norm: bool = False) -> Cost:
    """A square convolution that writes `pixels` positions, with a bias or a batch norm behind it."""
    weights = inputs * outputs * kernel**2
    return Cost(weights * pixels, weights + bias * outputs + norm * 2 * outputs)


def resnet_channels(width: float) -> tuple[int, int, int, int]:
    """Inner channels of a ResNet's four stages: `width` times 64..512, multiples of 8."""
    if not 0 < width <= 16:
        raise SpaceError(f"0 < width <= 16 must hold for a backbone's width, but got {width=}.")
    first, second, third, fourth = (max(8, round(width * published / 8) * 8) for published in (64, 128, 256, 512))
    return first, second, third, fourth
