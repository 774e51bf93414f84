"""`msnas import` turns a checkpoint of mmdetection into a model that the other commands read."""

import pytest
import torch
from toolbox_tables import nas_fcos_shapes, nas_fpn_shapes, state_of

import msnas
from msnas.cli import main


@pytest.mark.parametrize("shapes", [nas_fpn_shapes(stacks=1), nas_fcos_shapes()], ids=["nas_fpn", "nas_fcos"])
def test_a_checkpoint_becomes_a_model_of_cocos_classes(shapes, tmp_path):
    torch.save({"meta": {"CLASSES": ("person",)}, "state_dict": state_of(shapes)}, tmp_path / "public.pth")
    assert main(["import", str(tmp_path / "public.pth"), f"out={tmp_path / 'model'}"]) == 0
    model = msnas.load(tmp_path / "model")
    assert (model.meta["classes"][-1], model.meta["category_ids"][-1]) == ("toothbrush", 90)
    model.transform.short_side = model.transform.long_side = 128
    [found] = model([torch.rand(3, 128, 100)])
    assert found["boxes"].shape[1] == 4


@pytest.mark.parametrize(
    ("state", "told"),
    [
        ({"conv1.weight": torch.zeros(1)}, "configs/nas_fcos, but begins with conv1.weight"),
        (state_of(nas_fpn_shapes(stacks=1, classes=3)), "must have the 80 classes of COCO, but has 3"),
    ],
    ids=["another network", "other classes"],
)
def test_what_is_not_of_the_papers_is_refused_in_a_line(state, told, tmp_path, capsys):
    torch.save(state, tmp_path / "other.pth")
    assert main(["import", str(tmp_path / "other.pth"), f"out={tmp_path / 'model'}"]) == 2
    assert told in capsys.readouterr().err
    assert not (tmp_path / "model").exists()


def test_a_file_that_is_not_there_is_said(tmp_path, capsys):
    assert main(["import", str(tmp_path / "none.pth")]) == 2
    assert "there is no file" in capsys.readouterr().err
