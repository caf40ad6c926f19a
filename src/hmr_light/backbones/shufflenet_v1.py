"""ShuffleNet (Zhang et al., CVPR 2018) and, in its frame, Fire modules."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Literal

import torch
from torch import nn
from torch.nn.functional import avg_pool2d, relu

from hmr_light.backbones.adapters import own_network
from hmr_light.backbones.base import Backbone, backbones
from hmr_light.backbones.blocks import (
    Fire,
    GlobalPool,
    Residual,
    SqueezeExcitation,
    channel_shuffle,
    conv_bn,
    multiple_of,
)
from hmr_light.errors import UserError

# Table 1: outputs of stage 2 by number of groups; each later stage has twice as many.
STAGE2 = {1: 144, 2: 200, 3: 240, 4: 272, 8: 384}
UNITS = (4, 8, 4)

Groups = Literal[1, 2, 3, 4, 8]


class ShuffleUnit(nn.Module):
    """Grouped 1×1, shuffle, depthwise 3×3, grouped 1×1, with a shortcut (figure 2).

    With stride 2 the shortcut is pooled and joins as further maps. The inner layers are a quarter as wide as the
    output, rounded up to what `groups` divides. `first` units do not group the first layer: their input is thin.
    `kernel` is the depthwise convolution's. Without `shuffle`, groups never see each other's maps.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        stride: int,
        groups: int,
        *,
        first: bool,
        bias: bool,
        weigh: bool,
        kernel: int = 3,
        shuffle: bool = True,
    ) -> None:
        super().__init__()
        self.groups, self.stride = groups if shuffle else 1, stride
        inner = multiple_of(groups, outputs / 4)
        added = outputs - inputs if stride == 2 else outputs
        self.compress = conv_bn(inputs, inner, groups=1 if first else groups, bias=bias)
        self.depthwise = conv_bn(inner, inner, kernel, stride, groups=inner, bias=bias, activation=None)
        self.expand = conv_bn(inner, added, groups=groups, bias=bias, activation=None)
        self.weigh = SqueezeExcitation(outputs, max(1, outputs // 16)) if weigh else None

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        added = self.expand(self.depthwise(channel_shuffle(self.compress(maps), self.groups)))
        if self.stride == 1:
            joined = relu(maps + added, inplace=True)
        else:
            joined = relu(torch.cat((avg_pool2d(maps, 3, stride=2, padding=1), added), dim=1), inplace=True)
        return joined if self.weigh is None else self.weigh(joined)


@backbones.register("shufflenet_v1")
def shufflenet_v1(
    *,
    groups: Groups = 3,
    scale: float = 1.0,
    squeeze_excitation: bool = False,
    bias: bool = False,
    weights: str | None = None,
    adapter: Mapping[str, Any] | None = None,
) -> Backbone:
    """0.9 M parameters in the trunk, 960 channels, with 3 groups at `scale` 1.

    `scale` multiplies all numbers of maps, but for the stem's 24 between 1 and 2; where `groups` does not divide the
    result, as in 0.5× with 4 groups, it is rounded up. `squeeze_excitation` weighs each unit's output by a hidden layer
    of a sixteenth of its width (Hu et al., CVPR 2018). `bias` is the reference tables' form (1,877,920 parameters in
    all): every convolution is biased, and the stem is neither normalised nor activated.
    """
    unit = partial(ShuffleUnit, stride=1, groups=groups, first=False, bias=bias, weigh=squeeze_excitation)
    trunk, channels = _trunk(groups, scale, bias, squeeze_excitation, lambda width: unit(width, width))
    return own_network("shufflenet_v1", trunk, channels, _classifier(channels), weights, adapter)


@backbones.register("shufflenet_fire")
def shufflenet_fire(
    *,
    groups: Groups = 3,
    scale: float = 1.0,
    squeeze_ratio: float = 0.125,
    weights: str | None = None,
    adapter: Mapping[str, Any] | None = None,
) -> Backbone:
    """ShuffleNet with Fire modules for its units of stride 1; 960 channels.

    Our reading of a proposal of the reference tables. Fire modules keep the maps' size, in SqueezeNet too; so the units
    that halve it stay, and so does every unit's shortcut. Their convolutions are normalised and in groups, with a
    shuffle between squeezing and expanding.
    """
    if not 0 < squeeze_ratio <= 1:
        raise UserError(f"backbone.squeeze_ratio={squeeze_ratio} is out of range", "Give more than 0 and at most 1.")
    layer = partial(conv_bn, groups=groups, activation=None)

    def unit(width: int) -> nn.Module:
        squeeze = max(groups, multiple_of(groups, squeeze_ratio * width))
        return Residual(Fire(width, squeeze, width // 2, width // 2, layer, groups))

    trunk, channels = _trunk(groups, scale, False, False, unit)
    return own_network("shufflenet_fire", trunk, channels, _classifier(channels), weights, adapter)


def _trunk(
    groups: int, scale: float, bias: bool, weigh: bool, unit: Callable[[int], nn.Module]
) -> tuple[nn.Sequential, int]:
    """Stem and stages, and the number of maps that they give; `unit` makes a unit of stride 1."""
    if not 0.25 <= scale <= 4:
        raise UserError(f"backbone.scale={scale} is out of range", "Give a factor of 0.25 to 4.")
    stem = multiple_of(groups, 24 if 1 <= scale < 2 else 24 * scale)
    first = nn.Conv2d(3, stem, 3, stride=2, padding=1) if bias else conv_bn(3, stem, 3, 2)
    trunk, inputs = nn.Sequential(first, nn.MaxPool2d(3, stride=2, padding=1)), stem
    for stage, units in enumerate(UNITS):
        # Halves too are divided by the groups; all that the paper's table prints is, with factors of a quarter.
        outputs = multiple_of(2 * groups, STAGE2[groups] * scale) * 2**stage
        reduce = ShuffleUnit(inputs, outputs, 2, groups, first=stage == 0, bias=bias, weigh=weigh)
        trunk.append(nn.Sequential(reduce, *[unit(outputs) for _ in range(units - 1)]))
        inputs = outputs
    return trunk, inputs


def _classifier(channels: int) -> nn.Sequential:
    return nn.Sequential(GlobalPool(), nn.Linear(channels, 1000))
