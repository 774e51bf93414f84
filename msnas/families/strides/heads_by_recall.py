"""The heads of a space whose `space.heads=recall`: those whose anchors reach the training boxes."""

from contextlib import suppress
from itertools import combinations_with_replacement

from msnas.config.blueprint import Blueprint
from msnas.data.check.object_sizes import Boxes, Fit, head_recall
from msnas.data.geometry import GROUPS
from supernet.errors import SpaceError
from supernet.strides.architecture import stride_levels

RECALL = "recall"  # what `space.heads` says then
ALIKE = 0.01  # recalls that differ by less are told apart by how many networks a choice leaves


def heads_by_recall(space: Blueprint, size: tuple[int, int], boxes: Boxes, fit: Fit) -> list[int]:
    """Of the heads whose recall is within ALIKE of the best, the ones of most networks.

    Only choices that some network of the space can have count.
    """
    strides = stride_levels(fit.base_stride)
    recall = head_recall(boxes, strides, fit.groups.anchors)
    found: list[tuple[float, int, list[int]]] = []  # recall, networks, heads
    for heads in map(list, combinations_with_replacement(strides, GROUPS)):
        with suppress(SpaceError):  # a choice that breaks a rule of the space
            networks = space(input_size=size, heads=heads).count()
            found.append((recall(heads), networks, heads))
    best = max(reached for reached, _, _ in found)
    return max((networks, reached, heads) for reached, networks, heads in found if reached >= best - ALIKE)[2]
