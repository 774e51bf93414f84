from dataclasses import dataclass

import numpy as np
import pytest
import tiny_pipeline
import torch

from evolution.strategy import Genome
from msnas.data.batches import Batches
from msnas.engine import checkpoint
from msnas.engine.loop import Training, train
from msnas.engine.schedule import Schedule


@dataclass(frozen=True)
class Tiny:
    """A trained tiny supernet on disk, the folder of its data, and genomes of its space."""

    folder: str
    weights: str
    genomes: tuple[Genome, ...]


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    folder = tmp_path_factory.mktemp("tiny")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    data, space = tiny_pipeline.splits(str(folder)), tiny_pipeline.space()
    model = tiny_pipeline.supernet(len(data.train.classes))
    recipe = Schedule(steps=40, batch=4, lr=0.05, clip=10.0)
    batches = Batches(data.supernet_train, 4, seed=1)
    train(model, batches, Training(schedule=recipe, seed=1, stage="tiny", path_of_step=tiny_pipeline.path))
    checkpoint.save_weights(folder / "weights.safetensors", model)
    torch.set_num_threads(threads)
    genomes = tuple(space.sample(np.random.default_rng(seed)) for seed in range(3))
    return Tiny(str(folder), str(folder / "weights.safetensors"), genomes)
