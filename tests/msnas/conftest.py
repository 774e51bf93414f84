from pathlib import Path

import pytest
import torch
from coco_folders import CocoFolder


@pytest.fixture
def folder(tmp_path: Path) -> CocoFolder:
    return CocoFolder(tmp_path / "data")


@pytest.fixture
def without_onednn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half precision on a CPU by torch's own kernels.

    oneDNN's bfloat16 convolutions of maps smaller than their kernel go wrong with AVX-512 (the reason why
    `devices.choose` refuses bf16 on a CPU); a test of bf16 here is about our types, not about those kernels.
    """
    monkeypatch.setattr(torch.backends.mkldnn, "enabled", False)
