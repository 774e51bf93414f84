"""Shapes of 64 pixels and an untrained FCOS whose features are cached."""

import pytest
import tiny_pipeline
import torch

from msnas.detectors.fcos import FCOS
from supernet.nas_fcos.decoder import PUBLISHED
from supernet.nas_fcos.fcos_encoder import FcosEncoder


@pytest.fixture(scope="module")
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def splits(tmp_path_factory):
    return tiny_pipeline.splits(str(tmp_path_factory.mktemp("shapes")))


@pytest.fixture(scope="module")
def detector(splits):
    torch.manual_seed(0)
    encoder = FcosEncoder(str(PUBLISHED.pyramid), backbone="resnet18", channels=8, width=0.25)
    return FCOS(encoder, num_classes=len(splits.train.classes), short_side=64, long_side=64)
