"""Search spaces of detectors and the networks that share weights over them."""

from importlib import import_module
from typing import Any

_HOME = {
    "Architecture": "supernet.architecture",
    "Budget": "supernet.space",
    "BudgetedSpace": "supernet.stride_space",
    "CellSpace": "supernet.nas_fpn",
    "Cost": "supernet.cost",
    "FcosEncoder": "supernet.nas_fcos_encoder",
    "FpnEncoder": "supernet.fpn",
    "Genome": "supernet.space",
    "HeadSpace": "supernet.nas_fcos_head_space",
    "MixedEncoder": "supernet.stride_encoder",
    "NasFpnEncoder": "supernet.nas_fpn_encoder",
    "PathEncoder": "supernet.stride_encoder",
    "PyramidSpace": "supernet.nas_fcos_pyramid_space",
    "SearchSpace": "supernet.space",
    "SpaceError": "supernet.errors",
    "Stage": "supernet.architecture",
    "StrideSpace": "supernet.stride_space",
}

__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    """Import a public name's module when the name is first used (PEP 562): counting paths needs no torch."""
    if name not in _HOME:
        raise AttributeError(f"module 'supernet' has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)
