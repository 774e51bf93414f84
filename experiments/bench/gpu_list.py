"""What one GPU makes of a training step, as one table: `make bench-gpu`.

    python experiments/bench/gpu_list.py [ROW...] [--list] > TABLE
    python experiments/bench/gpu_list.py --device cpu --tiny      # only shows that every row runs

A step is copy, forward, backward, clipping and SGD of MSNAS-R18's first winner (Table 7) under Faster R-CNN, images of
832x1280 pixels unless it is tiny. The works of a row take turns; seconds are the clock's, the GPU waited for.
"""

import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import candidates
import torch
from supernet_step import PATH, batch_of, ours
from timing import HEADER, Row, by_name, in_turn, machine, ratio_row, words_of_rows
from torch import nn
from torch.nn.utils import clip_grad_norm_
from torch.utils.flop_counter import FlopCounterMode

from msnas.detectors.faster_rcnn import FasterRCNN
from msnas.engine.devices import Hardware, to_device
from supernet.strides.stride_encoder import PathEncoder

CHANNELS = (176, 180, 184, 192)
PARTS = ("copy", "forward", "backward", "optimizer")


@dataclass(frozen=True)
class Bench:
    """What is measured: images a step, their (height, width), rounds; tiny: at a size at which numbers mean nothing."""

    hardware: Hardware
    tiny: bool

    @property
    def rounds(self) -> int:
        """Of every comparison."""
        return 1 if self.tiny else 20

    @property
    def batch(self) -> int:
        """Images a step."""
        return 1 if self.tiny else 16

    @property
    def half(self) -> Hardware:
        """The hardware at bf16, as `precision=auto` would choose; a CPU, which it is refused on, stays at fp32."""
        return self.hardware if self.hardware.device.type == "cpu" else replace(self.hardware, precision="bf16")

    def clock(self) -> float:
        """Seconds, with nothing under way on the GPU."""
        if self.hardware.device.type == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter()

    def turns(self, works: dict[str, Callable[[], Any]]) -> dict[str, list[float]]:
        """Seconds of each, in turn."""
        return in_turn(works, self.rounds, warm=1 if self.tiny else 5, clock=self.clock)

    def model(self, channels: int = 180) -> FasterRCNN:
        """The detector in training mode, on the CPU."""
        torch.manual_seed(0)
        if self.tiny:
            return ours(PathEncoder(PATH, block="basic", channels=channels // 20), 64)
        encoder = PathEncoder(PATH, block="basic", channels=channels)
        return FasterRCNN(encoder, num_classes=80, short_side=832, long_side=1280)


class Step:
    """One training step, part by part; `clock` marks where a part ends."""

    def __init__(self, bench: Bench, hardware: Hardware, *, channels: int = 180, fused: bool = True) -> None:
        self.hardware, self.clock = hardware, bench.clock
        self.model = hardware.place(bench.model(channels)).train()
        parameters = [p for p in self.model.parameters() if p.requires_grad]
        self.optimizer = torch.optim.SGD(parameters, lr=1e-4, momentum=0.9, fused=fused, foreach=not fused)
        images, self.targets = batch_of(bench.batch, 64 if bench.tiny else 832)
        wide = images if bench.tiny else [nn.functional.pad(image, (0, 448)) for image in images]
        self.images = [(255 * image).to(torch.uint8) for image in wide]

    def __call__(self) -> None:
        """The step."""
        self._optimize(self._backward(self._forward(*self._copy())))

    def parts(self) -> dict[str, float]:
        """Seconds of each part, the GPU waited for in between."""
        works: tuple[Callable[..., Any], ...] = (self._copy, self._forward, self._backward, self._optimize)
        spent: dict[str, float] = {}
        value: Any = ()
        for name, work in zip(PARTS, works, strict=True):
            began = self.clock()
            value = work(*(value if isinstance(value, tuple) else (value,)))
            spent[name] = self.clock() - began
        return spent

    def _copy(self) -> tuple[Any, Any]:
        return to_device(self.images, self.targets, self.hardware.device)

    def _forward(self, images: Any, targets: Any) -> torch.Tensor:
        with self.hardware.autocast():
            losses = self.model(images, targets)
        return torch.stack([part.float() for part in losses.values()]).sum()

    def _backward(self, loss: torch.Tensor) -> tuple[()]:
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        return ()

    def _optimize(self, *_: Any) -> None:
        clip_grad_norm_(self.model.parameters(), 10.0)
        self.optimizer.step()


def precision(bench: Bench) -> list[Row]:
    """bf16 beside fp32 (whose convolutions are TF32, torch's own choice)."""
    seconds = bench.turns({"bf16": Step(bench, bench.half), "fp32": Step(bench, bench.hardware)})
    return [ratio_row("a step: bf16 / fp32", seconds, "bf16", "fp32", unit="s")]


def channels_last(bench: Bench) -> list[Row]:
    """The memory layout of images and weights."""
    last = replace(bench.half, channels_last=True)
    seconds = bench.turns({"channels_last": Step(bench, last), "contiguous": Step(bench, bench.half)})
    return [ratio_row("a step: channels_last / contiguous", seconds, "channels_last", "contiguous", unit="s")]


def optimizer(bench: Bench) -> list[Row]:
    """Clipping and SGD alone, fused and for each list of tensors."""
    steps = {name: Step(bench, bench.half, fused=name == "fused") for name in ("fused", "foreach")}
    for step in steps.values():
        step()  # there are gradients, and momenta
    seconds = bench.turns({name: step._optimize for name, step in steps.items()})
    return [ratio_row("optimizer: fused / foreach", seconds, "fused", "foreach", unit="s")]


def compiled(bench: Bench) -> list[Row]:
    """Every block of the encoder compiled by itself; tiny: traced, and run as it is."""
    regional, plain = Step(bench, bench.half), Step(bench, bench.half)
    for block in regional.model.encoder.blocks:
        block.compile(backend="eager" if bench.tiny else "inductor")
    seconds = bench.turns({"compiled blocks": regional, "as it is": plain})
    return [ratio_row("a step: blocks compiled / not", seconds, "compiled blocks", "as it is", unit="s")]


def rate(bench: Bench) -> list[Row]:
    """Images a second, beside those of a step whose convolutions and products all ran as fast as one matrix product."""
    step, side = Step(bench, bench.half), 128 if bench.tiny else 8192
    kind = torch.float32 if bench.half.precision == "fp32" else torch.bfloat16
    left, right = (torch.randn(side, side, dtype=kind, device=bench.hardware.device) for _ in range(2))
    with FlopCounterMode(display=False) as counter:
        step()
    seconds = bench.turns({"step": step, "product": lambda: left @ right})
    products = 2 * side**3 / counter.get_total_flops()  # of a step, in its count of operations
    rates = {
        "step": [bench.batch / spent for spent in seconds["step"]],
        "at the matrix rate": [bench.batch * products / spent for spent in seconds["product"]],
    }
    return [ratio_row("a step / matrix products", rates, "step", "at the matrix rate", unit="images/s")]


def workers(bench: Bench) -> list[Row]:
    """Candidates of `scale=tiny`, 1, 2, 4 and 8 workers on the one GPU, started and warm."""
    numbers, candidates_, rounds = ((1, 2), 1, 1) if bench.tiny else ((1, 2, 4, 8), 16, 2)
    with tempfile.TemporaryDirectory() as folder:
        candidates.evaluator(folder, bench.hardware)  # draws the images once
        seconds: dict[str, list[float]] = {f"{number} workers": [] for number in numbers}
        for _ in range(rounds):
            for number in numbers:
                spent = candidates.pool_seconds(folder, number, candidates_, bench.hardware)
                seconds[f"{number} workers"].append(spent)
    said = f"{candidates_} candidates"
    return [ratio_row(said, seconds, f"{number} workers", "1 workers", unit="s") for number in numbers[1:]]


def channels(bench: Bench) -> list[Row]:
    """Widths that are and are not multiples of 8, 16 and 64."""
    seconds = bench.turns({str(number): Step(bench, bench.half, channels=number) for number in CHANNELS})
    return [ratio_row(f"a step: {n} channels / 192", seconds, str(n), "192", unit="s") for n in CHANNELS[:-1]]


def parts(bench: Bench) -> list[Row]:
    """Each part of a step beside the whole of it."""
    step = Step(bench, bench.half)
    step()
    found = [step.parts() for _ in range(bench.rounds)]
    whole = ("step", [sum(one.values()) for one in found])
    return [Row(f"{name} of a step", (name, [one[name] for one in found]), whole, "s") for name in PARTS]


ROWS: dict[str, Callable[[Bench], list[Row]]] = {
    "precision": precision,
    "channels_last": channels_last,
    "optimizer": optimizer,
    "compile": compiled,
    "rate": rate,
    "workers": workers,
    "channels": channels,
    "parts": parts,
}


def main(words: list[str] | None = None) -> None:
    """Run the rows that are named, or all, and print each when it is done."""
    parser = words_of_rows(ROWS, str(__doc__))
    parser.add_argument("--device", default="cuda")
    asked = parser.parse_args(words)
    names = by_name(ROWS, asked.rows)
    if asked.list:
        print("\n".join(names))
        return
    if asked.device == "cuda" and not torch.cuda.is_available():
        raise SystemExit("The list of a GPU needs one, but torch sees none; `--device cpu --tiny` rehearses it.")
    bench = Bench(Hardware(device=torch.device(asked.device), threads=1), asked.tiny)
    print(HEADER, flush=True)
    for name in names:
        try:
            for row in ROWS[name](bench):
                print(row, flush=True)
        except torch.OutOfMemoryError:
            print(f"| {name} | no memory was left on this card | | | | | |", flush=True)
    print(f"\n{machine()}")


if __name__ == "__main__":
    main()
