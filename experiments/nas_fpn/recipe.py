"""What a short training's recipe does to a one-stage detector: one trained on drawn shapes, its AP on other images.

python experiments/nas_fpn/recipe.py fpn|cells STEPS [key=value...]; the words are those of `msnas retrain`. With
experiment=nas_fcos the detector is FCOS; fpn|decoder, the published one, are then its networks.
"""

import sys

from msnas.config.compose import compose
from msnas.data.batches import batches_of
from msnas.engine.evaluation import evaluate
from msnas.engine.loop import Training, train
from msnas.families.initial_weights import fpn_baseline, network
from msnas.setup.setup import Setup
from supernet.nas_fcos.decoder import PUBLISHED
from supernet.nas_fpn.pyramid_plan import DISCOVERED

PUBLISHED_PARTS = {"cells": DISCOVERED, "decoder": PUBLISHED}


def main(kind: str, steps: int, words: list[str]) -> None:
    """Print AP and AP50 after `steps` of the FPN baseline (`fpn`) or of the published cells or decoder."""
    experiment = [] if any(word.startswith("experiment=") for word in words) else ["experiment=nas_fpn"]
    config = compose(["data=shapes", *experiment, "scale=tiny", "data.workers=0", *words])
    setup = Setup(config)
    splits, hardware = setup.splits(), setup.hardware.for_candidates()
    family, classes = setup.family, splits.train.classes
    if kind == "fpn":
        model = fpn_baseline(family, classes, seed=setup.seed)
    else:
        model = network(family, PUBLISHED_PARTS[kind], classes, seed=setup.seed)
    schedule = setup.schedule.over(len(splits.train), steps=steps)
    batches = batches_of(setup.data, splits.train, batch=schedule.batch, seed=1)
    training = Training(schedule=schedule, seed=1, stage="retrain", hardware=hardware)
    trained = train(model, batches, training)
    numbers = evaluate(model, splits.val, hardware=hardware).numbers
    print(f"{kind} {' '.join(words)}: AP {numbers['ap']:.4f}, AP50 {numbers['ap50']:.4f}, {trained.seconds:.0f} s")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3:])
