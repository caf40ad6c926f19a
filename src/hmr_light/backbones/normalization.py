"""Input normalisation: ImageNet's mean and deviation, and networks that take pixels in -1 … 1."""

from __future__ import annotations

import torch
from torch import nn

# ImageNet's, of RGB in 0…1: what torchvision's weights were trained with, and what every backbone here is given.
IMAGE_MEAN = (0.485, 0.456, 0.406)
IMAGE_STD = (0.229, 0.224, 0.225)


class SymmetricPixels(nn.Module):
    """`network`, a backbone that takes RGB in -1 … 1 as HMR's does, for images that are normalised as ours are."""

    scale: torch.Tensor
    offset: torch.Tensor

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.num_features = network.num_features
        # 2 (image std + mean) - 1; what follows from constants is no state.
        self.register_buffer("scale", 2 * torch.tensor(IMAGE_STD)[:, None, None], persistent=False)
        self.register_buffer("offset", 2 * torch.tensor(IMAGE_MEAN)[:, None, None] - 1, persistent=False)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.network(image * self.scale + self.offset)
