"""Names and shapes of mmdetection's NAS-FPN and NAS-FCOS state dicts, written down from its sources; random tensors."""

import torch

BASIC = {"resnet18": (2, 2, 2, 2), "resnet34": (3, 4, 6, 3)}
BOTTLENECK = {"resnet50": (3, 4, 6, 3)}
NAS_FPN_CELLS = ("gp_64_4", "sum_44_4", "sum_43_3", "sum_34_4", "sum_55_5", "sum_77_7", "gp_75_6")
# Cell: which of its inputs have a convolution.
NAS_FCOS_CELLS = {
    "c22_1": (1, 2), "c22_2": (1, 2), "c32": (1,), "c02": (1,), "c42": (1, 2), "c36": (1, 2), "c61": (1, 2)
}  # fmt: skip


def nas_fpn_shapes(backbone="resnet18", channels=16, stacks=2, classes=80):
    shapes, widths = resnet_shapes(backbone)
    for i in range(3):
        shapes |= conv_module(f"neck.lateral_convs.{i}", widths[i + 1], channels, 1, norm="bn")
    for i in range(2):
        shapes |= conv_module(f"neck.extra_downsamples.{i}.0", channels, channels, 1, norm="bn")
    for stack in range(stacks):
        for cell in NAS_FPN_CELLS:
            shapes |= conv_module(f"neck.fpn_stages.{stack}.{cell}.out_conv", channels, channels, 3, "bn", bias=True)
    for tower in ("cls_convs", "reg_convs"):
        for level in range(5):
            for depth in range(4):
                shapes |= conv_module(f"bbox_head.{tower}.{level}.{depth}", channels, channels, 3, norm="bn")
    shapes |= conv("bbox_head.retina_cls", channels, 9 * classes, 3, bias=True)
    return shapes | conv("bbox_head.retina_reg", channels, 9 * 4, 3, bias=True)


def nas_fcos_shapes(backbone="resnet18", channels=64, classes=80, head="nas"):
    shapes, widths = resnet_shapes(backbone)
    for i in range(3):
        shapes |= conv_module(f"neck.adapt_convs.{i}", widths[i + 1], channels, 1, norm="bn")
    for cell, inputs in NAS_FCOS_CELLS.items():
        for number in inputs:
            shapes |= deformable(f"neck.fpn.{cell}.input{number}_conv", channels, norm="bn")
        shapes |= batch_norm(f"neck.fpn.{cell}.out_conv.bn", 2 * channels)
        shapes[f"neck.fpn.{cell}.out_conv.conv.weight"] = (channels, 2, 1, 1)
    for i in range(2):
        shapes |= conv(f"neck.extra_downsamples.{i}.conv", channels, channels, 3, bias=True)
    for tower in ("cls_convs", "reg_convs"):
        for depth, kind in enumerate(("deformable", 3, "deformable", 1) if head == "nas" else (3, 3, 3, 3)):
            name = f"bbox_head.{tower}.{depth}"
            if kind == "deformable":
                shapes |= deformable(name, channels, norm="gn")
            else:
                shapes |= conv_module(name, channels, channels, kind, norm="gn")
    for name, out in (("cls", classes), ("reg", 4), ("centerness", 1)):
        shapes |= conv(f"bbox_head.conv_{name}", channels, out, 3, bias=True)
    return shapes | {f"bbox_head.scales.{level}.scale": () for level in range(5)}


def resnet_shapes(name):
    """A ResNet without classifier under `backbone.`, and the channels of its four stages."""
    blocks, wide = (BASIC[name], 1) if name in BASIC else (BOTTLENECK[name], 4)
    shapes = {"backbone.conv1.weight": (64, 3, 7, 7), **batch_norm("backbone.bn1", 64)}
    came = 64
    for stage, count in enumerate(blocks):
        width = 64 << stage
        for block in range(count):
            place, out = f"backbone.layer{stage + 1}.{block}", width * wide
            inner = [(came, width, 3), (width, width, 3)]
            if wide == 4:
                inner = [(came, width, 1), (width, width, 3), (width, out, 1)]
            for number, (before, after, size) in enumerate(inner, start=1):
                shapes |= conv(f"{place}.conv{number}", before, after, size)
                shapes |= batch_norm(f"{place}.bn{number}", after)
            if block == 0 and (stage > 0 or wide == 4):
                shapes |= conv(f"{place}.downsample.0", came, out, 1)
                shapes |= batch_norm(f"{place}.downsample.1", out)
            came = out
    return shapes, [(64 << stage) * wide for stage in range(4)]


def conv(name, before, after, size, bias=False):
    return {f"{name}.weight": (after, before, size, size)} | ({f"{name}.bias": (after,)} if bias else {})


def batch_norm(name, channels):
    vectors = {f"{name}.{part}": (channels,) for part in ("weight", "bias", "running_mean", "running_var")}
    return {**vectors, f"{name}.num_batches_tracked": ()}


def conv_module(name, before, after, size, norm, bias=False):
    own = batch_norm(f"{name}.bn", after) if norm == "bn" else group_norm(f"{name}.gn", after)
    return conv(f"{name}.conv", before, after, size, bias) | own


def group_norm(name, channels):
    return {f"{name}.{part}": (channels,) for part in ("weight", "bias")}


def deformable(name, channels, norm):
    offsets = conv(f"{name}.conv.conv_offset", channels, 54, 3, bias=True)
    return conv_module(name, channels, channels, 3, norm, bias=True) | offsets


def state_of(shapes):
    """Tensors that keep features of size one: by their fan, variances near one, small offsets."""
    torch.manual_seed(0)
    state = {name: _drawn(name, shape) for name, shape in shapes.items()}
    for name in state:  # a RetinaNet's convolutions serve all levels, and are saved once a level
        parts = name.split(".")
        if len(parts) == 6 and parts[0] == "bbox_head" and parts[4] == "conv":
            state[name] = state[".".join([*parts[:2], "0", *parts[3:]])]
    return state


def _drawn(name, shape):
    if name.endswith("num_batches_tracked"):
        return torch.tensor(7)
    if name.endswith(("running_var", ".scale")):
        return 0.5 + torch.rand(shape)
    if len(shape) == 4:
        fan = shape[1] * shape[2] * shape[3]
        return torch.randn(shape) * (0.3 if "offset" in name else 1.0) / fan**0.5
    if name.endswith(("bn.weight", "gn.weight")) or (".bn" in name and name.endswith(".weight")):
        return 0.5 + torch.rand(shape)
    return torch.randn(shape) * 0.1
