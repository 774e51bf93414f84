"""What a user says about where the work is done. Torch-free; `choose` turns it into what this machine offers."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from msnas.errors import ConfigError

if TYPE_CHECKING:
    from msnas.engine.devices import Hardware

ENGINES = ("local", "ray")


@dataclass(frozen=True, kw_only=True)
class HardwareOptions:
    """Options `hardware.*` and `ray.address`; fields are checked (ConfigError).

    threads: CPU threads of a candidate. train_threads: of the supernet and of retraining; None: all cores. engine:
    "local" or "ray". workers: candidates side by side, 0: in this process. workers_per_gpu: on Ray, or "auto".
    address: of the Ray cluster; None: Ray is started here.
    """

    device: str = "auto"
    precision: str = "auto"
    threads: int | None = 1
    train_threads: int | None = None
    engine: str = "local"
    workers: int = 0
    channels_last: bool = False
    workers_per_gpu: int | str = "auto"
    address: str | None = None

    def __post_init__(self) -> None:
        if self.engine not in ENGINES:
            raise ConfigError(f"hardware.engine is local or ray, but got {self.engine!r}.")

    def for_training(self) -> "Hardware":
        """Device, precision and threads of a training on this machine. Raises ConfigError."""
        return self._choose(self.train_threads)

    def for_candidates(self) -> "Hardware":
        """The same of a candidate, whose threads are part of its score."""
        return self._choose(self.threads)

    def _choose(self, threads: int | None) -> "Hardware":
        from msnas.engine.devices import choose  # torch, which help and costs do not wait for
        from msnas.engine.distributed import local_rank

        return choose(
            self.device,
            precision=self.precision,
            threads=threads,
            channels_last=self.channels_last,
            local_rank=local_rank(),
        )
