"""torchvision's matching of predictions to objects without boolean indices: at each, a GPU would be waited for."""

import torch
from torch import Tensor
from torchvision.models.detection._utils import Matcher


class WaitlessMatcher(Matcher):  # type: ignore[misc]  # torchvision carries no types
    """The same answers as torchvision's `Matcher`, chosen by `where`."""

    def __call__(self, match_quality_matrix: Tensor) -> Tensor:
        """[M, N] IoU of M > 0 objects and N predictions to [N] int64: an object, or a negative constant."""
        values, best = match_quality_matrix.max(dim=0)
        matches = torch.where(values < self.high_threshold, self.BETWEEN_THRESHOLDS, best)
        matches = torch.where(values < self.low_threshold, self.BELOW_LOW_THRESHOLD, matches)
        if self.allow_low_quality_matches:  # the best predictions of an object stay its own
            highest = match_quality_matrix.max(dim=1, keepdim=True).values
            matches = torch.where((match_quality_matrix == highest).any(dim=0), best, matches)
        return matches
