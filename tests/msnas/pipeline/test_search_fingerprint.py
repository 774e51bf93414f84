"""What a history's scores depend on beside the candidates."""

import pytest
from msnas.pipeline.space_search import _kind_of_device

from msnas.config.compose import compose
from msnas.engine.devices import Hardware


def test_a_history_belongs_to_one_kind_of_device_and_one_precision():
    kind = _kind_of_device(compose(["scale=tiny"]), Hardware())
    assert kind == {"device": "cpu", "precision": "fp32"}


@pytest.mark.parametrize("device", ["auto", "cpu"])
def test_on_a_cluster_the_words_for_its_nodes_count(device):
    config = compose(["scale=tiny", "hardware=ray", f"hardware.device={device}"])
    assert _kind_of_device(config, Hardware()) == {"device": device, "precision": "auto"}
