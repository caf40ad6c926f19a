"""The yardstick network: a small network that never changes, and whose time every other time is divided by.

Times of different hours and machines cannot be compared; their ratios to the yardstick's time can, since both are
measured in turns. Its definition is fixed: whoever changes it makes old ratios meaningless. What it computes has no
meaning; it has the kinds of layers that light backbones have.

| layer                       | output      | MACs       |
|:----------------------------|:------------|-----------:|
| image                       | 3×112×112   |            |
| convolution 3×3, stride 2   | 32×56×56    |  2,709,504 |
| convolution 3×3, stride 2   | 64×28×28    | 14,450,688 |
| depthwise 3×3               | 64×28×28    |    451,584 |
| pointwise                   | 128×28×28   |  6,422,528 |
| convolution 3×3, stride 2   | 128×14×14   | 28,901,376 |
| mean over the image, linear | 157         |     20,096 |
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

IMAGE_SIZE = 112
MACS = 52_955_776


def yardstick(device: torch.device) -> Callable[[], torch.Tensor]:
    """A call that runs the yardstick network on one image: float32, batch 1. It draws no random numbers."""
    with torch.device("meta"):  # without PyTorch's random initial values
        network = nn.Sequential(
            nn.Conv2d(3, 32, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(32, 64, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(64, 64, 3, padding=1, groups=64),
            nn.ReLU(),
            nn.Conv2d(64, 128, 1),
            nn.ReLU(),
            nn.Conv2d(128, 128, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(128, 157),
        )
    network = network.to_empty(device=device).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(_pattern(parameter.numel()).view_as(parameter))
    image = _pattern(3 * IMAGE_SIZE**2).view(1, 3, IMAGE_SIZE, IMAGE_SIZE).to(device)
    return lambda: network(image)


def _pattern(count: int) -> torch.Tensor:
    """Numbers of either sign, of which none is tiny: arithmetic with denormal numbers would be slow."""
    return (torch.arange(count) % 13 - 6).float() / 50
