"""Weights of mmdetection's detectors under our names: every tensor on either side is accounted for, or it is an error.

Where the toolbox's layer is ours under another name, a table of prefixes says so; nothing is left at random.
"""

import re
from collections.abc import Collection, Mapping, Sequence

import torch
from torch import Tensor, nn

from msnas.errors import ModelError

State = Mapping[str, Tensor]
Layers = Mapping[str, Sequence[str]]  # our prefix -> the toolbox's; several where it saves shared weights several times
_RESNETS = {(False, 2): "resnet18", (False, 6): "resnet34", (True, 6): "resnet50", (True, 23): "resnet101"}
_RESNETS[True, 36] = "resnet152"


def filled(detector: nn.Module, state: State, layers: Layers, *, zero_biases: Collection[str] = ()) -> nn.Module:
    """`detector`, framed on the meta device, with the tensors of `state`, in evaluation mode.

    zero_biases: our prefixes of layers that the toolbox may have without a bias; ours is zero then. Raises ModelError
    for a tensor that is missing, left over, of another shape, or not the same in all the places of a shared layer.
    """
    found: dict[str, Tensor] = {}
    used: set[str] = set()
    missing = []
    for key, own in detector.state_dict().items():
        prefix = max((prefix for prefix in layers if key.startswith(prefix)), key=len)
        names = [theirs + key.removeprefix(prefix) for theirs in layers[prefix]]
        if prefix in zero_biases and key.endswith(".bias") and names[0] not in state:
            found[key] = torch.zeros(own.shape)
            continue
        missing += [name for name in names if name not in state]
        if not missing:
            found[key] = _same(state, names, own)
            used.update(names)
    if missing:
        raise ModelError(f"{_some(missing)} must be in a checkpoint of this network, but {_are(missing)} missing.")
    if left := [name for name in state if name not in used]:
        raise ModelError(f"{_some(left)} in the checkpoint {_are(left)} no part of this network as mmdetection has it.")
    detector.load_state_dict(found, strict=True, assign=True)
    return detector.eval()


def resnet_of(state: State) -> str:
    """The ResNet that `backbone.*` is, by its bottlenecks and the blocks of its third stage. Raises ModelError."""
    blocks = indices(state, r"backbone\.layer3\.(\d+)\.")
    kind = ("backbone.layer1.0.conv3.weight" in state, blocks)
    if kind not in _RESNETS:
        known = ", ".join(_RESNETS.values())
        raise ModelError(f"The checkpoint's backbone must be one of {known}, but backbone.layer3 has {blocks} blocks.")
    return _RESNETS[kind]


def indices(state: State, pattern: str) -> int:
    """How many there are of what `pattern` numbers from 0 on, at the beginning of a name."""
    found = (re.match(pattern, name) for name in state)
    return max((int(match.group(1)) + 1 for match in found if match), default=0)


def rows(state: State, name: str) -> int:
    """The outputs of a layer, from its tensor's first dimension. Raises ModelError where it is missing."""
    if name not in state:
        raise ModelError(f"{name} must be in a checkpoint of this network, but is missing.")
    return state[name].shape[0]


def _same(state: State, names: Sequence[str], own: Tensor) -> Tensor:
    """The tensor that stands under all the `names`, in our shape."""
    first = state[names[0]]
    for name in names:
        if state[name].shape != own.shape:
            raise ModelError(f"{name} must have shape {tuple(own.shape)}, but has {tuple(state[name].shape)}.")
        if name != names[0] and not torch.equal(state[name], first):
            raise ModelError(f"{name} must equal {names[0]}, for the levels share that layer, but does not.")
    return first


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _are(names: Sequence[str]) -> str:
    return "is" if len(names) == 1 else "are"
