"""The heads of a space whose `space.heads=recall`: those whose anchors reach the training boxes."""

from collections.abc import Mapping
from contextlib import suppress
from itertools import combinations_with_replacement
from typing import Any

from msnas.config.blueprint import Blueprint
from msnas.data.check.object_sizes import Boxes, Fit, head_recall
from msnas.data.geometry import GROUPS
from supernet.errors import SpaceError
from supernet.strides.architecture import stride_levels

RECALL = "recall"  # what `space.heads` says then
ALIKE = 0.01  # recalls that differ by less are told apart by how many networks a choice leaves


def heads_by_recall(space: Blueprint, known: Mapping[str, Any], boxes: Boxes, fit: Fit) -> list[int]:
    """Of the heads whose recall is within ALIKE of the best, the ones of most networks.

    Only choices that some network of the space can have count. known: options in place of the space's own.
    """
    strides = stride_levels(fit.base_stride)
    recall = head_recall(boxes, strides, fit.groups.anchors)
    found: list[tuple[float, int, list[int]]] = []  # recall, networks, heads
    for heads in map(list, combinations_with_replacement(strides, GROUPS)):
        with suppress(SpaceError):  # a choice that breaks a rule of the space
            networks = space(**known, heads=heads).count()
            found.append((recall(heads), networks, heads))
    best = max(reached for reached, _, _ in found)
    return max((networks, reached, heads) for reached, networks, heads in found if reached >= best - ALIKE)[2]
