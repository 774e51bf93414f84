"""What a history's scores depend on beside the candidates: where they are made."""

import sys
from types import SimpleNamespace

import pytest

from msnas.config.compose import compose
from msnas.setup.setup import Setup


def kind_of_device(*words):
    setup = Setup(compose(["scale=tiny", "input=128x128", "data.root=D", *words]))
    return tuple(setup.hardware.kind_of_candidates().values())


def test_a_history_belongs_to_one_kind_of_device_and_one_precision():
    assert kind_of_device("hardware.device=cpu") == ("cpu", "fp32")


@pytest.mark.parametrize(
    ("words", "gpus", "kind"),
    [
        ([], True, ("cuda", "auto")),
        ([], False, ("cpu", "fp32")),
        (["hardware.device=cpu"], True, ("cpu", "fp32")),
        (["hardware.precision=fp32"], True, ("cuda", "fp32")),
    ],
)
def test_on_a_cluster_its_nodes_count_and_not_the_words_for_them(words, gpus, kind, monkeypatch):
    cluster = SimpleNamespace(has_gpus=lambda address: gpus)  # Ray is an extra
    monkeypatch.setitem(sys.modules, "msnas.engine.ray_workers", cluster)
    assert kind_of_device("hardware=ray", *words) == kind
