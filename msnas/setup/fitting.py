"""What decides which head and which anchors a box gets, in whatever options the space and the detector have for it."""

import importlib

from omegaconf import DictConfig

from msnas.data.check.object_sizes import BASE_STRIDE, FINEST, Fit, FitOptions


def configured_fit(config: DictConfig) -> Fit:
    """The configured settings, without the groups that `detector.groups=data` places."""
    space, detector, short_side = config.space, config.detector, config.data.short_side
    anchor_scale = detector.get("anchor_scale")
    if anchor_scale is not None:
        anchor_scale /= _anchor_unit(config)
    base_stride = space.get("base_stride", 4)
    return Fit.of(short_side, base_stride, anchor_scale, detector.get("base_scale"), finest=space.get("finest"))


def fit_options(config: DictConfig) -> FitOptions:
    """The options that the space and the detector have for them."""
    known = [option for option in (BASE_STRIDE, FINEST) if option.partition(".")[2] in config.space]
    return FitOptions(
        start=known[0] if known else None,
        anchor_unit=_anchor_unit(config) if "anchor_scale" in config.detector else None,
        base_scale="base_scale" in config.detector,
    )


def _anchor_unit(config: DictConfig) -> float:
    """As the detector's class says; importing it needs torch."""
    module, _, name = str(config.detector["_target_"]).rpartition(".")
    unit: float = getattr(importlib.import_module(module), name).anchor_unit(config.data.short_side)
    return unit
