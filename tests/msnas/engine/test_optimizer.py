"""Which parameters an optimizer changes, and how fast."""

import pytest
import torch
from torch import nn

from msnas.engine.optimizer import make_optimizer, set_lr
from msnas.engine.schedule import Schedule

OPTIMIZERS = ["sgd", "adamw"]


class Slow(nn.Module):
    """A backbone that learns slowly, and a head."""

    def __init__(self):
        super().__init__()
        self.backbone, self.norm, self.head = nn.Linear(2, 2, bias=False), nn.BatchNorm1d(2), nn.Linear(2, 1)

    def slow_parameters(self):
        return [*self.backbone.parameters()]


def optimizer_of(model, **changes):
    values = {"steps": 10, "batch": 1, "lr": 1.0, "optimizer": "adamw", "weight_decay": 0.5}
    return make_optimizer(model, Schedule(**(values | changes)))


def step_without_gradient_of_the_loss(model, optimizer):
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    set_lr(optimizer, 0.5)
    optimizer.step()


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_slow_parameters_get_their_share_of_the_learning_rate(name):
    optimizer = optimizer_of(Slow(), optimizer=name, slow=0.1)
    set_lr(optimizer, 0.5)
    rates = {id(p): group["lr"] for group in optimizer.param_groups for p in group["params"]}
    assert sorted(rates.values()) == pytest.approx([0.05, 0.5, 0.5, 0.5, 0.5])


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_norms_and_biases_do_not_decay_where_that_is_asked(name):
    model = Slow()
    step_without_gradient_of_the_loss(model, optimizer_of(model, optimizer=name, decay_norms=False))
    assert model.norm.weight.tolist() == [1.0, 1.0]


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_norms_decay_by_default(name):
    model = Slow()
    step_without_gradient_of_the_loss(model, optimizer_of(model, optimizer=name))
    assert model.norm.weight.tolist() == [0.75, 0.75]


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_frozen_parameter_is_in_no_group(name):
    model = Slow()
    model.backbone.requires_grad_(False)
    optimizer = optimizer_of(model, optimizer=name)
    held = {id(p) for group in optimizer.param_groups for p in group["params"]}
    assert held == {id(p) for p in (*model.norm.parameters(), *model.head.parameters())}
