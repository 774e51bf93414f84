"""What a user says about where the work is done. Torch-free; `choose` turns it into what this machine offers."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from msnas.engine.machine import cores
from msnas.errors import ConfigError

if TYPE_CHECKING:
    from msnas.engine.devices import Hardware
    from msnas.engine.distributed import Group

ENGINES = ("local", "ray")


@dataclass(frozen=True, kw_only=True)
class HardwareOptions:
    """Options `hardware.*` and `ray.address`; fields are checked (ConfigError).

    threads: CPU threads of a candidate. train_threads: of the supernet, and of a network that is trained alone; None:
    all cores, shared among the networks that are trained side by side. engine: "local" or "ray". workers: candidates,
    and networks, side by side on this machine; 0: in this process. workers_per_gpu: on Ray, or "auto". address: of the
    Ray cluster; None: Ray is started here.
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
        if self.workers < 0:
            raise ConfigError(f"`hardware.workers >= 0` must hold (0: in this process), but got {self.workers}.")

    def for_training(self) -> "Hardware":
        """Device, precision and threads of a training on this machine. Raises ConfigError."""
        return self._choose(self.train_threads)

    def for_training_in(self, group: "Group") -> "Hardware":
        """The same of one of several processes. Raises ConfigError for another device than they were joined on."""
        hardware = self.for_training()
        if group.size > 1 and hardware.device != group.device:
            raise ConfigError(
                f"Processes must train on the device that they were joined on, {group.device}, but the run has "
                f"{hardware.device}; give hardware.device={hardware.device.type} with the command."
            )
        return hardware

    @property
    def side_by_side(self) -> int:
        """How many networks are trained at a time. A cluster scores candidates alone."""
        return max(1, self.workers) if self.engine == "local" else 1

    def gpus(self) -> int:
        """How many this machine has that work may be done on."""
        import torch  # as in `_choose`

        return torch.cuda.device_count() if self.device in ("auto", "cuda") else 0

    def for_networks(self) -> "Hardware":
        """As `for_training`, of each network that is trained beside others: they share the cores."""
        if self.side_by_side == 1:
            return self.for_training()
        return self._choose(self.train_threads or max(1, cores() // self.side_by_side))

    def for_candidates(self) -> "Hardware":
        """The same of a candidate, whose threads are part of its score."""
        return self._choose(self.threads)

    def kind_of_candidates(self) -> dict[str, str]:
        """Device and precision that candidates are scored on: a cluster is asked whether it has GPUs.

        At `precision=auto` its GPUs choose among themselves. Raises ConfigError.
        """
        if self.engine == "local":
            return self.for_candidates().kind
        from msnas.engine.ray_workers import has_gpus  # an extra

        device = "cuda" if self.device != "cpu" and has_gpus(self.address) else "cpu"
        return {"device": device, "precision": "fp32" if device == "cpu" else self.precision}

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


def refuse_fp16(precision: str) -> None:
    """Raises ConfigError: in a short training a loss scaler, which begins too high, leaves out half of the steps."""
    if precision == "fp16":
        raise ConfigError("Candidates are not trained in fp16, but got hardware.precision=fp16; use fp32 or bf16.")
