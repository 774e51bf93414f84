"""The standard FPN as a graph of features, to draw beside pyramids of cells ("NAS-FPN", arXiv 1904.07392, Fig. 7a)."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class FpnLevels:
    """FPN over consecutive levels from 3 on: P5, P4 and P3 from the coarse to the fine, then P6 and P7 from P5.

    Ids are those of a `PyramidPlan` over the same levels: the inputs first, of which the backbone has the finest three,
    then the outputs in the order in which they are made.
    """

    levels: tuple[int, ...] = (3, 4, 5, 6, 7)

    @property
    def made(self) -> tuple[int, ...]:
        """The level of each output, in the order in which they are made."""
        from_backbone = self.levels[:3]
        return (*reversed(from_backbone), *self.levels[3:])

    def sources(self, index: int) -> tuple[int, ...]:
        """The ids that output `index` (from 0) reads: its lateral and the coarser level, or the finer level alone."""
        inputs, level = len(self.levels), self.made[index]
        if level > self.levels[:3][-1]:
            finer = self.made.index(level - 1)
            return (inputs + finer,)
        lateral = self.levels.index(level)
        return (lateral,) if index == 0 else (lateral, inputs + index - 1)

    def level_of(self, candidate: int) -> int:
        """The pyramid level of an id."""
        inputs = len(self.levels)
        return self.levels[candidate] if candidate < inputs else self.made[candidate - inputs]
