"""MobileNet V1 (Howard et al., 2017) and, in its frame, Fire modules."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, Literal

from torch import nn

from hmr_light.backbones.adapters import own_network
from hmr_light.backbones.base import Backbone, backbones
from hmr_light.backbones.blocks import Fire, GlobalPool, conv_bn
from hmr_light.errors import UserError

# Table 1: outputs and stride of the stem and of the 13 blocks.
STEM = 32
BLOCKS = ((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *[(512, 1)] * 5, (1024, 2), (1024, 1))


def depthwise_separable(inputs: int, outputs: int, stride: int, kernel: int = 3) -> nn.Sequential:
    """A convolution of each map by itself, 3×3 in the paper, then a 1×1 convolution of all maps (section 3.1)."""
    return nn.Sequential(conv_bn(inputs, inputs, kernel, stride, groups=inputs), conv_bn(inputs, outputs))


def full_convolution(inputs: int, outputs: int, stride: int) -> nn.Sequential:
    """What the depthwise-separable block stands for: one 3×3 convolution ("Conv MobileNet", table 4)."""
    return conv_bn(inputs, outputs, 3, stride)


@backbones.register("mobilenet_v1")
def mobilenet_v1(
    *,
    width: float = 1.0,
    form: Literal["separable", "full", "shallow"] = "separable",
    weights: str | None = None,
    adapter: Mapping[str, Any] | None = None,
) -> Backbone:
    """3.2 M parameters in the trunk, 1024 channels, at `width` 1.

    `width` is the paper's multiplier α of all numbers of maps (section 3.3); its resolution multiplier is the size of
    the images. Forms: `separable`; `full`, with whole 3×3 convolutions; `shallow`, without the five blocks of 14×14
    maps (tables 4 and 5).
    """
    if not 0 < width <= 4:
        raise UserError(f"backbone.width={width} is out of range", "Give more than 0 and at most 4.")
    blocks = [spec for spec in BLOCKS if spec != (512, 1)] if form == "shallow" else list(BLOCKS)
    make = full_convolution if form == "full" else depthwise_separable
    trunk, inputs = nn.Sequential(), _scaled(STEM, width)
    trunk.append(conv_bn(3, inputs, 3, 2))
    for outputs, stride in blocks:
        trunk.append(make(inputs, _scaled(outputs, width), stride))
        inputs = _scaled(outputs, width)
    return own_network("mobilenet_v1", trunk, inputs, _classifier(inputs), weights, adapter)


@backbones.register("mobilenet_fire")
def mobilenet_fire(
    *, squeeze_ratio: float = 0.125, weights: str | None = None, adapter: Mapping[str, Any] | None = None
) -> Backbone:
    """MobileNet V1 with Fire modules for its blocks of stride 1; 1024 channels.

    Our reading of a proposal of the reference tables. Fire modules keep the maps' size, in SqueezeNet too; so the
    blocks that halve it stay. Every layer is normalised, as in MobileNet; half of the expanded maps are 3×3, and
    `squeeze_ratio` times as many are squeezed, as in SqueezeNet.
    """
    if not 0 < squeeze_ratio <= 1:
        raise UserError(f"backbone.squeeze_ratio={squeeze_ratio} is out of range", "Give more than 0 and at most 1.")
    layer = partial(conv_bn, activation=None)
    trunk, inputs = nn.Sequential(conv_bn(3, STEM, 3, 2)), STEM
    for outputs, stride in BLOCKS:
        if stride == 1:
            squeeze = max(1, round(squeeze_ratio * outputs))
            trunk.append(Fire(inputs, squeeze, outputs // 2, outputs // 2, layer))
        else:
            trunk.append(depthwise_separable(inputs, outputs, stride))
        inputs = outputs
    return own_network("mobilenet_fire", trunk, inputs, _classifier(inputs), weights, adapter)


def _scaled(channels: int, width: float) -> int:
    return max(1, round(channels * width))


def _classifier(channels: int) -> nn.Sequential:
    return nn.Sequential(GlobalPool(), nn.Linear(channels, 1000))
