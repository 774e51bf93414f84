"""How features of the frozen backbone are cached: the options `cache.*`. Torch-free."""

from dataclasses import dataclass
from typing import Any

from msnas.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class CacheOptions:
    """Options `cache.*`: augmented views of each training image, and bytes of features that may lie in memory.

    images: so many of the training part's are cached, drawn by the run's seed; None: all. Raises ConfigError for none.
    crop: every view is cut to a square of data.short_side, somewhere, as section 4.1 of arXiv 1906.04423 does.
    """

    images: int | None = None
    views: int = 1
    flip: float = 0.5
    jitter: tuple[float, float] = (1.0, 1.0)
    crop: bool = False
    memory_limit: float = 2e9

    def __post_init__(self) -> None:
        if self.images is not None and self.images < 1:
            raise ConfigError(f"cache.images must be at least 1, but got {self.images}; give null for all images.")

    @property
    def draws(self) -> bool:
        """Whether any view is mirrored, rescaled or cut; the first is the image as it is, unless views are cut."""
        return self.views > 1 or self.crop

    @property
    def drawn(self) -> dict[str, Any]:
        """What the views depend on."""
        return {"views": self.views, "flip": self.flip, "jitter": self.jitter, "crop": self.crop}
