"""SqueezeNext (Gholami et al., CVPR workshops 2018): 3×3 convolutions as 3×1 and 1×3, squeezed in two steps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

from hmr_light.backbones.adapters import own_network
from hmr_light.backbones.base import Backbone, backbones
from hmr_light.backbones.blocks import GlobalPool, Residual, conv_bn
from hmr_light.errors import UserError

# Maps and blocks of each stage, of "1.0-SqNxt-23".
STAGES = ((32, 6), (64, 6), (128, 8), (256, 1))


@backbones.register("squeezenext23")
def squeezenext23(
    *, width: float = 1.0, weights: str | None = None, adapter: Mapping[str, Any] | None = None
) -> Backbone:
    """0.60 M parameters in the trunk, 128 channels, at `width` 1: 1.0-SqNxt-23.

    `width` multiplies the maps of every layer, as in the paper's 1.5 and 2.0.
    """
    if not 0.25 <= width <= 4:
        raise UserError(f"backbone.width={width} is out of range", "Give a factor of 0.25 to 4.")
    inputs = round(64 * width)
    trunk = nn.Sequential(
        nn.Conv2d(3, inputs, 7, stride=2, padding=1),
        nn.BatchNorm2d(inputs),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(3, stride=2, ceil_mode=True),
    )
    for stage, (maps, blocks) in enumerate(STAGES):
        outputs = round(maps * width)
        for index in range(blocks):
            trunk.append(_block(inputs, outputs, 2 if stage and not index else 1))
            inputs = outputs
    channels = round(128 * width)
    trunk.append(conv_bn(inputs, channels, bias=True))
    classifier = nn.Sequential(GlobalPool(), nn.Linear(channels, 1000))
    return own_network("squeezenext23", trunk, channels, classifier, weights, adapter)


def _block(inputs: int, outputs: int, stride: int) -> nn.Sequential:
    """Two squeezing layers, 1×3, 3×1, expansion, and a shortcut (figure 1); every convolution biased and normalised."""
    # Blocks that halve the size squeeze less, the one that narrows the maps squeezes more.
    squeezed = inputs if stride == 2 else inputs // 4 if inputs > outputs else inputs // 2
    block = nn.Sequential(
        conv_bn(inputs, squeezed, stride=stride, bias=True),
        conv_bn(squeezed, squeezed // 2, bias=True),
        conv_bn(squeezed // 2, squeezed, (1, 3), bias=True),
        conv_bn(squeezed, squeezed, (3, 1), bias=True),
        conv_bn(squeezed, outputs, bias=True),
    )
    same = stride == 1 and inputs == outputs
    return nn.Sequential(
        Residual(block, None if same else conv_bn(inputs, outputs, stride=stride, bias=True)), nn.ReLU(inplace=True)
    )
