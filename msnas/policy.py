"""A recurrent policy over genomes, and one step of proximal policy optimisation on it.

The network follows "Learning Transferable Architectures for Scalable Image Recognition" (NASNet, arXiv
1707.07012, appendix A), which NAS-FPN cites: one LSTM, a softmax of its own for each decision. "Proximal
Policy Optimization Algorithms", arXiv 1707.06347, gives the objective.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

FORBIDDEN = -1e9  # exactly no probability in float32, yet no infinity for the gradient to trip over
Genome = tuple[int, ...]
Allowed = Callable[[Genome], Sequence[int]]


class Policy(nn.Module):
    """P(genome) as the product of P(gene | genes before it); choices that `allowed` leaves out have none.

    cardinalities: choices of each gene. allowed: the choices after a prefix, never empty.
    """

    def __init__(self, cardinalities: Sequence[int], allowed: Allowed, *, hidden: int, init: float) -> None:
        super().__init__()
        self.cardinalities = tuple(cardinalities)
        self._allowed = allowed
        self._mask = lru_cache(maxsize=1 << 16)(self._mask_of)
        self.start = nn.Parameter(torch.empty(1, hidden))
        self.cell = nn.LSTMCell(hidden, hidden)
        self.embeddings = nn.ModuleList(nn.Embedding(choices, hidden) for choices in cardinalities[:-1])
        self.softmaxes = nn.ModuleList(nn.Linear(hidden, choices) for choices in cardinalities)
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -init, init)

    @torch.no_grad()
    def sample(self, count: int, rng: np.random.Generator) -> list[Genome]:
        """`count` genomes drawn from the policy."""
        genomes: list[Genome] = [()] * count
        state = None
        for place in range(len(self.softmaxes)):
            logits, state = self._step(place, genomes, state)
            probabilities = logits.softmax(1).double().cumsum(1).numpy()  # [count, choices]
            draws = rng.random((count, 1)) * probabilities[:, -1:]
            genes = (probabilities <= draws).sum(1)
            genomes = [(*genome, int(gene)) for genome, gene in zip(genomes, genes, strict=True)]
        return genomes

    def evaluate(self, genomes: Sequence[Genome]) -> tuple[Tensor, Tensor]:
        """log P and the entropy of each decision of `genomes`, both [count, genes]."""
        chosen, entropies = [], []
        state = None
        for place in range(len(self.softmaxes)):
            logits, state = self._step(place, [genome[:place] for genome in genomes], state)
            log_probability = logits.log_softmax(1)  # [count, choices]
            genes = torch.tensor([genome[place] for genome in genomes])
            chosen.append(log_probability.gather(1, genes[:, None]).squeeze(1))
            entropies.append(-(log_probability.exp() * log_probability).sum(1))
        return torch.stack(chosen, 1), torch.stack(entropies, 1)

    def _step(
        self, place: int, prefixes: Sequence[Genome], state: tuple[Tensor, Tensor] | None
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Logits [count, choices] of the gene at `place`, hopeless where not allowed, and the state."""
        if place == 0:
            x = self.start.expand(len(prefixes), -1)
        else:
            x = self.embeddings[place - 1](torch.tensor([prefix[-1] for prefix in prefixes]))
        hidden, cell = self.cell(x, state)
        logits = self.softmaxes[place](hidden)
        mask = np.stack([self._mask(prefix) for prefix in prefixes])  # [count, choices]
        return logits + torch.from_numpy(mask), (hidden, cell)

    def _mask_of(self, prefix: Genome) -> npt.NDArray[np.float32]:
        """0 for the choices after `prefix`, `FORBIDDEN` for the others; [choices]."""
        mask = np.full(self.cardinalities[len(prefix)], FORBIDDEN, dtype=np.float32)
        mask[list(self._allowed(prefix))] = 0
        return mask


def clipped_objective(log_new: Tensor, log_old: Tensor, advantages: Tensor, clip: float) -> Tensor:
    """PPO's L^CLIP, to be maximised; the advantage of a genome is that of each of its decisions.

    log_new, log_old: [count, genes]; advantages: [count].
    """
    ratio = (log_new - log_old).exp()  # eq. 6
    advantage = advantages[:, None]
    return torch.minimum(ratio * advantage, ratio.clamp(1 - clip, 1 + clip) * advantage).mean()  # eq. 7
