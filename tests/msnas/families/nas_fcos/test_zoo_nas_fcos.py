"""The zoo's NAS-FCOS entries against the reference integers and the paper's Table 2."""

import pytest
import torch
from torch import nn
from torchvision.models.detection.retinanet import RetinaNetHead
from without_init import WithoutInit

from msnas.families.nas_fcos.zoo_nas_fcos import BACKBONES, CLASSES, ENTRIES
from supernet.errors import SpaceError
from supernet.mac_counter import count_elementwise, count_macs, count_params
from supernet.nas_fcos.fcos_encoder import FcosEncoder, make_pyramid
from supernet.nas_fcos.head_module import HeadModule

ZOO = {entry.name: entry for entry in ENTRIES}
PUBLISHED = [entry for entry in ENTRIES if entry.flops is not None]
EXACT = {  # MACs, params of all, params without the body's norms, trainable params
    "retinanet_fpn_caffe_r50": (197_857_064_960, 33_839_924, 33_564_404),
    "fcos_fpn_r50": (169_822_191_104, 32_297_370, 32_021_850),
    "retinanet_fpn_caffe_mv2": (132_960_802_560, 11_340_788, 11_309_236),
    "fcos_fpn_mv2": (104_925_928_704, 9_798_234, 9_766_682),
    "nas_fcos_r50_128": (103_902_910_208, 28_089_466, 27_813_946),
    "nas_fcos_r50_256": (189_317_623_296, 38_633_722, 38_358_202),
    "nas_fcos_r50_128_256": (160_237_994_496, 32_077_306, 31_801_786),
    "nas_fcos_mv2_128": (38_818_641_408, 5_962_042, 5_930_490),
    "nas_fcos_mv2_256": (121_190_436_096, 16_075_194, 16_043_642),
}


class Network(nn.Module):
    """Encoder and head of an entry, as a detector computes them."""

    def __init__(self, entry):
        super().__init__()
        inner, outer = entry.channels
        self.encoder = FcosEncoder(
            entry.decoder.pyramid,
            backbone=BACKBONES[entry.backbone],
            channels=inner,
            out_channels=outer,
            frozen=True,
        )
        # The published counts hold an adapter of C2 that nothing reads.
        pyramid, (inner, outer) = entry.decoder.pyramid, entry.channels
        widths = self.encoder.backbone.channels
        self.encoder.neck = make_pyramid(pyramid, widths, inner, outer, unread=True)
        if entry.anchors:
            self.head = RetinaNetHead(outer, 9, CLASSES)
        else:
            self.head = HeadModule(entry.decoder.head, channels=outer, num_classes=CLASSES)

    def forward(self, images):
        return self.head(self.encoder(images))


def built(entry):
    with torch.device("meta"), WithoutInit():
        return Network(entry).eval(), torch.empty(1, 3, *entry.input_size)


@pytest.mark.parametrize("name", EXACT)
def test_an_entry_costs_the_reference_integers(name):
    row = ZOO[name].cost_row()
    assert (row["macs"], row["params"], row["trainable_params"]) == EXACT[name]


@pytest.mark.parametrize("name", ["retinanet_fpn_caffe_r101", "nas_fcos_x101_128_256", "nas_fcos_mv2_128"])
def test_an_entry_costs_what_its_network_counts(name):
    network, image = built(ZOO[name])
    row = ZOO[name].cost_row()
    assert (count_macs(network, image), count_params(network)) == (row["macs"], row["params"])
    assert count_params(network, trainable=True) == row["trainable_params"]


def conv_tolerance(entry):
    """Relative deviation of the convolutions' count from the paper's, as the reference found it."""
    if entry.backbone == "mv2":
        return {"nas_fcos_mv2_128": 0.013, "nas_fcos_mv2_128_256": 0.005}.get(entry.name, 0.006)
    return 0.0015 if "128_256" in entry.name else 0.002


@pytest.mark.parametrize("entry", PUBLISHED, ids=lambda entry: entry.name)
def test_convolutions_are_the_published_flops_within_tolerance(entry):
    assert entry.cost_row()["macs"] / 1e9 == pytest.approx(entry.flops, rel=conv_tolerance(entry))


@pytest.mark.parametrize("entry", PUBLISHED, ids=lambda entry: entry.name)
def test_trainable_params_are_the_published_ones_within_0_07_million(entry):
    assert entry.cost_row()["trainable_params"] / 1e6 == pytest.approx(entry.million_params, abs=0.07)


@pytest.mark.parametrize("entry", PUBLISHED, ids=lambda entry: entry.name)
def test_with_biases_norms_and_relus_flops_are_the_published_ones_within_a_thousandth(entry):
    network, image = built(entry)
    parts = [network.encoder.neck, network.head]
    if entry.backbone == "mv2":  # its norms and activations are modules that the paper's tool counts
        parts.append(network.encoder.backbone)
    macs = []  # counted in the same pass
    elementwise = count_elementwise(lambda image: macs.append(count_macs(network, image)), image, parts=parts)
    assert (sum(macs) + elementwise) / 1e9 == pytest.approx(entry.flops, rel=0.001)


def test_a_size_that_is_no_multiple_of_32_is_an_error_that_names_the_padded_one():
    with pytest.raises(SpaceError, match="padded to 1024x608"):
        ZOO["fcos_fpn_r50"].cost_row((1000, 600))


def test_there_is_an_entry_for_every_backbone_and_width():
    names = [f"nas_fcos_{b}_{w}" for b in ("mv2", "r50", "r101", "x101") for w in ("128", "256", "128_256")]
    names += [f"{kind}_{b}" for kind in ("fcos_fpn", "retinanet_fpn_caffe") for b in BACKBONES]
    assert sorted(ZOO) == sorted([*names, "deform_fpn_fcos_r50"])


def test_deform_fpn_costs_nearly_what_the_searched_decoder_does():
    """Section 4.3.3: FCOS's FPN with deformable convolutions, twice."""
    macs = [ZOO[name].cost_row()["macs"] for name in ("deform_fpn_fcos_r50", "nas_fcos_r50_256", "fcos_fpn_r50")]
    assert macs[0] == 184_792_200_704
    assert abs(macs[0] / macs[1] - 1) < 0.03 < macs[0] / macs[2] - 1
