"""What a history's scores depend on beside the candidates."""

from pathlib import Path

import pytest

from msnas.config.compose import compose
from msnas.setup.setup import Setup

WEIGHTS = Path(__file__)  # any file: what is in it does not matter here


def kind_of_device(*words):
    setup = Setup(compose(["scale=tiny", "input=128x128", "data.root=D", *words]))
    fingerprint = setup.search(weights=WEIGHTS, folder=WEIGHTS.parent).fingerprint
    return fingerprint["device"], fingerprint["precision"]


def test_a_history_belongs_to_one_kind_of_device_and_one_precision():
    assert kind_of_device("hardware.device=cpu") == ("cpu", "fp32")


@pytest.mark.parametrize("device", ["auto", "cpu"])
def test_on_a_cluster_the_words_for_its_nodes_count(device):
    assert kind_of_device("hardware=ray", f"hardware.device={device}") == (device, "auto")
