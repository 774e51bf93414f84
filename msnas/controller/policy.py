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
from torch.nn.utils.rnn import pad_sequence

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
        self._masks = lru_cache(maxsize=1 << 12)(self._masks_of)
        self.start = nn.Parameter(torch.empty(1, hidden))
        self.lstm = nn.LSTM(hidden, hidden)
        self.embeddings = nn.ModuleList(nn.Embedding(choices, hidden) for choices in cardinalities[:-1])
        self.softmaxes = nn.ModuleList(nn.Linear(hidden, choices) for choices in cardinalities)
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -init, init)

    @torch.no_grad()
    def sample(self, count: int, rng: np.random.Generator) -> list[Genome]:
        """`count` genomes drawn from the policy."""
        genomes: list[Genome] = [()] * count
        x, state = self.start.expand(1, count, -1), None
        for place, softmax in enumerate(self.softmaxes):
            hidden, state = self.lstm(x, state)
            mask = np.stack([self._mask(genome) for genome in genomes])
            logits = softmax(hidden[0]) + torch.from_numpy(mask)
            probabilities = logits.softmax(1).double().cumsum(1).numpy()  # [count, choices]
            draws = rng.random((count, 1)) * probabilities[:, -1:]
            genes = (probabilities <= draws).sum(1)
            genomes = [(*genome, gene) for genome, gene in zip(genomes, genes.tolist(), strict=True)]
            if place < len(self.embeddings):
                x = self.embeddings[place](torch.from_numpy(genes))[None]
        return genomes

    def evaluate(self, genomes: Sequence[Genome]) -> tuple[Tensor, Tensor]:
        """log P and the entropy of each decision of `genomes`, both [count, genes].

        All genes are known, so that one call runs the LSTM over all places, another all softmaxes; the shorter ones are
        padded with choices that are not allowed.
        """
        genes = torch.tensor(genomes).T  # [genes, count]
        embedded = [embedding(row) for embedding, row in zip(self.embeddings, genes[:-1], strict=True)]
        hidden, _ = self.lstm(torch.stack([self.start.expand(len(genomes), -1), *embedded]))  # [genes, count, hidden]
        parameters: list[Tensor] = [*self.softmaxes.parameters()]  # a weight and a bias of each
        weight, bias = (pad_sequence(parameters[kind::2], batch_first=True) for kind in range(2))
        mask = torch.from_numpy(np.stack([self._masks(genome) for genome in genomes], 1))
        logits = torch.baddbmm(bias[:, None], hidden, weight.mT) + mask  # [genes, count, most choices]
        log_probability = logits.log_softmax(2)
        chosen = log_probability.gather(2, genes[..., None]).squeeze(2)
        entropies = -(log_probability.exp() * log_probability).sum(2)
        return chosen.T, entropies.T

    def _mask_of(self, prefix: Genome) -> npt.NDArray[np.float32]:
        """0 for the choices after `prefix`, `FORBIDDEN` for the others; [choices]."""
        mask = np.full(self.cardinalities[len(prefix)], FORBIDDEN, dtype=np.float32)
        mask[list(self._allowed(prefix))] = 0
        return mask

    def _masks_of(self, genome: Genome) -> npt.NDArray[np.float32]:
        """The masks on the way to `genome`, [genes, most choices]."""
        masks = np.full((len(genome), max(self.cardinalities)), FORBIDDEN, dtype=np.float32)
        for place, choices in enumerate(self.cardinalities):
            masks[place, :choices] = self._mask(genome[:place])
        return masks


def clipped_objective(log_new: Tensor, log_old: Tensor, advantages: Tensor, clip: float) -> Tensor:
    """PPO's L^CLIP, to be maximised; the advantage of a genome is that of each of its decisions.

    log_new, log_old: [count, genes]; advantages: [count].
    """
    ratio = (log_new - log_old).exp()  # eq. 6
    advantage = advantages[:, None]
    return torch.minimum(ratio * advantage, ratio.clamp(1 - clip, 1 + clip) * advantage).mean()  # eq. 7
