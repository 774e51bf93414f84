"""Costs of NAS-FCOS decoders in closed form, against built modules and the paper's table (1088x800, 80 classes)."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from supernet.cost import Cost, total
from supernet.mac_counter import count_macs, count_params
from supernet.nas_fcos.caffe_backbone import CaffeBackbone, caffe_backbone_cost
from supernet.nas_fcos.decoder import PUBLISHED, Decoder, Pyramid
from supernet.nas_fcos.decoder_cost import detector_cost, head_cost, pyramid_cost
from supernet.nas_fcos.fcos_encoder import FcosEncoder, make_pyramid
from supernet.nas_fcos.head_module import HeadModule
from supernet.nas_fcos.head_space import HeadSpace
from supernet.nas_fcos.pyramid_space import PyramidSpace

SIZE = (1088, 800)
FCOS = Decoder()
NO_C2 = Decoder(PUBLISHED.pyramid.without_unread_c2(), PUBLISHED.head)
SKIPS = "{0},{1},3,3,0:{1},{0},3,3,0:{2},{3},3,3,0"  # three outputs, of operations without weights
READS_C2_AND_C5, READS_ALL = Pyramid.parse(SKIPS.format(0, 3, 3, 3)), Pyramid.parse(SKIPS.format(0, 1, 2, 3))
EXACT = [
    ("FCOS R-50", FCOS, "resnet50", 256, 256, 169_822_191_104, 32_297_370),
    ("FCOS MobileNetV2", FCOS, "mobilenetv2_100", 256, 256, 104_925_928_704, 9_798_234),
    ("@128 R-50", PUBLISHED, "resnet50", 128, 128, 103_902_910_208, 28_089_466),
    ("@256 R-50", PUBLISHED, "resnet50", 256, 256, 189_317_623_296, 38_633_722),
    ("@128-256 R-50", PUBLISHED, "resnet50", 128, 256, 160_237_994_496, 32_077_306),
    ("@128 MobileNetV2", PUBLISHED, "mobilenetv2_100", 128, 128, 38_818_641_408, 5_962_042),
    ("@256 MobileNetV2", PUBLISHED, "mobilenetv2_100", 256, 256, 121_190_436_096, 16_075_194),
    ("@256 R-50 without C2", NO_C2, "resnet50", 256, 256, 185_752_464_896, 38_567_674),
]


class Network(nn.Module):
    """Encoder and head: what a detector computes for one batch of images."""

    def __init__(self, decoder, backbone, channels, head_channels, num_classes=80):
        super().__init__()
        self.backbone = CaffeBackbone(backbone, decoder.levels)
        self.pyramid = make_pyramid(decoder.pyramid, self.backbone.channels, channels, head_channels, unread=True)
        self.head = HeadModule(decoder.head, channels=head_channels, num_classes=num_classes)

    def forward(self, images):
        return self.head(self.pyramid(self.backbone(images)))


@pytest.mark.parametrize(("name", "decoder", "backbone", "channels", "head", "macs", "params"), EXACT)
def test_costs_are_the_reference_integers(name, decoder, backbone, channels, head, macs, params):
    body = caffe_backbone_cost(backbone, decoder.levels, SIZE)
    pyramid = pyramid_cost(decoder.pyramid, body.channels, channels, head, SIZE, unread=True)
    assert total([body.cost, pyramid, head_cost(decoder.head, head, 80, SIZE)]) == Cost(macs, params)


@pytest.mark.parametrize("decoder", [PUBLISHED, NO_C2, FCOS])
def test_a_detector_runs_no_adapter_that_nothing_reads_and_costs_none(decoder):
    cost = detector_cost(decoder, "resnet50", channels=256, num_classes=80, input_size=SIZE)
    with torch.device("meta"):
        encoder = FcosEncoder(decoder.pyramid)
        head = HeadModule(decoder.head, channels=256, num_classes=80)
        counted = count_macs(nn.Sequential(encoder, head), torch.empty(1, 3, *SIZE))
    assert (cost.macs, cost.params) == (counted, count_params(encoder) + count_params(head))
    assert cost.macs == (169_822_191_104 if decoder is FCOS else 185_752_464_896)


@pytest.mark.parametrize(("name", "decoder", "backbone", "channels", "head", "macs", "params"), EXACT[:6])
def test_the_built_network_counts_the_reference_integers(name, decoder, backbone, channels, head, macs, params):
    with torch.device("meta"):
        network = Network(decoder, backbone, channels, head)
        counted = Cost(count_macs(network, torch.empty(1, 3, *SIZE)), count_params(network))
    assert counted == Cost(macs, params)


@pytest.mark.parametrize(
    ("head", "macs", "params"),
    [(PUBLISHED.head, 79_128_071_680, 4_368_946), (None, 89_118_309_888, 4_920_666)],
)
def test_heads_alone_cost_the_reference_integers(head, macs, params):
    assert head_cost(head, 256, 80, SIZE) == Cost(macs, params)


def test_random_pyramids_cost_what_their_modules_count():
    rng, size, widths = np.random.default_rng(0), (96, 160), (8, 12, 16, 20)
    for out_channels in (16, 16, 32, 32, 16, 32):
        pyramid = PyramidSpace().decode(PyramidSpace().sample(rng))
        with torch.device("meta"):
            module = make_pyramid(pyramid, list(widths), 16, out_channels)
            features = [
                torch.empty(1, w, size[0] // s, size[1] // s) for w, s in zip(widths, (4, 8, 16, 32), strict=True)
            ]
            counted = Cost(count_macs(module, features), count_params(module))
        assert pyramid_cost(pyramid, widths, 16, out_channels, size) == counted


@pytest.mark.parametrize("unread", [False, True])
def test_an_adapter_that_no_block_reads_is_counted_only_where_that_is_asked_for(unread):
    widths, size = (8, 12, 16, 20), (64, 64)
    costs = [pyramid_cost(p, widths, 16, 16, size, unread=unread) for p in (READS_C2_AND_C5, READS_ALL)]
    saved = costs[1].params - costs[0].params
    assert saved == (0 if unread else 12 * 16 + 16 * 16 + 2 * 2 * 16)


def test_random_heads_cost_what_their_modules_count():
    rng, size = np.random.default_rng(0), (64, 128)
    for _ in range(8):
        head = HeadSpace().decode(HeadSpace().sample(rng))
        with torch.device("meta"):
            module = HeadModule(head, channels=16, num_classes=3)
            features = [torch.empty(1, 16, -(-size[0] // s), size[1] // s) for s in (8, 16, 32, 64, 128)]
            counted = Cost(count_macs(module, features), count_params(module))
        assert head_cost(head, 16, 3, size) == counted


def test_torch_alone_would_count_no_deformable_convolution():
    with torch.device("meta"):
        network = Network(PUBLISHED, "resnet50", 256, 256)
        image = torch.empty(1, 3, *SIZE)
        counter = FlopCounterMode(display=False)
        with torch.no_grad(), counter:
            network(image)
        assert counter.get_total_flops() // 2 < 0.63 * count_macs(network, image)
