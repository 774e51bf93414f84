"""How a decoder is scored, by a short training on cached features (NAS-FCOS, arXiv 1906.04423, section 4.1.1)."""

from dataclasses import dataclass

from msnas.errors import ConfigError

REWARDS = ("loss", "ap")


@dataclass(frozen=True, slots=True, kw_only=True)
class DecoderRecipe:
    """Options `candidate.*`: how every decoder is scored; fields are checked (ConfigError). Defaults are the paper's.

    lr: of Adam, for any batch. polyak: weight of the old average in each step's averaging of the weights; the average
    is judged. reward: `loss`, minus the sum of the three losses on the held-out images, or `ap` (Fig. 9).
    """

    iterations: int = 300
    batch: int = 200
    lr: float = 8e-4
    polyak: float = 0.9
    reward: str = "loss"
    score_batch: int = 8

    def __post_init__(self) -> None:
        if self.reward not in REWARDS:
            raise ConfigError(f"candidate.reward must be one of {', '.join(REWARDS)}, but got {self.reward!r}.")
        if self.iterations < 1 or self.batch < 2 or self.score_batch < 1 or self.lr <= 0:
            raise ConfigError(
                f"`iterations >= 1`, `batch >= 2` (batch norm), `score_batch >= 1` and `lr > 0` must hold for "
                f"a decoder, but got {self.iterations}, {self.batch}, {self.score_batch} and {self.lr}."
            )
        if not 0 <= self.polyak < 1:
            raise ConfigError(f"`0 <= candidate.polyak < 1` must hold, but got {self.polyak}.")
