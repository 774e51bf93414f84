"""Decoded images of one annotation file: one block of bytes in memory where they fit, else read when asked for."""

from itertools import accumulate
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from msnas.data.decoders import Decoders
from msnas.data.geometry import resized_size
from msnas.data.images import ImageError, check_header, locate, read_rgb
from msnas.data.records import AnnotationFile, ImageRecord
from msnas.data.seen_images import Seen, seen_once
from msnas.data.source import open_images
from msnas.errors import DataError


class ImageStore:
    """Resized uint8 pixels by image record. After `decode` everything is in memory, after `look` nothing is.

    readers: threads that may read images beforehand; 0 where everything is in memory. processes: those that decode for
    the threads; 0: each decodes itself.
    """

    def __init__(self, part: AnnotationFile, short_side: int, long_side: int, processes: int = 0) -> None:
        self.folder = part.files.images
        self.label = part.files.label
        self.reading = part.files.reading
        self._part: AnnotationFile | None = part
        self._sizes = {
            image.row: resized_size(image.height, image.width, short_side, long_side) for image in part.images
        }
        lengths = [3 * height * width for height, width in self._sizes.values()]
        self._starts = dict(zip(self._sizes, accumulate(lengths, initial=0), strict=False))
        self.needed = sum(lengths)
        self._block: Tensor | None = None
        self.readers = 0
        self._decoders = Decoders(processes, max(lengths, default=0)) if processes else None

    def __getstate__(self) -> dict[str, object]:
        return self.__dict__ | {"_part": None}  # the annotations travel with the data sets already

    @property
    def memory(self) -> int:
        """Bytes held."""
        return 0 if self._block is None else self._block.numel()

    def size(self, record: ImageRecord) -> tuple[int, int]:
        """(height, width) after resizing."""
        return self._sizes[record.row]

    def decode(self, workers: int) -> None:
        """Read every image into memory; what cannot be read becomes a fault of the annotation file."""
        assert self._part is not None
        block = torch.empty(self.needed, dtype=torch.uint8)

        def one(record: ImageRecord, path: Path) -> None:
            self._view(block, record).copy_(self._read(record, path))

        open_images(self._part, one, workers)
        self._block, self.readers = block, 0

    def look(self, workers: int) -> None:
        """Open every image without decoding it, for the faults that its header shows; once for as long as it stays."""
        part, self.readers = self._part, workers
        assert part is not None
        seen_once(part.files, part.images, "header", lambda new: open_images(part, self._check, workers, images=new))

    def pixels(self, record: ImageRecord) -> Tensor:
        """The image [3, h, w] uint8, a copy of the caller's own. Raises DataError where it cannot be read."""
        if self._block is not None:
            return self._view(self._block, record).clone()
        try:
            return self._read(record, locate(self.folder, record.file_name, links=self.reading.links))
        except ImageError as error:
            raise DataError(f"{self.label}: {record.name}, {error.field}: {error}") from error

    def _view(self, block: Tensor, record: ImageRecord) -> Tensor:
        height, width = self._sizes[record.row]
        start = self._starts[record.row]
        return block[start : start + 3 * height * width].view(3, height, width)

    def _check(self, record: ImageRecord, path: Path) -> Seen:
        """Raises ImageError; that there was nothing to raise for is all that is seen."""
        check_header(path, record.width, record.height, self.reading)
        return np.empty(0, np.uint8)

    def _read(self, record: ImageRecord, path: Path) -> Tensor:
        wanted = (path, record.width, record.height, self._sizes[record.row], self.reading)
        if self._decoders is not None:
            return torch.from_numpy(self._decoders.read(*wanted))
        pixels = read_rgb(*wanted)
        return torch.from_numpy(pixels.transpose(2, 0, 1).copy())
