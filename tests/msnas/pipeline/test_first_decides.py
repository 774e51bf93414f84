"""Under torchrun the first process decides from the run's history which networks are trained."""

from unittest.mock import MagicMock

import pytest

from msnas.engine.distributed import Group
from msnas.pipeline import front_training, retraining

SECOND = Group(rank=1, size=2)


class AskedError(Exception):
    """The first process was asked."""


@pytest.mark.parametrize(
    ("module", "stage", "decides"),
    [(front_training, "retrain_front", "front_choices"), (retraining, "retrain", "chosen")],
)
def test_another_process_asks_the_first_and_reads_no_history(module, stage, decides, monkeypatch):
    def asked(group, value):
        assert value is None
        raise AskedError

    for name, answer in {"all_trained": False, "check_starts": None, "opened": (None, None)}.items():
        monkeypatch.setattr(module, name, lambda *_, answer=answer: answer)
    monkeypatch.setattr(module, decides, lambda run: pytest.fail("it looked itself"))
    monkeypatch.setattr(Group, "gather", asked)
    with pytest.raises(AskedError):
        getattr(module, stage)(MagicMock(), [], SECOND)
