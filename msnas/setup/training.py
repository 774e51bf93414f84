"""What every training stage sets up: the data, the hardware, and the record of what ran where."""

import sys

from omegaconf import DictConfig, OmegaConf

from msnas.call import Call
from msnas.data.batches import Batches
from msnas.data.check.object_sizes import Fit
from msnas.data.dataset import DetectionDataset
from msnas.data.opening import Splits, open_data
from msnas.data.settings import DataSettings
from msnas.engine.devices import Hardware, choose, describe
from msnas.engine.distributed import ALONE, Group, local_rank
from msnas.runs.folder import Run, record_environment


def data_settings(config: DictConfig) -> DataSettings:
    """The `data` part of the configuration, checked; masks are read where the detector has a mask branch."""
    plain = OmegaConf.to_container(config.data, resolve=True)
    assert isinstance(plain, dict)
    return DataSettings.from_mapping({str(k): v for k, v in plain.items()}, masks=config.detector.get("mask", False))


def fit_of(config: DictConfig) -> Fit:
    """The configured settings that decide which head and which anchors a box gets."""
    scales = {key: config.detector.get(key) for key in ("anchor_scale", "base_scale")}
    return Fit.of(config.data.short_side, config.space.get("base_stride", 4), **scales)


def open_splits(config: DictConfig, *, say: bool = True) -> Splits:
    """The data in its splits; what was clipped, dropped or split off is said on the standard error."""
    splits = open_data(data_settings(config), seed=config.seed)
    if say:
        for note in splits.notes:
            print(note, file=sys.stderr)
    return splits


def batches_of(
    config: DictConfig, dataset: DetectionDataset, *, batch: int, seed: int, group: Group = ALONE
) -> Batches:
    """This process's share of the training batches of `dataset`, augmented as the configuration says."""
    data = config.data
    return Batches(
        dataset,
        batch,
        seed=seed,
        flip=data.flip,
        jitter=tuple(data.jitter),
        crop=data.crop,
        workers=data.workers,
        rank=group.rank,
        world_size=group.size,
    )


def hardware_of(config: DictConfig, *, threads: int | None) -> Hardware:
    """Device, precision and threads of the configuration, on this machine."""
    wanted = config.hardware
    return choose(
        wanted.device,
        precision=wanted.precision,
        threads=threads,
        channels_last=wanted.channels_last,
        local_rank=local_rank(),
    )


def record_start(run: Run, call: Call, hardware: Hardware) -> None:
    """Add this command, its machine and versions to the run's `environment.json`."""
    record_environment(run, call.stage, call.words, describe(hardware))
