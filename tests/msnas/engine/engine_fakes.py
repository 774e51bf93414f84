"""A supernet and batches so small that a step takes a millisecond; worker processes can import them."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from msnas.engine.schedule import Schedule

Path = tuple[int, ...]


class TinySupernet(nn.Module):
    """Blocks of two branches; a path chooses one in each. Losses draw noise, as a detector's samplers do."""

    def __init__(self, depth: int = 3, seed: int = 0) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.stem = nn.Conv2d(3, 4, 3, padding=1)
        self.blocks = nn.ModuleList(nn.ModuleList(_branch() for _ in range(2)) for _ in range(depth))
        self.head = nn.Linear(4, 2)

    def forward(self, images: list[Tensor], targets: Any = None, path: Path | None = None) -> Any:
        x = self.stem(torch.stack(images))
        for block, choice in zip(self.blocks, path or (0,) * len(self.blocks), strict=True):
            x = block[choice](x)
        out = self.head((x * torch.rand(x.shape)).mean(dim=(2, 3)))
        if not self.training:
            return out
        wanted = torch.tensor([target["label"] for target in targets])
        return {"loss_a": F.cross_entropy(out, wanted), "loss_b": out.square().mean()}


def _branch() -> nn.Module:
    return nn.Sequential(nn.Conv2d(4, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4), nn.ReLU())


class TinyBatches:
    """Four images of noise a step; `poison` is a step whose second one is infinite."""

    def __init__(self, *, poison: int | None = None, rank: int = 0, size: int = 1) -> None:
        self.poison, self.mine = poison, slice(4 * rank // size, 4 * (rank + 1) // size)

    def batch(self, step: int) -> tuple[list[Tensor], list[dict[str, Any]]]:
        rng = torch.Generator().manual_seed(step)
        images = [torch.rand(3, 8, 8, generator=rng) for _ in range(4)]
        if step == self.poison:
            images[1].fill_(torch.inf)
        targets = [{"image_id": 4 * step + i, "label": i % 2} for i in range(4)]
        return images[self.mine], targets[self.mine]


def random_path(step: int) -> Path:
    """Two of the three blocks vary; the third always takes its first branch."""
    rng = torch.Generator().manual_seed(1000 + step)
    return (*torch.randint(0, 2, (2,), generator=rng).tolist(), 0)


def schedule(**changes: Any) -> Schedule:
    values = {"steps": 12, "batch": 4, "lr": 0.05, "clip": 1.0}
    values["milestones"] = tuple(m for m in (3, 8) if m < changes.get("steps", 12))
    return Schedule(**(values | changes))


def state_bits(model: nn.Module) -> dict[str, bytes]:
    """Every parameter and buffer, bit for bit."""
    return {name: value.detach().numpy().tobytes() for name, value in model.state_dict().items()}
