"""From an image file to RGB pixels: refuses what leaves the folder or cannot be read, settles EXIF and odd modes.

EXIF: the annotation file's size decides. Equal to the stored size, the stored pixels are used as they are;
equal to the transposed size, EXIF's orientation is applied; anything else is a fault. (Square images:
stored.)
"""

import importlib
import os
import re
import stat
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, TiffImagePlugin, UnidentifiedImageError

from msnas.data.faults import shown
from msnas.data.settings import PIXEL_LIMIT
from msnas.errors import DataError

_TRANSPOSE = {  # EXIF orientation -> what makes the picture upright; EXIF 2.3, tag 274
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_SIDEWAYS = (5, 6, 7, 8)
_UNDO = {
    Image.Transpose.ROTATE_270: Image.Transpose.ROTATE_90,
    Image.Transpose.ROTATE_90: Image.Transpose.ROTATE_270,
}
_DEEP = {"I;16", "I;16L", "I;16B", "I;16N", "I"}
EIGHT_BIT = (".jpg", ".jpeg", ".bmp", ".gif", ".webp")  # suffixes of files that hold no deeper images
_FILMS = (".gif", ".png", ".apng", ".webp", ".tif", ".tiff", ".avif")  # those of files that may hold several pictures
# Pillow warns of what lies above its limit, and raises at twice as much; ours is told in our own words, once.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)

PLUG_INS = {".heic": "pillow-heif", ".heif": "pillow-heif", ".jxl": "pillow-jxl-plugin"}  # suffix -> package


@dataclass(frozen=True)
class Reading:
    """How the images of a data set are read.

    white: the value of white in 16-bit images; None: 65535, of which the high byte is kept. pixel_limit: pixels that an
    image may have. links: whether links may lead out of the image folder.
    """

    white: int | None = None
    pixel_limit: int = PIXEL_LIMIT
    links: bool = False


PLAIN = Reading()


class ImageError(DataError):
    """An image that training refuses: the field of its record, the rule, and what came."""

    def __init__(self, field: str, rule: str, got: str = "") -> None:
        super().__init__(f"{rule}, but got {got}" if got else rule)
        self.field, self.rule, self.got = field, rule, got

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.field, self.rule, self.got)


_LFS = b"version https://git-lfs"


def locate(folder: Path, file_name: str, *, links: bool = False) -> Path:
    """The regular, non-empty file that a record names. Raises ImageError: outside `folder`, absent, empty.

    links: whether a symbolic link may lead out of the folder.
    """
    ways_out = (PurePosixPath(file_name), PureWindowsPath(file_name))
    if any(way.is_absolute() or way.drive or way.root for way in ways_out):
        raise ImageError("file_name", "the name must be relative to the image folder", shown(file_name))
    path = folder / file_name
    if any(".." in way.parts for way in ways_out):
        raise ImageError("file_name", "the file must not leave the image folder", shown(file_name))
    if os.path.islink(path) and not os.path.exists(path):  # these raise nothing for a name that no file can have
        got = f"{shown(file_name)} (a link to nothing: fetch what it leads to)"
        raise ImageError("file_name", "the image must exist", got)
    if not links and not _stays_inside(folder, path):
        place = (
            f"{shown(file_name)}, which leads to {shown(str(path.resolve()))} (only the folder itself may be a link; "
        )
        place += "data.links=true allows others, in a folder that you trust)"
        raise ImageError("file_name", "the file must not leave the image folder", place)
    try:
        state = path.stat()
    except OSError as error:
        raise ImageError("file_name", "the image must exist", f"{shown(file_name)} ({error.strerror})") from error
    except ValueError as error:
        raise ImageError("file_name", "the name must be one that a file can have", shown(file_name)) from error
    if not stat.S_ISREG(state.st_mode):
        raise ImageError("file_name", "the image must be a regular file", shown(file_name))
    if state.st_size == 0:
        raise ImageError("file_name", "the image must not be empty", f"{shown(file_name)} of 0 bytes")
    return path


def read_rgb(
    path: Path, width: int, height: int, target: tuple[int, int] | None = None, reading: Reading = PLAIN
) -> NDArray[np.uint8]:
    """The picture as [h, w, 3] RGB, upright as the record's `width` and `height` say, resized to `target`.

    target: (height, width) in pixels; None: as it is. Raises ImageError where the size or the content is
    wrong.
    """
    down, across = target or (height, width)
    with _opened(path, reading.pixel_limit) as image:
        _refuse_unscaled(image, path, reading)
        upright = _orientation(image, width, height)
        if image.format == "JPEG":  # a fraction of the pixels is exact enough at twice the target's size
            sideways = _stored_size(image) != (width, height)
            image.draft(None, (2 * down, 2 * across) if sideways else (2 * across, 2 * down))
        pixels = _to_rgb(_stored_pixels(image), path, reading.white)
        if upright is not None:
            pixels = pixels.transpose(upright)
        if pixels.size != (across, down):
            pixels = pixels.resize((across, down), Image.Resampling.BILINEAR)
        return np.asarray(pixels)


def read_upright(path: Path, reading: Reading = PLAIN) -> NDArray[np.uint8]:
    """The picture as [h, w, 3] RGB, turned as its EXIF says: for images that no record describes.

    Raises ImageError where it cannot be read.
    """
    with _opened(path, reading.pixel_limit) as image:
        _refuse_floats(image, path)
        turned_by_pillow = isinstance(image, TiffImagePlugin.TiffImageFile)
        upright = None if turned_by_pillow else _TRANSPOSE.get(_exif_orientation(image))
        image.load()
        pixels = _to_rgb(image, path, reading.white)
        return np.asarray(pixels if upright is None else pixels.transpose(upright))


def check_header(path: Path, width: int, height: int, reading: Reading = PLAIN) -> None:
    """Open the file without decoding it: raises ImageError where it is no image or not of the stated size."""
    with _opened(path, reading.pixel_limit) as image:
        _refuse_unscaled(image, path, reading)
        _orientation(image, width, height)


def upright_size(path: Path, reading: Reading = PLAIN) -> tuple[int, int]:
    """(width, height) of the picture, turned as its EXIF says, without decoding it. Raises ImageError."""
    with _opened(path, reading.pixel_limit) as image:
        width, height = _stored_size(image)
        return (height, width) if _exif_orientation(image) in _SIDEWAYS else (width, height)


def deepest(path: Path, reading: Reading = PLAIN) -> tuple[int, int]:
    """The largest value of a grey image of 16 bits, and the largest high byte of a coloured one; 0 for any other.

    Only images of 16 bits are decoded. Raises ImageError.
    """
    with _opened(path, reading.pixel_limit) as image:
        grey, colour = image.mode in _DEEP, _is_deep_colour(image)
        return int(np.asarray(image).max()) if grey else 0, int(np.asarray(image)[..., :3].max()) if colour else 0


def holds_several(path: Path, reading: Reading = PLAIN) -> bool:
    """Whether the file is an animation, or has pages: all that read it take its first picture. Raises ImageError."""
    if path.suffix.lower() not in _FILMS:
        return False
    with _opened(path, reading.pixel_limit) as image:
        return bool(getattr(image, "is_animated", False))


@contextmanager
def _opened(path: Path, pixel_limit: int) -> Iterator[Image.Image]:
    """An open image; whatever a decoder raises on a broken file (that may be anything) becomes an ImageError."""
    Image.MAX_IMAGE_PIXELS = pixel_limit  # also of images inside of images, such as those of an icon
    if path.suffix.lower() in PLUG_INS:
        _registered(path.suffix.lower())
    try:
        with Image.open(path) as image:
            if image.width * image.height > pixel_limit:
                raise Image.DecompressionBombError
            yield image
    except ImageError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        got = f"{shown(path.name)} with more (data.pixel_limit=NUMBER raises the limit)"
        raise ImageError("file_name", f"the image must have at most {pixel_limit:,} pixels", got) from error
    except UnidentifiedImageError as error:
        package = PLUG_INS.get(path.suffix.lower())
        hint = f": Pillow reads {path.suffix} with a plug-in, `pip install {package}`" if package else ""
        if path.read_bytes()[: len(_LFS)] == _LFS:
            hint = ": a pointer of Git LFS, fetch the image with `git lfs pull`"
        got = f"{shown(path.name)}{hint or ': cannot identify the kind of image'}"
        raise ImageError("file_name", "the image must be readable", got) from error
    except Exception as error:
        text = re.sub(r"<_io[^>]*>", "the file", " ".join(str(error).split())) or type(error).__name__
        got = f"{shown(path.name)}: {text.replace(str(path), path.name)[:200]}"
        raise ImageError("file_name", "the image must be readable", got) from error


@lru_cache(maxsize=16)
def _registered(suffix: str) -> None:
    """Make Pillow know the suffix, where its plug-in is installed."""
    with suppress(ImportError):
        if PLUG_INS[suffix] == "pillow-heif":
            importlib.import_module("pillow_heif").register_heif_opener()
        else:
            importlib.import_module("pillow_jxl")


def _stays_inside(folder: Path, path: Path) -> bool:
    """Whether the file's real place is below the folder's real place: symbolic links are followed."""
    try:
        if path.is_symlink():
            return path.resolve().is_relative_to(_real(folder))
        return path.parent == folder or _real(path.parent).is_relative_to(_real(folder))
    except (OSError, RuntimeError, ValueError):
        return True  # no such place: `stat` says so in a moment


@lru_cache(maxsize=4096)
def _real(folder: Path) -> Path:
    return folder.resolve()


def _orientation(image: Image.Image, width: int, height: int) -> Image.Transpose | None:
    """What to apply to the stored pixels so that they are as the record says; raises where nothing does."""
    stored = _stored_size(image)
    if stored == (width, height):
        return None
    tag = _exif_orientation(image)
    if stored == (height, width) and tag in _SIDEWAYS:
        return _TRANSPOSE[tag]
    found = f"{stored[0]} x {stored[1]}" + (f", {stored[1]} x {stored[0]} by EXIF" if tag in _SIDEWAYS else "")
    got = f"{width} x {height} in the record and {found} in the file"
    raise ImageError("width, height", "the record's size must be the image's", got)


def _exif_orientation(image: Image.Image) -> int:
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        return int(image.tag_v2.get(ExifTags.Base.Orientation, 1))
    try:
        return int(image.getexif().get(ExifTags.Base.Orientation, 1))
    except (OSError, SyntaxError, ValueError, TypeError, KeyError, IndexError, EOFError):
        return 1  # broken metadata says nothing about the picture, and the sizes still have to agree


def _stored_size(image: Image.Image) -> tuple[int, int]:
    """(width, height) of the pixels in the file. Pillow turns TIFF by itself, as it turns nothing else."""
    width, height = image.size
    if isinstance(image, TiffImagePlugin.TiffImageFile) and _exif_orientation(image) in _SIDEWAYS:
        return height, width
    return width, height


def _stored_pixels(image: Image.Image) -> Image.Image:
    if not isinstance(image, TiffImagePlugin.TiffImageFile):
        image.load()
        return image
    turned = _TRANSPOSE.get(_exif_orientation(image))
    image.load()  # applies the orientation, and forgets it
    return image if turned is None else image.transpose(_UNDO.get(turned, turned))


def _to_rgb(image: Image.Image, path: Path, white: int | None) -> Image.Image:
    """Any mode as 8-bit RGB: alpha is left out, 16-bit grey keeps its high byte, or is scaled to `white`."""
    if image.mode in _DEEP:
        deep = np.asarray(image).astype(np.int64)
        if image.mode == "I" and not (deep.min() >= 0 and deep.max() <= 65535):
            got = f"{shown(path.name)} with {deep.min()} to {deep.max()}; convert it to 8 or 16 bits"
            raise ImageError("file_name", "pixels of 32 bits must be from 0 to 65535", got)
        deep = np.clip(deep, 0, white or 65535)
        image = Image.fromarray((deep >> 8 if white is None else deep * 255 // white).astype(np.uint8))
    if image.mode in ("P", "PA"):
        image = image.convert("RGBA")  # a palette's transparency may be bytes, which convert("RGB") warns about
    return image if image.mode == "RGB" else image.convert("RGB")


def _is_deep_colour(image: Image.Image) -> bool:
    """Whether the file holds colours of 16 bits, of which Pillow keeps 8; to be asked before it is decoded."""
    tiles = getattr(image, "tile", None) if image.mode in ("RGB", "RGBA") else None
    return bool(tiles and ";16" in str(tiles[0][3]))  # how the file holds its pixels, such as RGB;16B


def _refuse_unscaled(image: Image.Image, path: Path, reading: Reading) -> None:
    """Raise for pixels of which nothing says, or nobody has looked, which value is white."""
    _refuse_floats(image, path)
    unseen = reading.white is None and path.suffix.lower() in EIGHT_BIT  # see `depth`
    if unseen and (image.mode in _DEEP or _is_deep_colour(image)):
        got = f"{shown(path.name)} with 16, of format {image.format}; name it so, or convert it to 8 bits"
        raise ImageError("file_name", f"a file called {path.suffix} must have 8 bits a colour", got)


def _refuse_floats(image: Image.Image, path: Path) -> None:
    if image.mode == "F":
        got = f"{shown(path.name)} of floating point; convert it to 8 or 16 bits"
        raise ImageError("file_name", "the image must have whole numbers for pixels", got)
