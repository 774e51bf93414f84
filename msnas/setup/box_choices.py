"""What the training boxes choose where options leave it to them: the groups of object sizes, the heads that are tied.

A run keeps the choices as `chosen` beside its options, so that they stand for all of its stages.
"""

from dataclasses import asdict, replace
from typing import Any

import numpy as np
from omegaconf import DictConfig, OmegaConf

from msnas.config.compose import plain
from msnas.config.run_config import CHOSEN, with_chosen
from msnas.data.check.object_sizes import Boxes, Fit, collect_boxes
from msnas.data.geometry import GROUPS
from msnas.data.settings import DataSettings
from msnas.data.size_groups import FEW, SizeGroups
from msnas.data.source import read_part
from msnas.errors import ConfigError, DataError
from msnas.setup.fitting import configured_fit
from msnas.setup.make_family import family_class

PAPER, DATA = "paper", "data"  # of `detector.groups`
EMPTY = "empty"  # of `space.tied`: the heads of groups with hardly a box


def with_choices(config: DictConfig) -> DictConfig:
    """The configuration with what the boxes choose as `chosen`; the same where options leave nothing to them."""
    groups = placed_groups(config)
    chosen = {
        **({} if groups is None else {"groups": listed(groups)}),
        **({"tied": tied_heads(config)} if config.space.get("tied") == EMPTY else {}),
    }
    return with_chosen(config, chosen) if chosen else config


def listed(groups: SizeGroups) -> dict[str, list[float]]:
    """The groups as JSON, as detectors take them."""
    return {name: list(sizes) for name, sizes in asdict(groups).items()}


def training_boxes(config: DictConfig) -> Boxes:
    """The boxes of the training file after resizing. Raises DataError where there is none."""
    data = DataSettings.from_mapping(plain(config.data))
    boxes = collect_boxes(read_part(data, "train")[0].images, data.short_side, data.long_side)
    if not len(boxes.xyxy):
        raise DataError(
            "Groups, heads or ties that follow the boxes need a sound box in the training data, but got none."
        )
    return boxes


def fit_of(config: DictConfig) -> Fit:
    """The settings that decide which head and which anchors a box gets."""
    return replace(configured_fit(config), placed=placed_groups(config))


def placed_groups(config: DictConfig) -> SizeGroups | None:
    """The groups that the boxes place, with `detector.groups=data`; None: those of the paper. Raises ConfigError."""
    how = config.detector.get("groups", PAPER)
    if how not in (PAPER, DATA):
        raise ConfigError(f"detector.groups is {PAPER} or {DATA}, but got {how!r}.")
    if how == PAPER:
        return None
    if not family_class(config.family).has_size_groups:
        raise ConfigError(
            f"The heads of space={config.space_name} serve no groups of sizes; leave detector.groups out."
        )
    kept = OmegaConf.select(config, f"{CHOSEN}.groups")
    return SizeGroups.of_boxes(training_boxes(config).areas) if kept is None else SizeGroups(**kept)


def tied_heads(config: DictConfig) -> list[int]:
    """The heads to tie: of groups with less than FEW of the boxes, each to the next finer group that has more.

    Numbers as a space's `tied`. Groups finer than all that have boxes read what the finest of those reads. The two
    fullest groups never count as empty, for five heads on one stride are no network. Raises ConfigError.
    """
    kept = OmegaConf.select(config, f"{CHOSEN}.tied")
    if kept is not None:
        return list(kept)
    if "groups" not in config.detector:
        raise ConfigError(f"space.tied={EMPTY} needs a detector with groups of sizes; name the heads, such as [5].")
    shares = fit_of(config).groups.shares(training_boxes(config).areas)
    return ties(shares)


def ties(shares: Any) -> list[int]:
    """`tied_heads` of the shares [5] of boxes that the groups hold."""
    full = (shares >= FEW) | (np.argsort(np.argsort(-shares, kind="stable")) < 2)
    first = int(np.argmax(full))
    return [head for head in range(2, GROUPS + 1) if head <= first + 1 or not full[head - 1]]
