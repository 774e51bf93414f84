import pytest
import tiny_pipeline
import torch

from msnas.data import coco_eval
from msnas.engine import checkpoint
from msnas.engine.distributed import Group
from msnas.engine.evaluation import FirstImages, detect, evaluate


@pytest.fixture(scope="module")
def model(tiny):
    net = tiny_pipeline.supernet(len(tiny_pipeline.splits(tiny.folder).train.classes), seed=3)
    checkpoint.load_weights(tiny_pipeline.Path(tiny.weights), net)
    return net.extract(tiny_pipeline.space().decode(tiny.genomes[0]))


@pytest.fixture(scope="module")
def data(tiny):
    return tiny_pipeline.splits(tiny.folder).val


@pytest.fixture(scope="module")
def result(model, data):
    return evaluate(model, data)


def test_the_twelve_numbers_are_those_of_the_detections(result, data):
    assert result.numbers == coco_eval.evaluate(data.ground_truth(), result.detections).numbers
    assert set(result.numbers) == set(coco_eval.NAMES)


def test_detections_come_in_the_order_of_images_with_the_ids_of_the_file(result, data):
    ids = [detection["image_id"] for detection in result.detections]
    assert ids == sorted(ids, key=data.image_ids.index)
    assert set(ids) == set(data.image_ids)
    assert {detection["category_id"] for detection in result.detections} <= set(data.category_ids)


def test_the_result_counts_its_images(result, data):
    assert result.images == len(data) == 8


def test_images_that_are_read_beforehand_give_the_same_detections(model, data, result, monkeypatch):
    monkeypatch.setattr(data.store, "readers", 3)
    assert detect(model, data, batch=2) == result.detections


def test_the_first_images_are_a_data_set_to_detect_on(model, data, result):
    ids = {detection["image_id"] for detection in detect(model, FirstImages(data, 3))}
    assert ids == set(data.image_ids[:3])


def test_evaluation_twice_is_equal_and_leaves_the_mode_and_no_gradient(model, data, result):
    model.train()
    assert evaluate(model, data).detections == result.detections
    assert model.training
    assert all(parameter.grad is None for parameter in model.parameters())


def test_two_processes_share_the_images_and_find_what_one_finds(model, data, result, monkeypatch):
    parts = []

    def gathered(group, found):
        parts.append(found)
        return parts if group.writes else []

    monkeypatch.setattr(Group, "gather_on_first", gathered)
    assert detect(model, data, batch=3, group=Group(rank=1, size=2)) == []
    assert detect(model, data, batch=3, group=Group(rank=0, size=2)) == detect(model, data, batch=3)
    assert [len(part) for part in parts[:2]] == [3, 5]


def test_one_process_judges_and_the_others_have_its_numbers(model, data, result, monkeypatch):
    monkeypatch.setattr(Group, "gather_on_first", lambda self, found: [])
    monkeypatch.setattr(Group, "gather", lambda self, value: [result])
    monkeypatch.setattr(coco_eval, "evaluate", None)  # which nobody may call
    other = evaluate(model, data, batch=3, group=Group(rank=1, size=2))
    assert (other.numbers, other.per_class, other.detections) == (result.numbers, result.per_class, [])


def test_progress_is_told_up_to_the_last_image(model, data):
    told = []
    detect(model, data, batch=3, progress=lambda done, text: told.append((done, text)))
    assert told == [(3, "images"), (6, "images"), (8, "images")]


def test_images_of_one_size_share_a_batch(data):
    class Sizes(torch.nn.Module):
        def forward(self, images, targets, path):
            sizes.append([tuple(image.shape) for image in images])
            nothing = {"boxes": torch.zeros(0, 4), "labels": torch.zeros(0).long(), "scores": torch.zeros(0)}
            return [nothing for _ in images]

    class Mixed:
        readers = 0

        def __init__(self):
            self.results, self.ground_truth = data.results, data.ground_truth

        def __len__(self):
            return 8

        def size(self, index):
            return (64, 32 if index % 2 else 64)

        def load(self, index):
            return torch.zeros(3, *self.size(index)), {}

    sizes = []
    detect(Sizes(), Mixed(), batch=4)
    assert sizes == [[(3, 64, 32)] * 4, [(3, 64, 64)] * 4]
