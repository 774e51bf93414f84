"""Which images make up training step number n: a function of (seed, n), so that resuming anywhere costs nothing."""

from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np
from torch import Tensor

from msnas.data.augmentation import Target
from msnas.data.dataset import DetectionDataset
from msnas.data.sending import ready_to_send
from msnas.data.settings import DataSettings
from msnas.errors import DataError
from msnas.seeds import derive

_AHEAD = 2  # batches that the workers prepare beforehand
Loaded = tuple[Tensor, Target]


class Batches:
    """Endless batches: every epoch is a permutation of the images, every image is augmented by a seed of its own.

    batch_size: images a step over all ranks; this object yields the part of `rank`. An epoch has ceil(images
    / batch_size) full batches; where they do not come out even, its first images come twice. group_by_aspect:
    landscape and portrait images in batches of their own, so that less is padded. workers: threads that load
    the next batches beforehand, where that is more than copying from memory; they change no number.
    """

    def __init__(
        self,
        dataset: DetectionDataset,
        batch_size: int,
        *,
        seed: int,
        flip: float = 0.5,
        jitter: tuple[float, float] = (1.0, 1.0),
        crop: bool = False,
        group_by_aspect: bool = True,
        workers: int = 0,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        if len(dataset) == 0:
            raise DataError("A batch needs images, but this part of the data set has none; add images.")
        if batch_size < 1 or batch_size % world_size:
            raise DataError(f"The batch must be a multiple of the {world_size} processes, but got {batch_size}.")
        self.dataset, self.batch_size, self.seed = dataset, batch_size, seed
        self.flip, self.jitter, self.crop = flip, jitter, crop
        self._portrait: np.ndarray[Any, np.dtype[np.bool_]] | None = None
        if group_by_aspect:
            self._portrait = np.array([height > width for height, width in map(dataset.size, range(len(dataset)))])
        share = batch_size // world_size
        self._part = slice(rank * share, (rank + 1) * share)
        laborious = dataset.memory == 0 or dataset.masks or tuple(jitter) != (1.0, 1.0)
        self._workers = workers if laborious else 0
        self._pool: ThreadPoolExecutor | None = None
        self._pending: dict[int, list[Future[Loaded]]] = {}
        self._epoch, self._order = -1, [0]

    @property
    def steps_per_epoch(self) -> int:
        """Batches in which every image has been seen once."""
        return -(-len(self.dataset) // self.batch_size)

    def indices(self, step: int) -> list[int]:
        """The images of a step, of all ranks."""
        epoch, place = divmod(step, self.steps_per_epoch)
        if self._epoch != epoch:
            self._epoch, self._order = epoch, self._epoch_order(epoch)
        return self._order[place * self.batch_size : (place + 1) * self.batch_size]

    def _epoch_order(self, epoch: int) -> list[int]:
        """All images of an epoch, batch after batch; a multiple of the batch size."""
        rng = np.random.default_rng(derive(self.seed, "epoch", epoch))
        count, size, steps = len(self.dataset), self.batch_size, self.steps_per_epoch
        order = np.resize(rng.permutation(count), steps * size)
        if self._portrait is not None:
            order = order[np.argsort(self._portrait[order], kind="stable")]
            order = order.reshape(steps, size)[rng.permutation(steps)].ravel()
        return [int(index) for index in order]

    def batch(self, step: int) -> tuple[list[Tensor], list[Target]]:
        """Images [3, h, w] uint8, of different sizes, and their targets (see DetectionDataset.load)."""
        loaded = self._prefetched(step) if self._workers else [self._load(step, i) for i in self._mine(step)]
        return [image for image, _ in loaded], [target for _, target in loaded]

    def _mine(self, step: int) -> list[int]:
        return self.indices(step)[self._part]

    def _load(self, step: int, index: int) -> Loaded:
        epoch = step // self.steps_per_epoch
        seed = derive(self.seed, "augment", epoch, self.dataset.images[index].id)
        return self.dataset.load(index, seed=seed, flip=self.flip, jitter=self.jitter, crop=self.crop)

    def _load_ready(self, step: int, index: int) -> Loaded:
        """In a thread: the image as a GPU takes it; boxes are small, and masks are pinned when they are due."""
        image, target = self._load(step, index)
        return ready_to_send(image), target

    def _prefetched(self, step: int) -> list[Loaded]:
        if self._pool is None:
            self._pool = ThreadPoolExecutor(self._workers, thread_name_prefix="batches")
        for outdated in [key for key in self._pending if not step <= key <= step + _AHEAD]:
            for future in self._pending.pop(outdated):
                future.cancel()
        for wanted in range(step, step + _AHEAD + 1):
            if wanted not in self._pending:
                self._pending[wanted] = [self._pool.submit(self._load_ready, wanted, i) for i in self._mine(wanted)]
        return [future.result() for future in self._pending.pop(step)]

    def close(self) -> None:
        """Stop the workers; batches can be asked for again afterwards."""
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)
        self._pool, self._pending = None, {}

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_pool": None, "_pending": {}}


def batches_of(
    settings: DataSettings, dataset: DetectionDataset, *, batch: int, seed: int, rank: int = 0, world_size: int = 1
) -> Batches:
    """This process's share of the training batches of `dataset`, augmented as the settings say."""
    return Batches(
        dataset,
        batch,
        seed=seed,
        flip=settings.flip,
        jitter=settings.jitter,
        crop=settings.crop,
        workers=settings.workers,
        rank=rank,
        world_size=world_size,
    )
