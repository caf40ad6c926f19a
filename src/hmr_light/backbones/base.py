"""What the backbones of all families share: a trunk (image → maps) and an adapter (maps → features)."""

from __future__ import annotations

from typing import Literal

import torch
from torch import nn

from hmr_light.config.registry import Registry

backbones: Registry[nn.Module] = Registry("backbone")


class Backbone(nn.Module):
    """Image (B, 3, H, W) → trunk → maps (B, C, h, w) → adapter → features (B, `num_features`)."""

    pixels: Literal["symmetric"] | None = None
    """The pixels that the trunk takes, as `backbone.pixels` has them: None for ImageNet's mean and deviation."""

    made_for: int | None = None
    """Side of the images, in pixels, that a network which does not take all sizes was made for."""

    def __init__(self, trunk: nn.Module, adapter: nn.Module, num_features: int) -> None:
        super().__init__()
        self.trunk = trunk
        self.adapter = adapter
        self.num_features = num_features

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.adapter(self.trunk(image))
