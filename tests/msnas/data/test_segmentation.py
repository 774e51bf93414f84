"""Segmentations are what pycocotools takes them for, and what its C code must not see is refused."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pycocotools import mask as coco_mask

from msnas.data.segmentation import encode, rasterise, segmentation_fault, usable

# pycocotools decodes by a protocol that numpy 2 warns about
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


@st.composite
def masks(draw: st.DrawFn) -> np.ndarray:
    height, width, cell = draw(st.integers(1, 70)), draw(st.integers(1, 70)), draw(st.integers(1, 12))
    rng = np.random.default_rng(draw(st.integers(0, 9999)))
    cells = rng.random((height // cell + 1, width // cell + 1)) < draw(st.floats(0, 1))
    return np.kron(cells, np.ones((cell, cell)))[:height, :width].astype(np.uint8)


@given(masks())
def test_what_pycocotools_encodes_is_faultless_and_comes_back(mask: np.ndarray):
    rle = encode(mask)
    assert segmentation_fault(rle, mask.shape) is None
    np.testing.assert_array_equal(rasterise(rle, mask.shape, mask.shape), mask)


@given(masks())
def test_plain_runs_mean_the_same_as_compressed_ones(mask: np.ndarray):
    flat = mask.T.ravel()
    edges = np.flatnonzero(np.diff(flat)) + 1
    runs = np.diff(np.concatenate([[0], edges, [flat.size]])).tolist()
    plain = {"size": list(mask.shape), "counts": ([0] if flat[0] else []) + runs}
    assert segmentation_fault(plain, mask.shape) is None
    np.testing.assert_array_equal(rasterise(plain, mask.shape, mask.shape), mask)


@given(st.text(st.characters(min_codepoint=32, max_codepoint=300), max_size=40))
def test_any_string_is_judged_without_a_crash(counts: str):
    rle = {"size": [9, 7], "counts": counts}
    if segmentation_fault(rle, (9, 7)) is None:
        assert rasterise(rle, (9, 7), (9, 7)).shape == (9, 7)


def test_large_masks_are_faultless():
    mask = np.zeros((4000, 5000), np.uint8)
    mask[100:3000, 4000:] = 1
    assert segmentation_fault(encode(mask), (4000, 5000)) is None


def test_polygons_are_rasterised_as_pycocotools_does():
    polygon = [[3.5, 4, 40, 10, 22, 38.2], [50, 5, 60, 5, 60, 30]]
    expected = coco_mask.decode(coco_mask.merge(coco_mask.frPyObjects(polygon, 48, 64)))
    np.testing.assert_array_equal(rasterise(polygon, (48, 64), (48, 64)), expected)


def test_masks_are_resized_with_their_image():
    polygon = [[0, 0, 32, 0, 32, 48, 0, 48]]
    mask = rasterise(polygon, (48, 64), (96, 128))
    assert mask.shape == (96, 128)
    assert mask[:, :64].all()
    assert not mask[:, 64:].any()


@pytest.mark.parametrize(
    ("value", "expected"), [(None, False), ([], False), ([[1, 2, 3, 4]], False), ([[1, 2, 3, 4, 5, 6]], True)]
)
def test_a_polygon_needs_three_points(value: object, expected: bool):
    assert segmentation_fault(value, (9, 9)) is None
    assert usable(value) is expected
