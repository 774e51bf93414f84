"""Who is held out: from a seed, by group (one file, near copies, one film), so that neither side knows the other's."""

from collections import Counter
from collections.abc import Sequence
from itertools import islice

from msnas.data.records import ImageRecord
from msnas.data.settings import SearchVal
from msnas.seeds import derive

_TRIES = 20  # groups that are tried to bring in a missing class


def hold_out(
    images: Sequence[ImageRecord], number: int, seed: int, purpose: str, together: Sequence[int] | None = None
) -> tuple[list[int], list[int]]:
    """(kept, held out): indices into `images`, each in file order; about `number` are held out.

    together: the group of each image, which stays on one side; None: images of one file are one. A group's rank depends
    on (seed, purpose, its first id) alone, so images that are added or reordered move no other. Both sides get an image
    with boxes where two groups have one, and every class that two groups have is held out where room can be made. Never
    more than half of the images are held out.
    """
    number = min(number, len(images) // 2)
    members: dict[int | str, list[int]] = {}
    for index, image in enumerate(images):
        members.setdefault(image.file_name if together is None else together[index], []).append(index)
    groups = sorted(members.values(), key=lambda group: derive(seed, purpose, images[group[0]].id))
    boxed = [group for group in groups if any(images[index].has_boxes for index in group)]
    if len(boxed) > 1:  # first and last in rank: the first is held out if any is, the last is kept
        groups = [boxed[0], *(group for group in groups if group not in (boxed[0], boxed[-1])), boxed[-1]]
    held = _filled(groups, number)
    if number and not held and len(groups) > 1:  # every group is larger than what is wanted
        held = [min(boxed if len(boxed) > 1 else [group for group in groups if group not in boxed], key=len)]
    held = _with_every_class(images, groups, held, number)
    chosen = {index for group in held for index in group}
    return [index for index in range(len(images)) if index not in chosen], sorted(chosen)


def _filled(groups: Sequence[list[int]], number: int) -> list[list[int]]:
    """The first groups, in order, that fit into `number` images."""
    held: list[list[int]] = []
    room = number
    for group in groups:
        if len(group) <= room:
            held.append(group)
            room -= len(group)
    return held


def _with_every_class(
    images: Sequence[ImageRecord], groups: Sequence[list[int]], held: list[list[int]], number: int
) -> list[list[int]]:
    """`held`, with groups exchanged so that it has the classes that two groups have; as it is where it has them.

    The rarest missing class goes first. Its first group in rank comes in, and the last ones go out that no class of
    `held` needs; where they make no room, the class stays missing.
    """
    if _classes(images, range(len(images))) <= _classes(images, [index for group in held for index in group]):
        return held
    classes = {id(group): _classes(images, group) for group in groups}
    spread = Counter(one for group in groups for one in classes[id(group)])
    covered = Counter(one for group in held for one in classes[id(group)])
    for wanted in sorted((one for one in spread if spread[one] > 1), key=lambda one: (spread[one], one)):
        if covered[wanted]:
            continue
        inside = {id(group) for group in held}
        incoming = (group for group in groups if wanted in classes[id(group)] and id(group) not in inside)
        for group in islice(incoming, _TRIES):
            if any(spread[one] - covered[one] < 2 for one in classes[id(group)]):
                continue  # training would lose the class
            changed = _exchanged(held, group, classes, number)
            if changed is not None:
                held = changed
                covered = Counter(one for group in held for one in classes[id(group)])
                break
    return held


def _exchanged(
    held: Sequence[list[int]], incoming: list[int], classes: dict[int, set[int]], number: int
) -> list[list[int]] | None:
    """`held` with a group more, without the last ones that can be spared; None where it then exceeds `number`."""
    covered = Counter(one for group in (*held, incoming) for one in classes[id(group)])
    over, spared = sum(map(len, held)) + len(incoming) - number, set[int]()
    for group in reversed(held):
        if over <= 0:
            break
        if all(covered[one] > 1 for one in classes[id(group)]):
            covered.subtract(classes[id(group)])
            over -= len(group)
            spared.add(id(group))
    return None if over > 0 else [*(group for group in held if id(group) not in spared), incoming]


def _classes(images: Sequence[ImageRecord], group: Sequence[int]) -> set[int]:
    return set().union(*(images[index].box_classes for index in group))


def search_val_size(images: int, rule: SearchVal) -> int:
    """How many of `images` training images score the candidates."""
    return min(max(round(rule.fraction * images), rule.minimum), rule.maximum, images // 2)
