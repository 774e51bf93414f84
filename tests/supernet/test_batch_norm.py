"""Statistics of one path: reset, the momentum of a finetune, their plain mean over batches."""

import torch
from torch import nn

from supernet.batch_norm import fresh_statistics, reset_statistics, set_momentum, synchronised


def trained() -> nn.Sequential:
    model = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.Dropout(0.5))
    model(torch.rand(8, 3, 4, 4))
    return model.eval()


def test_reset_forgets_what_was_seen():
    model = trained()
    reset_statistics(model)
    assert model[1].running_mean.abs().sum() == 0
    assert (model[1].running_var == 1).all()


def test_momentum_of_a_finetune_is_the_mean_of_the_first_ten_batches():
    model, batches = nn.Sequential(nn.BatchNorm2d(2)), torch.rand(10, 4, 2, 3, 3)
    for step, batch in enumerate(batches, start=1):
        set_momentum(model, step)
        model(batch)
    torch.testing.assert_close(model[0].running_mean, batches.mean(dim=(0, 1, 3, 4)))
    set_momentum(model, 500)
    assert model[0].momentum == 0.1


def test_fresh_statistics_are_the_mean_over_the_batches():
    model, batches = trained(), torch.rand(5, 4, 3, 6, 6)
    with fresh_statistics(model), torch.no_grad():
        for batch in batches:
            model(batch)
    outputs = torch.stack([model[0](batch) for batch in batches])
    torch.testing.assert_close(model[1].running_mean, outputs.mean(dim=(0, 1, 3, 4)))
    torch.testing.assert_close(
        model[1].running_var, outputs.transpose(1, 2).flatten(2).var(dim=2).mean(dim=0)
    )


def test_fresh_statistics_leave_modes_and_momentum_as_they_were():
    model = trained()
    with fresh_statistics(model):
        assert [module.training for module in model] == [False, True, False]
    assert model[1].momentum == 0.1
    assert not model[1].training


def test_synchronised_keeps_the_names_of_the_weights():
    model = trained()
    names = list(model.state_dict())
    converted = synchronised(model)
    assert isinstance(converted[1], nn.SyncBatchNorm)
    assert list(converted.state_dict()) == names
