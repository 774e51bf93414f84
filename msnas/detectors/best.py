"""The best candidates of a level, as one-stage detectors choose them before NMS."""

import torch
from torch import Tensor


def best_above(scores: Tensor, threshold: float, count: int) -> tuple[Tensor, Tensor]:
    """(values, indices) of the best `count` of `scores` [n] that lie above `threshold`, best first."""
    if torch.compiler.is_exporting():  # the answer is the same, the sizes up to `topk` are no data's
        best = scores.topk(min(len(scores), count))
        above = best.values > threshold
        return best.values[above], best.indices[above]
    likely = torch.where(scores > threshold)[0]
    best = scores[likely].topk(min(len(likely), count))
    return best.values, likely[best.indices]
