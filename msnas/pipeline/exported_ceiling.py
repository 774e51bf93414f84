"""A ceiling on what a whole exported detector takes, checked on the finalists of a search.

The search itself is steered by costs that are sums over parts; the ceiling has the last word on who may win.
"""

import statistics
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from msnas.data.source import read_source
from msnas.errors import RunError
from msnas.export.onnx_export import FILE, require_extra
from msnas.export.onnx_graph import OneImage, write_graph
from msnas.export.onnx_inputs import Input
from msnas.export.onnx_session import OnnxSession
from msnas.families.family import ScoredNetwork, SearchOutcome
from msnas.pipeline.exported_latency import IMAGES, onnx_works
from msnas.pipeline.latency_measurement import rounds
from msnas.setup.setup import Setup


@dataclass
class ExportedCeiling:
    """`budget.exported_ms` of a run; keeps what it has measured, milliseconds by architecture."""

    setup: Setup
    limit: float
    measured: dict[str, float] = field(default_factory=dict)

    @classmethod
    def of(cls, setup: Setup) -> "ExportedCeiling | None":
        """None where there is no such ceiling. Raises ConfigError where it is no number or an extra is missing."""
        if setup.exported_ms is None:
            return None
        require_extra()
        return cls(setup.for_retraining, setup.exported_ms)  # what is exported is what is retrained

    def kept(self, outcome: SearchOutcome) -> SearchOutcome:
        """The outcome with the best finalists below the ceiling as winners; the finalists stay as they are.

        Finalists are timed from the best on until there are winners enough. Raises RunError where none is below.
        """
        winners = self.below(outcome.finalists, self.setup.top_k)
        if not winners:
            fastest = min(self.measured.values())
            raise RunError(
                f"A finalist must keep budget.exported_ms<={self.limit:g}, but the fastest of {len(self.measured)} "
                f"takes {fastest:.1f} ms; give a higher ceiling, or a run with a smaller budget."
            )
        return replace(outcome, winners=tuple(winners))

    def below(self, finalists: Iterable[ScoredNetwork], number: int) -> list[ScoredNetwork]:
        """The first `number` of the finalists that are below the ceiling, fewer where there are no more."""
        classes = list(read_source(self.setup.data).train.categories.values())
        found: list[ScoredNetwork] = []
        for finalist in finalists:
            if len(found) == number:
                break
            took = self.measured[str(finalist.architecture)] = self._time(finalist.architecture, classes)
            found += [finalist] if took <= self.limit else []
        return found

    def _time(self, architecture: Any, classes: list[str]) -> float:
        """Milliseconds of the architecture's detector with fresh weights, whole, in onnxruntime: the median."""
        setup, options = self.setup, self.setup.latency
        hardware = setup.hardware.for_candidates()
        detector: Any = setup.family.detector_of(architecture, classes)
        sides = detector.config["short_side"], detector.config["long_side"]
        wanted = Input(setup.input_size, sides, detector.transform.image_mean)
        images = wanted.canvases(read_source(replace(setup.data, masks=False)).train, IMAGES)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / FILE
            write_graph(OneImage(detector).eval(), (3, *wanted.size), path, {})
            session = OnnxSession(path, threads=torch.get_num_threads())
        works = dict(enumerate(onnx_works(session, images)))
        times = rounds(works, hardware, warmup=options.warmup, repetitions=options.repetitions)
        return statistics.median(time for found in times.values() for time in found) / 1e3
