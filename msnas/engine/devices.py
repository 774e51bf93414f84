"""Where and how numbers are computed: device, precision, threads, memory layout; and what this machine is."""

import os
import platform
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from msnas.data.cached_image import CachedImage
from msnas.data.sending import sent
from msnas.engine.machine import cores
from msnas.errors import ConfigError

Precision = Literal["fp32", "bf16", "fp16"]
PRECISIONS: tuple[Precision, ...] = ("fp32", "bf16", "fp16")
HALVES = {"bf16": torch.bfloat16, "fp16": torch.float16}
_REPORTED = ("torchvision", "timm", "numpy", "pycocotools", "hotcoco", "deap", "hydra-core")


@dataclass(frozen=True, slots=True, kw_only=True)
class Hardware:
    """A checked choice, made by `choose`. threads: CPU threads of this process, 0 for torch's own number."""

    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    precision: Precision = "fp32"
    threads: int = 0
    channels_last: bool = False

    @property
    def kind(self) -> dict[str, str]:
        """What scores depend on beside threads: the kind of device, not its number, and the precision."""
        return {"device": self.device.type, "precision": self.precision}

    def autocast(self) -> AbstractContextManager[Any]:
        """The context in which a forward pass runs at this precision."""
        if self.precision == "fp32":
            return nullcontext()
        return torch.autocast(self.device.type, dtype=HALVES[self.precision])

    def scaler(self) -> torch.amp.GradScaler:
        """Loss scaling, which fp16 alone needs; at other precisions its methods change nothing."""
        return torch.amp.GradScaler(self.device.type, enabled=self.precision == "fp16")

    def place(self, model: nn.Module) -> nn.Module:
        """The same model, moved to the device and into its memory layout."""
        if self.channels_last:
            model = model.to(memory_format=torch.channels_last)
        return model.to(self.device)


def choose(
    device: str = "auto",
    *,
    precision: str = "auto",
    threads: int | None = None,
    channels_last: bool = False,
    local_rank: int = 0,
) -> Hardware:
    """What the words of the configuration mean on this machine, or a ConfigError that says what it lacks.

    device: auto (the GPU where there is one), cpu, cuda (GPU `local_rank` modulo their number) or cuda:N.
    precision: auto (bf16 where the GPU has it, fp32 else), fp32, bf16, fp16. Sets this process's number of
    threads.
    """
    chosen = _device(device, local_rank)
    if threads is not None and threads < 0:
        raise ConfigError(f"`hardware.threads >= 1` must hold (0 or null: all cores), but got {threads}.")
    if chosen.type == "cuda":  # before anything is asked of the card: the first question sets up its memory
        os.environ.setdefault(
            "PYTORCH_ALLOC_CONF", "expandable_segments:True"
        )  # networks differ: fewer pieces are left
        torch.cuda.set_device(chosen)
    hardware = Hardware(
        device=chosen,
        precision=_precision(precision, chosen),
        threads=threads or 0,
        channels_last=channels_last,
    )
    if hardware.threads:
        torch.set_num_threads(hardware.threads)
    return hardware


def _device(text: str, local_rank: int) -> torch.device:
    gpus = torch.cuda.device_count()
    if text == "auto":
        text = "cuda" if gpus else "cpu"
    if text == "cpu":
        return torch.device("cpu")
    kind, _, number = text.partition(":")
    if kind != "cuda" or (number and not number.isdecimal()):
        raise ConfigError(f"hardware.device is one of auto, cpu, cuda, cuda:N, but got {text!r}.")
    if number and int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise ConfigError(f"hardware.device={text} is one GPU for all processes of torchrun; use cuda.")
    index = int(number) if number else local_rank % max(1, gpus)
    if index >= gpus:
        seen = f"{gpus} of them" if gpus else "none"
        raise ConfigError(f"hardware.device={text} needs GPU {index}, but torch sees {seen}; try cpu or auto.")
    return torch.device("cuda", index)


def _precision(text: str, device: torch.device) -> Precision:
    on_gpu = device.type == "cuda"
    bf16 = on_gpu and torch.cuda.is_bf16_supported(including_emulation=False)
    if text == "auto":
        return "bf16" if bf16 else "fp32"
    if text == "bf16" and not on_gpu:  # torch 2.14: garbage in 28 of 77 draws of a 3x3 convolution of stride 2 on 1x1
        rule = "hardware.precision=bf16 needs a GPU: on a CPU, convolutions of maps smaller than their kernel go wrong"
        raise ConfigError(f"{rule}, but the device is {device}; use fp32.")
    if text == "bf16" and not bf16:
        raise ConfigError(f"hardware.precision=bf16 needs a GPU that has it, but {device} has not; try fp16.")
    if text == "fp16" and not on_gpu:
        raise ConfigError(f"hardware.precision=fp16 needs a GPU, but the device is {device}; use fp32.")
    for known in PRECISIONS:
        if text == known:
            return known
    raise ConfigError(f"hardware.precision is one of auto, {', '.join(PRECISIONS)}, but got {text!r}.")


@contextmanager
def computing_with(threads: int) -> Iterator[None]:
    """Compute with `threads` CPU threads (0: as many as before), since another number gives other floats."""
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(threads or before)
        yield
    finally:
        torch.set_num_threads(before)


def to_device(
    images: Sequence[Tensor], targets: Sequence[dict[str, Any]], device: torch.device
) -> tuple[list[Tensor], list[dict[str, Any]]]:
    """A batch on `device`; values of targets that are no tensors stay as they are. Bytes travel as bytes.

    What stands where an image stands (a `CachedImage`) moves itself.
    """

    def moved(value: Any) -> Any:
        if isinstance(value, CachedImage):
            return value.to(device)
        return sent(value, device) if isinstance(value, Tensor) else value

    return [moved(image) for image in images], [{k: moved(v) for k, v in target.items()} for target in targets]


def describe(hardware: Hardware) -> dict[str, Any]:
    """Versions, processor, GPU and commit, for `environment.json`; names no user, host or folder."""
    cuda = hardware.device.type == "cuda"
    return {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "packages": {"torch": str(torch.__version__)} | _versions(),
        "cpu": _cpu_name(),
        "cores": cores(),
        "gpu": torch.cuda.get_device_name(hardware.device) if cuda else None,
        "cuda": torch.version.cuda if cuda else None,
        **hardware.kind,
        "threads": torch.get_num_threads(),
        "channels_last": hardware.channels_last,
        "commit": commit(),
    }


def commit() -> str | None:
    """The commit this code stands at, with `+` where tracked files differ; None outside a checkout."""
    root = Path(__file__).resolve().parents[2]
    if not (root / ".git").exists():  # an installed wheel may lie inside somebody else's repository
        return None
    try:
        head = _git(root, "rev-parse", "HEAD")
        changed = _git(root, "status", "--porcelain", "--untracked-files=no")
    except (OSError, subprocess.SubprocessError):
        return None
    return f"{head}+" if changed else head


def _git(root: Path, *words: str) -> str:
    command = ["git", "-C", str(root), *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    return done.stdout.strip()


def _versions() -> dict[str, str]:
    """Of the packages beside torch that numbers may depend on; those that are not installed are left out."""
    found = {}
    for name in _REPORTED:
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


def _cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
