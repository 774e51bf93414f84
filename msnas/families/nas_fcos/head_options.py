"""How heads are searched after pyramids: the options `heads.*`. Torch-free."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class HeadOptions:
    """Options `heads.*`: the second half of the search; the last three are its strategy's.

    training: steps of each of the `trained` best pyramids, of which the best one is what heads stand on.
    """

    search: bool
    channels: int
    layers: int
    training: int
    trained: int
    population_size: int
    children: int
    iterations: int
