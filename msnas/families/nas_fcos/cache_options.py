"""How features of the frozen backbone are cached: the options `cache.*`. Torch-free."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class CacheOptions:
    """Options `cache.*`: augmented views of each training image, and bytes of features that may lie in memory."""

    views: int = 1
    flip: float = 0.5
    jitter: tuple[float, float] = (1.0, 1.0)
    memory_limit: float = 2e9
