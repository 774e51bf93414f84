"""RetinaNet over any pyramid, with an exit after each stack of the encoder (anytime detection).

Assembled from torchvision's parts and used like its models: a list of images in, a list of detections out;
with targets, in training mode, a dict of losses. "Focal Loss for Dense Object Detection", arXiv 1708.02002;
losses, matching and exits as in "NAS-FPN", arXiv 1904.07392, sections 3.2 and 4.1, and its authors' release.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

import torch
from torch import Tensor, nn
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.image_list import ImageList
from torchvision.ops import boxes as box_ops
from torchvision.ops import clip_boxes_to_image

from msnas.data.geometry import REFERENCE_SHORT_SIDE
from msnas.data.size_groups import SizeGroups
from msnas.detectors.best import best_above
from msnas.detectors.box_coding import WaitlessBoxCoder
from msnas.detectors.detector import Cached, Detector, Images, sizes_of
from msnas.detectors.matching import WaitlessMatcher
from msnas.detectors.retina_head import Predictions, RetinaHead
from msnas.detectors.retina_targets import LossWeights, assign, losses
from msnas.detectors.targets import check_targets
from msnas.detectors.transform import make_transform, normalisation
from msnas.errors import ConfigError
from supernet.nas_fpn.plan_cost import ANCHORS
from supernet.strides.architecture import Architecture

Target = dict[str, Any]
Detection = dict[str, Tensor]
SCALES = (1.0, 2 ** (1 / 3), 2 ** (2 / 3))  # of the anchors at a position
RATIOS = (0.5, 1.0, 2.0)
PUBLISHED_SCALE = 4.0  # strides of the smallest anchor of a level


class RetinaNet(Detector):
    """A one-stage detector over `encoder`: NasFpnEncoder, FpnLevelEncoder, or features by group.

    num_classes: object classes, without a background; labels are 1..num_classes. short_side, long_side:
    pixels that images are resized to at inference. anchor_scale: side of the smallest anchor of a level in
    strides; for encoders whose strides are searched, a quarter of it times 32, 64, ..., 512 pixels at a short
    side of 800, or times the `anchors` of `groups` (as `SizeGroups`), where they are given.
    anytime: heads after every stack of the encoder, trained together (deep supervision, equal
    weights); exit_losses: "mean" of their losses, or "sum". batch_norm_momentum: weight of
    the newest batch, 1 - 0.997 as published; None leaves torch's. image_mean, image_std: of RGB in 0..1; None: as the
    encoder wants them. round_anchors: anchors about a position end at whole pixels, as in torchvision; false: where
    they are computed to end, as in mmdetection.
    """

    def __init__(
        self,
        encoder: Any,
        *,
        num_classes: int,
        short_side: int = 640,
        long_side: int = 640,
        anchor_scale: float = PUBLISHED_SCALE,
        groups: Mapping[str, Sequence[float]] | None = None,
        anytime: bool = False,
        exit_losses: str = "mean",
        lite: bool | None = None,
        focal_alpha: float = 0.25,
        focal_gamma: float = 1.5,
        huber_delta: float = 0.1,
        box_weight: float = 50.0,
        match_iou: float = 0.5,
        unmatch_iou: float = 0.5,
        score_threshold: float = 0.05,
        nms_threshold: float = 0.5,
        pre_nms: int = 1000,
        detections: int = 100,
        batch_norm_momentum: float | None = 0.003,
        batch_norm_eps: float = 1e-4,
        image_mean: Sequence[float] | None = None,
        image_std: Sequence[float] | None = None,
        round_anchors: bool = True,
    ) -> None:
        config = {name: value for name, value in locals().items() if name not in ("self", "encoder", "__class__")}
        config |= normalisation(encoder, image_mean, image_std)
        super().__init__()
        _check_options(config)
        self.config: dict[str, Any] = config  # what the constructor needs to build this detector again, as JSON
        self.meta: dict[str, Any] = {}  # what a model file adds: class names, category ids, where it comes from
        self.transform = make_transform(config, divisor=encoder.divisor)
        self.encoder: Any = encoder
        last = int(getattr(encoder, "num_exits", 1))
        self.exits = list(range(1, last + 1)) if anytime else [last]  # stacks that have a head
        separable = bool(getattr(encoder, "lite", False)) if lite is None else lite
        self.heads = nn.ModuleList(
            RetinaHead(encoder.out_channels, num_levels=encoder.num_groups, num_classes=num_classes, lite=separable)
            for _ in self.exits
        )
        sides = [
            [side * scale for scale in SCALES] for side in _anchor_sizes(encoder, anchor_scale, short_side, groups)
        ]
        self.anchor_generator = AnchorGenerator(sides, [RATIOS] * len(sides))
        if not round_anchors:
            self.anchor_generator.cell_anchors = [_cell_anchors(level) for level in sides]
        self.matcher = WaitlessMatcher(match_iou, unmatch_iou, allow_low_quality_matches=True)
        self.coder = WaitlessBoxCoder((1.0, 1.0, 1.0, 1.0))
        self.loss_weights = LossWeights(focal_alpha, focal_gamma, huber_delta, box_weight)
        if batch_norm_momentum is not None:
            _set_batch_norms(self, batch_norm_momentum, batch_norm_eps)

    @staticmethod
    def anchor_unit(short_side: int) -> float:
        """Of encoders whose strides are searched."""
        return PUBLISHED_SCALE * REFERENCE_SHORT_SIDE / short_side

    def forward(
        self,
        images: Images,
        targets: list[Target] | None = None,
        architecture: Architecture | None = None,
        *,
        exit_after: int | None = None,
    ) -> Any:
        """Losses in training mode, detections in evaluation mode.

        images: as `Detector` says. targets: boxes [n, 4] xyxy float in pixels of the given image and labels [n] int64
        in 1..num_classes; n may be 0.
        architecture: the path, where the encoder is a supernet. exit_after: detect after this many stacks,
        later ones do not run. Returns a dict of scalar losses, or for each image boxes [m, 4], labels [m] and
        scores [m].
        """
        if not self.training:
            [(_, detections)] = self._detect(images, architecture, [self._exit(exit_after)])
            return detections
        check_targets(targets, len(images), self.config["num_classes"])
        batch, targets, cached = self.on_canvas(images, targets)
        assert targets is not None
        exits = list(self.predict(batch.tensors, architecture, cached=cached).values())
        anchors = self._anchors(batch.tensors, exits[0].sizes)
        aims = assign(targets, torch.cat(anchors), self.matcher, self.coder)
        parts = [losses(torch.cat(e.logits, 1), torch.cat(e.deltas, 1), aims, self.loss_weights) for e in exits]
        reduce = torch.sum if self.config["exit_losses"] == "sum" else torch.mean
        return {name: reduce(torch.stack([part[name] for part in parts])) for name in parts[0]}

    @torch.no_grad()
    def exit_macs(self, input_size: tuple[int, int]) -> dict[int, int]:
        """MACs of `model(images, exit_after=n)` for every exit n, at `input_size` (height, width)."""
        macs = self.encoder.exit_macs(input_size, num_classes=self.config["num_classes"])
        return {number: macs[number] for number in self.exits}

    def detect_at_exits(self, images: Images, architecture: Architecture | None = None) -> dict[int, list[Detection]]:
        """The detections of every exit from one pass, by its number of stacks; in evaluation mode."""
        assert not self.training
        return dict(self._detect(images, architecture, self.exits))

    def predict(
        self,
        images: Tensor,
        architecture: Architecture | None = None,
        exits: Sequence[int] | None = None,
        *,
        cached: Cached = None,
    ) -> dict[int, Predictions]:
        """What the heads say of normalised, padded `images` [B, 3, H, W], by exit; default: of all exits.

        cached: features by stride in the place of pixels.
        """
        wanted = self.exits if exits is None else exits
        found: dict[int, Predictions] = {}
        for stack, features in enumerate(islice(self._pyramids(images, architecture, cached), max(wanted)), 1):
            if stack in wanted:
                found[stack] = self.heads[self.exits.index(stack)](features)
        return found

    def _pyramids(self, images: Tensor, architecture: Architecture | None, cached: Cached) -> Iterator[list[Tensor]]:
        if hasattr(self.encoder, "exits"):
            yield from self.encoder.exits(images)
        else:
            yield self.features(images, architecture, cached)

    def _exit(self, exit_after: int | None) -> int:
        if exit_after is None:
            return self.exits[-1]
        if exit_after not in self.exits:
            raise ConfigError(
                f"exit_after must be one of the stacks with a head, {self.exits}, but got {exit_after}; "
                f"anytime=true gives every stack one."
            )
        return exit_after

    def _anchors(self, images: Tensor, sizes: Sequence[tuple[int, int]]) -> list[Tensor]:
        """The anchors of each level, [N_l, 4] xyxy in pixels of the padded `images`, float32."""
        grids = [torch.empty(1, 1, *size, device=images.device) for size in sizes]
        everything = self.anchor_generator(ImageList(images[:1], [(images.shape[-2], images.shape[-1])]), grids)[0]
        return list(everything.split([height * width * ANCHORS for height, width in sizes]))

    def _detect(
        self, images: Images, architecture: Architecture | None, exits: Sequence[int]
    ) -> list[tuple[int, list[Detection]]]:
        batch, _, cached = self.on_canvas(images, None)
        found = []
        for number, predictions in self.predict(batch.tensors, architecture, exits, cached=cached).items():
            anchors = self._anchors(batch.tensors, predictions.sizes)
            raw = [self._detect_one(predictions, i, anchors, size) for i, size in enumerate(batch.image_sizes)]
            found.append((number, self.transform.postprocess(raw, batch.image_sizes, sizes_of(images))))
        return found

    def _detect_one(
        self, predictions: Predictions, index: int, anchors: Sequence[Tensor], size: tuple[int, int]
    ) -> Detection:
        """The detections of image `index`, in pixels of the resized image of (height, width) `size`."""
        boxes, scores, labels = [], [], []
        for logits, deltas, level in zip(predictions.logits, predictions.deltas, anchors, strict=True):
            probability = logits[index].sigmoid().flatten()  # [N_l * K]
            values, chosen = best_above(probability, self.config["score_threshold"], self.config["pre_nms"])
            anchor = chosen // logits.shape[2]
            decoded = self.coder.decode_single(deltas[index][anchor], level[anchor])
            boxes.append(clip_boxes_to_image(decoded, size))
            scores.append(values)
            labels.append(chosen % logits.shape[2] + 1)
        box, score, label = torch.cat(boxes), torch.cat(scores), torch.cat(labels)
        kept = box_ops.batched_nms(box, score, label, self.config["nms_threshold"])[: self.config["detections"]]
        return {"boxes": box[kept], "scores": score[kept], "labels": label[kept]}


def _anchor_sizes(
    encoder: Any, anchor_scale: float, short_side: int, groups: Mapping[str, Sequence[float]] | None
) -> list[float]:
    """The side of the smallest anchor of each level, in pixels."""
    if hasattr(encoder, "levels"):
        if groups:
            raise ConfigError(
                "groups must be left out where the strides of the levels are fixed, and anchors with them."
            )
        return [anchor_scale * 2**level for level in encoder.levels]
    sizes = SizeGroups(**groups) if groups else SizeGroups.paper(short_side)  # type: ignore[arg-type]
    return [anchor_scale / PUBLISHED_SCALE * size for size in sizes.anchors]


def _cell_anchors(sides: Sequence[float]) -> Tensor:
    """The anchors about (0, 0) with these sides of a square, [RATIOS * sides, 4] xyxy, in torchvision's order."""
    stretch = torch.tensor(RATIOS, device="cpu").sqrt()  # also where the weights are only framed, on "meta"
    square = torch.tensor([*sides], device="cpu")
    width, height = ((x[:, None] * square).flatten() for x in (1 / stretch, stretch))
    return torch.stack((-width, -height, width, height), dim=1) / 2


def _set_batch_norms(detector: Detector, momentum: float, eps: float) -> None:
    """Of all batch norms but those of a frozen backbone: its weights were trained with norms of their own."""
    backbone: Any = getattr(detector.encoder, "backbone", None)
    frozen = set(backbone.modules()) if getattr(backbone, "frozen", False) else set()
    for layer in detector.modules():
        if isinstance(layer, nn.BatchNorm2d) and layer not in frozen:
            layer.momentum, layer.eps = momentum, eps


def _check_options(config: dict[str, Any]) -> None:
    for name in (
        "num_classes",
        "short_side",
        "anchor_scale",
        "focal_alpha",
        "huber_delta",
        "pre_nms",
        "detections",
    ):
        if config[name] <= 0:
            raise ConfigError(f"{name} must be positive, but got {config[name]!r}.")
    if config["exit_losses"] not in ("mean", "sum"):
        raise ConfigError(f"exit_losses must be mean or sum, but got {config['exit_losses']!r}.")
    if config["short_side"] > config["long_side"]:
        raise ConfigError(
            f"short_side <= long_side must hold, but got {config['short_side']} and {config['long_side']}."
        )
    if not 0 <= config["unmatch_iou"] <= config["match_iou"] <= 1:
        raise ConfigError(
            f"0 <= unmatch_iou <= match_iou <= 1 must hold, but got {config['unmatch_iou']} and {config['match_iou']}."
        )
