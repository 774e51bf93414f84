"""Batches are a function of (seed, step)."""

import pickle
import threading
from collections import Counter

import pytest
import torch
from coco_folders import CocoFolder, picture

from msnas.data.batches import Batches
from msnas.data.dataset import DetectionDataset
from msnas.data.opening import open_data
from msnas.errors import DataError


@pytest.fixture
def data(folder: CocoFolder) -> DetectionDataset:
    return open_data(folder.write().settings()).train


def _equal(first: tuple[list, list], second: tuple[list, list]) -> bool:
    pixels = all(torch.equal(a, b) for a, b in zip(first[0], second[0], strict=True))
    return pixels and all(torch.equal(a["boxes"], b["boxes"]) for a, b in zip(first[1], second[1], strict=True))


def test_any_step_can_be_asked_for_in_any_order(data: DetectionDataset):
    forwards = Batches(data, 4, seed=0, jitter=(0.5, 1.5))
    whole = [forwards.batch(step) for step in range(8)]
    resumed = Batches(data, 4, seed=0, jitter=(0.5, 1.5))
    assert all(_equal(resumed.batch(step), whole[step]) for step in (7, 3, 3, 0))


def test_workers_change_no_number(data: DetectionDataset):
    plain, ahead = (Batches(data, 4, seed=0, jitter=(0.5, 1.5), workers=workers) for workers in (0, 2))
    assert all(_equal(plain.batch(step), ahead.batch(step)) for step in (0, 1, 2, 9, 8, 4, 5))
    ahead.close()
    assert _equal(plain.batch(2), ahead.batch(2))
    ahead.close()


def test_the_threads_that_load_images_pin_them_for_a_gpu(data: DetectionDataset, monkeypatch: pytest.MonkeyPatch):
    pinned: list[str] = []
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    monkeypatch.setattr(
        torch.Tensor, "pin_memory", lambda image: pinned.append(threading.current_thread().name) or image
    )
    batches = Batches(data, 4, seed=0, jitter=(0.5, 1.5), workers=2)
    batches.batch(0)
    batches.close()
    assert len(pinned) >= 4
    assert all(name.startswith("batches") for name in pinned)


def test_an_epoch_sees_every_image_once(data: DetectionDataset):
    batches = Batches(data, 3, seed=0)
    assert batches.steps_per_epoch == 2
    for epoch in range(3):
        seen = [index for step in range(2) for index in batches.indices(2 * epoch + step)]
        assert sorted(seen) == list(range(6))


def test_every_batch_is_full_where_images_do_not_come_out_even(data: DetectionDataset):
    batches = Batches(data, 4, seed=0)
    assert batches.steps_per_epoch == 2
    seen = Counter(index for step in range(2) for index in batches.indices(step))
    assert sorted(seen) == list(range(6))
    assert sorted(seen.values()) == [1, 1, 1, 1, 2, 2]


def test_a_batch_may_be_larger_than_the_data(data: DetectionDataset):
    images, _ = Batches(data, 16, seed=0).batch(5)
    assert len(images) == 16


def test_epochs_and_seeds_differ(data: DetectionDataset):
    one, other = Batches(data, 6, seed=0), Batches(data, 6, seed=1)
    orders = {tuple(one.indices(step)) for step in range(5)} | {tuple(other.indices(step)) for step in range(5)}
    assert len(orders) == 10


def test_an_image_is_augmented_anew_each_epoch(data: DetectionDataset):
    batches = Batches(data, 6, seed=0, jitter=(0.5, 1.5))
    sizes = set()
    for epoch in range(4):
        place = batches.indices(epoch).index(0)
        sizes.add(tuple(batches.batch(epoch)[0][place].shape))
    assert len(sizes) > 1


def test_ranks_share_a_batch_without_overlap(data: DetectionDataset):
    whole = Batches(data, 4, seed=0).batch(3)
    parts = [Batches(data, 4, seed=0, rank=rank, world_size=2).batch(3) for rank in range(2)]
    assert _equal(whole, (parts[0][0] + parts[1][0], parts[0][1] + parts[1][1]))


def test_portrait_and_landscape_are_not_mixed(folder: CocoFolder):
    for i in range(2, 6):
        picture(48, 64, seed=i).save(folder.images / f"train{i}.png")
        folder.train["images"][i] |= {"width": 48, "height": 64}
    data = open_data(folder.write().settings()).train
    batches = Batches(data, 2, seed=0)
    for step in range(30):
        images, _ = batches.batch(step)
        assert len({image.shape[-1] > image.shape[-2] for image in images}) == 1
    mixed = Batches(data, 2, seed=0, group_by_aspect=False)
    assert any(len({image.shape for image in mixed.batch(step)[0]}) == 2 for step in range(30))


def test_no_thread_is_started_to_copy_from_memory(data: DetectionDataset):
    before = threading.active_count()
    Batches(data, 4, seed=0, workers=2).batch(0)
    assert threading.active_count() == before


def test_pickled_batches_go_on(data: DetectionDataset):
    batches = Batches(data, 4, seed=0, jitter=(0.5, 1.5), workers=2)
    batch = batches.batch(1)
    copy = pickle.loads(pickle.dumps(batches))
    assert _equal(copy.batch(1), batch)
    batches.close()
    copy.close()


def test_an_empty_part_gives_no_batches(data: DetectionDataset):
    with pytest.raises(DataError, match="needs images"):
        Batches(data.subset([]), 4, seed=0)


def test_a_batch_that_processes_cannot_share_is_refused(data: DetectionDataset):
    with pytest.raises(DataError, match="multiple of the 2"):
        Batches(data, 3, seed=0, world_size=2)
