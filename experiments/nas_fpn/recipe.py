"""What a short training's recipe does to a one-stage detector: one trained on drawn shapes, its AP on other images.

python experiments/nas_fpn/recipe.py fpn|cells STEPS [key=value...]; the words are those of `msnas retrain`. With
experiment=nas_fcos the detector is FCOS; fpn|decoder, the published one, are then its networks.
"""

import sys

from msnas.config.compose import compose
from msnas.engine.evaluation import evaluate
from msnas.engine.loop import Training, train
from msnas.pipeline.supernet_training import schedule_of
from msnas.setup.networks import fpn_baseline, network
from msnas.setup.training import batches_of, hardware_of, open_splits
from supernet.nas_fcos.decoder import PUBLISHED
from supernet.nas_fpn.pyramid_plan import DISCOVERED

PUBLISHED_PARTS = {"cells": DISCOVERED, "decoder": PUBLISHED}


def main(kind: str, steps: int, words: list[str]) -> None:
    """Print AP and AP50 after `steps` of the FPN baseline (`fpn`) or of the published cells or decoder."""
    experiment = [] if any(word.startswith("experiment=") for word in words) else ["experiment=nas_fpn"]
    config = compose(["data=shapes", *experiment, "scale=tiny", "data.workers=0", *words])
    splits, hardware = open_splits(config, say=False), hardware_of(config, threads=1)
    classes = splits.train.classes
    model = fpn_baseline(config, classes) if kind == "fpn" else network(config, PUBLISHED_PARTS[kind], classes)
    schedule = schedule_of(config, images=len(splits.train), steps=steps)
    batches = batches_of(config, splits.train, batch=schedule.batch, seed=1)
    training = Training(schedule=schedule, seed=1, stage="retrain", hardware=hardware)
    trained = train(model, batches, training)
    numbers = evaluate(model, splits.val, hardware=hardware).numbers
    print(f"{kind} {' '.join(words)}: AP {numbers['ap']:.4f}, AP50 {numbers['ap50']:.4f}, {trained.seconds:.0f} s")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3:])
