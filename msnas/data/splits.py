"""Who is held out: by image, from a seed, and never half of a picture (records of one file stay together)."""

from collections.abc import Sequence

from msnas.data.annotations import ImageRecord
from msnas.data.settings import SearchVal
from msnas.seeds import derive


def hold_out(images: Sequence[ImageRecord], number: int, seed: int, purpose: str) -> tuple[list[int], list[int]]:
    """(kept, held out): indices into `images`, each in file order; about `number` are held out.

    An image's rank depends on (seed, purpose, its id) alone, so images that are added or reordered move no
    other. Both sides get an image with boxes where two such files exist. Never more than half of the images
    are held out.
    """
    number = min(number, len(images) // 2)
    by_file: dict[str, list[int]] = {}
    for index, image in enumerate(images):
        by_file.setdefault(image.file_name, []).append(index)
    groups = sorted(by_file.values(), key=lambda group: derive(seed, purpose, images[group[0]].id))
    boxed = [group for group in groups if any(images[index].has_boxes for index in group)]
    if len(boxed) > 1:  # first and last in rank: the first is held out if any is, the last is kept
        groups = [boxed[0], *(group for group in groups if group not in (boxed[0], boxed[-1])), boxed[-1]]
    held: list[int] = []
    for group in groups:
        if len(held) + len(group) <= number:
            held.extend(group)
    chosen = set(held)
    return [index for index in range(len(images)) if index not in chosen], sorted(held)


def search_val_size(images: int, rule: SearchVal) -> int:
    """How many of `images` training images score the candidates."""
    return min(max(round(rule.fraction * images), rule.minimum), rule.maximum, images // 2)
