"""How large the objects are, which head they fall to, which anchors reach them, and what settings would fit better."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import combinations_with_replacement

import numpy as np

from msnas.data.geometry import (
    BASE_SCALE,
    GROUPS,
    REFERENCE_SHORT_SIDE,
    Floats,
    anchor_hits,
    padded_size,
    resized_size,
)
from msnas.data.records import ImageRecord
from msnas.data.size_groups import FEW, SizeGroups
from supernet.strides.architecture import stride_levels
from supernet.strides.stride_rules import broken_bound

BASE_STRIDE, FINEST = "space.base_stride", "space.finest"  # options that say where the heads' maps begin
ANCHOR_SCALE, BASE_SCALE_OPTION = "detector.anchor_scale", "detector.base_scale"
_STARTS = {BASE_STRIDE: ((4, 4), (2, 2)), FINEST: ((4, 8), (4, 4))}  # (base_stride, finest), the coarser first
_SAMPLE = 20_000  # boxes that recalls are measured on; more change the third decimal
_WORTH = 0.05  # gain in mean recall below which the configured one stays
_EVENER = 0.2  # gain in entropy of the groups' shares, nats, below which the configured one stays
_FACTORS = 2.0 ** (np.arange(-8, 9) / 4)


@dataclass(frozen=True)
class Boxes:
    """All boxes of a data set after resizing: xyxy [n, 4] in pixels; grids: each one's padded (height, width)."""

    xyxy: Floats
    grids: np.ndarray[tuple[int, int], np.dtype[np.int64]]

    @property
    def areas(self) -> Floats:
        """[n], pixels."""
        areas: Floats = np.prod(self.xyxy[:, 2:] - self.xyxy[:, :2], axis=1)
        return areas

    def sample(self) -> "Boxes":
        """At most so many boxes as recalls need, evenly spaced."""
        every = max(1, -(-len(self.xyxy) // _SAMPLE))
        return Boxes(self.xyxy[::every], self.grids[::every])


@dataclass(frozen=True)
class Group:
    """One group of object sizes: sides (square root of the area) from `low` to below `high` pixels after resizing.

    anchor: the size of its anchors, in the same pixels.
    """

    group: int
    low: float
    high: float | None
    anchor: float
    boxes: int
    share: float


@dataclass(frozen=True)
class AnchorRecall:
    """Share of boxes that an anchor of IoU >= 0.5 exists for, by the strides that the five heads read."""

    base_stride: int
    finest: int
    fpn: float
    mean: float
    best: tuple[int, ...]
    worst: tuple[int, ...]
    choices: dict[tuple[int, ...], float]


@dataclass(frozen=True)
class Fit:
    """The settings that decide which head and which anchors a box gets.

    base_stride: the first of the five strides. finest: the finest of them that a head may read. anchor_scale: size of
    the anchors beside 32, 64, ..., 512 pixels. base_scale: pixels of a region of k = 4. placed: the groups, where they
    were placed by boxes and not by the scales.
    """

    base_stride: int
    finest: int
    anchor_scale: float
    base_scale: float
    placed: SizeGroups | None = None

    @classmethod
    def of(
        cls,
        short_side: int,
        base_stride: int = 4,
        anchor_scale: float | None = None,
        base_scale: float | None = None,
        *,
        finest: int | None = None,
    ) -> "Fit":
        """With what follows from the short side where a scale is None, and all five strides where `finest` is."""
        scale = short_side / REFERENCE_SHORT_SIDE if anchor_scale is None else anchor_scale
        base_scale = BASE_SCALE * scale if base_scale is None else base_scale
        return cls(base_stride, base_stride if finest is None else finest, scale, base_scale)

    @property
    def groups(self) -> SizeGroups:
        """The groups of object sizes."""
        return self.placed or SizeGroups.paper(REFERENCE_SHORT_SIDE, self.anchor_scale, self.base_scale)


@dataclass(frozen=True)
class FitOptions:
    """The options by which a space and a detector are fitted to boxes.

    start: the option for where maps begin, `space.base_stride` or `space.finest`; None: there is none. anchor_unit: the
    value of `detector.anchor_scale` that stands for anchors of 32, 64, ..., 512 pixels; None: there is no such option.
    base_scale: whether there is `detector.base_scale`.
    """

    start: str | None = BASE_STRIDE
    anchor_unit: float | None = 1.0
    base_scale: bool = True

    def starts(self, configured: Fit) -> tuple[tuple[int, int], ...]:
        """(base_stride, finest) that can be chosen, the coarser first."""
        return ((configured.base_stride, configured.finest),) if self.start is None else _STARTS[self.start]

    def values(self, fit: Fit) -> dict[str, float]:
        """What each option must be for this fit; groups that boxes have placed leave the scales out."""
        values: dict[str, float] = {}
        if self.start is not None:
            values[self.start] = getattr(fit, self.start.partition(".")[2])
        if fit.placed is not None:
            return values
        if self.anchor_unit is not None:
            values[ANCHOR_SCALE] = fit.anchor_scale * self.anchor_unit
        if self.base_scale:
            values[BASE_SCALE_OPTION] = fit.base_scale
        return values


@dataclass(frozen=True)
class Suggestion:
    """Settings that fit these boxes, and why they should be others than the configured ones."""

    fit: Fit
    reasons: tuple[str, ...]


def collect_boxes(images: Iterable[ImageRecord], short_side: int, long_side: int) -> Boxes:
    """The boxes (no crowds) of all images, as they are after resizing and padding to 64."""
    boxes: list[Floats] = [np.empty((0, 4))]
    grids: list[tuple[int, int]] = []
    for image in images:
        height, width = resized_size(image.height, image.width, short_side, long_side)
        scale = np.array([width / image.width, height / image.height] * 2)
        found = [item.xyxy for item in image.annotations if not item.crowd]
        boxes.append(np.array(found, np.float64).reshape(-1, 4) * scale)
        grids += [padded_size(height, width)] * len(found)
    return Boxes(np.concatenate(boxes), np.array(grids, np.int64).reshape(-1, 2))


def head_choices(base_stride: int, finest: int = 0) -> list[tuple[int, ...]]:
    """Every choice of five heads that MSNAS eq. 7 allows: not falling, min <= 8, max >= 8, not all equal (at 4).

    finest: no head reads a finer stride.
    """
    choices = combinations_with_replacement(stride_levels(base_stride), GROUPS)
    return [heads for heads in choices if heads[0] >= finest and broken_bound(heads, base_stride) is None]


def fpn_heads(base_stride: int, finest: int) -> tuple[int, ...]:
    """A stride of its own for each head, none below `finest`."""
    return tuple(max(stride, finest) for stride in stride_levels(base_stride))


def group_shares(boxes: Boxes, groups: SizeGroups) -> list[Group]:
    """What each head gets to do, by the RoI rule."""
    number = np.bincount(groups.of(boxes.areas), minlength=GROUPS)
    parts = zip([0.0, *groups.borders], [*groups.borders, None], groups.anchors, number.tolist(), strict=True)
    total = max(len(boxes.xyxy), 1)
    return [Group(i, low, high, size, own, own / total) for i, (low, high, size, own) in enumerate(parts, start=1)]


def empty_groups(groups: Sequence[Group]) -> str:
    """A sentence on groups with hardly a box, "" where there is none."""
    few = [str(group.group) for group in groups if group.share < FEW]
    if not few:
        return ""
    return (
        f"Less than {FEW:.0%} of the boxes are in group {', '.join(few)}: detector.groups=data places the groups by "
        f"the boxes, and with space.tied=empty these heads read what their neighbours read."
    )


def head_recall(boxes: Boxes, strides: tuple[int, ...], anchors: Sequence[float]) -> Callable[[Sequence[int]], float]:
    """What gives, for the strides that five heads read, the share of boxes with an anchor of IoU >= 0.5.

    strides: all that a head may read. anchors [5]: the size of each group's, pixels.
    """
    sample = boxes.sample()
    hits = anchor_hits(sample.xyxy, sample.grids, strides, anchors)  # [group, stride, box]

    def recall(heads: Sequence[int]) -> float:
        reached = [hits[group, strides.index(stride)] for group, stride in enumerate(heads)]
        return float(np.logical_or.reduce(reached).mean())

    return recall


def anchor_recall(boxes: Boxes, base_stride: int, anchors: Sequence[float], finest: int | None = None) -> AnchorRecall:
    """The recall of every head choice; anchors [5]: the size of each group's, pixels.

    finest: no head reads a finer stride, by default than base_stride.
    """
    finest = base_stride if finest is None else finest
    recall_of = head_recall(boxes, stride_levels(base_stride), anchors)
    recall = {heads: recall_of(heads) for heads in head_choices(base_stride, finest)}
    best, worst = max(recall, key=recall.__getitem__), min(recall, key=recall.__getitem__)
    mean = float(np.mean(list(recall.values())))
    return AnchorRecall(base_stride, finest, recall[fpn_heads(base_stride, finest)], mean, best, worst, recall)


def suggest(boxes: Boxes, configured: Fit, recalls: Sequence[AnchorRecall], options: FitOptions) -> Suggestion:
    """The coarsest start of the maps, the anchor scale and the base scale that fit; the configured ones where little
    would be won, or where there is no such option.

    recalls: of every start that can be chosen, the coarser first. base_stride, anchor_scale: by the mean recall over
    head choices, so that the search compares heads and not anchors. finest: by the recall of the best heads, as
    stride 4 is most of a network's cost. base_scale: the groups are as even as they can be (entropy of the shares).
    Groups that were placed by boxes need no other scales.
    """
    reasons: list[str] = []
    kind = "best" if options.start == FINEST else "mean"
    values = [recall.choices[recall.best] if options.start == FINEST else recall.mean for recall in recalls]
    finer = values[-1] - values[0] > _WORTH
    start = recalls[-1 if finer else 0]
    if (start.base_stride, start.finest) != (configured.base_stride, configured.finest):
        better, worse = (values[-1], values[0]) if finer else (values[0], values[-1])
        text = f"{options.start}={start.finest}: {kind} anchor recall {better:.2f}, with the other {worse:.2f}"
        reasons.append(text)
    fit = replace(configured, base_stride=start.base_stride, finest=start.finest)
    if configured.placed is not None:
        return Suggestion(fit, tuple(reasons))
    anchor_scale = configured.anchor_scale
    if options.anchor_unit is not None:
        anchor_scale, recall = _best_anchor_scale(boxes, configured, start.base_stride)
        if anchor_scale != configured.anchor_scale:
            written = anchor_scale * options.anchor_unit
            reasons.append(f"{ANCHOR_SCALE}={written:.3g}: mean anchor recall {recall:.2f}")
    kept = anchor_scale == configured.anchor_scale
    base_scale = configured.base_scale if kept else BASE_SCALE * anchor_scale  # as the detector's default follows it
    if options.base_scale:
        follows = base_scale
        base_scale, largest = _most_even_scale(boxes.areas, follows)
        if base_scale != follows:
            reasons.append(f"{BASE_SCALE_OPTION}={base_scale:.3g}: the largest group then holds {largest:.0%} of boxes")
    return Suggestion(replace(fit, anchor_scale=anchor_scale, base_scale=base_scale), tuple(reasons))


def _best_anchor_scale(boxes: Boxes, configured: Fit, base_stride: int) -> tuple[float, float]:
    """(anchor scale, mean recall with it); the configured one where little would be won.

    Over heads of all strides, whatever the finest: of those that begin at 8, one that reaches everything with anchors
    far too large would win.
    """
    sizes = np.array(configured.groups.anchors)
    scales = {float(f): anchor_recall(boxes, base_stride, (sizes * f).tolist()).mean for f in _FACTORS}
    best = max(scales, key=scales.__getitem__)
    chosen = best if scales[best] - scales[1.0] > _WORTH else 1.0
    return configured.anchor_scale * chosen, scales[chosen]


def _most_even_scale(areas: Floats, configured: float) -> tuple[float, float]:
    """(base scale, share of its largest group)."""

    def shares(scale: float) -> Floats:
        return SizeGroups.paper(REFERENCE_SHORT_SIDE, base_scale=scale).shares(areas)

    def entropy(scale: float) -> float:
        held = shares(scale)
        return float(-(held[held > 0] * np.log(held[held > 0])).sum())

    best = max((configured * factor for factor in _FACTORS), key=entropy)
    chosen = best if entropy(best) - entropy(configured) > _EVENER else configured
    return float(chosen), float(shares(chosen).max())
