from pathlib import Path

import pytest
from coco_folders import CocoFolder


@pytest.fixture
def folder(tmp_path: Path) -> CocoFolder:
    return CocoFolder(tmp_path / "data")
