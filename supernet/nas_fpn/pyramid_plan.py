"""One NAS-FPN pyramid as a value: merging cells that turn feature levels into features of the same levels.

Ghiasi et al., "NAS-FPN: Learning Scalable Feature Pyramid Architecture for Object Detection", arXiv
1904.07392, section 3.1; the leftover rule as in the authors' release (tensorflow/tpu,
models/official/detection). No torch.
"""

from dataclasses import dataclass

from supernet.errors import SpaceError

OPS = ("sum", "gp")


@dataclass(frozen=True, slots=True)
class Cell:
    """One merging cell: two candidates brought to `level` and joined by `op`, then ReLU, 3x3 conv, BN.

    first, second: candidate ids; 0..G-1 are the inputs from the finest level on, cell t (from 0) makes id
    G+t. level: the pyramid level of the output, stride 2**level. op: "sum" or "gp" (global pooling
    attention).
    """

    first: int
    second: int
    level: int
    op: str

    def __str__(self) -> str:
        return f"{self.first},{self.second},{self.level},{self.op}"


@dataclass(frozen=True, slots=True)
class PyramidPlan:
    """A pyramid of merging cells; the last `len(levels)` of them are its outputs, each level once."""

    cells: tuple[Cell, ...]
    levels: tuple[int, ...] = (3, 4, 5, 6, 7)

    def __post_init__(self) -> None:
        _check(self)

    def __str__(self) -> str:
        return "|".join(str(cell) for cell in self.cells)

    @classmethod
    def parse(cls, text: str) -> "PyramidPlan":
        """The inverse of `str`: cells `first,second,level,op` joined by `|`; op by name, or 0 (sum), 1 (gp).

        The levels are those of the output cells: the longest run of last cells that makes consecutive levels,
        each once, from level 3 on.
        """
        cells = tuple(_parse_cell(part, number) for number, part in enumerate(text.split("|"), start=1))
        for top in (7, 6, 5, 4):
            levels = tuple(range(3, top + 1))
            if sorted(cell.level for cell in cells[-len(levels) :]) == list(levels):
                return cls(cells, levels)
        raise SpaceError(
            f"The last cells must make each of the levels 3..7 (or 3..6, 3..5, 3..4) once, "
            f"but the levels are {','.join(str(cell.level) for cell in cells)}."
        )

    @property
    def num_intermediate(self) -> int:
        """How many cells come before the output cells."""
        return len(self.cells) - len(self.levels)

    def id_of(self, cell_index: int) -> int:
        """The candidate id that cell `cell_index` (from 0) makes."""
        return len(self.levels) + cell_index

    def level_of(self, candidate: int) -> int:
        """The pyramid level of a candidate id."""
        inputs = len(self.levels)
        return self.levels[candidate] if candidate < inputs else self.cells[candidate - inputs].level

    def carried(self, cell: Cell) -> int:
        """The input that a gp cell carries unscaled: the coarser one, the first of two equals."""
        return cell.second if self.level_of(cell.second) > self.level_of(cell.first) else cell.first

    def leftovers(self) -> tuple[tuple[int, ...], ...]:
        """For each cell, the earlier features that are summed in because nothing has consumed them so far.

        Greedy, while building: when the output of a level is made, every earlier feature of that level
        without an outgoing connection is added and counts as used, also one that only a later cell would
        consume.
        """
        used: set[int] = set()
        added: list[tuple[int, ...]] = []
        for index, cell in enumerate(self.cells):
            used |= {cell.first, cell.second}
            extra: tuple[int, ...] = ()
            if index >= self.num_intermediate:
                earlier = range(self.id_of(index))
                extra = tuple(c for c in earlier if self.level_of(c) == cell.level and c not in used)
                used |= set(extra)
            added.append(extra)
        return tuple(added)

    def outputs(self) -> tuple[int, ...]:
        """Candidate ids of the outputs, finest level first."""
        made = {self.cells[index].level: self.id_of(index) for index in range(self.num_intermediate, len(self.cells))}
        return tuple(made[level] for level in self.levels)


def _parse_cell(text: str, number: int) -> Cell:
    parts = [part.strip() for part in text.split(",")]
    numbers_ok = len(parts) == 4 and all(part.isdecimal() for part in parts[:3])
    op = {"0": "sum", "1": "gp"}.get(parts[-1], parts[-1])
    if not numbers_ok or op not in OPS:
        raise SpaceError(f"A cell is written first,second,level,op with op sum or gp, but cell {number} is {text!r}.")
    return Cell(int(parts[0]), int(parts[1]), int(parts[2]), op)


def _check(plan: PyramidPlan) -> None:
    """Raise SpaceError that names the cell (from 1) and the rule that it breaks."""
    levels, inputs = plan.levels, len(plan.levels)
    if levels != tuple(range(levels[0], levels[0] + inputs)):
        raise SpaceError(f"The levels must be consecutive, but got {levels}.")
    if plan.num_intermediate < 0:
        raise SpaceError(f"A pyramid of {inputs} levels needs at least {inputs} cells, but got {len(plan.cells)}.")
    for index, cell in enumerate(plan.cells):
        name, known = f"Cell {index + 1}", plan.id_of(index)
        if not (0 <= cell.first < known and 0 <= cell.second < known):
            raise SpaceError(f"{name} can read candidates 0..{known - 1}, but reads {cell.first} and {cell.second}.")
        if cell.first == cell.second:
            raise SpaceError(f"{name} must read two different candidates, but reads {cell.first} twice.")
        if cell.op not in OPS:
            raise SpaceError(f"{name}'s op must be sum or gp, but is {cell.op!r}.")
        if cell.level not in levels:
            raise SpaceError(f"{name} must make one of the levels {levels}, but makes {cell.level}.")
        if index < plan.num_intermediate and cell.level == levels[0]:
            raise SpaceError(f"{name} is intermediate and must not make the finest level {levels[0]}.")
    made = [cell.level for cell in plan.cells[plan.num_intermediate :]]
    if sorted(made) != list(levels):
        raise SpaceError(f"The last {inputs} cells must make each level of {levels} once, but make {made}.")


# The 7 cells that the search found (Fig. 6), as listed in the authors' release.
DISCOVERED = PyramidPlan.parse("1,3,4,gp|1,5,4,sum|0,6,3,sum|6,7,4,sum|7,8,5,gp|6,9,7,gp|9,10,6,gp")
