"""What the caches of a search take is known before they are made, and all of them share one limit."""

import pytest

from msnas.engine.devices import Hardware
from msnas.families.nas_fcos.cache_options import CacheOptions
from msnas.families.nas_fcos.cache_size import CacheSize, placed, search_caches
from msnas.families.nas_fcos.decoder_trial import _Silent
from msnas.families.nas_fcos.progressive_search import ProgressiveSearch
from supernet.nas_fcos.head_space import HeadSpace

SPACE = HeadSpace(backbone="resnet18", channels=8, layers=2, input_size=(64, 64), num_classes=4)
pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def search(detector, splits, tmp_path):
    def make(**options):
        settings = {"folder": tmp_path, "weights": "w", "seed": 3, "hardware": Hardware(threads=1)}
        return ProgressiveSearch(detector, splits, cache=CacheOptions(**options), progress=_Silent(), **settings)

    return make


@pytest.mark.parametrize("options", [{}, {"views": 2, "crop": True, "images": 7}])
def test_caches_take_what_was_foretold(detector, splits, search, options):
    search = search(**options)
    backbone, heads = search.backbone_data(detector.encoder.neck.num_inputs), search.data_of_heads()
    made = [CacheSize(part.memory, part.targets) for part in (backbone.train, backbone.held_out)]
    made += [CacheSize(part.memory) for part in (heads.train, heads.held_out)]
    assert search_caches(detector, SPACE, None, splits, search.cache, seed=3) == made


def test_targets_lie_in_memory_and_features_beyond_the_limit_on_disk():
    caches = [CacheSize(60, targets=10), CacheSize(40, targets=5), CacheSize(25)]
    assert placed(caches, limit=100) == (60 + 10 + 5 + 25, 40)


def test_all_caches_share_one_limit(search, tmp_path):
    whole = search().backbone_data(3).train
    search(memory_limit=whole.memory + whole.targets).backbone_data(3)
    assert [path.parent.name for path in tmp_path.rglob("done.json")] == ["held_out"]


def test_a_pyramids_outputs_share_the_limit_with_what_they_are_made_from(search, tmp_path):
    backbone = search().backbone_data(3)
    limit = sum(part.memory + part.targets for part in (backbone.train, backbone.held_out))
    search(memory_limit=limit).data_of_heads()
    assert {path.parent.name for path in tmp_path.rglob("done.json")} == {"pyramid_train", "pyramid_held_out"}
