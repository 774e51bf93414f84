"""Random valid paths, drawn without the space's own sampler, networks without a part that does nothing."""

import random

import torch
from torch import nn

from supernet.strides.architecture import Architecture


def random_path(seed: int, depth: int, base_stride: int = 4) -> Architecture:
    """Strides by a walk that stays in range; heads in order, each reading a stride that a block has."""
    draw = random.Random(seed)
    strides: list[float] = []
    current = base_stride
    for _ in range(depth):
        allowed = [s for s in (0.5, 1, 2) if base_stride <= current * s <= 16 * base_stride]
        strides.append(draw.choice(allowed))
        current = int(current * strides[-1])
    seen = sorted(set(Architecture(tuple(strides), (base_stride,) * 5).feature_strides(base_stride)))
    return Architecture(tuple(strides), tuple(sorted(draw.choices(seen, k=5))))


def shake(model: nn.Module, seed: int = 0) -> nn.Module:
    """Give every parameter and statistic a random value, so that no part of the network is a no-op."""
    generator = torch.Generator().manual_seed(seed)
    for name, tensor in model.state_dict().items():
        if tensor.is_floating_point():
            noise = torch.rand(tensor.shape, generator=generator)
            tensor.copy_(0.5 + noise if name.endswith("running_var") else (noise - 0.5) * 0.2 + tensor)
    return model
