"""How fast a training gets its images, and whether it waits for them."""

from collections.abc import Mapping
from typing import Any


class Delivery:
    """The steps of this process so far, each of `batch` images."""

    def __init__(self, batch: int) -> None:
        self.batch, self.steps, self.seconds, self.waited = batch, 0, 0.0, 0.0

    def add(self, line: Mapping[str, Any]) -> None:
        """Count a step, by its line of the journal."""
        self.steps += 1
        self.seconds += line["seconds"]
        self.waited += line["waited"]

    def __str__(self) -> str:
        """Such as `41 images/s, waiting for them 3 % of the time`; nothing before the first step."""
        if not self.seconds:
            return ""
        rate = self.batch * self.steps / self.seconds
        share = 100 * self.waited / self.seconds
        return f"{rate:.{0 if rate >= 10 else 1}f} images/s, waiting for them {share:.0f} % of the time"
