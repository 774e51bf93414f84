import pytest
import torch
from torch import nn

from msnas.engine.batch_norm import estimate, norms_of
from msnas.engine.devices import Hardware


class Normed(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm = nn.BatchNorm2d(2, momentum=0.3)

    def forward(self, images, targets=None, path=None):
        return {"loss": self.norm(torch.stack(images)).sum()}


class Maps:
    """Batches of n maps of 1x1: n values a channel."""

    def __init__(self, n):
        self.n = n

    def batch(self, step):
        rng = torch.Generator().manual_seed(step)
        return [torch.rand(2, 1, 1, generator=rng) + step for _ in range(self.n)], [{} for _ in range(self.n)]


def test_statistics_are_the_plain_mean_over_batches_of_their_mean_and_variance():
    model, batches = Normed(), Maps(16)
    weights = [p.detach().clone() for p in model.parameters()]
    model.norm.running_mean.fill_(99)
    estimate(model, batches, 4, seed=0, replicate=0, hardware=Hardware())
    maps = [torch.stack(batches.batch(step)[0])[:, :, 0, 0] for step in range(4)]
    torch.testing.assert_close(model.norm.running_mean, torch.stack([m.mean(0) for m in maps]).mean(0))
    torch.testing.assert_close(model.norm.running_var, torch.stack([m.var(0) for m in maps]).mean(0))
    assert all(torch.equal(a, b) for a, b in zip(weights, model.parameters(), strict=True))


def test_the_momentum_is_afterwards_what_it_was():
    model = Normed()
    estimate(model, Maps(16), 2, seed=0, replicate=0, hardware=Hardware())
    assert model.norm.momentum == pytest.approx(0.3)


def test_frozen_statistics_are_neither_restarted_nor_estimated():
    model = Normed()
    model.norm.requires_grad_(False)
    assert norms_of(model) == []
