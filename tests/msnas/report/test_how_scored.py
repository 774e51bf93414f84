"""What a page says of how candidates were scored."""

from types import SimpleNamespace

import pytest

from msnas.config.compose import compose
from msnas.report.page_data import _score
from msnas.setup.setup import Setup


@pytest.mark.parametrize(
    ("words", "how"),
    [
        (["candidate.recipe=finetune"], "each briefly trained"),
        (["candidate.recipe=bn+finetune"], "each briefly trained"),
        (["candidate.recipe=bn"], "with the supernet's weights"),
        (["candidate.finetune=false"], "with the supernet's weights"),
        (["experiment=nas_fpn"], "each briefly trained"),
    ],
)
def test_only_candidates_that_were_trained_are_said_to_be(words, how):
    assert _score(SimpleNamespace(setup=Setup(compose([*words, "input=256x256"]))))["how"] == how
