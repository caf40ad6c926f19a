"""An exponential moving average of a model's weights."""

from __future__ import annotations

import copy

import torch
from torch import nn


class MovingAverage:
    """Holds `model`, a copy whose parameters follow another model's: average ← decay · average + (1 − decay) · current.

    In the first steps the decay is smaller, (1 + steps) / (10 + steps): otherwise the average would hold the first
    weights for long. Batch-norm statistics follow in the same way: those of the current weights are another network's.
    Buffers that are whole numbers are copied.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.model = copy.deepcopy(model).requires_grad_(False).eval()
        self.decay = decay

    @torch.no_grad()
    def update(self, model: nn.Module, steps: int) -> None:
        """Follow `model`, which has been trained for `steps` steps, the last of them included."""
        decay = min(self.decay, (1 + steps) / (10 + steps))
        torch._foreach_lerp_(list(self.model.parameters()), list(model.parameters()), 1 - decay)
        for own, other in zip(self.model.buffers(), model.buffers(), strict=True):
            if own.is_floating_point():
                own.lerp_(other, 1 - decay)
            else:
                own.copy_(other)
