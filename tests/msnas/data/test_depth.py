"""Images of 10 to 14 bits in files of 16 are as bright as their data set makes them."""

import struct
import zlib

import numpy as np
import pytest
from coco_folders import CocoFolder, picture
from PIL import Image

from msnas.data.check.data_report import check_data
from msnas.data.images import Reading, read_upright
from msnas.data.opening import open_data, open_split
from msnas.errors import DataError


def _deep(folder: CocoFolder, top: int) -> CocoFolder:
    """All training images of 16 bits; the first reaches `top`, the others half of it."""
    for i in range(6):
        rng = np.random.default_rng(i)
        pixels = rng.integers(0, (top if i == 0 else top // 2) + 1, (48, 64)).astype(np.uint16)
        pixels[0, 0] = top if i == 0 else top // 2
        Image.fromarray(pixels).save(folder.images / f"train{i}.png")
    return folder.write()


@pytest.mark.parametrize("top", [1023, 4095, 3000, 16383])
def test_the_largest_value_of_the_data_set_is_white(folder: CocoFolder, top: int):
    data = open_data(_deep(folder, top).settings(short_side=48)).train
    assert (data.white, int(data.load(0)[0].max())) == (top, 255)
    assert int(data.load(1)[0].max()) == top // 2 * 255 // top


def test_images_that_use_their_16_bits_keep_their_high_byte(folder: CocoFolder):
    data = open_data(_deep(folder, 60000).settings(short_side=48)).train
    assert (data.white, int(data.load(0)[0].max())) == (None, 60000 >> 8)


def test_the_value_of_white_is_said(folder: CocoFolder):
    faults = check_data(_deep(folder, 4095).settings()).faults
    assert {fault.severity for fault in faults} == {"noted"}
    assert all("data.white=4095" in fault.rule for fault in faults)
    assert any("4095" in note for note in open_data(folder.settings()).notes)


def test_a_given_white_is_taken_in_every_way_of_reading(folder: CocoFolder):
    settings = _deep(folder, 1023).settings(short_side=48, white=2046)
    pixels = open_split(settings, "train").load(0)[0]
    assert int(pixels.max()) == 127
    again = read_upright(folder.images / "train0.png", Reading(white=2046))
    np.testing.assert_array_equal(pixels.permute(1, 2, 0).numpy(), again)


@pytest.mark.parametrize("memory_limit", [1e9, 0], ids=["decoded", "on demand"])
@pytest.mark.parametrize("colour", [False, True])
def test_16_bits_in_a_file_that_is_named_as_one_of_8_are_refused(folder: CocoFolder, colour: bool, memory_limit: float):
    (folder.images / "a.jpg").write_bytes((_deep(folder, 4095).images / "train0.png").read_bytes())
    if colour:
        (folder.images / "a.jpg").write_bytes(_deep_colour(np.full((48, 64, 3), 4095, np.uint16)))
    folder.train["images"][0]["file_name"] = "a.jpg"
    for i in range(1, 6):
        picture(64, 48, seed=i).save(folder.images / f"train{i}.png")
    with pytest.raises(
        DataError, match=r"a file called \.jpg must have 8 bits .* 'a\.jpg' with 16, of format PNG; name"
    ):
        open_data(folder.write().settings(memory_limit=memory_limit))


def test_a_given_white_reads_16_bits_whatever_the_file_is_called(folder: CocoFolder):
    (folder.images / "a.jpg").write_bytes((_deep(folder, 4095).images / "train0.png").read_bytes())
    folder.train["images"][0]["file_name"] = "a.jpg"
    assert check_data(folder.write().settings(white=4095)).count("refused") == 0


@pytest.mark.parametrize("pixel", [-1, 65536])
def test_32_bits_beyond_16_are_refused_by_name(folder: CocoFolder, pixel: int):
    pixels = np.arange(48 * 64, dtype=np.int32).reshape(48, 64)
    pixels[0, 0] = pixel
    folder.save(Image.fromarray(pixels), "a.tif", 64, 48)
    with pytest.raises(DataError, match=r"from 0 to 65535, but got 'a\.tif' with .*; convert it to 8 or 16 bits"):
        open_data(folder.write().settings())


def test_floating_point_is_refused_by_name(folder: CocoFolder):
    folder.save(Image.new("F", (64, 48), 0.5), "f.tif", 64, 48)
    with pytest.raises(DataError, match=r"but got 'f\.tif' of floating point; convert it to 8 or 16 bits"):
        open_data(folder.write().settings())


@pytest.mark.parametrize(("top", "noted"), [(4095, True), (65535, False)])
def test_coloured_images_that_become_nearly_black_are_noted(folder: CocoFolder, top: int, noted: bool):
    for i in range(6):
        (folder.images / f"train{i}.png").write_bytes(_deep_colour(np.full((48, 64, 3), top >> (i % 2), np.uint16)))
    rules = [fault.rule for fault in check_data(folder.write().settings()).faults if "one colour" not in fault.rule]
    assert any("nearly black; convert them to 8 bits" in rule for rule in rules) == noted


def _deep_colour(pixels: np.ndarray) -> bytes:
    """A PNG of 16 bits a channel, which Pillow does not write."""
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels)
    header = struct.pack(">IIBBBBB", pixels.shape[1], pixels.shape[0], 16, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    framed = (
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(framed)
