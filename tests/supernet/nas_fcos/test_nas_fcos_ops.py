"""Deformable convolution by bilinear samples, against torchvision's operator."""

import pytest
import torch
from torchvision.ops import deform_conv2d

from supernet.mac_counter import count_macs
from supernet.nas_fcos.operations import DeformableConv, deformable_by_sampling

NAMES = ("out", "x", "offset", "weight", "bias", "mask")


def arguments(height, width, size=3):
    """Offsets of several pixels, far outside the map too; the first taps' are whole, where a gradient has a step."""
    torch.manual_seed(0)
    taps = 2 * size * size
    offset = 3 * torch.randn(2, 2 * taps, height, width)
    offset[:, :8] = offset[:, :8].round()
    offset[:, 8:12] = 0
    weight, bias, mask = torch.randn(5, 6, size, size), torch.randn(5), torch.rand(2, taps, height, width)
    return [a.requires_grad_() for a in (torch.randn(2, 6, height, width), offset, weight, bias, mask)]


def test_channels_last_is_deformed_as_any_layout():
    inputs = arguments(4, 8)
    last = [inputs[0].detach().to(memory_format=torch.channels_last), *inputs[1:]]
    torch.testing.assert_close(deformable_by_sampling(*last), deformable_by_sampling(*inputs))


def out_and_gradients(convolve, inputs):
    out = convolve(*inputs)
    torch.manual_seed(1)
    return out, *torch.autograd.grad(out, inputs, torch.randn_like(out))


@pytest.mark.parametrize(("height", "width"), [(9, 13), (8, 16), (1, 3), (1, 1)])
@pytest.mark.parametrize("size", [1, 3, 5])
def test_sampling_is_torchvisions_operator_with_all_gradients(height, width, size):
    def torchvisions(x, offset, weight, bias, mask):
        return deform_conv2d(x, offset, weight, bias, padding=size // 2, mask=mask)

    inputs = arguments(height, width, size)
    expected, got = (out_and_gradients(f, inputs) for f in (torchvisions, deformable_by_sampling))
    for name, a, b in zip(NAMES, expected, got, strict=True):
        torch.testing.assert_close(b, a, rtol=1e-4, atol=1e-4, msg=lambda text, name=name: f"{name}: {text}")


def test_on_a_cpu_as_many_macs_are_counted_as_on_the_meta_device():
    conv = DeformableConv(8)
    assert count_macs(conv, torch.randn(1, 8, 5, 7)) == count_macs(conv.to("meta"), torch.empty(1, 8, 5, 7).to("meta"))


def test_an_exported_graph_holds_torchvisions_operator():
    program = torch.export.export(DeformableConv(8), (torch.randn(1, 8, 5, 7),))
    assert torch.ops.torchvision.deform_conv2d.default in {node.target for node in program.graph.nodes}
