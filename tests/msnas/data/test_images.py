"""From file to pixels: the EXIF rule, odd modes, sizes."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from coco_folders import picture
from PIL import Image, ImageOps

from msnas.data.geometry import resized_size
from msnas.data.images import ImageError, check_header, read_rgb

SIDEWAYS = (5, 6, 7, 8)


# Tests turn warnings into errors, users do not: the limit is asked for as they meet it.
OVER_THE_LIMIT = """
import sys
from pathlib import Path
from msnas.data.images import ImageError, Reading, upright_size
for limit in 1500, 2400:  # more than half of the pixels, and all of them
    try:
        print(upright_size(Path(sys.argv[1]), Reading(pixel_limit=limit)))
    except ImageError as error:
        print(error)
"""


def _saved(path: Path, orientation: int | None, size: tuple[int, int] = (60, 40)) -> Path:
    options = {}
    if orientation is not None:
        exif = Image.Exif()
        exif[0x0112] = orientation
        options["exif"] = exif
    picture(*size, seed=5).save(path, **options)
    return path


@pytest.mark.parametrize("suffix", ["png", "webp", "tif", "jpg"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_stored_size_means_stored_pixels(tmp_path: Path, orientation: int, suffix: str):
    plain = read_rgb(_saved(tmp_path / f"plain.{suffix}", None), 60, 40)
    path = _saved(tmp_path / f"turned.{suffix}", orientation)
    np.testing.assert_array_equal(read_rgb(path, 60, 40), plain)


@pytest.mark.parametrize("suffix", ["png", "webp", "tif", "jpg"])
@pytest.mark.parametrize("orientation", SIDEWAYS)
def test_transposed_size_means_upright_pixels(tmp_path: Path, orientation: int, suffix: str):
    path = _saved(tmp_path / f"a.{suffix}", orientation)
    with Image.open(path) as image:
        upright = np.asarray(ImageOps.exif_transpose(image))
    np.testing.assert_array_equal(read_rgb(path, 40, 60), upright)


@pytest.mark.parametrize("orientation", [None, 1, 2, 3, 4, 9])
@pytest.mark.parametrize("read", [read_rgb, check_header])
def test_transposed_size_without_a_turn_in_exif_is_a_fault(tmp_path: Path, orientation: int | None, read):
    with pytest.raises(ImageError, match="40 x 60 in the record and 60 x 40"):
        read(_saved(tmp_path / "a.png", orientation), 40, 60)


def test_any_other_size_is_a_fault_whatever_exif_says(tmp_path: Path):
    with pytest.raises(ImageError, match="40 x 60 by EXIF"):
        read_rgb(_saved(tmp_path / "a.jpg", 6), 41, 60)


def test_a_limit_on_pixels_is_told_in_one_line_and_no_warning(tmp_path: Path):
    path = _saved(tmp_path / "a.png", None)
    done = subprocess.run([sys.executable, "-c", OVER_THE_LIMIT, path], capture_output=True, text=True, check=True)
    refused = "the image must have at most 1,500 pixels, but got 'a.png' with more (data.pixel_limit=NUMBER raises the "
    assert (done.stdout, done.stderr) == (f"{refused}limit)\n(60, 40)\n", "")


def test_square_images_are_read_as_stored(tmp_path: Path):
    plain = read_rgb(_saved(tmp_path / "a.png", None, (50, 50)), 50, 50)
    np.testing.assert_array_equal(read_rgb(_saved(tmp_path / "b.png", 6, (50, 50)), 50, 50), plain)


def test_turned_images_are_resized_upright(tmp_path: Path):
    path = tmp_path / "a.jpg"
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.linear_gradient("L").resize((800, 400)).save(path, exif=exif)  # dark above, bright below
    small = read_rgb(path, 400, 800, (20, 10))
    assert small.shape == (20, 10, 3)
    assert small[:, 0].mean() > 200  # turned clockwise, what was below is left
    assert small[:, -1].mean() < 50


def test_broken_exif_does_not_hide_a_picture(tmp_path: Path):
    picture(60, 40).save(tmp_path / "a.jpg", exif=b"Exif\0\0garbage of no meaning")
    assert read_rgb(tmp_path / "a.jpg", 60, 40).shape == (40, 60, 3)


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_16_bit_grey_keeps_its_high_byte(tmp_path: Path, suffix: str):
    deep = np.random.default_rng(0).integers(0, 65536, (40, 60)).astype(np.uint16)
    Image.fromarray(deep).save(tmp_path / f"a.{suffix}")
    expected = np.repeat((deep >> 8).astype(np.uint8)[..., None], 3, axis=2)
    np.testing.assert_array_equal(read_rgb(tmp_path / f"a.{suffix}", 60, 40), expected)


def test_big_endian_16_bit_grey_is_read_alike(tmp_path: Path):
    deep = np.arange(2400, dtype=np.uint16).reshape(40, 60) * 27
    Image.frombytes("I;16B", (60, 40), deep.astype(">u2").tobytes()).save(tmp_path / "a.tif")
    np.testing.assert_array_equal(read_rgb(tmp_path / "a.tif", 60, 40)[..., 0], deep >> 8)


@pytest.mark.parametrize("mode", ["L", "LA", "RGBA", "1"])
def test_grey_and_alpha_become_their_colours(tmp_path: Path, mode: str):
    image = picture(60, 40).convert(mode)
    image.save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_rgb(tmp_path / "a.png", 60, 40), np.asarray(image.convert("RGB")))


def test_palette_with_transparency_shows_its_colours(tmp_path: Path):
    image = picture(60, 40).convert("P", palette=Image.Palette.ADAPTIVE)
    image.save(tmp_path / "a.png", transparency=bytes(256))
    np.testing.assert_array_equal(read_rgb(tmp_path / "a.png", 60, 40), np.asarray(image.convert("RGB")))


def test_cmyk_is_close_to_what_it_was(tmp_path: Path):
    image = Image.new("RGB", (60, 40), (200, 30, 90))
    image.convert("CMYK").save(tmp_path / "a.jpg", quality=95)
    pixels = read_rgb(tmp_path / "a.jpg", 60, 40).astype(int)
    assert abs(pixels - (200, 30, 90)).max() < 12


def test_large_jpegs_are_resized_as_if_decoded_whole(tmp_path: Path):
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (6, 9, 3), np.uint8))
    image.resize((900, 600), Image.Resampling.BICUBIC).save(tmp_path / "a.jpg", quality=95)
    with Image.open(tmp_path / "a.jpg") as whole:
        expected = np.asarray(whole.resize((90, 60), Image.Resampling.BILINEAR)).astype(int)
    assert abs(read_rgb(tmp_path / "a.jpg", 900, 600, (60, 90)).astype(int) - expected).mean() < 1


@pytest.mark.parametrize(
    ("size", "expected"),
    [((600, 800), (800, 1067)), ((800, 600), (1067, 800)), ((500, 1000), (666, 1333)), ((1, 1), (800, 800)),
     ((3, 10_000), (1, 1333)), ((10_000, 3), (1333, 1))],
)  # fmt: skip
def test_short_side_decides_unless_the_long_side_is_too_long(size: tuple[int, int], expected: tuple[int, int]):
    assert resized_size(*size, 800, 1333) == expected


def test_resizing_a_resized_size_changes_nothing():
    rng = np.random.default_rng(0)
    for height, width in rng.integers(1, 3000, (2000, 2)).tolist():
        size = resized_size(height, width, 128, 213)
        assert resized_size(*size, 128, 213) == size
