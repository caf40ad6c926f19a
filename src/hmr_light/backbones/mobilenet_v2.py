"""MobileNet V2 (Sandler et al., CVPR 2018), with torchvision's names.

It is built here, for importing torchvision takes longer than finding the people of a photograph.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import torch
from torch import nn

from hmr_light.backbones.adapters import keeps_classifier, with_adapter
from hmr_light.backbones.base import Backbone, backbones
from hmr_light.backbones.blocks import GlobalPool, conv_bn, initialize, nearest_multiple
from hmr_light.backbones.padding import pad_same
from hmr_light.backbones.weights import load_weights
from hmr_light.errors import UserError

# The paper's table 2: expansion, maps, blocks, stride of the first of them.
STAGES = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))


class InvertedResidual(nn.Module):
    """`hmr_light.backbones.blocks.InvertedResidual` with torchvision's names: the last layer is not nested."""

    def __init__(self, inputs: int, outputs: int, stride: int, expand: int) -> None:
        super().__init__()
        expanded = inputs * expand
        layers = [conv_bn(inputs, expanded, activation=nn.ReLU6)] if expand > 1 else []
        layers.append(conv_bn(expanded, expanded, 3, stride, groups=expanded, activation=nn.ReLU6))
        self.conv = nn.Sequential(*layers, *conv_bn(expanded, outputs, activation=None))
        self.shortcut = stride == 1 and inputs == outputs

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        return maps + self.conv(maps) if self.shortcut else self.conv(maps)


def features(width: float = 1.0) -> tuple[nn.Sequential, int]:
    """The trunk, not initialised, and its number of maps: at least the paper's 1280, however narrow the others are."""
    inputs, last = nearest_multiple(8, 32 * width), nearest_multiple(8, 1280 * max(1.0, width))
    layers: list[nn.Module] = [conv_bn(3, inputs, 3, 2, activation=nn.ReLU6)]
    for expand, maps, blocks, stride in STAGES:
        outputs = nearest_multiple(8, maps * width)
        for index in range(blocks):
            layers.append(InvertedResidual(inputs, outputs, 1 if index else stride, expand))
            inputs = outputs
    return nn.Sequential(*layers, conv_bn(inputs, last, activation=nn.ReLU6)), last


@backbones.register("mobilenet_v2")
def mobilenet_v2(
    *,
    width: float = 1.0,
    padding: Literal["torch", "same"] | None = None,
    layout: Literal["torchvision", "reference"] = "torchvision",
    weights: str | None = None,
    adapter: Mapping[str, Any] | None = None,
) -> Backbone:
    """2.2 M parameters in the trunk, 1280 channels, at `width` 1.

    `width` is the paper's multiplier (section 4), rounded to multiples of 8. With `padding` `same`, strided
    convolutions are padded as in TensorFlow; names and shapes of the weights are the same. None is `torch`'s. With
    `layout` `reference` the same network is cut into the modules that the reference table of sizes counts: an identity
    after each block, one that pools.
    """
    if not 0 < width <= 4:
        raise UserError(f"backbone.width={width} is out of range", "Give more than 0 and at most 4.")
    trunk, channels = features(width)
    classifier = nn.Sequential(nn.Dropout(0.2), nn.Linear(channels, 1000))
    model = nn.ModuleDict({"features": trunk, "classifier": classifier})
    initialize(model)
    if weights is not None:
        load_weights(model, "mobilenet_v2", weights, "classifier.", keeps_classifier(adapter))
    if padding == "same":
        pad_same(trunk)
    if layout == "reference":
        for block in trunk:
            if isinstance(block, InvertedResidual):
                block.conv.append(nn.Identity())
        pool: list[nn.Module] = [GlobalPool()]
    else:
        pool = [nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    return with_adapter(adapter, trunk, channels, nn.Sequential(*pool, *classifier))
