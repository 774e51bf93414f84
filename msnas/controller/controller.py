"""The RNN controller of NAS-FPN and NAS-FCOS: it draws architectures and is trained on their rewards by PPO.

"NAS-FPN", arXiv 1904.07392, section 4.2; what that leaves open as in NASNet (arXiv 1707.07012, appendix A).
Ask and tell like every strategy in `evolution`, so that the same search, history and report serve it.
"""

import base64
from collections.abc import Sequence
from typing import Unpack

import numpy as np
import safetensors.torch
import torch
from torch import Tensor

from evolution.errors import StrategyError
from evolution.generational import Generational, Sizes
from evolution.operators import Offspring
from evolution.population import Individual
from evolution.strategy import Evaluation, Genome, Record, as_genome, check_positive
from msnas.controller.policy import Policy, clipped_objective
from supernet.space import SearchSpace

ORIGIN = "controller"


class Controller(Generational):
    """Draws `children` new architectures a generation, then improves its policy on all it drew.

    The policy may draw an architecture again: it is not scored a second time, but its reward counts again, and the
    record of a generation says which were drawn (`drawn`, `attempts` of them), how many were new (`children`), and the
    mean `reward` of all of them with its standard deviation (`reward_spread`; Fig. 5). A generation ends with those it
    has after `max_attempts` draws. population_size: of the first generation.
    """

    ranks_rungs = False

    def __init__(
        self,
        space: SearchSpace,
        *,
        lr: float = 3.5e-4,
        clip: float = 0.2,
        epochs: int = 20,
        minibatch: int = 20,
        entropy: float = 1e-5,
        baseline_decay: float = 0.95,
        hidden: int = 100,
        init: float = 0.1,
        **sizes: Unpack[Sizes],
    ) -> None:
        super().__init__(space, **sizes)
        check_positive(epochs=epochs, minibatch=minibatch, hidden=hidden)
        _check_rates(lr, clip, entropy, baseline_decay)
        if not callable(getattr(space, "allowed", None)):
            raise StrategyError(
                f"The controller needs a space with `allowed(prefix)`, but {type(space).__name__} has none."
            )
        self.clip, self.epochs, self.minibatch = clip, epochs, minibatch
        self.entropy, self.baseline_decay = entropy, baseline_decay
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(sizes["seed"])
            self.policy = Policy(space.cardinalities, space.allowed, hidden=hidden, init=init)
        self.optimizer = torch.optim.Adam(self.policy.parameters(), lr=lr, fused=True)
        self.baseline: float | None = None  # moving average of the rewards
        self.rewards: dict[Genome, float] = {}
        self._drawn: list[Genome] = []  # of this generation, in order, repetitions included

    def tell(self, evaluations: Sequence[Evaluation]) -> None:
        """Take in the evaluations of all genomes asked, in any order, and update the policy."""
        scores = {evaluation.genome: evaluation.score[0] for evaluation in evaluations if evaluation.ok}
        self.rewards |= {genome: scores[genome] for genome in self._asked if genome in scores}
        super().tell(evaluations)
        samples = [genome for genome in self._drawn if genome in self.rewards]
        if samples:
            self.record |= self._improve(samples)
        self.record["drawn"] = [list(genome) for genome in self._drawn]
        self._drawn = []

    def _next_offspring(self) -> Offspring:
        return self._draw(self.population_size if self.generation == 0 else self.children, set(self._scored.seen))

    def _breed(self, taken: set[Genome]) -> Offspring:
        return self._draw(self.children, taken)

    def _draw(self, wanted: int, taken: set[Genome]) -> Offspring:
        """Draw from the policy until there are `wanted` genomes that are not in `taken`."""
        offspring = Offspring(wanted)
        self._drawn = []
        while not offspring.full and len(self._drawn) < self.max_attempts:
            for genome in self.policy.sample(wanted, self.rng):
                if offspring.full or len(self._drawn) == self.max_attempts:
                    break
                self._drawn.append(genome)
                if genome not in taken and self.space.is_valid(genome):  # `allowed` may leave a budget to the whole
                    offspring.children[genome] = ORIGIN
        offspring.attempts = len(self._drawn)
        offspring.draws[ORIGIN], offspring.accepted[ORIGIN] = len(self._drawn), len(offspring.children)
        return offspring

    def _select(self, newcomers: list[Individual]) -> list[Individual]:
        return newcomers  # the generation's own statistics; the best ever are in the hall of fame

    def _improve(self, samples: list[Genome]) -> Record:
        """PPO on the generation's samples: maximise the clipped objective plus the entropy's share."""
        rewards = [self.rewards[genome] for genome in samples]
        advantages = self._advantages(rewards)
        with torch.no_grad():
            log_old, _ = self.policy.evaluate(samples)
        for _ in range(self.epochs):
            order = self.rng.permutation(len(samples))
            for part in np.array_split(order, -(-len(samples) // self.minibatch)):
                log_new, entropies = self.policy.evaluate([samples[index] for index in part])
                rows = torch.from_numpy(part)
                gain = clipped_objective(log_new, log_old[rows], advantages[rows], self.clip)
                loss = -gain - self.entropy * entropies.mean()  # eq. 9, without a value network
                self.optimizer.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                self.optimizer.step()
        assert self.baseline is not None
        seen = {"reward": float(np.mean(rewards)), "reward_spread": float(np.std(rewards))}
        return {**seen, "baseline": self.baseline, "entropy": float(entropies.detach().sum(1).mean())}

    def _advantages(self, rewards: Sequence[float]) -> Tensor:
        """Each reward less the moving average of those before it, [count]."""
        advantages = []
        for reward in rewards:
            self.baseline = reward if self.baseline is None else self.baseline
            advantages.append(reward - self.baseline)
            self.baseline = self.baseline_decay * self.baseline + (1 - self.baseline_decay) * reward
        return torch.tensor(advantages)

    # State

    def state_dict(self) -> Record:
        """All state as JSON values; weights and Adam's moments are a safetensors file in base64."""
        tensors = {f"policy.{name}": tensor for name, tensor in self.policy.state_dict().items()}
        for index, moments in self.optimizer.state_dict()["state"].items():
            tensors |= {f"adam.{index}.{name}": tensor for name, tensor in moments.items()}
        return {
            **super().state_dict(),
            "tensors": base64.b64encode(safetensors.torch.save(tensors)).decode(),
            "baseline": self.baseline,
            "rewards": [[list(genome), reward] for genome, reward in self.rewards.items()],
            "drawn": [list(genome) for genome in self._drawn],
        }

    def load_state_dict(self, state: Record) -> None:
        """Go on exactly where `state_dict` was taken. Raises StrategyError for another strategy's state."""
        super().load_state_dict(state)
        tensors = safetensors.torch.load(base64.b64decode(state["tensors"]))
        weights = {name.removeprefix("policy."): t for name, t in tensors.items() if name.startswith("policy.")}
        self.policy.load_state_dict(weights)
        moments: dict[int, dict[str, Tensor]] = {}
        for name, tensor in tensors.items():
            kind, _, rest = name.partition(".")
            if kind == "adam":
                index, _, moment = rest.partition(".")
                moments.setdefault(int(index), {})[moment] = tensor
        self.optimizer.load_state_dict({**self.optimizer.state_dict(), "state": moments})
        self.baseline = state["baseline"]
        self.rewards = {as_genome(genome): reward for genome, reward in state["rewards"]}
        self._drawn = [as_genome(genome) for genome in state["drawn"]]


def _check_rates(lr: float, clip: float, entropy: float, baseline_decay: float) -> None:
    if not (lr > 0 and 0 < clip < 1 and entropy >= 0 and 0 <= baseline_decay < 1):
        raise StrategyError(
            f"`lr > 0`, `0 < clip < 1`, `entropy >= 0`, `0 <= baseline_decay < 1` must hold, "
            f"but got {lr=}, {clip=}, {entropy=}, {baseline_decay=}."
        )
