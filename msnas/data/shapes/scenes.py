"""One drawn scene: textured ground, solid shapes of very different sizes that cover each other, light and noise.

Five classes that differ in outline and, nineteen times out of twenty, in hue: colour is learned within minutes
on a CPU, and the outline has to settle what colour leaves open. All draws come from the generator that is
handed in; numpy and PIL only.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

CLASSES = ("disc", "square", "triangle", "star", "ring")
_FREQUENCY = (0.26, 0.24, 0.2, 0.15, 0.15)  # unequal, as classes are
_USUAL_HUE = 0.95  # share of objects that have the hue of their class, within a seventh of the wheel
_SMALLEST, _LARGEST = 0.086, 0.87  # side of an object beside the image's: more than 1:10
_MIN_VISIBLE = 0.55  # of an object, after everything in front of it is drawn
_SMOOTH = 4  # outlines are drawn at this multiple and averaged
_TURN = np.pi * 2

Floats = NDArray[Any]  # float32 or float64
Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Shape:
    """One object of a scene: its class (index), what is seen of it [s, s], and its outline [n, 2] xy if all is seen."""

    label: int
    visible: Mask
    outline: NDArray[np.float64] | None


def draw_scene(
    size: int, rng: np.random.Generator, objects: tuple[float, float] | None = None
) -> tuple[Image.Image, list[Shape]]:
    """A square picture of `size` pixels and its objects, the hindmost first.

    objects: smallest and largest side of an object in pixels; None: from 1/12 to 7/8 of the image's.
    """
    shares = (_SMALLEST, _LARGEST) if objects is None else (objects[0] / size, objects[1] / size)
    canvas = _ground(size, rng)
    placed: list[tuple[int, Mask, int, NDArray[np.float64]]] = []  # label, visible, pixels when whole, outline
    for side in _sides(size, rng, *shares):
        for _ in range(8):  # places to try; a crowded scene simply holds one object fewer
            label, outline = _outline(side, size, rng)
            alpha = _coverage(outline, label, size)
            mask = alpha > 0.5
            whole = max(int(mask.sum()), 1)
            inside = whole >= 9 and bool((outline > -0.25 * side).all() and (outline < size + 0.25 * side).all())
            if inside and all((seen & ~mask).sum() >= _MIN_VISIBLE * full for _, seen, full, _ in placed):
                _painted(canvas, alpha, outline, label, rng)
                placed = [(other, seen & ~mask, full, line) for other, seen, full, line in placed]
                placed.append((label, mask, whole, outline))
                break
    image = Image.fromarray(_developed(canvas, rng))
    return image, [_shape(size, *item) for item in placed]


def _shape(size: int, label: int, visible: Mask, whole: int, outline: NDArray[np.float64]) -> Shape:
    inside = bool((outline >= 0).all() and (outline <= size).all())
    simple = inside and int(visible.sum()) == whole and CLASSES[label] != "ring"  # a polygon has no hole
    return Shape(label, visible, outline if simple else None)


# -- where and what ------------------------------------------------------------------------------------------


def _sides(size: int, rng: np.random.Generator, smallest: float, largest: float) -> list[float]:
    """Object sides in pixels, log-uniform between shares of `size`, the large ones first so that they lie behind."""
    number = int(rng.integers(1, 9))
    return sorted((size * np.exp(rng.uniform(np.log(smallest), np.log(largest), number))).tolist(), reverse=True)


def _outline(side: float, size: int, rng: np.random.Generator) -> tuple[int, NDArray[np.float64]]:
    """A class and its outline [n, 2] xy in pixels: turned, a little stretched, somewhere in the picture."""
    label = int(rng.choice(len(CLASSES), p=_FREQUENCY))
    turn, stretch = rng.uniform(0, _TURN), np.exp(rng.uniform(-0.25, 0.25))
    spin = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    points = (_unit(CLASSES[label]) * (stretch**0.5, stretch**-0.5)) @ spin.T
    points *= side / (points.max(axis=0) - points.min(axis=0)).max()
    points -= (points.max(axis=0) + points.min(axis=0)) / 2
    return label, points + rng.uniform(0.3 * side, size - 0.3 * side, 2)


def _unit(name: str) -> NDArray[np.float64]:
    """The outline of a class around the origin, in no particular unit."""
    if name in ("disc", "ring"):
        return _polar(np.ones(40))
    if name == "square":
        return np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)], float)
    if name == "triangle":
        return _polar(np.ones(3))
    if name == "star":
        return _polar(np.tile((1.0, 0.42), 5))
    arm = 0.33
    corners = [(-arm, -1), (arm, -1), (arm, -arm), (1, -arm), (1, arm), (arm, arm)]
    return np.array(corners + [(-x, -y) for x, y in corners], float)


def _polar(radius: NDArray[np.float64]) -> NDArray[np.float64]:
    angle = np.arange(len(radius)) * _TURN / len(radius)
    return np.stack([radius * np.sin(angle), -radius * np.cos(angle)], axis=1)


def _coverage(outline: NDArray[np.float64], label: int, size: int) -> Floats:
    """How much of each pixel [s, s] the object covers, 0..1."""
    low = np.clip(np.floor(outline.min(axis=0)).astype(int) - 1, 0, size - 1)
    high = np.clip(np.ceil(outline.max(axis=0)).astype(int) + 1, low + 1, size)
    width, height = high - low
    patch = Image.new("L", (int(width) * _SMOOTH, int(height) * _SMOOTH))
    draw = ImageDraw.Draw(patch)
    draw.polygon(_corners((outline - low) * _SMOOTH), fill=255)
    if CLASSES[label] == "ring":
        centre = outline.mean(axis=0)
        draw.polygon(_corners(((outline - centre) * 0.52 + centre - low) * _SMOOTH), fill=0)
    coverage = np.zeros((size, size), np.float32)
    small = patch.reduce(_SMOOTH)
    coverage[low[1] : high[1], low[0] : high[0]] = np.asarray(small, np.float32) / 255
    return coverage


def _corners(points: NDArray[np.float64]) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, y in points]


# -- how it looks --------------------------------------------------------------------------------------------


def _ground(size: int, rng: np.random.Generator) -> Floats:
    """A background [s, s, 3] in 0..1: two muted colours mixed by clouds, sometimes woven, with a few stray lines."""
    here, there = _colour(rng, 0.45), _colour(rng, 0.45)
    mix = _clouds(size, rng, (3, 6, 12, 24))
    if rng.random() < 0.5:
        mix = 0.7 * mix + 0.3 * _stripes(size, rng, rng.uniform(4, 14) * size / 128)
    ground = here + (there - here) * mix[..., None]
    ground += (_clouds(size, rng, (size // 2,)) - 0.5)[..., None] * rng.uniform(0.02, 0.12)
    return _scratched(ground.astype(np.float32), rng)


def _scratched(ground: Floats, rng: np.random.Generator) -> Floats:
    size = len(ground)
    lines = Image.new("L", (size, size))
    draw = ImageDraw.Draw(lines)
    for _ in range(int(rng.integers(0, 5))):
        start, end = rng.uniform(-0.2, 1.2, (2, 2)) * size
        draw.line([*start.tolist(), *end.tolist()], fill=255, width=max(1, round(size / 128 * rng.uniform(1, 3))))
    strength = np.asarray(lines.filter(ImageFilter.GaussianBlur(0.6)), np.float32)[..., None] / 255
    return ground + (_colour(rng, 0.6) - ground) * strength * 0.5


def _painted(canvas: Floats, alpha: Floats, outline: NDArray[np.float64], label: int, rng: np.random.Generator) -> None:
    """Draw one object onto the canvas: a soft shadow, a lit and textured surface, a darker rim."""
    size, side = len(canvas), float(np.ptp(outline, axis=0).max())
    depth = max(1, round(side * 0.06))
    low = np.clip(np.floor(outline.min(axis=0)).astype(int) - 3 * depth, 0, size)
    high = np.clip(np.ceil(outline.max(axis=0)).astype(int) + 4 * depth, 0, size)
    window = slice(low[1], high[1]), slice(low[0], high[0])
    patch, cover = canvas[window], alpha[window]
    shadow = np.zeros_like(cover)
    shadow[depth:, depth:] = _blurred(cover, depth)[:-depth, :-depth]
    patch = patch * (1 - 0.45 * shadow)[..., None]
    surface = _surface(outline - low, cover.shape, label, rng)
    surface *= (0.55 + 0.45 * np.clip(_blurred(cover, max(0.7, side * 0.03)) * 2 - 1, 0, 1))[..., None]  # the rim
    canvas[window] = patch + (surface - patch) * cover[..., None]


def _surface(outline: Any, shape: tuple[int, ...], label: int, rng: np.random.Generator) -> Floats:
    """The object's colour in its window [h, w, 3]: usually of its class's hue, lit from one side, sometimes striped."""
    usual = (label + rng.uniform(-0.35, 0.35)) / len(CLASSES) * _TURN
    colour = _colour(rng, 1.0, usual if rng.random() < _USUAL_HUE else None)
    other = colour * rng.uniform(0.4, 0.8)
    low, extent = outline.min(axis=0), np.ptp(outline, axis=0)
    ramp = np.add.outer(np.arange(shape[0]) - low[1], np.arange(shape[1]) - low[0]) / float(extent.sum())
    surface: Floats = (colour * np.clip(1.2 - 0.45 * ramp, 0.5, 1.3)[..., None]).astype(np.float32)
    kind, square = rng.random(), max(shape)
    if kind < 0.6:
        stripes = _stripes(square, rng, max(3.0, float(extent.max()) / rng.uniform(3, 6))) if kind < 0.3 else None
        mix = _clouds(square, rng, (3, 6)) if stripes is None else stripes
        surface += (other - surface) * 0.55 * mix[: shape[0], : shape[1], None]
    return surface


def _developed(canvas: Floats, rng: np.random.Generator) -> NDArray[np.uint8]:
    """The canvas as 8-bit pixels after exposure and sensor noise."""
    exposed = (canvas - 0.5) * rng.uniform(0.8, 1.1) + 0.5 + rng.uniform(-0.08, 0.08)
    noise = rng.standard_normal(canvas.shape, np.float32) * rng.uniform(0.01, 0.045)
    return (np.clip(exposed + noise, 0, 1) * 255).round().astype(np.uint8)


def _colour(rng: np.random.Generator, saturation: float, hue: float | None = None) -> Floats:
    """A colour [3] in 0..1 of random lightness and the hue given (radians), or a random one."""
    hue = rng.uniform(0, _TURN) if hue is None else hue
    wheel = 0.5 + 0.5 * np.cos(hue - np.array([0, 1, 2]) * _TURN / 3)
    value, depth = rng.uniform(0.35, 0.95), saturation * rng.uniform(0.5, 1)
    return np.asarray(value * (1 - depth + depth * wheel), np.float32)


def _clouds(size: int, rng: np.random.Generator, cells: tuple[int, ...]) -> Floats:
    """Smooth noise [s, s] in 0..1: random grids of so many cells, enlarged and summed, the coarser the stronger."""
    total: Floats = np.zeros((size, size), np.float32)
    weights = 0.0
    for octave, count in enumerate(cells):
        grid = Image.fromarray(rng.random((count + 1, count + 1), np.float32))
        total += np.asarray(grid.resize((size, size), Image.Resampling.BICUBIC)) * 0.6**octave
        weights += 0.6**octave
    return np.minimum(np.maximum(total / weights, 0), 1)


def _stripes(size: int, rng: np.random.Generator, period: float) -> Floats:
    """Soft parallel stripes [s, s] in 0..1, `period` pixels apart, at a random angle."""
    angle = rng.uniform(0, _TURN)
    along = np.add.outer(np.arange(size) * np.sin(angle), np.arange(size) * np.cos(angle))
    return np.asarray(0.5 + 0.5 * np.sin(along * _TURN / period + rng.uniform(0, _TURN)), np.float32)


def _blurred(alpha: Floats, radius: float) -> Floats:
    grey = Image.fromarray((alpha * 255).astype(np.uint8)).filter(ImageFilter.GaussianBlur(radius))
    return np.asarray(grey, np.float32) / 255
