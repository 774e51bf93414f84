"""The files of one training: a checkpoint now and then, and a line of JSON for every step."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from msnas.engine import checkpoint
from msnas.engine.distributed import Group
from msnas.engine.journal import Journal
from msnas.errors import RunError
from msnas.runs.folder import CHECKPOINT, METRICS


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingFiles:
    """`checkpoint.pt` and `metrics.jsonl` in `folder`; None keeps nothing. One process writes, all read.

    every: steps between two checkpoints; one more is made at the end. fingerprint: what the checkpoint must have been
    made with, beside what the training itself says.
    """

    folder: Path | None = None
    every: int = 500
    fingerprint: Mapping[str, Any] = field(default_factory=dict)

    @property
    def are_kept(self) -> bool:
        """Whether there is a folder."""
        return self.folder is not None

    def restore(self, parts: Mapping[str, checkpoint.Stateful], made_with: Mapping[str, Any], group: Group) -> int:
        """Every part as the checkpoint has it; returns the steps done. Raises RunError for another training's."""
        step = 0
        if self.folder is not None:
            known = {**made_with, **self.fingerprint}
            step = checkpoint.restore_parts(self.folder / CHECKPOINT, parts, fingerprint=known)
        steps = group.gather(step)
        if len(set(steps)) > 1:
            raise RunError(f"All machines must see one run folder, but its checkpoint was at steps {steps} for them.")
        return step

    def journal(self, first: int, group: Group) -> Journal:
        """The journal of the steps from `first` on."""
        path = self.folder / METRICS if self.folder is not None and group.writes else None
        return Journal(path, first_step=first)

    def save(
        self, step: int, parts: Mapping[str, checkpoint.Stateful], made_with: Mapping[str, Any], group: Group
    ) -> None:
        """Keep where `step` steps have led."""
        if self.folder is not None and group.writes:
            known = {**made_with, **self.fingerprint}
            checkpoint.save_parts(self.folder / CHECKPOINT, step, parts, fingerprint=known)


NO_FILES = TrainingFiles()
