"""What every evaluator of candidates does around its own way of scoring: cost, recipe, seconds, and failures."""

import logging
import time
from abc import ABC, abstractmethod
from collections.abc import Hashable
from typing import Any, NamedTuple, Protocol

import torch

from evolution.strategy import FAILED, Evaluation, Genome
from msnas.engine.devices import Hardware, computing_with
from msnas.engine.gpu_turns import is_out_of_memory, turn
from msnas.errors import UserError
from supernet.cost import Cost

log = logging.getLogger(__name__)


class CostedSpace(Protocol):
    """A search space: what a genome stands for, and what it costs."""

    def decode(self, genome: Genome, /) -> Hashable:
        """The architecture."""

    def cost(self, genome: Genome, /) -> Cost:
        """What it costs, exactly."""


class Measured(NamedTuple):
    """What a candidate is worth, the numbers beside it, and the score on draws of the images, where they are kept."""

    score: float
    numbers: dict[str, float]
    draws: tuple[float, ...] = ()


class Evaluator(ABC):
    """`evaluator(genome, replicate)` scores one candidate.

    space: knows a genome's architecture and exact cost. seed: the run's; with the replicate it decides every random
    draw. `times` holds the seconds of the last candidate by part.
    """

    def __init__(self, space: CostedSpace, *, seed: int, hardware: Hardware | None) -> None:
        self.space, self.seed = space, seed
        self.hardware = hardware or Hardware(threads=1)
        self.times: dict[str, float] = {}

    @abstractmethod
    def described(self, rung: int = 0) -> dict[str, Any]:
        """The recipe as the history keeps it, with everything else that a score depends on."""

    @abstractmethod
    def measured(self, architecture: Any, replicate: int, rung: int) -> Measured:
        """The score, and all numbers that are kept beside it."""

    def __call__(self, genome: Genome, replicate: int = 0, rung: int = 0) -> Evaluation:
        """Scores; whatever goes wrong is a failed evaluation with its reason, so that a search goes on.

        A candidate that a GPU has no memory left for is scored once more, alone on it.
        """
        began = time.perf_counter()
        known: dict[str, Any] = {"genome": genome, "replicate": replicate, "rung": rung, "seed": self.seed}
        known["recipe"] = self.described(rung)
        outcome, crowded = self._outcome(genome, replicate, rung, alone=False)
        if crowded:
            outcome, _ = self._outcome(genome, replicate, rung, alone=True)
        return Evaluation(**known, **outcome, seconds=time.perf_counter() - began)

    def _outcome(self, genome: Genome, replicate: int, rung: int, *, alone: bool) -> tuple[dict[str, Any], bool]:
        """What came of it, and whether memory ran out; an error is gone by then, and with it what it held."""
        device = self.hardware.device
        with turn(device, alone=alone):
            try:
                with computing_with(self.hardware.threads):
                    measured = self.measured(self.space.decode(genome), replicate, rung)
                cost, crowded = self.space.cost(genome).by_name(), False
                outcome = {
                    "score": (measured.score,),
                    "metrics": measured.numbers,
                    "draws": measured.draws,
                    "cost": cost,
                }
            except Exception as error:  # out of memory, a loss that is not finite, an image that cannot be read
                log.warning("Candidate %s failed: %s", genome, error, exc_info=not isinstance(error, UserError))
                reason = f"{type(error).__name__}: {error}"[:500]
                outcome, crowded = {"status": FAILED, "reason": reason}, is_out_of_memory(error)
            if device.type == "cuda":
                torch.cuda.empty_cache()  # for the others on this card
        return outcome, crowded
