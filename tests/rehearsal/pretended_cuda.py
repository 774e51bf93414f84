"""A CUDA device that is pretended on a CPU, to find what only a GPU would refuse, or wait for.

Tensors stay on the CPU; a mark on their storage says where they would lie. A function mode answers `.device` and
`.is_cuda` by it, has `.to`, `.cpu` and factories mark what they make, and refuses `.numpy()` of a marked tensor. A
dispatch mode, below autograd, hands marks on from inputs to outputs, raises where an operation mixes devices, and
counts by file and line where the host would wait for the device.
"""

import sys
import sysconfig
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

import torch
from torch import Tensor
from torch.nn.utils import clip_grad
from torch.overrides import TorchFunctionMode
from torch.utils._foreach_utils import _group_tensors_by_device_and_dtype
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

ROOT = str(Path(__file__).resolve().parents[2])
INSTALLED = sysconfig.get_path("purelib")  # in an environment that may stand inside the repository
CPU, CUDA, FREE = "cpu", "cuda", "free"
"""Where a tensor lies; FREE: made without a device in the backward pass, which puts it where it is needed."""

COPIES = {"copy_", "_to_copy", "set_"}
INDEXING = {"index", "_unsafe_index", "index_put", "index_put_", "_index_put_impl_"}
WAITING = {"_local_scalar_dense", "nonzero", "masked_select", "_unique2", "unique_consecutive", "equal", "nms"}
"""Operations whose result, or its size, the host must know."""

FROM_LISTS = {"tensor", "as_tensor", "new_tensor"}
"""Functions that make a tensor of the CPU first, and copy it where it is asked for."""

UNSEEN = {"one_hot"}
"""Functions that look at their values on a CPU alone."""


class MixedDevicesError(RuntimeError):
    """What CUDA would say."""


class Wait(NamedTuple):
    """Where the host waits for the device: the operation, and the line of ours that leads to it."""

    operation: str
    file: str
    line: int


@contextmanager
def pretended_cuda() -> Iterator[Counter[Wait]]:
    """A block with a GPU that is none; gives the waits so far."""
    pretence = _Pretence()
    with (
        _Dispatch(pretence),
        _Functions(pretence),
        mock.patch.object(clip_grad, "_group_tensors_by_device_and_dtype", _grouped),
    ):
        yield pretence.waits


class _Pretence:
    """What both modes know."""

    def __init__(self) -> None:
        self.waits: Counter[Wait] = Counter()
        self.is_quiet = False
        self.places = [CPU]  # of what is made without an input, by the functions that are being called

    def wait(self, operation: str) -> None:
        if not self.is_quiet:
            self.waits[Wait(operation, *_line_of_ours())] += 1

    @contextmanager
    def quiet(self, now: bool) -> Iterator[None]:
        before, self.is_quiet = self.is_quiet, self.is_quiet or now
        try:
            yield
        finally:
            self.is_quiet = before

    @contextmanager
    def at(self, place: str) -> Iterator[None]:
        self.places.append(place)
        try:
            yield
        finally:
            self.places.pop()


class _Dispatch(TorchDispatchMode):
    def __init__(self, pretence: _Pretence) -> None:
        super().__init__()
        self.pretence = pretence

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name, inputs = func._schema.name.partition("::")[2], _tensors((args, kwargs))
        known = {id(tensor.untyped_storage()) for tensor in inputs}
        places = {place_of(tensor) for tensor in inputs}
        if CUDA in places:
            self._check(name, args, inputs)
            self._count(name, args, inputs)
        out = func(*args, **(kwargs or {}))
        here = CUDA if CUDA in places else FREE if FREE in places else CPU if inputs else self.pretence.places[-1]
        for tensor in _tensors(out):
            if id(tensor.untyped_storage()) not in known:
                mark(tensor, here)
        return out

    def _check(self, name: str, args: Any, inputs: list[Tensor]) -> None:
        """Raise where CUDA would: numbers may lie on the CPU, and so may what a device tensor is indexed with."""
        if name in COPIES:
            return
        others = inputs if name not in INDEXING else [args[0], *(args[2:3] if len(args) > 2 else ())]
        wrong = [t for t in others if isinstance(t, Tensor) and place_of(t) == CPU]
        if any(t.ndim > 0 for t in wrong) or (wrong and place_of(inputs[0]) == CPU and name.endswith("_")):
            shapes = ", ".join(f"{tuple(t.shape)} on {place_of(t)}" for t in inputs)
            file, line = _line_of_ours()
            raise MixedDevicesError(f"{name} mixes devices: {shapes}, at {file}:{line}")

    def _count(self, name: str, args: Any, inputs: list[Tensor]) -> None:
        if name in WAITING:
            self.pretence.wait(name)
        elif name in INDEXING and any(t is not None and t.dtype in (torch.bool, torch.uint8) for t in args[1]):
            self.pretence.wait("boolean index")
        elif name in INDEXING and any(t is not None and place_of(t) == CPU for t in args[1]):
            self.pretence.wait("index of the CPU")
        elif name == "repeat_interleave" and len(inputs) == 1:
            self.pretence.wait(name)
        elif name == "copy_" and place_of(args[0]) == CPU:
            self.pretence.wait("copy to the CPU")
        elif name == "copy_" and place_of(args[1]) == CPU and not (args[2:3] == (True,) and _is_pinned(args[1])):
            self.pretence.wait("copy from the CPU")


class _Functions(TorchFunctionMode):
    def __init__(self, pretence: _Pretence) -> None:
        super().__init__()
        self.pretence = pretence

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs, name = kwargs or {}, getattr(func, "__name__", "")
        if func is torch.device or name == "_parse_to":
            return func(*args, **kwargs)
        if func in _ANSWERS:
            return _ANSWERS[func](args[0])
        if name in ("numpy", "__array__") and place_of(args[0]) == CUDA:
            raise TypeError("can't convert cuda:0 device type tensor to numpy. Use Tensor.cpu() first.")
        if func is Tensor.tolist and place_of(args[0]) == CUDA:
            self.pretence.wait("tolist")
        if func is Tensor.pin_memory:
            return _pinned(args[0])
        if func is Tensor.cpu or func is Tensor.cuda:
            return self._moved(args[0], CPU if func is Tensor.cpu else CUDA, lambda x: x)
        wanted, args, kwargs = _without_cuda(args, kwargs)
        if func is Tensor.to:
            place = wanted or next((place_of(t) for t in _tensors((args[1:], kwargs))), None)
            free = kwargs.get("non_blocking", False) and _is_pinned(args[0])
            return self._moved(args[0], place, lambda x: func(x, *args[1:], **kwargs), waits=not free)
        place = wanted or (CUDA if any(place_of(t) == CUDA for t in _tensors((args, kwargs))) else None)
        if name == "backward" or func is torch.autograd.grad:
            place = FREE
        generator = kwargs.get("generator")
        if place == CUDA and generator is not None and generator.device.type == "cpu":
            raise RuntimeError("Expected a 'cuda' device type for generator but found 'cpu'")
        if place is None:
            return func(*args, **kwargs)
        with self.pretence.at(place), self.pretence.quiet(name in UNSEEN):
            out = func(*args, **kwargs)
        if place == CUDA and name in FROM_LISTS and not _tensors(args[name == "new_tensor" :][:1]):
            self.pretence.wait("copy from the CPU")
        if wanted is not None and isinstance(out, Tensor):
            mark(out, wanted)
        return out

    def _moved(
        self, tensor: Tensor, place: str | None, change: Callable[[Tensor], Tensor], *, waits: bool = True
    ) -> Tensor:
        """`tensor` after `change`, at `place` (None: where it is). waits: as a copy from pinned memory need not."""
        before = place_of(tensor)
        with self.pretence.at(before):
            out = change(tensor)
            if place is None or place == before:
                return out
            if out.untyped_storage() is tensor.untyped_storage():
                out = out.clone()
        if place == CPU or waits:
            self.pretence.wait(f"copy {'to' if place == CPU else 'from'} the CPU")
        mark(out, place)
        return out


def place_of(tensor: Tensor) -> str:
    """Where `tensor` is said to lie."""
    with torch._C.DisableTorchFunction():
        return str(getattr(tensor.untyped_storage(), "place", CPU))


def mark(tensor: Tensor, place: str) -> None:
    """Say that `tensor`, and whatever shares its storage, lies at `place`."""
    with torch._C.DisableTorchFunction():
        tensor.untyped_storage().place = place  # type: ignore[attr-defined]


def _pinned(tensor: Tensor) -> Tensor:
    if place_of(tensor) == CUDA:
        raise RuntimeError("cannot pin 'torch.cuda.FloatTensor' only dense CPU tensors can be pinned")
    copy = tensor.clone()
    with torch._C.DisableTorchFunction():
        copy.untyped_storage().pinned = True  # type: ignore[attr-defined]
    return copy


def _is_pinned(tensor: Tensor) -> bool:
    with torch._C.DisableTorchFunction():
        return place_of(tensor) == CUDA or getattr(tensor.untyped_storage(), "pinned", False)


def _device_of(tensor: Tensor) -> torch.device:
    return torch.device("cuda", 0) if place_of(tensor) == CUDA else torch.device("cpu")


_ANSWERS: dict[Any, Callable[[Tensor], Any]] = {
    Tensor.device.__get__: _device_of,  # type: ignore[attr-defined]
    Tensor.is_cuda.__get__: lambda tensor: place_of(tensor) == CUDA,  # type: ignore[attr-defined]
}


def _grouped(lists: list[list[Tensor]], *options: Any) -> dict[Any, Any]:
    """torch's own in C++ sees the real device."""
    groups = _group_tensors_by_device_and_dtype(lists, *options)
    return {(lists[0][0].device, dtype): group for (_, dtype), group in groups.items()}


def _without_cuda(args: Any, kwargs: dict[str, Any]) -> tuple[str | None, tuple[Any, ...], dict[str, Any]]:
    """The kind of device that was asked for, and the arguments with the CPU in its place."""
    wanted, plain = None, []
    for value in (*args, kwargs.get("device")):
        is_text = isinstance(value, str) and value.partition(":")[0] in (CPU, CUDA)
        if isinstance(value, torch.device) or is_text:
            wanted, value = torch.device(value).type, torch.device("cpu")
        plain.append(value)
    *positional, device = plain
    return wanted, tuple(positional), {**kwargs, "device": device} if "device" in kwargs else kwargs


def _tensors(tree: Any) -> list[Tensor]:
    return [leaf for leaf in tree_leaves(tree) if isinstance(leaf, Tensor) and leaf.layout == torch.strided]


def _line_of_ours() -> tuple[str, int]:
    """The innermost line of the library's own packages that is being executed; of a test where there is none."""
    frame, outside = sys._getframe(1), ("", 0)
    while frame is not None:
        name = frame.f_code.co_filename
        if name.startswith(ROOT) and name != __file__ and not name.startswith(INSTALLED):
            found = name[len(ROOT) + 1 :], frame.f_lineno
            if not found[0].startswith("tests/"):
                return found
            outside = outside if outside[0] else found
        frame = frame.f_back  # type: ignore[assignment]
    return outside
