"""Search spaces of detectors and the networks that share weights over them."""

from importlib import import_module
from typing import Any

_HOME = {
    "Architecture": "supernet.strides.architecture",
    "BackboneFpnEncoder": "supernet.strides.backbone_fpn",
    "Budget": "supernet.space",
    "BudgetError": "supernet.errors",
    "CellSpace": "supernet.nas_fpn.cell_space",
    "Cost": "supernet.cost",
    "FcosEncoder": "supernet.nas_fcos.fcos_encoder",
    "FpnEncoder": "supernet.strides.fpn_encoder",
    "Genome": "supernet.space",
    "HeadSpace": "supernet.nas_fcos.head_space",
    "MixedEncoder": "supernet.strides.stride_encoder",
    "NasFpnEncoder": "supernet.nas_fpn.plan_encoder",
    "PathEncoder": "supernet.strides.stride_encoder",
    "PrefixMixedEncoder": "supernet.strides.prefix_encoder",
    "PrefixPathEncoder": "supernet.strides.prefix_encoder",
    "PrefixSpace": "supernet.strides.prefix_space",
    "PyramidSpace": "supernet.nas_fcos.pyramid_space",
    "SearchSpace": "supernet.space",
    "SpaceError": "supernet.errors",
    "Stage": "supernet.strides.architecture",
    "StrideSpace": "supernet.strides.stride_space",
}

__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    """Import a public name's module when the name is first used (PEP 562): counting paths needs no torch."""
    if name not in _HOME:
        raise AttributeError(f"module 'supernet' has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)
