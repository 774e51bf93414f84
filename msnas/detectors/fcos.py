"""FCOS over any pyramid of five features: anchor-free, one location at a time, with centerness.

FCOS, arXiv 1904.01355; the head may be one that NAS-FCOS (arXiv 1906.04423) searched. Used like torchvision's models:
a list of images in, a list of detections out; with targets, in training mode, a dict of losses.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torchvision.ops import boxes as box_ops
from torchvision.ops import clip_boxes_to_image

from msnas.detectors.best import best_above
from msnas.detectors.detector import Detector, Images, sizes_of
from msnas.detectors.fcos_targets import BOX_LOSSES, Locations, assign, locations, losses
from msnas.detectors.targets import check_targets
from msnas.detectors.transform import make_transform, normalisation
from msnas.errors import ConfigError
from supernet.nas_fcos.decoder import LEVELS, ORIGINAL, Head
from supernet.nas_fcos.head_module import BRANCHES, HeadModule

Target = dict[str, Any]
Detection = dict[str, Tensor]
PUBLISHED_SHORT_SIDE = 800


class FCOS(Detector):
    """A one-stage detector over `encoder`, which gives five features (P3..P7, or one for each group of sizes).

    num_classes: object classes, without a background; labels are 1..num_classes. short_side, long_side: pixels that
    images are resized to at inference. head: "fcos" (four convolutions) or a searched head as text, such as
    "5,1,5,0,4,4|0". center_sampling: > 0 trains only locations within so many strides of a box's centre (a later FCOS's
    improvement). range_scale: of the sizes that a level is responsible for; None: short_side / 800. box_loss: "iou" or
    "giou"; centerness_on: the branch that predicts it, "classes" or "boxes" (Table 2's last rows: "giou" and "boxes").
    distances_in: "strides", or "pixels" as mmdetection trains them, where the encoder's levels are P3..P7.
    image_mean, image_std: of RGB in 0..1; None: as the encoder wants them.
    """

    def __init__(
        self,
        encoder: Any,
        *,
        num_classes: int,
        short_side: int = 800,
        long_side: int = 1333,
        head: str = ORIGINAL,
        center_sampling: float = 0.0,
        range_scale: float | None = None,
        box_loss: str = "iou",
        centerness_on: str = "classes",
        distances_in: str = "strides",
        score_threshold: float = 0.05,
        nms_threshold: float = 0.6,
        pre_nms: int = 1000,
        detections: int = 100,
        image_mean: Sequence[float] | None = None,
        image_std: Sequence[float] | None = None,
    ) -> None:
        config = {name: value for name, value in locals().items() if name not in ("self", "encoder", "__class__")}
        config |= normalisation(encoder, image_mean, image_std)
        super().__init__()
        _check_options(config, encoder)
        self.config: dict[str, Any] = config  # what the constructor needs to build this detector again, as JSON
        self.meta: dict[str, Any] = {}  # what a model file adds: class names, category ids, where it comes from
        self.transform = make_transform(config, divisor=encoder.divisor)
        self.encoder = encoder
        plan = None if head == ORIGINAL else Head.parse(head)
        self.head = HeadModule(
            plan,
            channels=encoder.out_channels,
            num_classes=num_classes,
            centerness_on=centerness_on,
            pixels=distances_in == "pixels",
        )

    def forward(self, images: Images, targets: list[Target] | None = None, architecture: Any | None = None) -> Any:
        """Losses in training mode, detections in evaluation mode.

        images: as `Detector` says. targets: boxes [n, 4] xyxy float in pixels of the given image and labels [n] int64
        in 1..num_classes; n may be 0. architecture: the path, where the encoder is a supernet. Returns a dict of scalar
        losses, or for each image boxes [m, 4], labels [m] and scores [m].
        """
        if self.training:
            check_targets(targets, len(images), self.config["num_classes"])
        batch, targets, cached = self.on_canvas(images, targets if self.training else None)
        features = self.features(batch.tensors, architecture, cached)
        logits, distances, centerness = self.head(features)
        where = self.locations(features, (batch.tensors.shape[-2], batch.tensors.shape[-1]))
        if self.training:
            assert targets is not None
            wanted = assign(targets, where, self.config["center_sampling"])
            return losses(logits, distances, centerness, wanted, where, box_loss=self.config["box_loss"])
        detections = self.detect(logits, distances, centerness, where, batch.image_sizes)
        return self.transform.postprocess(detections, batch.image_sizes, sizes_of(images))

    def locations(self, features: list[Tensor], image_size: tuple[int, int]) -> Locations:
        """The locations of `features` of a padded image of (height, width) `image_size`, on their device."""
        sizes = [(feature.shape[-2], feature.shape[-1]) for feature in features]
        levels: Any = getattr(self.encoder, "levels", None)
        searched = [image_size[0] // height for height, _ in sizes]
        strides = searched if levels is None else [2**level for level in levels]
        return locations(sizes, strides, range_scale=self.range_scale, device=features[0].device)

    @property
    def range_scale(self) -> float:
        """What the published sizes of the levels are multiplied with."""
        scale: float | None = self.config["range_scale"]
        return self.config["short_side"] / PUBLISHED_SHORT_SIDE if scale is None else scale

    def detect(
        self,
        logits: Tensor,
        distances: Tensor,
        centerness: Tensor,
        where: Locations,
        image_sizes: list[tuple[int, int]],
    ) -> list[Detection]:
        """Detections in pixels of the resized images, from the head's predictions (see `HeadModule.forward`)."""
        reach = distances.float() * where.strides[:, None]
        boxes = torch.cat((where.points - reach[..., :2], where.points + reach[..., 2:]), dim=2)  # [B, N, 4]
        quality = centerness.float().sigmoid()
        probability = logits.float().sigmoid()
        return [
            self._detect_one(probability[i], quality[i], boxes[i], where, size) for i, size in enumerate(image_sizes)
        ]

    def _detect_one(
        self, probability: Tensor, quality: Tensor, boxes: Tensor, where: Locations, size: tuple[int, int]
    ) -> Detection:
        """probability: [N, K], quality: [N] in 0..1, boxes: [N, 4] xyxy pixels of an image of (height, width)."""
        kept_boxes, kept_scores, kept_labels = [], [], []
        counts = list(where.counts)
        levels = zip(*(torch.split(x, counts) for x in (probability, quality, boxes)), strict=True)
        for level_probability, level_quality, level_boxes in levels:
            likely = level_probability > self.config["score_threshold"]
            score = torch.where(likely, (level_probability * level_quality[:, None]).sqrt(), -1.0).flatten()
            values, chosen = best_above(score, -1.0, self.config["pre_nms"])
            classes = level_probability.shape[1]
            kept_boxes.append(clip_boxes_to_image(level_boxes[chosen // classes], size))
            kept_scores.append(values)
            kept_labels.append(chosen % classes + 1)
        box, score, label = torch.cat(kept_boxes), torch.cat(kept_scores), torch.cat(kept_labels)
        kept = box_ops.batched_nms(box, score, label, self.config["nms_threshold"])[: self.config["detections"]]
        return {"boxes": box[kept], "scores": score[kept], "labels": label[kept]}


def _check_options(config: dict[str, Any], encoder: Any) -> None:
    for name in ("num_classes", "short_side", "pre_nms", "detections", "nms_threshold"):
        if config[name] <= 0:
            raise ConfigError(f"{name} must be positive, but got {config[name]!r}.")
    if config["range_scale"] is not None and config["range_scale"] <= 0:
        raise ConfigError(f"range_scale must be positive or null, but got {config['range_scale']}.")
    if config["short_side"] > config["long_side"]:
        raise ConfigError(
            f"short_side <= long_side must hold, but got {config['short_side']} and {config['long_side']}."
        )
    units = ("strides", "pixels") if hasattr(encoder, "levels") else ("strides",)
    for name, choices in (("box_loss", tuple(BOX_LOSSES)), ("centerness_on", BRANCHES), ("distances_in", units)):
        if config[name] not in choices:
            raise ConfigError(f"{name} must be one of {', '.join(choices)}, but got {config[name]!r}.")
    if config["center_sampling"] < 0:
        raise ConfigError(f"center_sampling >= 0 must hold, but got {config['center_sampling']}.")
    if encoder.num_groups != len(LEVELS):
        raise ConfigError(f"FCOS reads {len(LEVELS)} features, but the encoder gives {encoder.num_groups}.")
