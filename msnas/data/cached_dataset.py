"""A data set whose images are cached features: loaded, mirrored and judged as the data set of pixels would be."""

from collections.abc import Sequence
from typing import Protocol

from msnas.data.augmentation import Target, mirrored_target
from msnas.data.cached_image import CachedImage
from msnas.data.dataset import DetectionDataset
from msnas.data.fixed_views import AS_IT_IS, FixedViews
from msnas.data.settings import check_cached
from msnas.errors import ConfigError


class Features(Protocol):
    """Where the features of images lie; `msnas.families.strides.prefix_features` has the real one."""

    @property
    def memory(self) -> int:
        """Bytes of all features."""

    def image(self, file: str, *, view: int = 0, mirrored: bool = False) -> CachedImage:
        """The features of a view of an image file, or of its mirror image."""


class CachedDataset(DetectionDataset):
    """`dataset` with features in the place of pixels; the same seed mirrors the same images. No pixel is read.

    views: those that `features` have of each of its images.
    """

    def __init__(self, dataset: DetectionDataset, features: Features, views: FixedViews = AS_IT_IS) -> None:
        super().__init__(dataset.images, dataset.categories, dataset.store, masks=dataset.masks)
        self.features, self.views = features, views

    @property
    def memory(self) -> int:
        """Bytes of all features, of this data set and those it shares them with."""
        return self.features.memory

    @property
    def readers(self) -> int:
        """None: features are in memory, or mapped into it."""
        return 0

    def load(  # type: ignore[override]  # a CachedImage stands where an image stands
        self,
        index: int,
        *,
        seed: int | None = None,
        flip: float = 0.5,
        jitter: tuple[float, float] = (1.0, 1.0),
        crop: bool = False,
    ) -> tuple[CachedImage, Target]:
        """Features of an image and its target (see `DetectionDataset.load`); with a seed of one of its views.

        Raises ConfigError for what features cannot follow: another scale than that of the views, or another crop.
        """
        file, target = str(self.file(index)), self.target(index)
        if seed is None:
            return self.features.image(file), target
        if (tuple(jitter), crop) != (self.views.jitter, self.views.crop):
            check_cached(jitter, crop)
            raise ConfigError(f"Cached views are of {self.views}, but were asked for {jitter=}, {crop=}.")
        mirrored, number = self.views.choose(seed, flip)
        view = self.views.of(self.images[index].file_name, self.size(index))[number]
        target = view.of_target(target)
        if mirrored:
            target = mirrored_target(target, view.shape[1])
        return self.features.image(file, view=number, mirrored=mirrored), target

    def subset(self, indices: Sequence[int]) -> "CachedDataset":
        """These images of the data set, sharing its features."""
        return CachedDataset(super().subset(indices), self.features, self.views)
