"""NAS-FCOS's search space of heads with a sharing index (arXiv 1906.04423, sections 3.2.2 and 3.2.3)."""

from collections.abc import Hashable, Sequence
from math import prod

import numpy as np

from supernet.errors import SpaceError
from supernet.nas_fcos.decoder import HEAD_OPS, ORIGINAL, PUBLISHED, Decoder, Head, Pyramid
from supernet.nas_fcos.decoder_space import DecoderSpace
from supernet.space import Budget, Genome


class HeadSpace(DecoderSpace):
    """Heads of `layers` operations and a sharing index, which is the last gene (sections 3.2.2 and 3.2.3).

    Every genome keeps the rules. `pyramid`: what stays fixed while heads are searched, "fcos" or a pyramid as text.
    """

    def __init__(
        self,
        *,
        backbone: str = "resnet50",
        width: float = 1.0,
        channels: int = 128,
        layers: int = 6,
        pyramid: str = str(PUBLISHED.pyramid),
        num_classes: int = 80,
        input_size: tuple[int, int] = (384, 384),
        budget: Budget | None = None,
    ) -> None:
        settings = {name: value for name, value in locals().items() if name not in ("self", "budget", "__class__")}
        super().__init__(settings, budget)
        if layers < 1:
            raise SpaceError(f"A head needs at least one layer, but got {layers=}.")
        self.layers = layers
        self.pyramid = None if pyramid == ORIGINAL else Pyramid.parse(pyramid)

    @property
    def cardinalities(self) -> tuple[int, ...]:
        """Six operations a layer, and where sharing begins."""
        return (len(HEAD_OPS),) * self.layers + (self.layers + 1,)

    @property
    def sections(self) -> dict[str, slice]:
        """The operations, and the sharing index."""
        return {"operations": slice(0, self.layers), "sharing": slice(self.layers, self.layers + 1)}

    def encode(self, head: Head) -> Genome:
        """The head's genome."""
        if len(head.ops) != self.layers:
            raise SpaceError(f"A head of this space has {self.layers} layers, but got {len(head.ops)}.")
        return (*head.ops, head.share)

    def decode(self, genome: Sequence[int]) -> Head:
        """The genome's head. Raises SpaceError for a genome that breaks a rule."""
        if len(genome) != self.layers + 1:
            raise SpaceError(f"A genome has {self.layers + 1} genes, but got {len(genome)}.")
        return Head(tuple(genome[:-1]), genome[-1])

    def parse(self, text: str) -> Head:
        """The head written as `text`. Raises SpaceError where it is none of this space."""
        head = Head.parse(text)
        self.encode(head)
        return head

    def on(self, pyramid: Pyramid | None) -> "HeadSpace":
        """The same heads on another fixed pyramid (None: FCOS's own)."""
        return HeadSpace(**{**self._settings, "pyramid": str(pyramid or ORIGINAL)}, budget=self.budget)

    def decoder(self, architecture: Head) -> Decoder:
        """The head on the fixed pyramid."""
        return Decoder(self.pyramid, architecture)

    def allowed(self, prefix: Sequence[int]) -> tuple[int, ...]:
        """Choices of the next gene: all of them; a budget is left to the whole genome."""
        return tuple(range(self.cardinalities[len(prefix)]))

    def state(self, prefix: Genome) -> Hashable:
        """Where the prefix ends."""
        return len(prefix)

    def size(self) -> int:
        """Genomes: 6^6 * 7 = 326,592 for six layers."""
        return prod(self.cardinalities)

    def count(self) -> int | None:
        """Genomes that keep the rules: all; None inside a budget."""
        return self.size() if self.budget is None else None

    def sizes(self) -> dict[str, int]:
        """How large the space is, in the words of `msnas space`."""
        return {"architectures": self.size()}

    def _extremes(self) -> list[Genome]:
        return [(op,) * self.layers + (0,) for op in range(len(HEAD_OPS))]

    def _draw(self, rng: np.random.Generator) -> Genome:
        return tuple(int(rng.integers(choices)) for choices in self.cardinalities)
