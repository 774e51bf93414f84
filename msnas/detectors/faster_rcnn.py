"""Faster R-CNN (arXiv 1506.01497) and Mask R-CNN (arXiv 1703.06870), one feature a group of object sizes.

Assembled from torchvision's parts and used like its models: a list of images in, a list of detections out;
with targets, in training mode, a dict of losses.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from torch import Tensor, nn

from msnas.data.size_groups import SizeGroups
from msnas.detectors.box_head import (
    BOX_HEADS,
    BOX_SIZE,
    MASK_SIZE,
    BoxPredictor,
    make_box_head,
    make_mask_parts,
)
from msnas.detectors.detector import Detector, Images, sizes_of
from msnas.detectors.roi import GroupRoIAlign, make_roi_heads
from msnas.detectors.rpn import make_rpn
from msnas.detectors.targets import check_targets
from msnas.detectors.transform import make_transform, normalisation
from msnas.errors import ConfigError
from supernet.strides.architecture import Architecture

Target = dict[str, Any]


class Encoder(Protocol):
    """What a two-stage detector reads: one feature [B, out_channels, h, w] for each group of object sizes."""

    out_channels: int
    num_groups: int
    divisor: int  # images are padded to its multiples
    roi_levels: tuple[int, int]  # the k of the first and of the last group that serves regions
    shared_heads: bool  # one RPN head for all groups, or one for each

    def __call__(self, images: Tensor, *path: Architecture) -> list[Tensor]:
        """Normalised, padded images [B, 3, H, W]; a supernet also takes the path."""


class FasterRCNN(Detector):
    """A two-stage detector over a MixedEncoder (pass the architecture), a PathEncoder or an FpnEncoder.

    num_classes: object classes, without the background; labels are 1..num_classes. short_side, long_side:
    pixels that images are resized to at inference. anchor_scale: size of anchors beside those for 800 pixels;
    None is short_side / 800. base_scale: side of a region with k = 4 in pixels; None is 224 * anchor_scale. groups: the
    `borders` and `anchors` of `SizeGroups`, in place of those that the two scales give.
    image_mean, image_std: of RGB in 0..1; None is what the encoder's attributes of these names say, ImageNet's where
    it has none.
    """

    def __init__(
        self,
        encoder: Encoder,
        *,
        num_classes: int,
        short_side: int = 800,
        long_side: int = 1333,
        box_head: str = "2conv1fc",
        box_channels: int = 256,
        fc_channels: int = 1024,
        mask: bool = False,
        anchor_scale: float | None = None,
        base_scale: float | None = None,
        groups: Mapping[str, Sequence[float]] | None = None,
        rois_per_image: int = 512,
        rpn_batch: int = 256,
        rpn_pre_nms_train: int = 2000,
        rpn_pre_nms_test: int = 1000,
        rpn_post_nms_train: int = 2000,
        rpn_post_nms_test: int = 1000,
        score_threshold: float = 0.05,
        nms_threshold: float = 0.5,
        detections: int = 100,
        image_mean: Sequence[float] | None = None,
        image_std: Sequence[float] | None = None,
    ) -> None:
        config = {name: value for name, value in locals().items() if name not in ("self", "encoder", "__class__")}
        config |= normalisation(encoder, image_mean, image_std)
        super().__init__()
        _check_options(config)
        self.config: dict[str, Any] = config  # what the constructor needs to build this detector again, as JSON
        self.meta: dict[str, Any] = {}  # what a model file adds: class names, category ids, where it comes from
        sizes = SizeGroups(**groups) if groups else SizeGroups.paper(short_side, anchor_scale, base_scale)  # type: ignore[arg-type]
        self.transform = make_transform(config, divisor=encoder.divisor)
        self.encoder = encoder
        self.rpn = _rpn(encoder, sizes, config)
        self.roi_heads = _roi_heads(encoder, sizes, config)

    def forward(
        self,
        images: Images,
        targets: list[Target] | None = None,
        architecture: Architecture | None = None,
        *,
        paste: bool = True,
    ) -> Any:
        """Losses in training mode, detections in evaluation mode.

        images: as `Detector` says. targets: boxes [n, 4] xyxy float in pixels of the given image, labels [n] int64 in
        1..num_classes, and masks [n, h, w] uint8 where the detector has a mask branch; n may be 0. architecture: the
        path, where the encoder is a supernet. Returns a dict of scalar losses, or for each image boxes [m, 4], labels
        [m], scores [m] and masks [m, 1, h, w] (probabilities; without `paste` box_masks [m, 1, 28, 28], of the boxes).
        Raises DataError for targets that cannot be trained on.
        """
        if self.training:
            check_targets(targets, len(images), self.config["num_classes"])
        batch, targets, cached = self.on_canvas(images, targets if self.training else None)
        features = _by_group(self.features(batch.tensors, architecture, cached))
        proposals, rpn_losses = self.rpn(batch, features, targets)
        detections, roi_losses = self.roi_heads(features, proposals, batch.image_sizes, targets)
        if self.training:
            return {**rpn_losses, **roi_losses}
        return self.transform.postprocess(detections, batch.image_sizes, sizes_of(images), paste=paste)

    def encode(self, images: Tensor, architecture: Architecture | None = None) -> dict[str, Tensor]:
        """[B, 3, H, W] to each group's feature; float32 whatever the autocast: anchors take its type."""
        return _by_group(self.features(images, architecture))


def _rpn(encoder: Encoder, sizes: SizeGroups, config: Mapping[str, Any]) -> nn.Module:
    """The first stage, with the anchors of each group."""
    return make_rpn(
        encoder.out_channels,
        encoder.num_groups,
        shared=encoder.shared_heads,
        anchor_sizes=sizes.anchors,
        batch=config["rpn_batch"],
        pre_nms=(config["rpn_pre_nms_train"], config["rpn_pre_nms_test"]),
        post_nms=(config["rpn_post_nms_train"], config["rpn_post_nms_test"]),
    )


def _roi_heads(encoder: Encoder, sizes: SizeGroups, config: Mapping[str, Any]) -> nn.Module:
    """The second stage, over the groups that serve regions."""
    first, last = encoder.roi_levels
    channels, box_channels, outputs = encoder.out_channels, config["box_channels"], config["num_classes"] + 1

    def roi_pool(output_size: int) -> GroupRoIAlign:
        return GroupRoIAlign(sizes.borders[first - 1 : last - 1], output_size=output_size, divisor=encoder.divisor)

    mask_parts = make_mask_parts(channels, channels=box_channels, num_outputs=outputs) if config["mask"] else None
    return make_roi_heads(
        roi_pool(BOX_SIZE),
        make_box_head(config["box_head"], channels, channels=box_channels, fc_channels=config["fc_channels"]),
        BoxPredictor(config["fc_channels"], outputs),
        batch=config["rois_per_image"],
        score_threshold=config["score_threshold"],
        nms_threshold=config["nms_threshold"],
        detections=config["detections"],
        mask_parts=(roi_pool(MASK_SIZE), *mask_parts) if mask_parts else None,
    )


def _by_group(features: list[Tensor]) -> dict[str, Tensor]:
    return {str(group): feature.float() for group, feature in enumerate(features)}


def _check_options(config: dict[str, Any]) -> None:
    if config["box_head"] not in BOX_HEADS:
        raise ConfigError(f"box_head must be one of {', '.join(BOX_HEADS)}, but got {config['box_head']!r}.")
    for name, value in config.items():
        positive = value > 0 if isinstance(value, int | float) else True
        if not positive and name not in ("mask", "score_threshold"):
            raise ConfigError(f"{name} must be positive, but got {value!r}.")
    if config["short_side"] > config["long_side"]:
        raise ConfigError(
            f"short_side <= long_side must hold, but got {config['short_side']} and {config['long_side']}."
        )
