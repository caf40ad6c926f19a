"""A backbone without features, for the baseline that predicts the same for every image."""

from __future__ import annotations

import torch
from torch import nn

from hmr_light.backbones.base import backbones


class Blank(nn.Module):
    """No features: (B, 3, H, W) → (B, 0)."""

    num_features = 0

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return image.new_empty(image.shape[0], 0)


@backbones.register("blank")
def blank(*, weights: None = None) -> Blank:
    """No parameters; `weights`, an option that every backbone has, stays null."""
    return Blank()
