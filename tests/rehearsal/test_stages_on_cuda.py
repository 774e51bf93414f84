"""Every stage of the command line, of the three families and behind a frozen backbone, on the pretended GPU."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from pretended_cuda import pretended_cuda
from safetensors.torch import save_file
from tiny_words import TINY, fitting

from msnas.cli import main

STAGES = ("train", "search", "retrain")
BACKBONE = "mobilenetv3_small_050"
FAMILIES = {  # the words of a family, and its stages
    "msnas": (["space=msnas_7"], STAGES),
    "prefix": (["space=msnas_timm", f"space.backbone={BACKBONE}", "backbone.weights=WEIGHTS"], STAGES),
    "nas_fpn": (["experiment=nas_fpn"], STAGES[1:]),  # shares no weights
    "nas_fcos": (["experiment=nas_fcos"], STAGES),
}


@contextmanager
def the_gpu(name: str) -> Iterator[None]:
    """One pretended card, with what the driver would say of it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.cuda, "device_count", lambda: 1)
        patch.setattr(torch.cuda, "set_device", lambda device: None)
        patch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: False)
        patch.setattr(torch.cuda, "get_device_name", lambda device: "pretended")
        patch.setattr(torch.cuda, "get_device_properties", lambda device: SimpleNamespace(uuid=name))
        patch.setattr(torch.cuda, "mem_get_info", lambda device: (10**9, 10**9))
        patch.setattr(torch.cuda, "empty_cache", lambda: None)
        with pretended_cuda():
            yield


@pytest.fixture(scope="module", params=FAMILIES)
def run(request, tmp_path_factory):
    """A run whose stages were made on the GPU, by the words that a user would type."""
    root = tmp_path_factory.mktemp(request.param)
    of_family, stages = FAMILIES[request.param]
    if request.param == "prefix":
        save_file(timm.create_model(BACKBONE).state_dict(), root / "weights.safetensors")
        of_family = [word.replace("WEIGHTS", str(root / "weights.safetensors")) for word in of_family]
    words = ["data=shapes", "scale=tiny", f"data.root={root / 'shapes'}", *of_family]
    words = [*fitting(TINY, words), *words, f"runs_root={root / 'runs'}", "run=r", "hardware.device=cuda"]
    with the_gpu(root.name):
        for stage in stages:
            assert main([stage, *words]) == 0
    return root / "runs" / "r"


def test_every_stage_ran_on_the_gpu(run):
    commands = json.loads((run / "environment.json").read_text())["commands"]
    assert {command["gpu"] for command in commands} == {"pretended"}


def test_the_search_has_winners_with_scores(run):
    [winner] = json.loads((run / "search" / "result.json").read_text())["winners"]
    assert isinstance(winner["score"], float)


def test_every_network_has_the_numbers_of_coco(run):
    rows = json.loads((run / "retrain" / "table.json").read_text())["rows"]
    assert len(rows) >= 2
    assert all(0 <= row["ap"] <= 1 for row in rows)


def test_the_winner_is_exported_from_the_gpu_and_predicts_on_the_cpu(run, tmp_path):
    import msnas

    assert main(["export", f"run={run.name}", f"runs_root={run.parent}", f"out={tmp_path / 'model'}"]) == 0
    [found] = msnas.load(tmp_path / "model")([torch.zeros(3, 64, 64)])
    assert set(found) >= {"boxes", "scores", "labels"}


def test_a_trained_network_is_judged_and_predicts_on_the_gpu(run, tmp_path):
    model = next((run / "retrain").glob("01-*"))
    Image.fromarray(np.zeros((64, 64, 3), np.uint8)).save(tmp_path / "black.png")
    data = ["data=shapes", *(word for word in TINY if word.startswith("data.")), "hardware.device=cuda"]
    data.insert(1, f"data.root={run.parent.parent / 'shapes'}")
    with the_gpu(run.name):
        assert main(["eval", str(model), *data]) == 0
        assert main(["predict", str(model), str(tmp_path / "black.png"), str(tmp_path / "o.json"), data[-1]]) == 0


def test_paths_are_ranked_on_the_gpu(run):
    if run.parent.parent.name.startswith("msnas"):
        with the_gpu(run.name):
            assert main(["rank", "run=r", f"runs_root={run.parent}", "n=2", "retrain.steps=1"]) == 0
        assert (run / "rank" / "done.json").exists()
