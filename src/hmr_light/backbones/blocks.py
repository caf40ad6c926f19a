"""Building blocks that families share."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn
from torch.nn.functional import relu

Layer = Callable[[int, int, int], nn.Module]
"""(inputs, outputs, kernel) → a convolution that keeps the maps' size."""


class GlobalPool(nn.Module):
    """Maps (B, C, h, w) → (B, C): the mean of each. One module, where tables count the outputs of modules."""

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        return maps.mean((2, 3))


class Residual(nn.Module):
    """`block` with a shortcut around it: the identity, or `shortcut` where sizes differ."""

    def __init__(self, block: nn.Module, shortcut: nn.Module | None = None) -> None:
        super().__init__()
        self.block = block
        self.shortcut = shortcut

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        return self.block(maps) + (maps if self.shortcut is None else self.shortcut(maps))


class SqueezeExcitation(nn.Module):
    """Weighs each map by a number in 0…1 that two linear layers make of all maps' means (Hu et al., CVPR 2018)."""

    def __init__(self, channels: int, hidden: int, *, bias: bool = True, gate: type[nn.Module] = nn.Sigmoid) -> None:
        super().__init__()
        self.pool = GlobalPool()
        self.fc = nn.Sequential(
            nn.Linear(channels, hidden, bias=bias),
            nn.ReLU(inplace=True),
            nn.Linear(hidden, channels, bias=bias),
            gate(),
        )

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        return maps * self.fc(self.pool(maps))[:, :, None, None]


class InvertedResidual(nn.Module):
    """A 1×1 convolution to `expanded` maps, a depthwise one, a 1×1 one to `outputs`; a shortcut where sizes allow.

    MobileNetV2's block (Sandler et al., CVPR 2018, figure 4) with any `kernel` and `activation`; where it would not
    expand, without the first layer. With `weigh`, MobileNetV3's: the expanded maps pass squeeze-and-excitation.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        stride: int,
        expanded: int,
        kernel: int = 3,
        *,
        activation: type[nn.Module] = nn.ReLU6,
        weigh: bool = False,
    ) -> None:
        super().__init__()
        self.conv = nn.Sequential()
        if expanded != inputs:
            self.conv.append(conv_bn(inputs, expanded, activation=activation))
        self.conv.append(conv_bn(expanded, expanded, kernel, stride, groups=expanded, activation=activation))
        if weigh:
            self.conv.append(SqueezeExcitation(expanded, max(1, expanded // 4), gate=nn.Hardsigmoid))
        self.conv.append(conv_bn(expanded, outputs, activation=None))
        self.shortcut = stride == 1 and inputs == outputs

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        return maps + self.conv(maps) if self.shortcut else self.conv(maps)


class Fire(nn.Module):
    """SqueezeNet's Fire module: 1×1 convolutions squeeze the maps to few, 1×1 and 3×3 ones expand these, side by side.

    `layer` makes the convolutions, without activation; SqueezeNet's is `plain_conv`. With `groups`, the squeezed maps
    are shuffled, so that grouped layers see each other's maps. Names as in torchvision.
    """

    def __init__(
        self, inputs: int, squeeze: int, expand1x1: int, expand3x3: int, layer: Layer, groups: int = 1
    ) -> None:
        super().__init__()
        self.groups = groups
        self.squeeze = layer(inputs, squeeze, 1)
        self.expand1x1 = layer(squeeze, expand1x1, 1)
        self.expand3x3 = layer(squeeze, expand3x3, 3)

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        squeezed = channel_shuffle(relu(self.squeeze(maps), inplace=True), self.groups)
        return relu(torch.cat((self.expand1x1(squeezed), self.expand3x3(squeezed)), dim=1), inplace=True)


def is_depthwise(layer: nn.Module) -> bool:
    """Whether each filter of `layer` sees one input map of several."""
    return isinstance(layer, nn.Conv2d) and layer.groups == layer.in_channels > 1


def conv_bn(
    inputs: int,
    outputs: int,
    kernel: int | tuple[int, int] = 1,
    stride: int = 1,
    *,
    groups: int = 1,
    bias: bool = False,
    activation: type[nn.Module] | None = nn.ReLU,
) -> nn.Sequential:
    """Convolution, batch normalisation, activation (None for none); padded so that stride 1 keeps the size."""
    height, width = kernel if isinstance(kernel, tuple) else (kernel, kernel)
    padding = (height // 2, width // 2)
    layers = nn.Sequential(
        nn.Conv2d(inputs, outputs, (height, width), stride, padding, groups=groups, bias=bias), nn.BatchNorm2d(outputs)
    )
    if activation is not None:
        layers.append(activation(inplace=True))
    return layers


def plain_conv(inputs: int, outputs: int, kernel: int) -> nn.Conv2d:
    """A biased convolution that keeps the size: `Fire`'s layer in SqueezeNet."""
    return nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2)


def channel_shuffle(maps: torch.Tensor, groups: int) -> torch.Tensor:
    """Reorder the C channels (B, C, h, w) of `groups` groups so that each new group has some of every old one.

    C is a multiple of `groups` (Zhang et al., CVPR 2018, section 3.1).
    """
    if groups == 1:
        return maps
    if maps.is_contiguous(memory_format=torch.channels_last) and not maps.is_contiguous():
        # Reordered where the channels lie in memory; otherwise the result, and the next layers, would change layout.
        return maps.permute(0, 2, 3, 1).unflatten(3, (groups, -1)).transpose(3, 4).flatten(3).permute(0, 3, 1, 2)
    return maps.unflatten(1, (groups, -1)).transpose(1, 2).flatten(1, 2)


def multiple_of(divisor: int, number: float) -> int:
    """The smallest multiple of `divisor` that is not below the whole part of `number`."""
    return -(-int(number) // divisor) * divisor


def nearest_multiple(divisor: int, number: float) -> int:
    """The multiple of `divisor` nearest to `number`, or the next one where that is less than nine tenths of it.

    How MobileNetV2 and its successors round numbers of maps; at least `divisor`.
    """
    nearest = max(divisor, int(number + divisor / 2) // divisor * divisor)
    return nearest + divisor if nearest < 0.9 * number else nearest


def initialize(module: nn.Module) -> None:
    """He's initialisation of all convolutions (fan out), zero biases, linear layers of deviation 0.01."""
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
        elif isinstance(layer, nn.Linear):
            nn.init.normal_(layer.weight, std=0.01)
        if isinstance(layer, nn.Conv2d | nn.Linear) and layer.bias is not None:
            nn.init.zeros_(layer.bias)
