"""The pretended GPU itself: it catches what a real one refuses and counts what a real one is waited for."""

import pytest
import torch
from pretended_cuda import CPU, CUDA, MixedDevicesError, place_of, pretended_cuda

GPU = torch.device("cuda", 0)


@pytest.fixture
def waits():
    with pretended_cuda() as waits:
        yield waits


def made(*shape):
    return torch.ones(*shape).to(GPU)


FAULTS = {
    "a sum with a tensor of the CPU": lambda x: x + torch.ones(3),
    "a number of the CPU changed in place": lambda x: torch.tensor(1.0).add_(x.sum()),
    "a tensor of the CPU indexed by one of the GPU": lambda x: torch.ones(3)[x.long()],
    "a grid without a device": lambda x: torch.cat([x, torch.arange(3.0)]),
    "a layer left on the CPU": lambda x: torch.nn.Linear(3, 1)(x),
    "a loss with targets of the CPU": lambda x: torch.nn.functional.mse_loss(x, torch.zeros(3)),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_mixed_devices_are_caught_with_their_place(waits, fault):
    with pytest.raises(MixedDevicesError, match=r"mixes devices: .* on cpu.*test_pretence.py:\d+"):
        FAULTS[fault](made(3))


def test_numpy_of_a_gpu_tensor_is_refused(waits):
    with pytest.raises(TypeError, match="cuda:0 device type tensor to numpy"):
        made(3).numpy()


def test_a_generator_of_the_cpu_is_refused_on_the_gpu(waits):
    with pytest.raises(RuntimeError, match="'cuda' device type for generator"):
        torch.rand(3, device=GPU, generator=torch.Generator())


ALLOWED = {
    "a number of the CPU": lambda x: x * torch.tensor(2.0),
    "an index of the CPU": lambda x: x[torch.tensor([0, 1])],
    "a factory on the tensor's device": lambda x: x + torch.arange(3, device=x.device),
    "zeros like it": lambda x: x + torch.zeros_like(x) + x.new_ones(3),
}


@pytest.mark.parametrize("use", ALLOWED)
def test_what_a_gpu_allows_is_allowed_and_its_result_lies_there(waits, use):
    assert ALLOWED[use](made(3)).device == GPU


WAITS = {
    "_local_scalar_dense": lambda x: float(x.sum()),
    "tolist": lambda x: x.tolist(),
    "nonzero": lambda x: x.nonzero(),
    "boolean index": lambda x: x[x > 0],
    "copy to the CPU": lambda x: x.cpu(),
    "index of the CPU": lambda x: x[[0, 1]],
}
COPIES = {
    "a list": lambda x: torch.tensor([1.0, 2.0], device=x.device),
    "a list beside a tensor": lambda x: x.new_tensor([1.0, 2.0]),
    "a tensor that is moved": lambda x: torch.ones(3).to(x.device),
    "a tensor that follows another": lambda x: torch.ones(3).to(x),
    "numbers written into a tensor": lambda x: x.copy_(torch.ones(3)),
}


@pytest.mark.parametrize("operation", WAITS)
def test_the_host_waits_once_for_each(waits, operation):
    x = made(3)
    waits.clear()
    WAITS[operation](x)
    assert {wait.operation: count for wait, count in waits.items()} == {operation: 1}
    assert next(iter(waits)).file == "tests/rehearsal/test_pretence.py"


@pytest.mark.parametrize("copied", COPIES)
def test_a_copy_from_the_cpu_is_waited_for(waits, copied):
    x = made(3)
    waits.clear()
    COPIES[copied](x)
    assert {wait.operation: count for wait, count in waits.items()} == {"copy from the CPU": 1}


def test_what_is_made_on_the_gpu_is_no_copy(waits):
    x = made(3)
    waits.clear()
    assert (x + torch.arange(3, device=x.device) + x.new_ones(3) + torch.full((3,), 2.0, device="cuda")).device == GPU
    assert not waits


def test_classes_as_one_hot_are_not_looked_at_on_a_gpu(waits):
    x = made(3)
    waits.clear()
    torch.nn.functional.one_hot(x.long(), 2)
    assert not waits


def test_nothing_on_the_cpu_is_counted(waits):
    x = torch.ones(3)
    assert (float(x.sum()), x.tolist(), x[x > 0].shape) == (3.0, [1.0] * 3, (3,))
    assert not waits


def test_gradients_lie_where_their_parameters_do(waits):
    layer = torch.nn.Sequential(torch.nn.Conv2d(3, 2, 3), torch.nn.BatchNorm2d(2)).to(GPU)
    layer(made(1, 3, 8, 8)).square().sum().backward()
    assert {place_of(tensor) for p in layer.parameters() for tensor in (p, p.grad)} == {CUDA}


def test_a_copy_on_the_cpu_leaves_the_original_where_it_is(waits):
    x = made(3)
    assert (place_of(x.cpu()), place_of(x), place_of(x[1:].view(2, 1))) == (CPU, CUDA, CUDA)


def test_a_copy_to_the_gpu_is_waited_for_unless_its_memory_is_pinned():
    with pretended_cuda() as waits:
        torch.ones(2).pin_memory().to("cuda", non_blocking=True)
        assert not waits
        torch.ones(2).to("cuda", non_blocking=True)
        assert [wait.operation for wait in waits] == ["copy from the CPU"]
