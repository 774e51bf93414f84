"""The reported split beside a run: ground truth for intervals, and images with what was detected on them."""

import base64
import io
from collections.abc import Mapping, Sequence

from PIL import Image

from msnas.data.dataset import DetectionDataset
from msnas.data.images import read_rgb
from msnas.data.opening import open_split
from msnas.errors import DataError, UserError
from msnas.report.ap_interval import ap_intervals, sized_intervals
from msnas.report.networks_table import is_fpn
from msnas.report.paired_draws import Interval
from msnas.report.run_data import Record, RunData
from msnas.report.sizes import size_pairs
from msnas.runs.folder import FRONT

PICTURES = 6
SIDE = 520  # pixels of a picture's longer side
LOWEST_SCORE = 0.05  # detections below are never drawn
Evidence = tuple[dict[str, dict[str, Interval]], list[Record], str]


def evidence(run: RunData, *, pictures: int = PICTURES) -> Evidence:
    """Intervals by network, pictures, and a note where there are none since the data are gone."""
    networks: dict[str, list[Record]] = {}
    for record in run.retrained:
        networks.setdefault(record["name"], []).append(record)
    if not networks:
        return {}, [], ""
    try:
        split = _reported_split(run)
    except (UserError, OSError) as error:
        return {}, [], f"No intervals and no pictures: {error}"
    results = {name: {one["seed"]: run.detections(one) for one in seeds} for name, seeds in networks.items()}
    fpn = next((name for name, seeds in networks.items() if is_fpn(seeds[0])), None)
    roles = {name: seeds[0].get("role") for name, seeds in networks.items()}
    intervals = ap_intervals(split.ground_truth(), results, against=fpn, roles=roles)
    shown = [name for name in (next(iter(networks)), fpn) if name is not None]
    return intervals, _pictures(split, {name: next(iter(results[name].values())) for name in shown}, pictures), ""


def front_intervals(run: RunData) -> dict[str, dict[str, Interval]]:
    """Intervals of the networks along the front, each beside the FPN of its size; {} where the data are gone."""
    if not run.front:
        return {}
    try:
        truth = _reported_split(run).ground_truth()
    except (UserError, OSError):
        return {}
    results: dict[str, dict[int, list[Record]]] = {}
    for record in run.front:
        results.setdefault(record["name"], {})[record["seed"]] = run.detections(record, FRONT)
    return sized_intervals(truth, results, size_pairs(run.front))


def _reported_split(run: RunData) -> DetectionDataset:
    """The split that results are reported on, with no image decoded."""
    return open_split(run.setup.for_retraining.data, "val", seed=run.setup.seed, decode=False)


def _pictures(split: DetectionDataset, found: Mapping[str, Sequence[Record]], number: int) -> list[Record]:
    """Evenly spaced images of those with objects, each with truth and detections (boxes as COCO: xywh)."""
    boxed = [i for i, image in enumerate(split.images) if image.has_boxes]
    number = min(number, len(boxed))
    chosen = [boxed[round((k + 0.5) * len(boxed) / number - 0.5)] for k in range(number)]
    pictures = []
    for index in chosen:
        try:
            image = _jpeg(split, index)
        except DataError:  # gone or changed since: the others still show
            continue
        pictures.append({"image": image, **_boxes(split, index, found)})
    return pictures


def _boxes(split: DetectionDataset, index: int, found: Mapping[str, Sequence[Record]]) -> Record:
    record = split.images[index]
    names = split.categories
    return {
        "image_id": record.id,
        "file_name": record.file_name,
        "width": record.width,
        "height": record.height,
        "truth": [
            {"box": list(item.bbox), "label": names[item.category_id], "crowd": item.crowd}
            for item in record.annotations
        ],
        "detections": {
            name: [
                {"box": row["bbox"], "label": names[row["category_id"]], "score": row["score"]}
                for row in rows
                if row["image_id"] == record.id and row["score"] >= LOWEST_SCORE
            ]
            for name, rows in found.items()
        },
    }


def _jpeg(split: DetectionDataset, index: int) -> str:
    """The image as a data URI, small enough for a page."""
    record = split.images[index]
    scale = min(1.0, SIDE / max(record.width, record.height))
    size = max(1, round(record.height * scale)), max(1, round(record.width * scale))
    pixels = read_rgb(split.file(index), record.width, record.height, size, split.store.reading)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=82)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()
