"""A run folder as the stages leave it, made in a second: real space, strategy and history, invented scores."""

import json
import math
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from omegaconf import OmegaConf
from PIL import Image, ImageDraw

from evolution.driver import Finalist, Job, SearchResult, run_search
from evolution.history import History
from evolution.strategy import FAILED, OK, Evaluation, Strategy
from msnas.config.compose import build, compose
from msnas.families.front import front_of
from msnas.pipeline.rank_table import RANDOM, RECIPES, make_table
from msnas.seeds import derive
from msnas.setup.setup import Setup

CLASSES = ("fish", "ray <b>&amp;", "jelly")  # a name that would break a page that does not escape it
WIDTH, HEIGHT = 192, 128


def make_run(
    root: Path,
    name: str = "shapes-001",
    *,
    upto: str = "retrain",
    seed: int = 0,
    seeds: int = 1,
    words: Sequence[str] = (),
) -> Path:
    """`root/name` with every stage complete up to and including `upto` (config, supernet, search, retrain)."""
    folder = root / name
    folder.mkdir(parents=True)
    data = make_data(root / "data")
    config = compose(
        ["space=msnas_r18", "data=coco", f"data.root={data}", "data.name=reef", "scale=tiny", "input=128x192",
         "strategy.population_size=12", "strategy.children=10", "strategy.iterations=5",
         "top_k=3", f"retrain.seeds={seeds}", f"seed={seed}", *(words or ["strategy.n_random=3"])]
    )  # fmt: skip
    (folder / "config.yaml").write_text(OmegaConf.to_yaml(config))
    _write(folder / "environment.json", _environment(name))
    stages = ("config", "supernet", "search", "retrain")[
        1 : 1 + ("config", "supernet", "search", "retrain").index(upto)
    ]
    if "supernet" in stages:
        _metrics(folder / "supernet", steps=3000, seed=seed, paths=True)
        _write(folder / "supernet" / "done.json", {"steps": 3000, "seconds": 612.4})
    if "search" in stages:
        _search(folder / "search", config)
    if "retrain" in stages:
        _retrain(folder, config, data)
        _write(folder / "rank" / "table.json", make_table(list(_ranked()), own="finetune", top_k=3))
    return folder


def _ranked() -> Iterator[dict[str, Any]]:
    """Twenty networks as `msnas rank` leaves them: their scores are their AP and noise."""
    rng = np.random.default_rng(4)
    for number in range(20):
        ap = float(rng.uniform(0.2, 0.4))
        scores = {name: ap + float(rng.normal(0, 0.05)) for name in (*RECIPES, RANDOM)}
        costs = {"macs": int(rng.integers(100, 200)), "params": int(rng.integers(10, 20))}
        seen = {"anchor_recall": float(rng.random()), "mean_stride": float(rng.uniform(8, 32))}
        trained = {"standalone": [ap, ap + float(rng.normal(0, 0.01))], "standalone_half": [ap - 0.1, None]}
        yield {"scores": scores, **trained, **costs, **seen, "heads": ("4,8,8,16,16", "8,8,16,16,32")[number % 2]}


def make_data(root: Path) -> Path:
    """A COCO folder of 12 drawn images with boxes, for training and for validation."""
    if root.exists():
        return root
    (root / "images").mkdir(parents=True)
    rng = np.random.default_rng(7)
    for split in ("train", "val"):
        images, annotations = [], []
        for index in range(12):
            file = f"{split}{index:02d}.jpg"
            images.append({"id": index + 1, "file_name": file, "width": WIDTH, "height": HEIGHT})
            boxes = [_box(rng) for _ in range(int(rng.integers(1, 6)))]
            _picture(root / "images" / file, boxes, rng)
            for box, category in boxes:
                annotations.append(
                    {"id": len(annotations) + 1, "image_id": index + 1, "category_id": category, "bbox": box,
                     "area": box[2] * box[3], "iscrowd": 0}
                )  # fmt: skip
        categories = [{"id": i, "name": text} for i, text in enumerate(CLASSES, start=1)]
        content = {"images": images, "annotations": annotations, "categories": categories}
        _write(root / f"{split}.json", content)
    return root


def _box(rng: np.random.Generator) -> tuple[list[float], int]:
    width, height = rng.integers(12, 70), rng.integers(12, 60)
    left, top = rng.integers(0, WIDTH - width), rng.integers(0, HEIGHT - height)
    return [float(v) for v in (left, top, width, height)], int(rng.integers(1, len(CLASSES) + 1))


def _picture(path: Path, boxes: list[tuple[list[float], int]], rng: np.random.Generator) -> None:
    noise = rng.integers(0, 40, (HEIGHT, WIDTH, 1)) + np.linspace(60, 150, HEIGHT)[:, None, None] * [
        0.5,
        0.8,
        1.0,
    ]
    image = Image.fromarray(noise.clip(0, 255).astype(np.uint8))
    draw = ImageDraw.Draw(image)
    for (x, y, w, h), category in boxes:
        draw.ellipse((x, y, x + w, y + h), fill=((240, 160, 60), (200, 90, 110), (120, 220, 190))[category - 1])
    image.save(path, quality=90)


def _environment(name: str) -> dict[str, Any]:
    machine = {
        "python": "3.11.2",
        "system": "Linux x86_64",
        "packages": {"torch": "2.15.0", "numpy": "2.4.1"},
    }
    machine |= {
        "cpu": "A quiet CPU",
        "cores": 2,
        "gpu": None,
        "device": "cpu",
        "precision": "fp32",
        "commit": "0f3c9a7",
    }
    stages = ("train", "search", "retrain")
    return {
        "commands": [
            {"command": f"msnas {stage} run={name}", "began": f"2025-03-0{i}T10:00:00+0000", **machine}
            for i, stage in enumerate(stages, start=1)
        ]
    }


def _metrics(folder: Path, *, steps: int, seed: int, paths: bool = False) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    with open(folder / "metrics.jsonl", "w") as file:
        for step in range(steps):
            loss = 0.5 + 2.2 * math.exp(-step / (steps / 4)) + (0.25 if paths else 0.08) * float(rng.normal())
            lr = 0.04 * min(1.0, (step + 1) / 100) * (0.1 if step > 0.9 * steps else 1.0)
            file.write(json.dumps({"step": step, "loss": abs(loss), "lr": lr, "seconds": 0.2}) + "\n")
        file.write('{"step": 9')  # a line that is being written


def quality(genome: Sequence[int]) -> float:
    """The invented truth: some blocks like to keep the stride, heads like to differ."""
    taste = sum(math.sin(1.7 * i + 2.1 * gene) for i, gene in enumerate(genome[:-5])) / len(genome)
    return 0.22 + 0.05 * taste + 0.01 * len(set(genome[-5:]))


def _search(folder: Path, config: Any) -> None:
    folder.mkdir(parents=True)
    setup = Setup(config)
    space, histories = setup.bounded_space, setup.family.histories
    strategy = build(config.strategy, space=space, seed=derive(config.seed, "search"))
    result = _half(folder / histories[0], space, strategy, config)
    if config.get("heads", {}).get("search"):  # NAS-FCOS
        phase = setup.family.head_phase(setup.search(weights=folder, folder=folder))
        space = phase.space.on(space.decode(result.winners[0].genome))
        strategy = phase.make_strategy(space=space)
        result = _half(folder / histories[1], space, strategy, config)
    winners = [_winner(rank, one, space) for rank, one in enumerate(result.winners, start=1)]
    summary = {"evaluated": result.evaluated, "failed": result.failed, "seconds": 431.7}
    front = front_of(strategy, space, result.finalists)
    answer = {"winners": winners, "finalists": winners, **({} if front is None else {"front": front})}
    _write(folder / "result.json", {**answer, **summary})
    _write(folder / "done.json", summary)


def _half(path: Path, space: Any, strategy: Strategy, config: Any) -> SearchResult:
    loss = 1.5 if config["candidate"].get("reward") == "loss" else 0.0  # of the worst: the reward is minus it

    def evaluate(jobs: Iterable[Job]) -> Iterator[Evaluation]:
        for job in jobs:
            noise = np.random.default_rng(derive(str(job.genome), job.replicate)).normal()
            cost = space.cost(job.genome)
            fails = derive("fail", str(job.genome)) % 23 == 0
            yield Evaluation(
                genome=job.genome,
                score=() if fails else (quality(job.genome) + 0.006 * float(noise) - loss,),
                cost={"macs": cost.macs, "params": cost.params},
                replicate=job.replicate,
                seconds=2.0 + 0.3 * abs(float(noise)),
                status=FAILED if fails else OK,
                reason="out of memory" if fails else "",
            )

    with History(path, fingerprint={"seed": config.seed}) as history:
        return run_search(strategy, evaluate, history, top_k=3, finalists=4, replicates=3)


def _winner(rank: int, finalist: Finalist, space: Any) -> dict[str, Any]:
    cost = space.cost(finalist.genome)
    found = space.decode(finalist.genome)
    return {
        "rank": rank,
        "id": f"{rank:08x}",
        "genome": list(finalist.genome),
        "architecture": str(space.decoder(found) if hasattr(space, "decoder") else found),
        "macs": cost.macs,
        "params": cost.params,
        "score": finalist.mean,
        "standard_error": finalist.standard_error,
        "score_at_selection": finalist.selected.score[0],
        "scores_again": [again.score[0] for again in finalist.again],
    }


def _retrain(folder: Path, config: Any, data: Path) -> None:
    truth = json.loads((data / "val.json").read_text())
    winners = json.loads((folder / "search" / "result.json").read_text())["winners"]
    fpn = Setup(config).baseline_cost
    for seed in range(config.retrain.seeds):
        suffix = f"-seed{seed}" if seed else ""
        for winner in winners:
            known = {key: winner[key] for key in ("architecture", "macs", "params")}
            row = {"name": f"winner {winner['rank']}", **known, "one_shot": winner["score"]}
            _network(folder / "retrain" / f"{winner['rank']:02d}-{winner['id']}{suffix}", row, 0.72, truth, seed)
        row = {"name": "FPN baseline", "architecture": "resnet18-FPN, width 0.25", "macs": fpn.macs}
        row |= {"params": fpn.params, "one_shot": None}
        _network(folder / "retrain" / f"baseline-fpn{suffix}", row, 0.55, truth, seed)
    _write(folder / "retrain" / "done.json", {"networks": 4, "seconds": 1000.0})


def _network(folder: Path, row: dict[str, Any], skill: float, truth: dict[str, Any], seed: int) -> None:
    _metrics(folder, steps=900, seed=seed + len(folder.name))
    rng = np.random.default_rng(derive(folder.name))
    found = []
    for item in truth["annotations"]:
        if rng.random() < skill:
            box = (np.array(item["bbox"]) + rng.normal(0, 2.5, 4)).clip(1)
            right = rng.random() < 0.9
            category = item["category_id"] if right else 1 + item["category_id"] % len(CLASSES)
            found.append((item["image_id"], box, category, float(rng.uniform(0.3, 0.99))))
    for image in truth["images"]:
        found.append((image["id"], np.array([5.0, 5, 30, 30]), 1, float(rng.uniform(0.05, 0.6))))
    detections = [
        {"image_id": image, "category_id": category, "bbox": [float(v) for v in box], "score": score}
        for image, box, category, score in found
    ]
    _write(folder / "detections.json", detections)
    numbers = _coco_numbers(truth, detections)
    _write(folder / "result.json", {**row, **numbers, "seconds": 140.0 + 20 * skill, "seed": seed})


def _coco_numbers(truth: dict[str, Any], detections: list[dict[str, Any]]) -> dict[str, float]:
    import contextlib
    import io

    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO()
        coco.dataset = truth
        coco.createIndex()
        evaluation = COCOeval(coco, coco.loadRes(detections), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    names = ("ap", "ap50", "ap75", "ap_small", "ap_medium", "ap_large")
    return dict(zip(names, map(float, evaluation.stats), strict=False))


def _write(path: Path, content: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
